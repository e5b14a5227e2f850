import { parseArgs } from 'node:util'
import { JobRun } from '../test/campaigns/job-run.ts'
import { BARRIER_MODES, FAULT_KINDS, type FaultKind, stepOf } from '../test/campaigns/plan.ts'
import type { Bound } from '../test/campaigns/records.ts'
import { Round, type RoundOptions, type RoundResult } from '../test/campaigns/round.ts'
import { SmallDisk } from '../test/campaigns/small-disk.ts'

const HELP = `npm run chaos -- [options]: kills and disturbs real processes of a job, and checks what it commits

  --kills n       kills in all (default 100)
  --minutes n     after that the round that runs comes to its end, and no other begins (default 30)
  --seed n        of the first round; each round takes the next one (default 1)
  --faults a,b    of ${FAULT_KINDS.join(', ')} (default: all that are possible here)
  --bound b       tight, with late records, exact, without, or both (default)
  --barriers b    ${BARRIER_MODES.join(', ')} at every start (default: drawn)
  --records n     of the main stream (default 20000)
  --weight n      makes records larger; at 50 a snapshot takes several transactions (default 1)
  --per-round n   kills until a round is left to come to its end (default 20)
  --plan          prints what would be done in the first round, and does nothing
  --keep          leaves the folders of all rounds
  --json          a line of JSON for each round, and one for all

The seed decides what is done and with which settings the job starts each time, not when it meets the job: that is up to the machine. So a seed that has
failed comes to the same plan, and perhaps not to the same failure; its folder stays, with the state, the output and history.txt.
'disk' (a small disk in memory that is full for a while) and 'takeover' (a process that does not see the first one) need root.
Ends with 1 when anything differs, with 2 when it cannot be done as asked.`

const options = {
  kills: { type: 'string', default: '100' },
  minutes: { type: 'string', default: '30' },
  seed: { type: 'string', default: '1' },
  faults: { type: 'string' },
  bound: { type: 'string', default: 'both' },
  barriers: { type: 'string' },
  records: { type: 'string', default: '20000' },
  weight: { type: 'string', default: '1' },
  'per-round': { type: 'string', default: '20' },
  plan: { type: 'boolean', default: false },
  keep: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const

/** Kinds that not every machine lets happen. */
const NEEDS: Partial<Record<FaultKind, () => boolean>> = { disk: SmallDisk.isPossible, takeover: JobRun.canIsolate }
const PROGRESS_EVERY_MS = 10_000
/** One round of so many lies on a small disk. */
const SMALL_DISK_EVERY = 3
const ROUNDS_OF_ONE_INPUT = 6

const values = parsed()
if (values.help) {
  console.log(HELP)
  process.exit(0)
}
const kills = whole(values.kills, '--kills')
const seed = whole(values.seed, '--seed')
const perRound = Math.max(1, whole(values['per-round'], '--per-round'))
const untilMs = performance.now() + whole(values.minutes, '--minutes') * 60_000
const input = { records: whole(values.records, '--records'), weight: whole(values.weight, '--weight') }
const bounds: readonly Bound[] =
  values.bound === 'both' ? ['tight', 'exact'] : [oneOf(values.bound, ['tight', 'exact'], '--bound')]
const barriers = values.barriers === undefined ? undefined : oneOf(values.barriers, BARRIER_MODES, '--barriers')
const kinds = kindsOf(values.faults)
const impossible = FAULT_KINDS.filter((kind) => NEEDS[kind] !== undefined && !kinds.includes(kind) && values.faults === undefined)

if (values.plan) {
  for (let number = 0; number < perRound; number++) console.log(JSON.stringify(stepOf(roundOptions(0, perRound), number)))
  process.exit(0)
}

const abort = new AbortController()
const results: RoundResult[] = []
let killed = 0
let current: Round | undefined
cleanUpAtTheEnd()
const begunMs = performance.now()
const progress = setInterval(tellProgress, PROGRESS_EVERY_MS)

for (let number = 0; killed < kills && performance.now() < untilMs && !abort.signal.aborted; number++) {
  current = new Round(roundOptions(number, Math.min(perRound, kills - killed)), abort.signal)
  const result = await current.run()
  // Of one that was cut short nothing is known.
  if (abort.signal.aborted) break
  results.push(result)
  killed += result.faults['kill'] ?? 0
  tellRound(result)
}
clearInterval(progress)
tellSummary()

function parsed() {
  try {
    return parseArgs({ options }).values
  } catch (error) {
    return fail((error as Error).message)
  }
}

function kindsOf(named: string | undefined): readonly FaultKind[] {
  const isPossible = (kind: FaultKind): boolean => NEEDS[kind]?.() ?? true
  if (named === undefined) return FAULT_KINDS.filter(isPossible)
  const asked = named.split(',').map((name) => oneOf(name, FAULT_KINDS, '--faults'))
  const cannot = asked.find((kind) => !isPossible(kind))
  if (cannot !== undefined) fail(`--faults ${cannot} is not possible here: it needs root`)
  return asked
}

function roundOptions(number: number, ofKills: number): RoundOptions {
  const own = seed + number
  // An undisturbed run takes its time, so some rounds have one input.
  const group = Math.floor(own / ROUNDS_OF_ONE_INPUT)
  return {
    seed: own,
    kinds,
    barriers,
    // Also when there is nothing else that could be done to it.
    onSmallDisk: kinds.includes('disk') && (values.faults !== undefined || own % SMALL_DISK_EVERY === 0),
    input: { ...input, seed: group, bound: bounds[group % bounds.length]! },
    kills: ofKills,
    untilMs,
    keep: values.keep,
  }
}

/** Only what was started here: processes by their number, and disks by their place. */
function cleanUpAtTheEnd(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (abort.signal.aborted) process.exit(1)
      console.error(`${signal}: ends its processes and removes its folders`)
      abort.abort()
      JobRun.killAll()
    })
  }
  process.on('exit', () => {
    JobRun.killAll()
    SmallDisk.unmountAll()
  })
}

function tellProgress(): void {
  const seconds = Math.round((performance.now() - begunMs) / 1000)
  console.error(`${seconds} s: round ${results.length + 1}, ${killed + (current?.kills ?? 0)} of ${kills} kills`)
}

function tellRound({ history, differences, folder, faults, ...counts }: RoundResult): void {
  const trouble = differences.length === 0 ? {} : { history, folder }
  if (values.json) return console.log(JSON.stringify({ ...counts, faults, differences, ...trouble }))
  console.log(`${listed(counts)}; ${listed(faults)}; ${differences.length === 0 ? 'no differences' : 'DIFFERENT'}`)
  if (differences.length > 0) console.log([...differences, ...history, folder].join('\n'))
  else if (values.keep) console.log(folder)
}

function tellSummary(): void {
  const total = (count: (result: RoundResult) => number): number => results.reduce((sum, result) => sum + count(result), 0)
  const failed = results.filter(({ differences }) => differences.length > 0)
  const counts = {
    rounds: results.length,
    kills: killed,
    differences: total((result) => result.differences.length),
    starts: total((result) => result.starts),
    restarts: total((result) => result.restarts),
    checkpoints: total((result) => result.checkpoints),
    unalignedStarts: total((result) => result.unalignedStarts),
    rescaledUnalignedStarts: total((result) => result.rescaledUnalignedStarts),
    evictingStarts: total((result) => result.evictingStarts),
    looks: total((result) => result.looks),
    lines: total((result) => result.lines),
    seconds: Math.round((performance.now() - begunMs) / 1000),
  }
  const faults = Object.fromEntries(kinds.map((kind) => [kind, total((result) => result.faults[kind] ?? 0)]))
  const places = failed.map((result) => ({ seed: result.seed, folder: result.folder }))
  if (values.json) console.log(JSON.stringify({ ...counts, faults, impossible, failed: places }))
  else {
    console.log(`${listed(counts)}\n${listed(faults)}`)
    if (impossible.length > 0) console.log(`not possible here: ${impossible.join(', ')}`)
    for (const place of places) console.log(`seed ${place.seed} differs: ${place.folder}`)
  }
  process.exitCode = failed.length > 0 || abort.signal.aborted ? 1 : 0
}

function listed(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')
}

function oneOf<T extends string>(text: string, choices: readonly T[], option: string): T {
  return choices.find((each) => each === text) ?? fail(`${option} ${text}: it is one of ${choices.join(', ')}`)
}

function whole(text: string, option: string): number {
  return /^\d+$/.test(text) ? Number(text) : fail(`${option} ${text} is not a whole number`)
}

function fail(message: string): never {
  console.error(message)
  process.exit(2)
}
