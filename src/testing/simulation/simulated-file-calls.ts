import { dirname, posix } from 'node:path'
import type { Files } from '../../../operators/sinks/files.ts'
import { FolderClaims } from '../../../operators/sinks/folder-claims.ts'
import { Died, type FaultPlan } from './faults.ts'
import type { SeededRandom } from './random.ts'
import { FileError, type SimulatedFile, type SimulatedFiles, SimulatedFolder } from './simulated-files.ts'
import type { World } from './world.ts'

/** Whoever makes the calls. */
export interface FileUser {
  readonly pid: number
  readonly isAlive: boolean
  /** It may die here. @throws Died */
  point(name: string): void
}

/** Whoever watches them. */
export interface FileWatch {
  /** Something has happened to the file, or to the name. */
  onChanged(path: string, file: SimulatedFile | undefined): void
  /** A call does not come back for a while. */
  onStalled(): void
  /** Somebody is about to look how large the file is. */
  beforeSize(path: string): void
  /** The names of a folder were asked for in order to remove some, or one is removed. Whether that went well. */
  onTidied(folder: string, isDone: boolean): void
}

/** What calls are made with. */
export interface FileCallParts {
  readonly files: SimulatedFiles
  readonly world: World
  readonly faults: FaultPlan
  readonly random: SeededRandom
  readonly watch: FileWatch
  readonly blockLength: number
}

/** Calls on which the promises of a sink rest. */
const DELICATE: ReadonlySet<string> = new Set(['write', 'sync', 'syncFolder', 'rename'])

interface Opened {
  readonly path: string
  readonly file: SimulatedFile
}

/**
 * The files, as one process sees them: calls fail, before they take effect or after it, take their time, take a part of what they are given, and find no room.
 * What always holds:
 *
 * 1. Before and after each call the process can die; what it asks for when it is dead has no effect.
 * 2. Of a block that could not be written any part may be in the file.
 */
export class FileCalls implements Files {
  readonly blockLength: number
  readonly claims = new FolderClaims()
  readonly #parts: FileCallParts
  readonly #user: FileUser
  readonly #opened = new Map<number, Opened>()
  #descriptors = 0
  #isFullUntilMs = 0

  constructor(user: FileUser, parts: FileCallParts) {
    this.#user = user
    this.#parts = parts
    this.blockLength = parts.blockLength
  }

  resolve(path: string): string {
    return posix.resolve('/simulated', path)
  }

  create(path: string): number {
    return this.#now('create', path, () => {
      this.#checkRoom(path)
      const file = this.#parts.files.create(path)
      this.#opened.set(++this.#descriptors, { path, file })
      this.#parts.watch.onChanged(path, file)
      return this.#descriptors
    })
  }

  write(descriptor: number, block: Uint8Array, from: number): number {
    const { path, file } = this.#open(descriptor)
    const { random, faults, watch } = this.#parts
    const left = block.length - from
    const taken = faults.knows('target') && random.chance(0.3) ? random.between(Math.min(1, left), left) : left
    return this.#now('write', path, () => {
      this.#checkRoom(path)
      file.append(block.subarray(from, from + taken))
      watch.onChanged(path, file)
      if (faults.happens('target', 0.5)) throw this.#failure('after', 'write', path)
      return taken
    })
  }

  closeNow(descriptor: number): void {
    this.#now('close', this.#open(descriptor).path, () => this.#opened.delete(descriptor))
  }

  unlinkNow(path: string): void {
    this.#now('unlink', path, () => this.#remove(path))
  }

  sync(descriptor: number): Promise<void> {
    const { path, file } = this.#open(descriptor)
    const { random, watch } = this.#parts
    const fail = (): void => {
      file.failSync(random)
      watch.onChanged(path, file)
    }
    return this.#later('sync', path, () => file.sync(), fail)
  }

  async close(descriptor: number): Promise<void> {
    await this.#later('close', this.#open(descriptor).path, () => this.#opened.delete(descriptor))
  }

  size(path: string): Promise<number | undefined> {
    return this.#later('size', path, () => {
      this.#parts.watch.beforeSize(path)
      return this.#parts.files.find(path) === undefined ? undefined : this.#parts.files.file(path).size
    })
  }

  rename(from: string, to: string): Promise<void> {
    return this.#later('rename', from, () => {
      const { files, watch } = this.#parts
      files.rename(from, to)
      for (const path of [from, to]) watch.onChanged(path, undefined)
    })
  }

  remove(path: string): Promise<void> {
    return this.#tidily(dirname(path), () =>
      this.#later('remove', path, () => {
        if (this.#parts.files.find(path) !== undefined) this.#remove(path)
      }),
    )
  }

  list(folder: string): Promise<readonly string[]> {
    const names = (): readonly string[] => [...this.#parts.files.folder(folder).names.keys()]
    return this.#tidily(folder, () => this.#later('list', folder, names))
  }

  syncFolder(folder: string): Promise<void> {
    return this.#later('syncFolder', folder, () => this.#parts.files.folder(folder).sync())
  }

  isFolderThere(folder: string): Promise<boolean> {
    return this.#later('isFolderThere', folder, () => this.#parts.files.find(folder) !== undefined)
  }

  makeFolder(folder: string): Promise<void> {
    return this.#later('makeFolder', folder, () => {
      this.#checkRoom(folder)
      if (!(this.#parts.files.find(folder) instanceof SimulatedFolder)) this.#parts.files.makeFolder(folder)
    })
  }

  async checkWritable(folder: string): Promise<void> {
    await this.#later('checkWritable', folder, () => this.#parts.files.folder(folder))
  }

  async realPath(folder: string): Promise<string> {
    await this.#later('realPath', folder, () => this.#parts.files.folder(folder))
    return folder
  }

  #open(descriptor: number): Opened {
    const opened = this.#opened.get(descriptor)
    if (opened === undefined) throw new FileError('EBADF', `nothing is open as ${descriptor}`)
    return opened
  }

  #remove(path: string): void {
    this.#parts.files.remove(path)
    this.#parts.watch.onChanged(path, undefined)
  }

  async #tidily<R>(folder: string, action: () => Promise<R>): Promise<R> {
    this.#parts.watch.onTidied(folder, false)
    const result = await action()
    this.#parts.watch.onTidied(folder, true)
    return result
  }

  /** A call that comes back at once. */
  #now<R>(call: string, path: string, effect: () => R): R {
    this.#user.point(`before ${call} of ${path}`)
    this.#mayFail('before', call, path)
    this.#parts.world.note(() => `process ${this.#user.pid}: ${call} of ${path}`)
    const result = effect()
    this.#user.point(`after ${call} of ${path}`)
    this.#mayFail('after', call, path)
    return result
  }

  /** A call that somebody waits for. @param fail what else happens when it fails before it takes effect */
  async #later<R>(call: string, path: string, effect: () => R, fail?: () => void): Promise<R> {
    this.#user.point(`before ${call} of ${path}`)
    const { random, faults, world } = this.#parts
    if (random.chance(0.25)) await world.sleep(random.fraction())
    if (faults.happens('stall', 0.3)) await this.#stall()
    if (!this.#user.isAlive) throw new Died()
    this.#mayFail('before', call, path, fail)
    this.#parts.world.note(() => `process ${this.#user.pid}: ${call} of ${path}`)
    const result = effect()
    this.#user.point(`after ${call} of ${path}`)
    this.#mayFail('after', call, path)
    return result
  }

  async #stall(): Promise<void> {
    this.#parts.watch.onStalled()
    await this.#parts.world.sleep(this.#parts.random.between(1, 400))
  }

  #mayFail(moment: 'before' | 'after', call: string, path: string, fail?: () => void): void {
    if (!this.#parts.faults.happens('target', DELICATE.has(call) ? 0.6 : 0.1)) return
    fail?.()
    throw this.#failure(moment, call, path)
  }

  #failure(moment: 'before' | 'after', call: string, path: string): FileError {
    this.#parts.world.note(() => `process ${this.#user.pid}: ${call} of ${path} fails ${moment} it has taken effect`)
    return new FileError('EIO', `injected: ${call} of ${path} fails`)
  }

  #checkRoom(path: string): void {
    const { world, faults, random } = this.#parts
    const { nowMs } = world.timeline
    if (faults.happens('full', 0.3)) this.#isFullUntilMs = nowMs + random.between(5, 200)
    if (nowMs < this.#isFullUntilMs) throw new FileError('ENOSPC', `injected: no room for ${path}`)
  }
}
