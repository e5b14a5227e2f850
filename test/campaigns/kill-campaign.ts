import { parseArgs } from 'node:util'
import type { Bound, CampaignMode, RoundResult } from './torture-campaign.ts'
import { Round } from './torture-campaign.ts'

/*
 * node --conditions=@sluice/source test/campaigns/kill-campaign.ts --kills 300 --seed 1
 *
 *   --kills n       kills in all (default 100)
 *   --seed n        of the first round; each round takes the next one
 *   --mode m        kill, faults (functions throw as well), savepoint (Ctrl-C as well), or all in turn (default)
 *   --bound b       tight, exact, or both in turn (default)
 *   --barriers b    aligned, unaligned or aligned-then-unaligned at every start (default: drawn)
 *   --records n     of the main stream (default 12000)
 *   --weight n      makes records larger; at 50 a snapshot takes several transactions (default 1)
 *   --per-round n   kills until a round is left to come to its end (default 25)
 *   --minutes n     no round is begun after that (default 30)
 *   --keep          leaves the folders
 *   --json          a line of JSON for each round
 *
 * Ends with 1 when anything differs; the folder of such a round stays.
 */
const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    mode: { type: 'string', default: 'all' },
    bound: { type: 'string', default: 'both' },
    barriers: { type: 'string' },
    records: { type: 'string', default: '12000' },
    weight: { type: 'string', default: '1' },
    'per-round': { type: 'string', default: '25' },
    minutes: { type: 'string', default: '30' },
    keep: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})

const MODES: readonly CampaignMode[] = ['kill', 'savepoint', 'faults']
const BOUNDS: readonly Bound[] = ['tight', 'exact']

const kills = Number(values.kills)
const until = performance.now() + Number(values.minutes) * 60_000
const results: RoundResult[] = []
let killed = 0
for (let number = 0; killed < kills && performance.now() < until; number++) {
  const result = await new Round({
    seed: Number(values.seed) + number,
    mode: values.mode === 'all' ? MODES[number % MODES.length]! : (values.mode as CampaignMode),
    bound: values.bound === 'both' ? BOUNDS[Math.floor(number / MODES.length) % BOUNDS.length]! : (values.bound as Bound),
    records: Number(values.records),
    weight: Number(values.weight),
    kills: Math.min(Number(values['per-round']), kills - killed),
    barriers: values.barriers as 'aligned' | 'unaligned' | 'aligned-then-unaligned' | undefined,
    keep: values.keep,
  }).run()
  results.push(result)
  killed += result.kills
  report(result)
}

const total = (count: (result: RoundResult) => number): number => results.reduce((sum, result) => sum + count(result), 0)
const summary = {
  rounds: results.length,
  kills: killed,
  stops: total((result) => result.stops),
  starts: total((result) => result.starts),
  restarts: total((result) => result.restarts),
  checkpoints: total((result) => result.checkpoints),
  unalignedStarts: total((result) => result.unalignedStarts),
  rescaledUnalignedStarts: total((result) => result.rescaledUnalignedStarts),
  evictingStarts: total((result) => result.evictingStarts),
  differences: total((result) => result.differences.length),
}
console.log(JSON.stringify(summary))
process.exitCode = summary.differences === 0 ? 0 : 1

function report({ history, differences, folder, ...counts }: RoundResult): void {
  if (values.json)
    return console.log(JSON.stringify({ ...counts, differences, ...(differences.length === 0 ? {} : { history, folder }) }))
  console.log(
    Object.entries(counts)
      .map(([name, count]) => `${name} ${count}`)
      .join(', '),
  )
  if (differences.length > 0) console.log([...differences, ...history, folder].join('\n'))
}
