import type { Socket } from 'node:net'
import { connect } from 'node:net'
import type { WireError } from '../core/errors.ts'
import { fromWireError, messageOf, SluiceError } from '../core/errors.ts'
import type { ControlCommand, ControlResponse } from './control-socket.ts'
import { checkOutsideFolder, controlSocketPath, isOutside } from './control-socket.ts'
import type { JobStatus, SavepointOptions, SavepointResult, StopOptions, StopResult } from './job-control.ts'

/*
 * The asking end of a job's control socket: one connection for each question. Imports nothing that loads a native addon, because it is
 * also used by programs that only want to know how a job is.
 */

/** What each command takes and gives. */
export interface ControlExchanges {
  readonly status: { readonly args: Record<never, never>; readonly result: JobStatus }
  readonly checkpoint: { readonly args: Record<never, never>; readonly result: { readonly checkpoint: number } }
  readonly savepoint: { readonly args: SavepointOptions; readonly result: SavepointResult }
  readonly stop: { readonly args: StopOptions; readonly result: StopResult }
}

export interface AskOptions {
  /** After the answer wait until the job has given its state back, so that another process may take it. Default: false. */
  readonly untilEnd?: boolean
}

/** More than any answer has: the other end is the user's own process, but it may not be the one it should be. */
const LONGEST_RESPONSE_CHARACTERS = 16 << 20

/**
 * Asks the running job whose state is in `stateFolder`. `timeoutMs` may be infinite.
 * @throws SluiceError `JOB_UNKNOWN` without such a folder, `JOB_NOT_RUNNING` when nobody answers, `CONTROL_FAILED` when the answer takes too
 * long or makes no sense, and whatever the job answers
 */
export async function askJob<Command extends ControlCommand>(
  stateFolder: string,
  command: Command,
  args: ControlExchanges[Command]['args'],
  timeoutMs: number,
  { untilEnd = false }: AskOptions = {},
): Promise<ControlExchanges[Command]['result']> {
  const socket = await open(stateFolder)
  try {
    const timeout = Number.isFinite(timeoutMs) ? AbortSignal.timeout(timeoutMs) : undefined
    timeout?.addEventListener('abort', () => socket.destroy(tooSlow(command, timeoutMs)))
    const answer = answerOf(socket)
    const ended = endOf(socket)
    socket.write(`${JSON.stringify({ ...args, id: 1, command })}\n`)
    const response = await Promise.race([answer, ended.then(() => Promise.reject(noAnswer(stateFolder)))])
    if (!response.ok) throw fromWireError(response.error as WireError)
    if (untilEnd) await ended
    return response.result as ControlExchanges[Command]['result']
  } finally {
    socket.destroy()
  }
}

async function open(stateFolder: string): Promise<Socket> {
  const path = pathOf(stateFolder)
  if (isOutside(path, stateFolder)) checkOutsideFolder(path)
  return await new Promise((resolve, reject) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.removeAllListeners('error')
      resolve(socket)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => {
      // No file, a file that a killed process left, or one whose job is just closing it.
      const absent = ['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'ENOTSOCK'].includes(error.code ?? '')
      reject(absent ? notRunning(stateFolder) : failed(`cannot reach the job at ${path}: ${messageOf(error)}`, error))
    })
  })
}

function pathOf(stateFolder: string): string {
  try {
    return controlSocketPath(stateFolder)
  } catch (error) {
    throw new SluiceError('JOB_UNKNOWN', `there is no state of a job in ${stateFolder}`, { cause: error })
  }
}

/** The first line that comes. */
function answerOf(socket: Socket): Promise<ControlResponse> {
  return new Promise((resolve, reject) => {
    let unread = ''
    socket.setEncoding('utf8')
    socket.on('data', (text: unknown) => {
      unread += text as string
      const end = unread.indexOf('\n')
      if (end < 0 && unread.length > LONGEST_RESPONSE_CHARACTERS) reject(failed('the answer of the job has no end'))
      if (end < 0) return
      try {
        resolve(responseOf(unread.slice(0, end)))
      } catch (error) {
        reject(failed(`the job gave an answer that is none: ${messageOf(error)}`, error))
      }
      unread = ''
    })
  })
}

function responseOf(line: string): ControlResponse {
  const response = JSON.parse(line) as ControlResponse | null
  if (typeof response !== 'object' || response === null || typeof response.ok !== 'boolean') throw new Error('no response')
  return response
}

function endOf(socket: Socket): Promise<void> {
  const ended = new Promise<void>((resolve, reject) => {
    socket.once('error', (error: NodeJS.ErrnoException) => {
      // A killed process resets its connections.
      if (error instanceof SluiceError || (error.code !== 'ECONNRESET' && error.code !== 'EPIPE')) reject(error)
    })
    socket.once('close', () => resolve())
  })
  // Not always waited for.
  ended.catch(() => {})
  return ended
}

function notRunning(stateFolder: string): SluiceError {
  return new SluiceError('JOB_NOT_RUNNING', `no process runs the job with its state in ${stateFolder}`, {
    hint: 'start the job, or ask for what is stored: sluice checkpoints ls, sluice state ls',
  })
}

function noAnswer(stateFolder: string): SluiceError {
  return new SluiceError('JOB_NOT_RUNNING', `the job with its state in ${stateFolder} ended before it answered`)
}

function tooSlow(command: string, timeoutMs: number): SluiceError {
  return new SluiceError('CONTROL_FAILED', `the job did not answer '${command}' within ${timeoutMs} ms`, {
    hint: 'what was asked may still happen; ask again with a longer --timeout',
  })
}

function failed(message: string, cause?: unknown): SluiceError {
  return new SluiceError('CONTROL_FAILED', message, cause === undefined ? {} : { cause })
}
