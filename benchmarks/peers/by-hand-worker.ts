import { parentPort, workerData } from 'node:worker_threads'
import { murmur } from '../../src/core/key-groups.ts'
import { IntegerCounts, StringCounts } from './by-hand-counts.ts'
import type { RingMemory } from './by-hand-ring.ts'
import { BATCH_RECORDS, ReadingReader, ReadingWriter } from './by-hand-ring.ts'
import type { TallyPart } from './tally.ts'
import { Tally } from './tally.ts'
import type { PeerArguments, Reading } from './workload.ts'
import { integerKeys, readings, stringKeys } from './workload.ts'

/** What one of the two threads is given. */
export interface HandWork extends PeerArguments {
  readonly self: number
  /** One for each thread; rises whenever the other thread did something that this one may wait for. */
  readonly bells: Int32Array<SharedArrayBuffer>
  readonly outgoing: RingMemory
  readonly incoming: RingMemory
}

/** What it says when all records are counted. */
export interface HandWorkDone {
  readonly part: TallyPart
  /** Sum of the values of all readings that it counted. */
  readonly values: number
}

const work = workerData as HandWork
const { self, bells, records, warmUp, keys, kind } = work
const writer = new ReadingWriter(work.outgoing)
const reader = new ReadingReader(work.incoming)
const tally = new Tally(Math.floor(warmUp / 2))
let values = 0

// Each thread meets one kind of keys only, so each of these functions is compiled for that kind.
const strings = new StringCounts(keys)
const integers = new IntegerCounts(keys)
const at = readings<string | number>(kind === 'string' ? stringKeys(keys) : integerKeys(keys))
const ownerOf = (key: string | number): number => half(typeof key === 'string' ? hashOf(key) : key)

function count({ key, value }: Reading): void {
  values += value
  tally.add(typeof key === 'string' ? strings.add(key) : integers.add(key))
}

/** Counts all that has come. @returns whether there was anything */
function drain(): boolean {
  let some = false
  while (reader.take(count)) some = true
  if (some) ring()
  return some
}

function ring(): void {
  Atomics.add(bells, 1 - self, 1)
  Atomics.notify(bells, 1 - self)
}

/** Counts what comes until something is so. Two threads that only waited would wait for each other for ever. */
function countUntil(done: () => boolean): void {
  for (;;) {
    const heard = Atomics.load(bells, self)
    if (done()) return
    if (!drain()) Atomics.wait(bells, self, heard)
  }
}

function run(): void {
  for (let i = self, made = 1; i < records; i += 2, made++) {
    const reading = at(i)
    if (ownerOf(reading.key) === self) count(reading)
    else {
      writer.add(reading)
      if (writer.isFull) {
        writer.publish()
        ring()
        countUntil(() => writer.hasRoom)
      }
    }
    if (made % BATCH_RECORDS === 0) drain()
  }
  writer.finish()
  ring()
  countUntil(() => reader.isFinished)
}

/** The engine's hash of keys and its way from the hash to a subtask, for two subtasks. */
function half(hash: number): number {
  return (murmur(hash) & 127) >> 6
}

function hashOf(key: string): number {
  let hash = 0
  for (let index = 0; index < key.length; index++) hash = (Math.imul(hash, 31) + key.charCodeAt(index)) | 0
  return hash
}

run()
parentPort!.postMessage({ part: tally.part(), values } satisfies HandWorkDone)
