import { perSecond, renderTable } from '../support/table.ts'
import type { NexmarkResult, QueryResult, SettingResult } from './result.ts'

/** What a run prints. */
export function reportOf({ environment, revisionAtEnd, parameters, generator, queries, runs }: NexmarkResult): string {
  const edited = revisionAtEnd === environment.revision ? '' : `the engine was edited meanwhile: ${revisionAtEnd} at the end\n`
  const header = ['query', 'subtasks', 'checkpoints', 'events', 'min - max', 'a core second', 'M events', 'event time', 'rows']
  const rows = queries.flatMap((query) => query.settings.map((setting) => row(query, setting)))
  const { eventsPerSecond, eventsPerCoreSecond } = generator
  return (
    `${renderTable(header, rows)}\n` +
    `the generator alone, in one thread: ${perSecond(eventsPerSecond.median)} events/s ` +
    `(${perSecond(eventsPerSecond.min)} - ${perSecond(eventsPerSecond.max)}), ${perSecond(eventsPerCoreSecond.median)} a core second\n` +
    `the output of all ${runs.length} runs was verified against the models; ${parameters.repetitions} of each setting\n${edited}`
  )
}

function row({ query, stream, eventTimeSeconds, total }: QueryResult, setting: SettingResult): readonly string[] {
  const { parallelism, every, eventsPerSecond, eventsPerCoreSecond, checkpoints } = setting
  return [
    query,
    String(parallelism),
    every === 'off' ? 'off' : `${every} (${checkpoints.median.toFixed(0)})`,
    `${perSecond(eventsPerSecond.median)}/s`,
    `${perSecond(eventsPerSecond.min)} - ${perSecond(eventsPerSecond.max)}`,
    perSecond(eventsPerCoreSecond.median),
    String(stream.events / 1e6),
    `${eventTimeSeconds} s`,
    total.rows.toLocaleString('en-US'),
  ]
}
