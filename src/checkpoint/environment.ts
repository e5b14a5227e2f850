import { join } from 'node:path'
import type { Database, RootDatabase } from 'lmdb'
import { open } from 'lmdb'
import { messageOf, SluiceError } from '../core/errors.ts'
import { makeFoldersDurably, syncFolder } from '../core/make-folders.ts'
import type { StateTable } from './guarded-state.ts'
import { GuardedState } from './guarded-state.ts'
import { StateLeaves } from './state-leaves.ts'
import { checkAccess, checkStoreFile, sizeOfStore } from './store-file.ts'

/*
 * The only file that opens LMDB. One environment for each job, five tables:
 *
 *   meta         'owner', 'run', 'attempt', 'latest', 'committed', 'reserved', 'finished', 'folded', 'folding',
 *                'states', 'purge', 'importing', and 'read <source>' of jobs that read at most once
 *   checkpoints  id -> manifest
 *   deltas       [checkpoint, sequence] -> chunk
 *   state        row key -> value: the base
 *   history      [time, id] -> how a checkpoint went
 *
 * What always holds:
 * 1. One thread writes: the main thread of the job's process, which is never terminated. A thread that dies inside a write takes the environment
 *    with it; one that dies while it reads does no harm.
 * 2. Writes are synchronous transactions that have reached the disk when they return; the options that LMDB's speed is praised for and that make
 *    less of a promise are not used.
 * 3. LMDB sees no page that was not looked at: it believes what a page says, and a damaged one would end the process by a signal. All pages but the
 *    leaves of `state` are looked at when the file is opened, those when they are needed.
 */
export interface Tables {
  readonly path: string
  readonly root: RootDatabase<Buffer, string>
  readonly meta: Database<Buffer, string>
  readonly checkpoints: Database<Buffer, number>
  readonly deltas: Database<Buffer, [number, number]>
  readonly state: StateTable
  readonly history: Database<Buffer, [number, number]>
  /** Of a file in which there may be leaves of `state` that nobody has looked at. */
  readonly leaves?: StateLeaves | undefined
}

const FILE = 'checkpoints.mdb'

/** Where the environment of a job lies. */
export function environmentPath(stateFolder: string): string {
  return join(stateFolder, FILE)
}

/** Opens or creates the environment of a job, for writing. @throws SluiceError `STORE_FAILED`, `CHECKPOINT_UNREADABLE` */
export function openForWriting(stateFolder: string): Tables {
  return guarded(`cannot open the state in ${stateFolder}`, () => {
    makeFoldersDurably(stateFolder, 0o700)
    checkStoreFile(environmentPath(stateFolder))
    const tables = openTables(environmentPath(stateFolder), false)
    // LMDB syncs what is in its file and not the name; also that of an earlier process, which may have been killed before it came to this line.
    syncFolder(stateFolder)
    return tables
  })
}

/**
 * Opens an environment for reading, in any thread and also in another process than the one that writes.
 * @throws SluiceError `STORE_FAILED`, `CHECKPOINT_UNREADABLE`
 */
export function openForReading(path: string): Tables {
  return guarded(`cannot open ${path}`, () => {
    checkStoreFile(path)
    return openLookedAt(path)
  })
}

/** The same for another thread of the process that has it open and so has looked at it. @throws SluiceError `STORE_FAILED`, `CHECKPOINT_UNREADABLE` */
export function openInThread(path: string): Tables {
  return guarded(`cannot open ${path}`, () => openLookedAt(path))
}

function openLookedAt(path: string): Tables {
  // LMDB makes tables where there are none, which a reader cannot.
  if (sizeOfStore(path) === 0) throw damaged(`cannot open ${path}`, new Error('it is empty'))
  return openTables(path, true)
}

/** Whoever has read or written enough. */
export async function closeTables({ root, leaves }: Tables): Promise<void> {
  leaves?.close()
  await root.close()
}

function openTables(path: string, readOnly: boolean): Tables {
  checkAccess(path, readOnly)
  const leaves = StateLeaves.open(path)
  const options = { path, noSubdir: true, maxDbs: 8, overlappingSync: false, encoding: 'binary' as const, readOnly }
  const root = open<Buffer, string>({ ...options, permissionsMode: 0o600 } as typeof options)
  const state = root.openDB<Buffer, Buffer>({ name: 'state', encoding: 'binary', keyEncoding: 'binary' })
  return {
    path,
    root,
    meta: root.openDB<Buffer, string>({ name: 'meta', encoding: 'binary' }),
    checkpoints: root.openDB<Buffer, number>({ name: 'checkpoints', encoding: 'binary' }),
    deltas: root.openDB<Buffer, [number, number]>({ name: 'deltas', encoding: 'binary' }),
    state: leaves === undefined ? state : new GuardedState(state, leaves),
    history: root.openDB<Buffer, [number, number]>({ name: 'history', encoding: 'binary' }),
    leaves,
  }
}

/** What LMDB says when the file is not as it was written. */
const DAMAGE = /MDB_(CORRUPTED|PAGE_NOTFOUND|INVALID|VERSION_MISMATCH|PANIC)/

function damaged(what: string, cause: unknown): SluiceError {
  return new SluiceError('CHECKPOINT_UNREADABLE', `${what}: the state file is damaged: ${messageOf(cause)}`, {
    cause,
    hint: 'nothing was changed; restore the state folder from a copy, or remove it to begin anew',
  })
}

/** Runs what touches LMDB, and gives its errors a code. */
export function guarded<R>(what: string, action: () => R): R {
  try {
    return action()
  } catch (error) {
    if (error instanceof SluiceError) throw error
    if (DAMAGE.test(messageOf(error))) throw damaged(what, error)
    throw new SluiceError('STORE_FAILED', `${what}: ${messageOf(error)}`, {
      cause: error,
      hint: 'look at free space and permissions of the state folder; nothing that was complete is lost, and the next start resumes from it',
    })
  }
}
