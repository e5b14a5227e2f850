import { existsSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { SluiceError } from '../core/errors.ts'
import type { CheckpointRecord } from './checkpoint-history.ts'
import type { Tables } from './environment.ts'
import { closeTables, environmentPath, guarded, openForReading } from './environment.ts'
import type { ChunkPlace, Manifest, StoredDelta } from './manifest.ts'
import { decodeManifest, unfoldedOf, unreadable } from './manifest.ts'
import { checkpointIds, historyRecord, metaValue } from './meta-values.ts'
import type { ProcessIdentity } from './process-identity.ts'
import { isAlive } from './process-identity.ts'
import type { StateRegistry } from './stored-base.ts'
import { StoredOperatorBase } from './stored-base.ts'

/** The checkpoints of a job as they are stored, for reading. */
export class StoredCheckpoints {
  /** The state folder of the job. */
  readonly directory: string
  protected readonly tables: Tables

  protected constructor(directory: string, tables: Tables) {
    this.directory = directory
    this.tables = tables
  }

  /**
   * Opens the state of a job for reading, also while a process runs the job.
   * @throws SluiceError `JOB_UNKNOWN`, `STORE_FAILED`, `CHECKPOINT_UNREADABLE`
   */
  static openForReading(stateFolder: string): StoredCheckpoints {
    const path = environmentPath(stateFolder)
    if (!existsSync(path)) {
      throw new SluiceError('JOB_UNKNOWN', `there is no state of a job in ${stateFolder}`, {
        hint: 'name the job, and its --state-directory when that is not .sluice',
      })
    }
    return new StoredCheckpoints(stateFolder, openForReading(path))
  }

  /** The process that has the state, as long as it lives. */
  get owner(): ProcessIdentity | undefined {
    const owner = this.get<ProcessIdentity>('owner')
    return owner !== undefined && isAlive(owner) ? owner : undefined
  }

  get run(): string | undefined {
    return this.get<string>('run')
  }

  get attempt(): number {
    return this.get<number>('attempt') ?? 0
  }

  /** Whether the last run came to its end, so that the next start begins afresh. */
  get finished(): boolean {
    return this.get<boolean>('finished') === true
  }

  get latestCheckpoint(): number | undefined {
    return this.get<number>('latest')
  }

  /** The newest complete checkpoint. @throws SluiceError `CHECKPOINT_UNREADABLE`, `FORMAT_UNKNOWN` */
  latest(): Manifest | undefined {
    const checkpoint = this.latestCheckpoint
    return checkpoint === undefined ? undefined : this.manifest(checkpoint)
  }

  /** Ids of all complete checkpoints, oldest first. */
  retained(): readonly number[] {
    return checkpointIds(this.read(() => [...this.tables.checkpoints.getKeys()]))
  }

  /** @throws SluiceError `CHECKPOINT_UNREADABLE`, `FORMAT_UNKNOWN` */
  manifest(checkpoint: number): Manifest {
    const bytes = this.read(() => this.tables.checkpoints.get(checkpoint))
    if (bytes === undefined) throw unreadable(checkpoint, 'it has no manifest')
    return decodeManifest(bytes, checkpoint)
  }

  /** Bytes of a manifest. */
  manifestBytes(checkpoint: number): number {
    return this.read(() => this.tables.checkpoints.get(checkpoint))?.byteLength ?? 0
  }

  /** The newest checkpoint whose commits are all known to have happened. */
  get committedThrough(): number {
    return this.get<number>('committed') ?? -1
  }

  /** The checkpoint up to which the base holds everything. */
  get foldedThrough(): number {
    return this.get<number>('folded') ?? -1
  }

  /** The numbers of the states in the base. */
  registry(): StateRegistry {
    return this.get<StateRegistry>('states') ?? []
  }

  /** What a checkpoint adds to the base as it is now, in the order in which it applies. */
  unfolded(manifest: Manifest): readonly StoredDelta[] {
    return unfoldedOf(manifest, this.foldedThrough, this.get<ChunkPlace>('folding'))
  }

  /** A chunk of a checkpoint, proved whole. @throws SluiceError `CHECKPOINT_UNREADABLE` */
  readDelta(delta: StoredDelta): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.chunk(delta))
  }

  /** The same, for who looks at it and does not give it away. */
  chunk(delta: StoredDelta): Uint8Array {
    const { checkpoint, sequence, length } = delta
    const stored = this.read(() => this.tables.deltas.get([checkpoint, sequence]))
    if (stored === undefined) throw unreadable(checkpoint, `its chunk ${sequence} is missing`)
    if (stored.byteLength !== length || crc32(stored) !== delta.crc32)
      throw unreadable(checkpoint, `its chunk ${sequence} is corrupt`)
    return stored
  }

  /** The newest checkpoint before this one that is whole, in every chunk that the base does not hold. */
  readableBefore(checkpoint: number): number | undefined {
    return this.retained().findLast((older) => older < checkpoint && this.#isReadable(older))
  }

  #isReadable(checkpoint: number): boolean {
    try {
      for (const delta of this.unfolded(this.manifest(checkpoint))) this.chunk(delta)
      return true
    } catch (error) {
      if (error instanceof SluiceError) return false
      throw error
    }
  }

  /** The base of an operator, as it is whenever it is asked. */
  base(operator: string): StoredOperatorBase {
    return new StoredOperatorBase(this.tables, operator, () => this.registry())
  }

  /** How the last checkpoints went, oldest first; failed ones too. */
  history(): readonly CheckpointRecord[] {
    return this.read(() => [...this.tables.history.getRange()].map(({ value }) => historyRecord(value)))
  }

  /** Bytes of the tables' pages in use, and of the file; an entry of the base is a row, or the image of a group. */
  sizes(): { readonly baseBytes: number; readonly baseEntries: number; readonly deltaBytes: number; readonly fileBytes: number } {
    return this.read(() => {
      const base = pagesOf(this.tables.state.getStats())
      const root = this.tables.root.getStats() as { readonly pageSize: number; readonly lastPageNumber?: number }
      return {
        baseBytes: base.bytes,
        baseEntries: base.rows,
        deltaBytes: pagesOf(this.tables.deltas.getStats()).bytes,
        fileBytes: ((root.lastPageNumber ?? 0) + 1) * root.pageSize,
      }
    })
  }

  /** Closes without touching anything. */
  async close(): Promise<void> {
    await closeTables(this.tables)
  }

  protected get<V>(name: string): V | undefined {
    const bytes = this.read(() => this.tables.meta.get(name))
    return bytes === undefined ? undefined : (metaValue(name, bytes) as V)
  }

  protected read<R>(action: () => R): R {
    return guarded(`cannot read the state in ${this.directory}`, action)
  }
}

interface TableStats {
  readonly pageSize: number
  readonly treeBranchPageCount: number
  readonly treeLeafPageCount: number
  readonly overflowPages: number
  readonly entryCount: number
}

function pagesOf(stats: unknown): { readonly bytes: number; readonly rows: number } {
  const { pageSize, treeBranchPageCount, treeLeafPageCount, overflowPages, entryCount } = stats as TableStats
  return { bytes: pageSize * (treeBranchPageCount + treeLeafPageCount + overflowPages), rows: entryCount }
}
