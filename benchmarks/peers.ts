import { setTimeout as pause } from 'node:timers/promises'
import type { Peer } from './peers/catalogue.ts'
import { FAMILIES, PEERS } from './peers/catalogue.ts'
import { prepareJava } from './peers/java-project.ts'
import type { PeerSize } from './peers/peer-process.ts'
import { runPeer } from './peers/peer-process.ts'
import { peersChart, report } from './peers/report.ts'
import type { PeerRun, PeersResult } from './peers/result.ts'
import { summarise } from './peers/result.ts'
import { CHAIN_PERIOD } from './peers/workload.ts'
import type { Benchmark, BenchmarkOptions } from './support/benchmark.ts'
import { chosen, UsageError } from './support/benchmark.ts'
import { describeEnvironment, environmentLine, revision } from './support/environment.ts'
import { writeResults } from './support/results.ts'
import { perSecond } from './support/table.ts'

/*
 * The same work in other engines and libraries, and in a loop by hand. Each run is a process of its own; the peers take turns, so that whatever else
 * the machine does falls on all of them. A run is as long as its time asks at the rate of the run before, so no run is needed only to
 * find that out. Every run is verified: wrong totals end the benchmark.
 */

const KEYS = 100_000
const ROUNDS = 5
const MINUTES = 15
/** Between two runs: the disk finishes what the last one left behind. */
const PAUSE_MS = 300

export const peers: Benchmark = {
  name: 'peers',
  question: 'how fast is the same work elsewhere? RxJS, most, a loop by hand, and in Java Flink, Kafka Streams, Jet',
  flags: { only: `<names>: of ${FAMILIES.join(', ')}, separated by commas; sluice always runs` },
  run,
}

async function run(options: BenchmarkOptions): Promise<void> {
  const keys = options.keys ?? (options.quick ? 1_000 : KEYS)
  if (options.records !== undefined && options.records % keys !== 0)
    throw new UsageError(`--records (${options.records}) must be a multiple of the ${keys} keys: the totals are known in advance`)
  const { taking, leftOut } = choose(options)
  const environment = describeEnvironment()
  process.stdout.write(`${environmentLine(environment)}\n${keys.toLocaleString('en-US')} keys\n\n`)
  const runs = await runAll(taking, options, keys)
  const ran = taking.filter((peer) => runs.some((run) => run.peer === peer.id))
  const result: PeersResult = {
    benchmark: 'peers',
    environment,
    revisionAtEnd: revision(),
    parameters: { quick: options.quick, keys, rounds: Math.max(...runs.map(({ round }) => round)) },
    leftOut,
    versions: Object.assign({}, ...runs.map((run) => run.versions)),
    peers: summarise(ran, runs),
    runs,
  }
  process.stdout.write(report(result))
  writeResults(options, result, { 'peers.svg': peersChart(result) })
}

/** A quick run leaves Java out unless it is asked for by name: a virtual machine takes longer to start than the rest takes in all. */
export function choose({ quick, flags }: Pick<BenchmarkOptions, 'quick' | 'flags'>): {
  readonly taking: readonly Peer[]
  readonly leftOut: string | null
} {
  const families = chosen(flags['only'], '--only', FAMILIES)
  const asked = PEERS.filter(({ family }) => family === 'sluice' || families.includes(family))
  if (!asked.some(({ runtime }) => runtime === 'java')) return { taking: asked, leftOut: null }
  const leftOut = quick && flags['only'] === undefined ? 'a quick run has them only with --only' : (prepareJava() ?? null)
  return { taking: leftOut === null ? asked : asked.filter(({ runtime }) => runtime !== 'java'), leftOut }
}

async function runAll(taking: readonly Peer[], options: BenchmarkOptions, keys: number): Promise<readonly PeerRun[]> {
  const rounds = options.repetitions ?? (options.quick ? 1 : ROUNDS)
  const endMs = performance.now() + 60_000 * (options.minutes ?? MINUTES)
  const rates = new Map(taking.map((peer) => [peer.id, peer.rate]))
  const runs: PeerRun[] = []
  for (let round = 1; round <= rounds; round++) {
    for (const peer of taking.filter(({ everyRounds }) => (round - 1) % everyRounds === 0)) {
      // The first round is always whole; a later one goes on while there is time, Sluice first, so that each run has one to be compared with.
      if (round > 1 && performance.now() > endMs) return runs
      if (!options.quick) await pause(PAUSE_MS)
      const size = options.quick ? smallSize(peer, options, keys) : sizeOf(peer, options, keys, rates.get(peer.id)!)
      const outcome = await runPeer(peer, size)
      rates.set(peer.id, outcome.recordsPerSecond)
      runs.push({ peer: peer.id, round, ...size, ...outcome })
      process.stderr.write(`${round}/${rounds} ${peer.id}: ${perSecond(outcome.recordsPerSecond)}/s, verified\n`)
    }
  }
  return runs
}

function sizeOf(peer: Peer, { records }: BenchmarkOptions, keys: number, rate: number): PeerSize {
  const share = peer.warmUpSeconds / (peer.warmUpSeconds + peer.timedSeconds)
  const whole = wholePeriods(peer, keys, records ?? rate * (peer.warmUpSeconds + peer.timedSeconds))
  return { records: whole, warmUp: Math.floor(whole * share), keys }
}

function smallSize(peer: Peer, { records = 300_000 }: BenchmarkOptions, keys: number): PeerSize {
  const whole = wholePeriods(peer, keys, records)
  return { records: whole, warmUp: Math.floor(whole / 2), keys }
}

/** About so many records, so that the totals are known: all keys equally often, or the whole of what repeats. */
function wholePeriods({ work }: Peer, keys: number, records: number): number {
  const period = work === 'chain' ? CHAIN_PERIOD : keys
  return period * Math.max(1, Math.round(records / period))
}
