import { rowKey } from '../state/base-rows.ts'
import type { StateIdentity } from '../state/delta-chunk.ts'
import { readDelta } from '../state/delta-reader.ts'
import type { Savepoint } from './savepoint.ts'
import { unreadableSavepoint } from './savepoint-index.ts'
import type { PlacedChunk } from './savepoint-reader.ts'
import { readChunkAt } from './savepoint-reader.ts'
import { Slices } from './slices.ts'
import { idOf, StateOverlay } from './state-overlay.ts'
import type { RowLayer, RowRange, StateRow } from './state-rows.ts'
import type { RegisteredState } from './stored-base.ts'

/** A chunk of the base, and the rows between which it lies. */
interface Segment {
  readonly file: number
  readonly offset: number
  readonly first: Buffer
  readonly last: Buffer
}

interface SegmentedState {
  readonly state: RegisteredState
  readonly segments: Segment[]
}

/**
 * The rows of a savepoint. Opening reads all of it once, which proves it, and remembers of each chunk of the base where it lies; chunks of changes
 * stay in memory. After that a page costs the chunks that it lies in, the last of which is remembered.
 */
export class SavepointRows implements RowLayer {
  readonly overlay = new StateOverlay()
  readonly #savepoint: Savepoint
  readonly #states = new Map<string, SegmentedState>()
  #last: { readonly segment: Segment; readonly rows: readonly StateRow[] } | undefined

  private constructor(savepoint: Savepoint) {
    this.#savepoint = savepoint
  }

  /** @throws SluiceError `SAVEPOINT_UNREADABLE`, naming the file */
  static async open(savepoint: Savepoint): Promise<SavepointRows> {
    const rows = new SavepointRows(savepoint)
    const slices = new Slices()
    for await (const chunk of savepoint.chunks()) {
      // The chunks of the base are views of larger blocks, those of changes are kept.
      if (chunk.layer === 'changes') rows.overlay.apply(chunk.operator, Uint8Array.from(chunk.bytes))
      else rows.#add(chunk)
      await slices.pause()
    }
    return rows
  }

  #add(chunk: PlacedChunk & { readonly file: number }): void {
    const { identity, rows } = rowsOf(chunk)
    const problem = this.#problemOf(chunk.operator, identity, rows)
    if (identity === undefined || problem !== undefined) {
      throw this.#damaged(chunk.file, `its chunk at byte ${chunk.offset} ${problem ?? 'is empty'}`)
    }
    const id = idOf(chunk.operator, identity)
    let known = this.#states.get(id)
    if (known === undefined) this.#states.set(id, (known = { state: { operator: chunk.operator, ...identity }, segments: [] }))
    const [first, last] = [Buffer.from(rows[0]!.position), Buffer.from(rows[rows.length - 1]!.position)]
    known.segments.push({ file: chunk.file, offset: chunk.offset, first, last })
  }

  /** Rows of a base come in order: by that they are found. */
  #problemOf(operator: string, identity: StateIdentity | undefined, rows: readonly StateRow[]): string | undefined {
    if (this.overlay.states().length > 0) return 'comes after changes to it'
    if (identity === undefined) return 'holds more than the rows of one state'
    let before = this.#states.get(idOf(operator, identity))?.segments.at(-1)?.last
    for (const { position } of rows) {
      if (before !== undefined && before.compare(position) >= 0) return 'has rows out of their order'
      before = position
    }
    return undefined
  }

  states(): readonly RegisteredState[] {
    return [...this.#states.values()].map(({ state }) => state)
  }

  async page(state: RegisteredState, { start, end }: RowRange, limit: number): Promise<readonly StateRow[]> {
    const segments = this.#states.get(idOf(state.operator, state))?.segments ?? []
    const page: StateRow[] = []
    for (let place = placeOf(start, segments); place < segments.length; place++) {
      if (page.length === limit || segments[place]!.first.compare(end) >= 0) break
      for (const row of await this.#rows(segments[place]!)) {
        if (page.length < limit && row.position.compare(start) >= 0 && row.position.compare(end) < 0) page.push(row)
      }
    }
    return page
  }

  async #rows(segment: Segment): Promise<readonly StateRow[]> {
    if (this.#last?.segment === segment) return this.#last.rows
    const { path, index, manifest } = this.#savepoint
    const place = { layer: 'base', offset: segment.offset } as const
    const chunk = await readChunkAt(path, index.files[segment.file]!, place, manifest.maxParallelism)
    const { rows } = rowsOf(chunk)
    this.#last = { segment, rows }
    return rows
  }

  #damaged(file: number, problem: string): Error {
    return unreadableSavepoint(this.#savepoint.path, this.#savepoint.index.files[file]!.name, problem)
  }
}

/** The rows of a chunk of the base, and the one state that they are of; `undefined` when the chunk is not of a base. */
function rowsOf({ bytes }: PlacedChunk): { readonly identity: StateIdentity | undefined; readonly rows: readonly StateRow[] } {
  const rows: StateRow[] = []
  const states = new Set<string>()
  let identity: StateIdentity | undefined
  let isBase = true
  readDelta(bytes, {
    row: (state, group, namespace, key, value) => {
      identity ??= state
      states.add(idOf('', state))
      isBase &&= value !== undefined && states.size === 1
      if (value !== undefined) rows.push({ position: rowKey(0, state, group, namespace, key), group, namespace, key, value })
    },
    drop: () => {
      isBase = false
    },
  })
  return { identity: isBase ? identity : undefined, rows }
}

/** Of the first chunk that ends at or behind a position. */
function placeOf(position: Buffer, segments: readonly Segment[]): number {
  let [low, high] = [0, segments.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (segments[middle]!.last.compare(position) < 0) low = middle + 1
    else high = middle
  }
  return low
}
