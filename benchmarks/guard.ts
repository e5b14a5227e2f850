import { allocations } from './guard/allocation.ts'
import type { Floor, Verdict } from './guard/bounds.ts'
import { bytesVerdict, CEILINGS, complaint, FLOORS, pairsOf, ratioVerdict } from './guard/bounds.ts'
import { bytesOnTheirWay } from './guard/bytes.ts'
import { chains } from './guard/chains.ts'
import { codecs } from './guard/codecs.ts'
import type { NamedContest } from './guard/contest.ts'
import { ratioOf } from './guard/contest.ts'
import { files } from './guard/files.ts'
import { keyedCounts } from './guard/keyed.ts'
import { windows } from './guard/windows.ts'
import type { Benchmark, BenchmarkOptions } from './support/benchmark.ts'
import type { Environment } from './support/environment.ts'
import { describeEnvironment, environmentLine } from './support/environment.ts'
import { writeResults } from './support/results.ts'
import { renderTable } from './support/table.ts'

/*
 * Guards what has been won: the hot paths of the engine against yardsticks beside them. It ends with exit code 1 when one of them falls below its bound
 * (`guard/bounds.ts`). No figure depends on how fast the machine is.
 */

const ROUNDS = 61
const ROUNDS_QUICK = 15
/** One that falls below its floor is measured again, and its best counts: noise comes and goes, and a regression stays. */
const ATTEMPTS = 3

const CONTESTS: readonly NamedContest[] = [...codecs, ...chains, ...keyedCounts, ...windows, ...bytesOnTheirWay, ...files]

export interface GuardResult {
  readonly benchmark: 'guard'
  readonly environment: Environment
  readonly quick: boolean
  readonly verdicts: readonly Verdict[]
}

export const guard: Benchmark = {
  name: 'guard',
  question: 'has a hot path become slower, against yardsticks in the same process? Exit code 1 when one has',
  run,
}

async function run(options: BenchmarkOptions): Promise<void> {
  const environment = describeEnvironment()
  process.stdout.write(`${environmentLine(environment)}\n\n`)
  const rounds = options.repetitions ?? (options.quick ? ROUNDS_QUICK : ROUNDS)
  const verdicts: Verdict[] = []
  for (const [floor, contest] of pairsOf<Floor, NamedContest>(
    FLOORS,
    CONTESTS,
    ({ name, yardstick }) => `${name} / ${yardstick}`,
  )) {
    verdicts.push(await judged(floor, contest, rounds))
  }
  for (const [ceiling, { bytes }] of pairsOf(CEILINGS, allocations(), ({ name }) => name)) {
    verdicts.push(bytesVerdict(ceiling, bytes))
  }
  process.stdout.write(tableOf(verdicts))
  const result: GuardResult = { benchmark: 'guard', environment, quick: options.quick, verdicts }
  writeResults(options, result)
  const broken = verdicts.filter(({ holds }) => !holds)
  for (const verdict of broken) process.stderr.write(`guard: ${complaint(verdict)}\n`)
  if (broken.length > 0) process.exitCode = 1
}

async function judged(floor: Floor, contest: NamedContest, rounds: number): Promise<Verdict> {
  let best = 0
  for (let attempt = 0; attempt < ATTEMPTS && best < floor.floor; attempt++) best = Math.max(best, await ratioOf(contest, rounds))
  return ratioVerdict(floor, best)
}

function tableOf(verdicts: readonly Verdict[]): string {
  const rows = verdicts.map(({ what, figure, bound, kind, holds }) => [
    what,
    figure.toFixed(2),
    `${kind} ${bound}`,
    holds ? 'holds' : 'BROKEN',
  ])
  return renderTable(['engine / yardstick', 'measured', 'bound', ''], rows)
}
