import { SluiceError } from '../core/errors.ts'
import type { StateIdentity } from '../state/delta-chunk.ts'
import { BaseRowWriter } from './base-row-writer.ts'
import type { BaseWriter } from './base-writer.ts'
import { FoldBatch } from './fold-batch.ts'
import type { DroppedState, Manifest, StoredDelta } from './manifest.ts'
import { withoutSuperseded } from './manifest.ts'
import type { StoreWrites } from './store-writes.ts'
import type { StoredCheckpoints } from './stored-checkpoints.ts'

/*
 * Brings the chunks of complete checkpoints into the base, a batch of them at a time. What always holds:
 *
 * 1. The base holds everything up to `folded` and the chunks up to `folding`, and nothing that the oldest retained checkpoint does not hold.
 * 2. Both move, and the chunks of a batch go, in one transaction after the last one with its rows. So what is left of a batch when the process ends
 *    is in the chunks still, and doing a batch again comes to the same: folding is redo.
 * 3. A step that fails gives up what it has in hand; the next one begins again with what the store says.
 *
 * A batch is as large as may be. A row that has changed in each of its checkpoints is written once, and the more rows it has, the more of them
 * share a page of the base, which is copied once for all. The chunks of a batch lie in the file beside what the base has of them until the whole
 * batch is written.
 */

const STEP_MS = 8

/** Chunks on their way into the base. */
interface Batch {
  readonly content: FoldBatch
  readonly rows: BaseRowWriter
  readonly deltas: readonly StoredDelta[]
  /** Those of them that say anything. */
  readonly needed: readonly StoredDelta[]
  readonly dropped: readonly DroppedState[]
  /** How many of these are read. */
  read: number
  /** How many of the drops are done. */
  drops: number
  /** The checkpoint up to which the base holds everything when this batch is in it. */
  readonly through: number
}

/** A chunk that is to go into the base. */
export interface OperatorChunk {
  readonly operator: string
  readonly bytes: Uint8Array
}

/** What a fold would take into the base. */
export interface Foldable {
  readonly through: number
  readonly bytes: number
  /** Of these, images that are chunks of their own. */
  readonly imageBytes: number
  readonly rows: number
  /** Rows of images, of which there is none newer. */
  readonly imageRows: number
  readonly chunks: number
}

export class Folder {
  readonly #checkpoints: StoredCheckpoints
  readonly #writes: StoreWrites
  readonly #base: BaseWriter
  /** Of the checkpoints that were completed here, without what folding does not need: they are long, and are not decoded for every look. */
  readonly #manifests = new Map<number, Manifest>()
  #batch: Batch | undefined

  constructor(checkpoints: StoredCheckpoints, writes: StoreWrites, base: BaseWriter) {
    this.#checkpoints = checkpoints
    this.#writes = writes
    this.#base = base
  }

  onCompleted(manifest: Manifest): void {
    this.#manifests.set(manifest.checkpoint, { ...manifest, subtasks: [], committables: [] })
  }

  /** Another attempt begins, or the store is another than before: nothing is in hand. */
  reset(): void {
    this.#batch = undefined
    this.#manifests.clear()
  }

  /** What a fold would take into the base now: everything up to the oldest retained checkpoint. */
  foldable(): Foldable | undefined {
    const due = this.#due()
    if (due === undefined) return undefined
    const deltas = this.#checkpoints.unfolded(due)
    const read = withoutSuperseded(deltas)
    const [images, others] = [read.filter(isImage), read.filter((delta) => !isImage(delta))]
    return {
      through: due.checkpoint,
      bytes: sumOfLengths(deltas),
      imageBytes: sumOfLengths(deltas.filter(isImage)),
      rows: sumOfRows(others),
      imageRows: sumOfRows(images),
      chunks: deltas.length,
    }
  }

  #due(): Manifest | undefined {
    const [oldest] = this.#checkpoints.retained()
    for (const id of this.#manifests.keys()) if (oldest === undefined || id < oldest) this.#manifests.delete(id)
    if (oldest === undefined || oldest <= this.#checkpoints.foldedThrough) return undefined
    return this.#manifests.get(oldest) ?? this.#checkpoints.manifest(oldest)
  }

  /**
   * Does a part of a fold: reads a few chunks, forgets a window, or writes rows. True when there is more to do; false when the base holds
   * everything up to the oldest retained checkpoint.
   * @param ms how long a part may take; longer ones take more of the thread and less of the disk's time
   * @throws SluiceError `CHECKPOINT_UNREADABLE`, `FENCED`, `DISK_FULL`, `STORE_FAILED`
   */
  step(ms = STEP_MS): boolean {
    try {
      const batch = (this.#batch ??= this.#nextBatch())
      if (batch === undefined) return false
      if (this.#gather(batch, ms) && this.#apply(batch, ms)) this.#finish(batch)
      return true
    } catch (error) {
      this.#batch = undefined
      // A chunk that is missing may have been taken into the base by whoever has the state now; then nothing is damaged.
      if (error instanceof SluiceError && error.code === 'CHECKPOINT_UNREADABLE') this.#writes.checkFence()
      throw error
    }
  }

  /** The oldest chunks that the base does not hold, so many that they can be merged in memory. */
  #nextBatch(): Batch | undefined {
    const due = this.#due()
    if (due === undefined) return undefined
    const waiting = this.#checkpoints.unfolded(due)
    const deltas = waiting.slice(0, fittingChunks(waiting, this.#writes.surroundings.sizes.foldBytes))
    const needed = withoutSuperseded(deltas)
    const next = waiting[deltas.length]
    return {
      content: new FoldBatch(sumOfLengths(needed), (operator, state) => this.#base.numberOf(operator, state)),
      rows: new BaseRowWriter(this.#writes.tables.state),
      deltas,
      needed,
      dropped: due.dropped,
      read: 0,
      drops: 0,
      // Of the next chunk's checkpoint the base does not hold all.
      through: next === undefined ? due.checkpoint : next.checkpoint - 1,
    }
  }

  /** Reads chunks. False: not yet all. */
  #gather(batch: Batch, ms: number): boolean {
    const untilMs = this.#writes.surroundings.nowMs() + ms
    while (batch.read < batch.needed.length) {
      const delta = batch.needed[batch.read]!
      batch.content.add(delta.operator, this.#checkpoints.chunk(delta), (state) => isDropped(delta, state, batch.dropped))
      batch.read++
      if (this.#writes.surroundings.nowMs() >= untilMs) return false
    }
    return true
  }

  /** Forgets one window, or writes some rows. False: not all of it yet. Before the first row the base must be known to be sound. */
  #apply(batch: Batch, ms: number): boolean {
    if (this.#writes.tables.leaves?.checkSome(ms) === false) return false
    const drop = batch.content.drops[batch.drops]
    if (drop === undefined) return this.#base.writeRows(batch.content, batch.rows, ms)
    this.#base.dropRows(drop)
    batch.drops++
    return false
  }

  /** The chunks go in the step that says that the base holds them, so that their place is free for what the base needs. */
  #finish({ deltas, through }: Batch): void {
    const last = deltas.at(-1)
    this.#writes.transact('cannot finish a fold', () => {
      this.#writes.checkFence()
      this.#writes.put('folded', through)
      if (last !== undefined) this.#writes.put('folding', [last.checkpoint, last.sequence])
      for (const { checkpoint, sequence } of deltas) this.#writes.tables.deltas.removeSync([checkpoint, sequence])
    })
    this.#batch = undefined
  }

  /** Takes chunks of a savepoint into the base, in the order in which they apply. */
  import(chunks: readonly OperatorChunk[], isDropped: (operator: string, state: StateIdentity) => boolean): void {
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.bytes.byteLength, 0)
    const content = new FoldBatch(bytes, (operator, state) => this.#base.numberOf(operator, state))
    for (const { operator, bytes } of chunks) content.add(operator, bytes, (state) => isDropped(operator, state))
    for (const drop of content.drops) this.#base.dropRows(drop)
    const rows = new BaseRowWriter(this.#writes.tables.state)
    while (!this.#base.writeRows(content, rows, STEP_MS)) {}
  }
}

/** Whether what a chunk says of a state counts for nothing. */
function isDropped(delta: StoredDelta, { kind, name }: StateIdentity, dropped: readonly DroppedState[]): boolean {
  return dropped.some(
    (each) => each.operator === delta.operator && each.kind === kind && each.name === name && delta.checkpoint <= each.through,
  )
}

/** One at least. */
function fittingChunks(deltas: readonly StoredDelta[], bytesMax: number): number {
  let [count, bytes] = [0, 0]
  for (const { length } of deltas) {
    bytes += length
    if (count > 0 && bytes > bytesMax) break
    count++
  }
  return count
}

function isImage({ imageOf }: StoredDelta): boolean {
  return imageOf !== undefined
}

function sumOfRows(deltas: readonly StoredDelta[]): number {
  return deltas.reduce((sum, { rows }) => sum + rows, 0)
}

function sumOfLengths(deltas: readonly StoredDelta[]): number {
  return deltas.reduce((sum, { length }) => sum + length, 0)
}
