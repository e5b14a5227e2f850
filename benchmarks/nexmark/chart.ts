import type { Bar, BarPanel } from '../support/bar-chart.ts'
import { barChart } from '../support/bar-chart.ts'
import { perSecond } from '../support/table.ts'
import type { NexmarkResult, QueryResult, SettingResult } from './result.ts'

/** A panel for each parallelism, in it a bar for each query and one for the generator, beyond which none can get. */
export function nexmarkChart(result: NexmarkResult): string {
  const { parameters, queries, environment } = result
  const subtasks = [...new Set(queries.flatMap(({ settings }) => settings.map(({ parallelism }) => parallelism)))]
  return barChart({
    title: 'Nexmark: events for each second of processor time',
    notes: [
      `${parameters.generators} generators of ${parameters.ratePerGenerator.toLocaleString('en-US')} events a second of event time, whole events, exactly-once, synced to disk.`,
      `Of all threads of the process. ${parameters.repetitions === 1 ? 'One run each' : `Medians of ${parameters.repetitions} runs, whiskers from slowest to fastest`}, and events per second of the clock.`,
    ],
    panels: subtasks.map((parallelism) => panelOf(result, parallelism)),
    environment,
  })
}

function panelOf({ queries, generator }: NexmarkResult, parallelism: number): BarPanel {
  const settings = queries.map((query) => shown(query, parallelism))
  const { every } = settings[0]!
  return {
    title: `${parallelism === 1 ? '1 subtask' : `${parallelism} subtasks`}, checkpoints ${every === 'off' ? 'off' : `every ${every.replace('s', ' s')}`}`,
    bars: [
      ...queries.map(({ query, meaning }, index) => barOf(`${query}, ${meaning}`, settings[index]!, true)),
      barOf('the generator alone, one thread', generator, false),
    ],
  }
}

/** What most would choose: a checkpoint every ten seconds. */
function shown({ settings }: QueryResult, parallelism: number): SettingResult {
  const own = settings.filter((setting) => setting.parallelism === parallelism)
  return own.find(({ every }) => every === '10s') ?? own[0]!
}

function barOf(label: string, figures: Pick<SettingResult, 'eventsPerSecond' | 'eventsPerCoreSecond'>, ours: boolean): Bar {
  const { eventsPerSecond, eventsPerCoreSecond } = figures
  return { label, ...eventsPerCoreSecond, note: `${perSecond(eventsPerSecond.median)}/s`, ours }
}
