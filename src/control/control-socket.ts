import { createHash } from 'node:crypto'
import { lstatSync, realpathSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { WireError } from '../core/errors.ts'
import { SluiceError } from '../core/errors.ts'
import { makeFolders } from '../core/make-folders.ts'

/*
 * What the two ends of a job's control socket agree on. One JSON value a line, in both directions.
 *
 * - The job asks nobody who is asking: whoever can open the socket may stop the job. So it lies where only its owner comes.
 * - Its path follows from that of the state folder alone, so that the other end finds it without being told.
 */

/** The address of a socket has room for 108 bytes on Linux and 104 on macOS, its terminating zero included. */
const LONGEST_PATH_BYTES = 100
const NAME = 'control.sock'
/** Bytes of one request; what is longer is nothing that this program sends. */
export const LONGEST_REQUEST_BYTES = 64 << 10

export const COMMANDS = ['status', 'checkpoint', 'savepoint', 'stop'] as const

export type ControlCommand = (typeof COMMANDS)[number]

/** One line to the job; further fields are the command's arguments. */
export interface ControlRequest {
  /** Chosen by who asks; comes back in the answer. */
  readonly id: number | string
  readonly command: string
  readonly [argument: string]: unknown
}

/** One line back. `id` is `null` when the request was not understood so far as to know it. */
export type ControlResponse =
  | { readonly id: number | string | null; readonly ok: true; readonly result: unknown }
  | { readonly id: number | string | null; readonly ok: false; readonly error: WireError }

/**
 * Where the socket of the job lies whose state is in `stateFolder`: in that folder, or, when that is too long a path for a socket, in a
 * folder of its own among the temporary ones, named by a hash.
 */
export function controlSocketPath(stateFolder: string): string {
  const folder = realpathSync(stateFolder)
  const inside = join(folder, NAME)
  if (Buffer.byteLength(inside) <= LONGEST_PATH_BYTES) return inside
  const hash = createHash('sha256').update(folder).digest('hex').slice(0, 16)
  const outside = join(tmpdir(), `sluice-${hash}`, NAME)
  return Buffer.byteLength(outside) <= LONGEST_PATH_BYTES ? outside : join('/tmp', `sluice-${hash}`, NAME)
}

/** Whether the socket lies outside of the state folder, in a place where everybody may make folders. */
export function isOutside(path: string, stateFolder: string): boolean {
  return dirname(path) !== realpathSync(stateFolder)
}

/** Makes the folder of a socket that lies outside. @throws SluiceError `CONTROL_FAILED` when it is somebody else's */
export function makeOutsideFolder(path: string): void {
  makeFolders(dirname(path), 0o700)
  checkOutsideFolder(path)
}

/**
 * The folder's name can be computed by everybody, so somebody else may have made it, and would then be told, or answer, instead of the job.
 * @throws SluiceError `CONTROL_FAILED`
 */
export function checkOutsideFolder(path: string): void {
  const folder = dirname(path)
  const found = lstatSync(folder, { throwIfNoEntry: false })
  if (found === undefined) return
  const own = process.getuid === undefined || found.uid === process.getuid()
  if (found.isDirectory() && own && (found.mode & 0o077) === 0) return
  throw new SluiceError(
    'CONTROL_FAILED',
    `${folder}, where the job's control socket belongs, is not a folder of this user alone`,
    {
      hint: `remove it, or choose a shorter --state-directory, in which the socket has room`,
    },
  )
}
