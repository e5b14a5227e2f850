import { existsSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import { SluiceError } from '../core/errors.ts'
import { baseRow, behindRow, groupOfRow, imageKey, isImageKey, rowKey } from '../state/base-rows.ts'
import { GroupImage } from '../state/group-image.ts'
import type { BaseRow } from '../state/state-base.ts'
import { damagedRow } from '../state/stored-row.ts'
import type { Tables } from './environment.ts'
import { closeTables, environmentPath, guarded, openForReading } from './environment.ts'
import type { ChunkPlace, Manifest, StoredDelta } from './manifest.ts'
import { decodeManifest, unfoldedOf, unreadable, withoutSuperseded } from './manifest.ts'
import { checkpointIds, metaValue } from './meta-values.ts'
import { placeOf, StateOverlay } from './state-overlay.ts'
import type { RowLayer, RowRange, StateRow } from './state-rows.ts'
import type { RegisteredState, StateRegistry } from './stored-base.ts'

type Transaction = ReturnType<Tables['root']['useReadTransaction']>

/**
 * The store of a job at one instant. Manifest, base and unfolded changes are read in one transaction, so they belong together whatever the job writes
 * meanwhile. The transaction lasts until `close`, and until then the file of the store keeps every page that it can see: a job that writes much grows
 * its file by that much.
 */
export class StoredInstant implements RowLayer {
  readonly #tables: Tables
  readonly #transaction: Transaction
  readonly #registry: StateRegistry
  /** The rows of the image that was last read: who goes through it does so page by page. */
  #imaged: { readonly number: number; readonly group: number; readonly rows: readonly StateRow[] } | undefined
  #closed = false

  private constructor(tables: Tables) {
    this.#tables = tables
    this.#transaction = tables.root.useReadTransaction()
    this.#registry = this.#get<StateRegistry>('states') ?? []
  }

  /** @throws SluiceError `JOB_UNKNOWN`, `STORE_FAILED`, `CHECKPOINT_UNREADABLE` */
  static open(stateFolder: string): StoredInstant {
    const path = environmentPath(stateFolder)
    if (!existsSync(path)) throw noState(`there is no state of a job in ${stateFolder}`)
    const tables = openForReading(path)
    return guarded(`cannot read the state in ${stateFolder}`, () => new StoredInstant(tables))
  }

  /** A checkpoint that is kept, by default the newest. @throws SluiceError `JOB_UNKNOWN`, `INVALID_OPTION`, `CHECKPOINT_UNREADABLE`, `FORMAT_UNKNOWN` */
  manifest(checkpoint = this.#get<number>('latest')): Manifest {
    if (checkpoint === undefined) throw noState('the job has no complete checkpoint')
    const bytes = this.#read(() => this.#tables.checkpoints.get(checkpoint, { transaction: this.#transaction }))
    if (bytes !== undefined) return decodeManifest(bytes, checkpoint)
    const kept = this.retained()
    throw new SluiceError('INVALID_OPTION', `there is no checkpoint ${checkpoint}`, {
      hint: kept.length === 0 ? 'none is kept' : `kept are: ${kept.join(', ')}`,
    })
  }

  /** Ids of all complete checkpoints, oldest first. */
  retained(): readonly number[] {
    return checkpointIds(this.#read(() => [...this.#tables.checkpoints.getKeys({ transaction: this.#transaction })]))
  }

  /** The savepoint whose import was begun and has not come to its end. */
  get importing(): string | undefined {
    return this.#get<string>('importing')
  }

  /** What a checkpoint adds to the base, in the order in which it applies. */
  unfolded(manifest: Manifest): readonly StoredDelta[] {
    return unfoldedOf(manifest, this.#get<number>('folded') ?? -1, this.#get<ChunkPlace>('folding'))
  }

  /** What a checkpoint says beside the base. @throws SluiceError `CHECKPOINT_UNREADABLE` */
  async overlay(manifest: Manifest): Promise<StateOverlay> {
    const overlay = new StateOverlay()
    for (const delta of withoutSuperseded(this.unfolded(manifest))) {
      const gone = manifest.dropped.filter(({ operator, through }) => operator === delta.operator && delta.checkpoint <= through)
      overlay.apply(delta.operator, this.chunk(delta), ({ kind, name }) =>
        gone.some((state) => state.kind === kind && state.name === name),
      )
      await nextTurn()
    }
    return overlay
  }

  /** A chunk of a checkpoint, proved whole. @throws SluiceError `CHECKPOINT_UNREADABLE` */
  chunk({ checkpoint, sequence, length, crc32: checksum }: StoredDelta): Uint8Array {
    const stored = this.#read(() => this.#tables.deltas.get([checkpoint, sequence], { transaction: this.#transaction }))
    if (stored === undefined) throw unreadable(checkpoint, `its chunk ${sequence} is missing`)
    if (stored.byteLength === length && crc32(stored) === checksum) return stored
    throw unreadable(checkpoint, `its chunk ${sequence} is corrupt`)
  }

  states(): readonly RegisteredState[] {
    return this.#registry.filter((state) => state !== undefined)
  }

  async page(state: RegisteredState, { start, end }: RowRange, limit: number): Promise<readonly StateRow[]> {
    const number = this.#registry.findIndex(
      (each) => each?.operator === state.operator && each.kind === state.kind && each.name === state.name,
    )
    if (number < 0) return []
    return this.#read(() => {
      const page = [...this.#restOfImage(state, number, start, end, limit)]
      const range = { start: numbered(start, number), end: numbered(end, number), transaction: this.#transaction }
      // Rows are read as they are needed: one may be an image of very many.
      if (page.length < limit) {
        for (const row of this.#tables.state.getRange(range)) {
          if (isImageKey(row.key, state)) {
            const rows = this.#rowsOfImage(state, number, groupOfRow(row.key), row.value)
            page.push(...rows.slice(0, Math.min(limit - page.length, placeOf(end, rows))))
          } else page.push({ position: numbered(row.key, 0), group: groupOfRow(row.key), ...baseRow(state, row) })
          if (page.length >= limit) break
        }
      }
      return page
    })
  }

  /** Of the image in the midst of which a page begins, whose key lies before it. */
  #restOfImage(state: RegisteredState, number: number, start: Buffer, end: Buffer, limit: number): readonly StateRow[] {
    if (state.kind !== 'table' || isImageKey(start, state)) return []
    const rows = this.#imageOf(state, number, groupOfRow(start))
    const from = placeOf(start, rows)
    return rows.slice(from, Math.min(from + limit, placeOf(end, rows)))
  }

  #imageOf(state: RegisteredState, number: number, group: number): readonly StateRow[] {
    if (this.#imaged?.number === number && this.#imaged.group === group) return this.#imaged.rows
    const options = { start: imageKey(number, group), end: behindRow(imageKey(number, group)), transaction: this.#transaction }
    const [image] = [...this.#tables.state.getRange(options)]
    if (image !== undefined) return this.#rowsOfImage(state, number, group, image.value)
    this.#imaged = { number, group, rows: [] }
    return []
  }

  #rowsOfImage(state: RegisteredState, number: number, group: number, image: Buffer): readonly StateRow[] {
    if (this.#imaged?.number === number && this.#imaged.group === group) return this.#imaged.rows
    let sorted: readonly BaseRow[]
    try {
      sorted = GroupImage.proved(image).sortedRows()
    } catch (error) {
      throw damagedRow(state, error, state.operator)
    }
    const rows = sorted.map((row) => ({ position: rowKey(0, state, group, 0, row.key), group, ...row }))
    this.#imaged = { number, group, rows }
    return rows
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#transaction.done()
    await closeTables(this.#tables)
  }

  #get<V>(name: string): V | undefined {
    const bytes = this.#read(() => this.#tables.meta.get(name, { transaction: this.#transaction }))
    return bytes === undefined ? undefined : (metaValue(name, bytes) as V)
  }

  #read<R>(action: () => R): R {
    if (this.#closed) throw new SluiceError('STORE_FAILED', 'the reader is closed', { hint: 'read before close()' })
    return guarded(`cannot read ${this.#tables.path}`, action)
  }
}

/** The same position of another state. */
function numbered(position: Buffer, number: number): Buffer {
  const copy = Buffer.from(position)
  copy.writeUInt16BE(number)
  return copy
}

function noState(what: string): SluiceError {
  return new SluiceError('JOB_UNKNOWN', what, {
    hint: 'give the folder of a job with a complete checkpoint, that of a savepoint, or the name of a job and its stateDirectory',
  })
}
