import type { Manifest } from '../checkpoint/manifest.ts'
import type { StoredCheckpoints } from '../checkpoint/stored-checkpoints.ts'
import { SluiceError } from '../core/errors.ts'
import type { NodeDescription } from '../graph/stream-graph.ts'
import { isJobFolder } from './job-folder.ts'

/*
 * What commands read of a job at rest. The store is loaded only here, and only when it is asked: everything else works without native code.
 */

/** Where a stored graph comes from. */
export type StoredSource =
  | {
      /** The newest checkpoint, or that one. */
      readonly stateFolder: string
      readonly checkpoint?: number
    }
  | { readonly savepoint: string }

/** What a job would go on with. */
export interface StoredGraph {
  readonly checkpoint: number
  readonly graph: readonly NodeDescription[]
  readonly maxParallelism: number
  /** Sinks with output that is staged and not known to be committed. */
  readonly uncommittedSinks: readonly string[]
}

/** A checkpoint as `status` and `checkpoints` show it. */
export interface StoredCheckpoint {
  readonly id: number
  readonly completedAtMs: number
  /** What it added to the store. */
  readonly bytes: number
}

/** A job as its state folder tells of it. */
export interface StoredJob {
  /** The live process that has the state; `null` when the job rests. */
  readonly ownerPid: number | null
  /** Whether the last run came to its end, so that the next start begins afresh. */
  readonly finished: boolean
  /** The complete checkpoints, oldest first. */
  readonly checkpoints: readonly StoredCheckpoint[]
}

/**
 * The graph in a checkpoint or savepoint; `undefined` when nothing is stored.
 * @throws SluiceError `INVALID_OPTION` when that checkpoint is not kept, `CHECKPOINT_UNREADABLE`, `SAVEPOINT_UNREADABLE`, `FORMAT_UNKNOWN`
 */
export async function readStoredGraph(source: StoredSource): Promise<StoredGraph | undefined> {
  if ('savepoint' in source) {
    const { openSavepoint } = await import('../checkpoint/savepoint.ts')
    return graphOf(openSavepoint(source.savepoint).manifest, -1)
  }
  if (!isJobFolder(source.stateFolder)) return undefined
  return await withCheckpoints(source.stateFolder, (store) => {
    const manifest = source.checkpoint === undefined ? store.latest() : keptManifest(store, source.checkpoint)
    return manifest === undefined ? undefined : graphOf(manifest, store.committedThrough)
  })
}

/** @throws SluiceError `JOB_UNKNOWN`, `CHECKPOINT_UNREADABLE`, `FORMAT_UNKNOWN` */
export async function readStoredJob(stateFolder: string): Promise<StoredJob> {
  return await withCheckpoints(stateFolder, (store) => ({
    ownerPid: store.owner?.pid ?? null,
    finished: store.finished,
    checkpoints: store.retained().map((id) => checkpointOf(store.manifest(id), store.manifestBytes(id))),
  }))
}

function keptManifest(store: StoredCheckpoints, checkpoint: number): Manifest {
  const kept = store.retained()
  if (kept.includes(checkpoint)) return store.manifest(checkpoint)
  const hint = kept.length === 0 ? 'none is kept' : `kept are: ${kept.join(', ')}`
  throw new SluiceError('INVALID_OPTION', `there is no checkpoint ${checkpoint}`, { hint })
}

function graphOf(manifest: Manifest, committedThrough: number): StoredGraph {
  const { checkpoint, graph, maxParallelism } = manifest
  const committables = committedThrough >= checkpoint ? [] : manifest.committables
  return { checkpoint, graph, maxParallelism, uncommittedSinks: [...new Set(committables.map(({ operator }) => operator))] }
}

/** A checkpoint that is kept. */
export function checkpointOf({ checkpoint, completedAtMs, deltas }: Manifest, manifestBytes: number): StoredCheckpoint {
  const own = deltas.filter((delta) => delta.checkpoint === checkpoint)
  return { id: checkpoint, completedAtMs, bytes: own.reduce((sum, { length }) => sum + length, manifestBytes) }
}

/** Does something with the checkpoints of a job, which may be running. */
export async function withCheckpoints<R>(stateFolder: string, action: (store: StoredCheckpoints) => R): Promise<R> {
  const { StoredCheckpoints: Stored } = await import('../checkpoint/stored-checkpoints.ts')
  const store = Stored.openForReading(stateFolder)
  try {
    return action(store)
  } finally {
    await store.close()
  }
}
