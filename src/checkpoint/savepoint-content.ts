import type { DeltaChunk, StateIdentity } from '../state/delta-chunk.ts'
import { readDelta } from '../state/delta-reader.ts'
import { DeltaWriter } from '../state/delta-writer.ts'
import type { BaseRow } from '../state/state-base.ts'
import type { DroppedState, Manifest, StoredDelta } from './manifest.ts'
import { withoutSuperseded } from './manifest.ts'
import type { SavepointChunk } from './savepoint-writer.ts'
import { Slices } from './slices.ts'
import type { StoredCheckpoints } from './stored-checkpoints.ts'

/*
 * What a savepoint of a checkpoint holds, read from the store beside everything else that the thread has to do. What always holds:
 *
 * 1. The base and the unfolded changes on top of it are the state at the checkpoint, as long as nothing beyond the checkpoint is folded: that is the
 *    caller's promise.
 * 2. Rows are read a page at a time, and no cursor outlives the turn that opened it. So no more than a page and a chunk is in memory.
 * 3. Nothing of a state that is dropped is given out: whoever reads the savepoint need not know that it ever was.
 */

const PAGE_ROWS = 256

/** A chunk, and how many rows it has. */
export interface CountedChunk extends SavepointChunk {
  readonly rows: number
}

export async function* savepointContent(store: StoredCheckpoints, manifest: Manifest): AsyncGenerator<CountedChunk> {
  const slices = new Slices()
  for (const state of store.registry()) {
    if (state !== undefined) yield* baseOf(store, state.operator, { kind: state.kind, name: state.name }, manifest, slices)
  }
  for (const delta of withoutSuperseded(store.unfolded(manifest))) {
    for (const { bytes, rows } of withoutDropped(store.readDelta(delta), delta, manifest.dropped)) {
      yield { layer: 'changes', operator: delta.operator, bytes, rows }
    }
    await slices.pause()
  }
}

/** The rows of one state in the base, in its order. */
async function* baseOf(
  store: StoredCheckpoints,
  operator: string,
  state: StateIdentity,
  { maxParallelism }: Manifest,
  slices: Slices,
): AsyncGenerator<CountedChunk> {
  const base = store.base(operator)
  const writer = new DeltaWriter()
  const taken = (): readonly CountedChunk[] => writer.take().map(({ bytes, rows }) => ({ layer: 'base', operator, bytes, rows }))
  for (let group = 0; group < maxParallelism; group++) {
    let after: BaseRow | undefined
    do {
      const page: readonly BaseRow[] = base.page(state, group, Number.NEGATIVE_INFINITY, after, PAGE_ROWS)
      for (const { namespace, key, value } of page) writer.putBytes(state, group, namespace, key, value)
      after = page.length < PAGE_ROWS ? undefined : page[page.length - 1]
      yield* taken()
      await slices.pause()
    } while (after !== undefined)
  }
  writer.cut()
  yield* taken()
}

/** A chunk of changes as it is, or without what it says of states that are dropped. */
function withoutDropped(
  bytes: Uint8Array<ArrayBuffer>,
  { operator, checkpoint, rows, firstGroup, lastGroup }: StoredDelta,
  dropped: readonly DroppedState[],
): readonly DeltaChunk[] {
  const gone = dropped.filter((state) => state.operator === operator && checkpoint <= state.through)
  if (gone.length === 0) return [{ bytes, rows, firstGroup, lastGroup }]
  const isGone = ({ kind, name }: StateIdentity): boolean => gone.some((state) => state.kind === kind && state.name === name)
  const writer = new DeltaWriter()
  readDelta(bytes, {
    row: (state, group, namespace, key, value) => {
      if (!isGone(state)) writer.putBytes(state, group, namespace, key, value)
    },
    drop: (state, first, last, namespace) => {
      if (!isGone(state)) writer.drop(state, first, last, namespace)
    },
  })
  writer.cut()
  return writer.take()
}
