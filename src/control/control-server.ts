import { chmodSync, rmSync } from 'node:fs'
import type { Server, Socket } from 'node:net'
import { connect, createServer } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { messageOf, SluiceError, toWireError } from '../core/errors.ts'
import type { ControlRequest, ControlResponse } from './control-socket.ts'
import { COMMANDS, controlSocketPath, isOutside, LONGEST_REQUEST_BYTES, makeOutsideFolder } from './control-socket.ts'
import type { JobControl } from './job-control.ts'

/*
 * The job's end of its control socket. What always holds:
 *
 * - Nothing that comes in ends the job: what is malformed, too long or too much is answered with a coded error, or its connection closed.
 * - A client costs the job no more than a bounded buffer, also one that hangs or does not read. No connection keeps the process alive.
 * - Only the process that owns the job's state opens the socket, so a file that nobody answers behind is a leftover and may be replaced.
 * - When `close` is called, every answer that is known has been written before the connections end.
 */

const MOST_CONNECTIONS = 64
/** Requests of one connection that wait for their answers. */
const MOST_PENDING = 16
/** Answers that a client has not read; then it is let go. */
const MOST_UNREAD_BYTES = 4 << 20
const CLOSE_WITHIN_MS = 1_000

export interface ControlServer {
  /**
   * Ends it. Requests that are still open are told that the job is over. A client that waits for the end of its connection takes that for the
   * job having given its state back.
   */
  close(): Promise<void>
}

/** Opens the control socket of the job whose state is in `stateFolder`. @throws SluiceError `CONTROL_FAILED` */
export async function startControlServer(stateFolder: string, control: JobControl): Promise<ControlServer> {
  try {
    const path = controlSocketPath(stateFolder)
    if (isOutside(path, stateFolder)) makeOutsideFolder(path)
    const connections = new Set<Connection>()
    const server = await listen(path, (socket) => {
      const connection = new Connection(socket, control, () => connections.delete(connection))
      connections.add(connection)
    })
    return { close: () => closeAll(server, connections) }
  } catch (error) {
    if (error instanceof SluiceError) throw error
    throw new SluiceError('CONTROL_FAILED', `cannot open the control socket in ${stateFolder}: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

async function listen(path: string, onConnection: (socket: Socket) => void): Promise<Server> {
  try {
    return await bind(path, onConnection)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    if (await isAnswered(path)) throw new SluiceError('CONTROL_FAILED', `another process answers at ${path}`)
    rmSync(path, { force: true })
    return await bind(path, onConnection)
  }
}

function bind(path: string, onConnection: (socket: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    // Half open, because a client may say that it asks nothing more and still wait for its answer.
    const server = createServer({ allowHalfOpen: true }, onConnection)
    server.maxConnections = MOST_CONNECTIONS
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      // What fails later concerns one connection that could not be taken, and not the job.
      server.on('error', () => {})
      server.unref()
      resolve(server)
    })
    // The file is there when `listen` has returned. The folder around it is its owner's alone; this is for one that was made by hand.
    if (server.listening) chmodSync(path, 0o600)
  })
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

async function closeAll(server: Server, connections: ReadonlySet<Connection>): Promise<void> {
  server.close()
  // What was settled just now is answered in a later turn.
  await nextTurn()
  await Promise.all([...connections].map((connection) => connection.close()))
}

/** One client. */
class Connection {
  readonly #socket: Socket
  readonly #control: JobControl
  readonly #pending = new Set<ControlRequest['id']>()
  #unread = ''
  #asksNoMore = false

  constructor(socket: Socket, control: JobControl, forget: () => void) {
    this.#socket = socket
    this.#control = control
    socket.unref()
    socket.setEncoding('utf8')
    socket.on('data', (text: unknown) => this.#take(text as string))
    // The client has gone; whatever it asked for goes on.
    socket.on('error', () => socket.destroy())
    socket.on('close', forget)
    socket.on('end', () => {
      this.#asksNoMore = true
      this.#endWhenAnswered()
    })
  }

  async close(): Promise<void> {
    for (const id of this.#pending) this.#refuse(id, new SluiceError('JOB_NOT_RUNNING', 'the job ended before it could do that'))
    if (this.#socket.destroyed) return
    const closed = new Promise<void>((resolve) => this.#socket.once('close', () => resolve()))
    const timer = setTimeout(() => this.#socket.destroy(), CLOSE_WITHIN_MS)
    this.#socket.end(() => this.#socket.destroy())
    await closed
    clearTimeout(timer)
  }

  #take(text: string): void {
    this.#unread += text
    for (;;) {
      const end = this.#unread.indexOf('\n')
      const line = end < 0 ? this.#unread : this.#unread.slice(0, end)
      // Characters are at most as many as bytes, so the cheap look comes first.
      if (line.length > LONGEST_REQUEST_BYTES || Buffer.byteLength(line) > LONGEST_REQUEST_BYTES) return this.#tooLong()
      if (end < 0) return
      this.#unread = this.#unread.slice(end + 1)
      if (line.trim() !== '') this.#handle(line)
    }
  }

  /** Where the next request would begin is not known any more. */
  #tooLong(): void {
    this.#unread = ''
    this.#socket.removeAllListeners('data').resume()
    this.#refuse(null, malformed(`a request has more than ${LONGEST_REQUEST_BYTES} bytes`))
    this.#socket.end()
  }

  #handle(line: string): void {
    let request: ControlRequest
    try {
      request = parseRequest(line)
    } catch (error) {
      return this.#refuse(idIn(line), error)
    }
    if (this.#pending.size >= MOST_PENDING) {
      return this.#refuse(request.id, malformed(`${MOST_PENDING} requests of this connection wait for their answers already`))
    }
    this.#pending.add(request.id)
    this.#perform(request).then(
      (result) => this.#send({ id: request.id, ok: true, result }),
      (error: unknown) => this.#refuse(request.id, error),
    )
  }

  async #perform(request: ControlRequest): Promise<unknown> {
    const control = this.#control
    switch (request.command) {
      case 'status':
        return control.status()
      case 'checkpoint':
        return await control.checkpoint()
      case 'savepoint':
        return await control.savepoint(directoryOf(request))
      case 'stop': {
        const savepoint = flag(request, 'savepoint')
        return await control.stop({ ...directoryOf(request), savepoint, drain: flag(request, 'drain') })
      }
      default:
        throw new SluiceError('CONTROL_FAILED', `the job knows no command ${shorten(JSON.stringify(request.command))}`, {
          hint: `there are: ${COMMANDS.join(', ')}`,
        })
    }
  }

  #refuse(id: ControlResponse['id'], error: unknown): void {
    this.#send({ id, ok: false, error: toWireError(error, 'CONTROL_FAILED') })
  }

  #send(response: ControlResponse): void {
    // An answer is given once: what settles after the end of the job was answered by that.
    if (response.id !== null) this.#pending.delete(response.id)
    const socket = this.#socket
    if (!socket.writable) return
    socket.write(`${encode(response)}\n`)
    if (socket.writableLength > MOST_UNREAD_BYTES) socket.destroy()
    else this.#endWhenAnswered()
  }

  #endWhenAnswered(): void {
    if (this.#asksNoMore && this.#pending.size === 0) this.#socket.end()
  }
}

/** What the job answers is meant to be JSON; should it not be, the one who asked is told, and nobody else. */
function encode(response: ControlResponse): string {
  try {
    return JSON.stringify(response)
  } catch (error) {
    return JSON.stringify({ id: response.id, ok: false, error: toWireError(error, 'CONTROL_FAILED') })
  }
}

function parseRequest(line: string): ControlRequest {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (error) {
    throw malformed(`a request is not JSON: ${messageOf(error)}`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed('a request is not a JSON object')
  const { id, command } = value as Partial<ControlRequest>
  if (typeof id !== 'number' && typeof id !== 'string') throw malformed('a request has no id: a number or a text')
  if (typeof command !== 'string') throw malformed('a request has no command')
  return value as ControlRequest
}

function idIn(line: string): ControlResponse['id'] {
  try {
    const { id } = JSON.parse(line) as { readonly id?: unknown }
    return typeof id === 'number' || typeof id === 'string' ? id : null
  } catch {
    return null
  }
}

function flag(request: ControlRequest, name: string): boolean {
  const value = request[name] ?? false
  if (typeof value === 'boolean') return value
  throw malformed(`'${name}' of '${request.command}' is true or false`)
}

function directoryOf(request: ControlRequest): { readonly directory?: string } {
  const { directory } = request
  if (directory === undefined || directory === null) return {}
  if (typeof directory === 'string' && directory !== '') return { directory }
  throw malformed(`'directory' of '${request.command}' is the path of a folder`)
}

function malformed(message: string): SluiceError {
  return new SluiceError('CONTROL_FAILED', message, {
    hint: 'a request is one line of JSON: {"id": 1, "command": "status"}',
  })
}

function shorten(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`
}
