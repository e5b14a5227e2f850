import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Key, KeyedTimers, PaneCursor } from '../../src/core/keyed-state.ts'
import type { DeltaChunk } from '../../src/state/delta-chunk.ts'
import { KeyedBackend } from '../../src/state/keyed-backend.ts'
import { MemoryOperatorBase } from '../../src/state/state-base.ts'

export const MAX_PARALLELISM = 128

/** What snapshots of a backend, and of those that it goes on from, have said so far. */
const said = new WeakMap<KeyedBackend, Uint8Array[]>()
const bases = new WeakMap<KeyedBackend, MemoryOperatorBase>()
let newest = 0

export interface Groups {
  readonly first: number
  readonly last: number
}

export function backendOf(groups: Groups, maxParallelism = MAX_PARALLELISM, base?: MemoryOperatorBase): KeyedBackend {
  const backend = new KeyedBackend({ groups, maxParallelism, base, restored: newest })
  if (base !== undefined) bases.set(backend, base)
  return backend
}

/** The base that a backend reads takes in what its snapshots have said, and the backend is told. */
export function fold(backend: KeyedBackend): void {
  for (const chunk of chunksOf(backend)) bases.get(backend)!.apply(chunk)
  backend.onFolded(newest)
}

export function wholeBackend(maxParallelism = MAX_PARALLELISM, base?: MemoryOperatorBase): KeyedBackend {
  return backendOf({ first: 0, last: maxParallelism - 1 }, maxParallelism, base)
}

/** The next snapshot, written at once. */
export function snapshot(backend: KeyedBackend): readonly DeltaChunk[] {
  backend.freeze(++newest)
  backend.encode(() => false)
  const chunks = backend.takeChunks()
  said.set(backend, [...(said.get(backend) ?? []), ...chunks.map(({ bytes }) => bytes)])
  return chunks
}

/** All chunks of a backend's snapshots. */
export function chunksOf(backend: KeyedBackend): readonly Uint8Array[] {
  return said.get(backend) ?? []
}

/** A base that holds what these backends have snapshot. */
export function baseOf(...backends: readonly KeyedBackend[]): MemoryOperatorBase {
  const base = new MemoryOperatorBase()
  for (const backend of backends) for (const chunk of chunksOf(backend)) base.apply(chunk)
  return base
}

/**
 * A backend that goes on from a snapshot of another one, taken now. `deltas`: from its chunks, which no base holds; `base`: from a base that
 * holds them.
 */
export function restored(from: KeyedBackend, how: 'deltas' | 'base' = 'deltas', maxParallelism = MAX_PARALLELISM): KeyedBackend {
  snapshot(from)
  const base = how === 'base' ? baseOf(from) : new MemoryOperatorBase()
  const into = backendOf({ first: 0, last: maxParallelism - 1 }, maxParallelism, base)
  if (how === 'base') into.onFolded(newest)
  else for (const chunk of chunksOf(from)) into.apply(chunk)
  said.set(into, [...chunksOf(from)])
  return into
}

export const always = (): boolean => true

/** All timers that fire by then, with the key that was current. */
export function fired(
  backend: KeyedBackend,
  kind: 'event' | 'processing',
  until: number = Number.POSITIVE_INFINITY,
  timers: KeyedTimers = backend.timers(),
): readonly (readonly [Key, number])[] {
  const seen: (readonly [Key, number])[] = []
  const fire = (time: number): void => void seen.push([backend.key as Key, time])
  if (kind === 'event') timers.fireEventTime(until, fire, always)
  else timers.fireProcessingTime(until, fire, always)
  return seen
}

/** Bytes that are still in use after a collection. */
export function heapBytes(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  return process.memoryUsage().heapUsed
}

/** What a cursor comes across. */
export function* walked<V>(
  cursor: PaneCursor<V>,
): Generator<{ readonly key: unknown; readonly group: number; readonly value: V }> {
  while (cursor.next()) yield { key: cursor.key, group: cursor.group, value: cursor.value }
}
