import type { KeyKind } from './workload.ts'

/*
 * Who takes part. A peer is a program and what it is told; several of them can be the same program with other settings. Times are those of a
 * full run: how long the clock waits, and how long it then runs. Where checkpoints are taken every 10 s, one of them falls into the timed part.
 */

export const FAMILIES = ['sluice', 'by-hand', 'rxjs', 'most', 'flink', 'kafka-streams', 'jet'] as const
export type Family = (typeof FAMILIES)[number]

export type Work = 'count-string' | 'count-integer' | 'chain'
export const WORKS: readonly { readonly work: Work; readonly title: string }[] = [
  { work: 'count-string', title: 'Running count for each key, strings of 11 characters' },
  { work: 'count-integer', title: 'Running count for each key, integers' },
  { work: 'chain', title: 'Six operators without state, one thread' },
]

export interface Peer {
  readonly id: string
  readonly family: Family
  readonly work: Work
  readonly label: string
  /** What it promises, and how durable that is. */
  readonly promise: string
  readonly runtime: 'node' | 'java'
  /** File in this folder, or class in the package `peers` of the Java project, without its ending. */
  readonly program: string
  /** Besides the records, the keys and the warm-up. */
  readonly flags: readonly string[]
  /** A first guess, in records per second; every run corrects it. */
  readonly rate: number
  readonly warmUpSeconds: number
  readonly timedSeconds: number
  /** It runs in every round, in every second, or in the first and the fourth of five. */
  readonly everyRounds: 1 | 2 | 3
}

/** The peer of each kind of work that the others are compared with. */
export function isOurs({ id }: Peer): boolean {
  return id.startsWith('sluice/')
}

type Details = Omit<Peer, 'id' | 'work' | 'flags'> & { readonly name: string; readonly flags?: readonly string[] }

const NO_PROMISE = 'none'
const DURABLE = 'exactly-once, every 10 s, LMDB synced to disk'
const FLINK_FILES = 'exactly-once, every 10 s, local files'

function countPeers(kind: KeyKind): readonly Peer[] {
  const work: Work = `count-${kind}`
  return countDetails(kind).map(({ name, ...details }) => ({
    ...details,
    id: `${name}/${work}`,
    work,
    flags: ['--kind', kind, ...(details.flags ?? [])],
  }))
}

function countDetails(kind: KeyKind): readonly Details[] {
  const strings = kind === 'string'
  return [
    { name: 'sluice', label: 'Sluice, 2 threads', ...SLUICE, flags: parallelism(2), rate: strings ? 2.2e6 : 4e6, everyRounds: 1 },
    { name: 'by-hand', label: 'loop by hand, 2 threads', ...BY_HAND, rate: strings ? 5e6 : 35e6 },
    { name: 'sluice-1', label: 'Sluice, 1 thread, no exchange', ...SLUICE, flags: parallelism(1), rate: 2.5e6, everyRounds: 3 },
    { name: 'rxjs', label: 'RxJS, 1 thread', family: 'rxjs', program: 'rxjs-count', ...LIBRARY, rate: 6e6 },
    { name: 'most-core', label: '@most/core, 1 thread', family: 'most', program: 'most-core-count', ...LIBRARY, rate: 8e6 },
    { name: 'flink-heap', label: 'Flink, heap', ...FLINK, flags: ['--backend', 'hashmap', '--reuse', 'on'], rate: 2e6 },
    { name: 'flink-rocksdb', label: 'Flink, RocksDB', ...FLINK, flags: ['--backend', 'rocksdb', '--reuse', 'on'], rate: 0.35e6 },
    ...(strings ? STRINGS_ONLY : []),
  ]
}

function parallelism(threads: number): readonly string[] {
  return ['--parallelism', String(threads), '--checkpoint-every', '10s']
}

const SLUICE = {
  family: 'sluice',
  program: 'sluice-count',
  runtime: 'node',
  promise: DURABLE,
  warmUpSeconds: 3.5,
  timedSeconds: 8.5,
} as const
const BY_HAND = {
  family: 'by-hand',
  program: 'by-hand-count',
  runtime: 'node',
  promise: NO_PROMISE,
  warmUpSeconds: 1.5,
  timedSeconds: 2.5,
  everyRounds: 1,
} as const
const LIBRARY = { runtime: 'node', promise: NO_PROMISE, warmUpSeconds: 1, timedSeconds: 2, everyRounds: 3 } as const
const FLINK = {
  family: 'flink',
  program: 'FlinkCount',
  runtime: 'java',
  promise: FLINK_FILES,
  warmUpSeconds: 8,
  timedSeconds: 8,
  everyRounds: 2,
} as const

/** Peers for which one kind of keys is enough. */
const STRINGS_ONLY: readonly Details[] = [
  {
    ...FLINK,
    name: 'flink-heap-copies',
    label: 'Flink, heap, no object reuse',
    flags: ['--backend', 'hashmap', '--reuse', 'off'],
    rate: 1e6,
    everyRounds: 3,
  },
  {
    name: 'kafka-streams',
    family: 'kafka-streams',
    label: 'Kafka Streams, test driver, 1 thread',
    promise: 'none: no broker, no changelog; an upper bound of its operators',
    runtime: 'java',
    program: 'KafkaStreamsCount',
    rate: 0.5e6,
    warmUpSeconds: 6,
    timedSeconds: 5,
    everyRounds: 3,
  },
  {
    name: 'jet',
    family: 'jet',
    label: 'Hazelcast Jet, 2 threads',
    promise: 'exactly-once, every 10 s, in memory',
    runtime: 'java',
    program: 'JetCount',
    rate: 1e6,
    warmUpSeconds: 8,
    timedSeconds: 8,
    everyRounds: 3,
  },
]

const CHAIN = { runtime: 'node', promise: NO_PROMISE, warmUpSeconds: 1, timedSeconds: 2, everyRounds: 1 } as const

const CHAIN_PEERS: readonly Peer[] = [
  { name: 'sluice', family: 'sluice', label: 'Sluice, checkpoints off', program: 'sluice-chain', rate: 25e6 } as const,
  { name: 'by-hand', family: 'by-hand', label: 'loop by hand', program: 'by-hand-chain', rate: 120e6 } as const,
  { name: 'most-core', family: 'most', label: '@most/core', program: 'most-core-chain', rate: 35e6 } as const,
  { name: 'most', family: 'most', label: 'most 1', program: 'most-chain', rate: 30e6 } as const,
  { name: 'rxjs', family: 'rxjs', label: 'RxJS', program: 'rxjs-chain', rate: 14e6 } as const,
].map(({ name, ...details }) => ({ ...CHAIN, ...details, id: `${name}/chain`, work: 'chain', flags: [] }))

/** In the order in which they run in a round. */
export const PEERS: readonly Peer[] = [...countPeers('string'), ...countPeers('integer'), ...CHAIN_PEERS]
