import type { SeededRandom } from './random.ts'

/** What a file system answers when it does not do what it was asked for. */
export class FileError extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(`${code}: ${message}`)
    this.code = code
  }
}

/** A file, under whatever names it has. It only ever grows. */
export class SimulatedFile {
  /** What readers see. */
  #bytes: Buffer = Buffer.alloc(0)
  /** How much of it, from the beginning, is on the disk. */
  #durable = 0
  /** A sync has failed: the system has let go of what was not on the disk, and believes that it is. */
  #isDropped = false

  get bytes(): Buffer {
    return this.#bytes
  }

  get size(): number {
    return this.#bytes.length
  }

  append(block: Uint8Array): void {
    this.#bytes = Buffer.concat([this.#bytes, block])
  }

  sync(): void {
    if (!this.#isDropped) this.#durable = this.#bytes.length
  }

  /** A sync fails. What was to be written is lost at once or, while it stays in memory, when the machine fails. */
  failSync(random: SeededRandom): void {
    if (this.#durable === this.#bytes.length) return
    this.#isDropped = true
    if (random.chance(0.5)) this.#lose(random)
  }

  /** The machine loses power. */
  failPower(random: SeededRandom): void {
    if (this.#durable < this.#bytes.length && (this.#isDropped || !random.chance(0.3))) this.#lose(random)
    this.#durable = this.#bytes.length
    this.#isDropped = false
  }

  /** Somebody has changed it behind the back of its writer. */
  replace(bytes: Buffer): void {
    this.#bytes = bytes
    this.#durable = bytes.length
  }

  /** Whatever is not on the disk ends at some byte, or is zero from there on: the length of a file and its blocks reach the disk apart. */
  #lose(random: SeededRandom): void {
    const kept = random.chance(0.4) ? this.#durable : random.between(this.#durable, this.#bytes.length - 1)
    const lost = random.chance(0.3) ? Buffer.alloc(this.#bytes.length - kept) : Buffer.alloc(0)
    this.#bytes = Buffer.concat([this.#bytes.subarray(0, kept), lost])
    this.#durable = Math.min(this.#durable, this.#bytes.length)
  }
}

type Node = SimulatedFile | SimulatedFolder

/** A name that has come, changed or gone. */
interface NameChange {
  readonly node: Node
  readonly from: string | undefined
  readonly to: string | undefined
  /** What had the name before. */
  readonly replaced: Node | undefined
}

/** Names, and which of them are on the disk. */
export class SimulatedFolder {
  #names = new Map<string, Node>()
  #durable = new Map<string, Node>()
  /** Since the last sync, in their order. */
  #changes: NameChange[] = []

  get names(): ReadonlyMap<string, Node> {
    return this.#names
  }

  /** Whether the name would stand for the same after a loss of power. */
  isDurable(name: string): boolean {
    return this.#names.get(name) === this.#durable.get(name)
  }

  add(name: string, node: Node): void {
    this.#change({ node, from: undefined, to: name, replaced: this.#names.get(name) })
  }

  /** At one stroke, also where something else has the name. */
  rename(from: string, to: string): void {
    this.#change({ node: this.#names.get(from)!, from, to, replaced: this.#names.get(to) })
  }

  remove(name: string): void {
    this.#change({ node: this.#names.get(name)!, from: name, to: undefined, replaced: undefined })
  }

  sync(): void {
    this.#durable = new Map(this.#names)
    this.#changes = []
  }

  /** The machine loses power: of what was not synced some is kept, but no change without those before it of the same name or the same file. */
  failPower(random: SeededRandom): void {
    const keeps = random.pick([0, 0.5, 0.5, 1])
    const names = this.#durable
    const lost = new Set<unknown>()
    for (const change of this.#changes) {
      const parts = [change.node, change.from, change.to, change.replaced].filter((part) => part !== undefined)
      if (random.chance(keeps) && !parts.some((part) => lost.has(part))) apply(names, change)
      else for (const part of parts) lost.add(part)
    }
    this.#names = names
    this.sync()
    for (const node of this.#names.values()) node.failPower(random)
  }

  #change(change: NameChange): void {
    apply(this.#names, change)
    this.#changes.push(change)
  }
}

function apply(names: Map<string, Node>, { node, from, to }: NameChange): void {
  if (from !== undefined) names.delete(from)
  if (to !== undefined) names.set(to, node)
}

/**
 * A file system as POSIX describes it and no better, in memory, for the folders of simulated sinks. It outlives the processes that use it. What always holds:
 *
 * 1. What was written is seen by everybody at once, and stays when a process dies.
 * 2. When the machine loses power, a file keeps what was synced, and of the rest nothing, all, a part up to some byte, or zeros.
 * 3. A folder keeps the names that were synced, and of later changes some: each of them wholly or not at all.
 * 4. A sync that failed has lost what it was to write, whatever later ones say. The names of a folder are in a journal, and wait for the next.
 */
export class SimulatedFiles {
  readonly #root = new SimulatedFolder()
  readonly #random: SeededRandom

  constructor(random: SeededRandom) {
    this.#random = random
    this.#root.add('simulated', new SimulatedFolder())
    this.#root.sync()
  }

  /** @throws FileError */
  folder(path: string): SimulatedFolder {
    const node = this.find(path)
    if (node instanceof SimulatedFolder) return node
    throw new FileError(node === undefined ? 'ENOENT' : 'ENOTDIR', path)
  }

  /** @throws FileError */
  file(path: string): SimulatedFile {
    const node = this.find(path)
    if (node instanceof SimulatedFile) return node
    throw new FileError(node === undefined ? 'ENOENT' : 'EISDIR', path)
  }

  find(path: string): Node | undefined {
    let node: Node | undefined = this.#root
    for (const step of stepsOf(path)) node = node instanceof SimulatedFolder ? node.names.get(step) : undefined
    return node
  }

  /** The folder that has a name, and the name. */
  place(path: string): { readonly folder: SimulatedFolder; readonly name: string } {
    const steps = stepsOf(path)
    return { folder: this.folder(`/${steps.slice(0, -1).join('/')}`), name: steps.at(-1) ?? '' }
  }

  create(path: string): SimulatedFile {
    const file = new SimulatedFile()
    this.#add(path, file)
    return file
  }

  makeFolder(path: string): void {
    this.#add(path, new SimulatedFolder())
  }

  /** Within one folder. */
  rename(from: string, to: string): void {
    const [old, young] = [this.place(from), this.place(to)]
    if (old.folder !== young.folder) throw new FileError('EXDEV', `${from} to ${to}`)
    if (!old.folder.names.has(old.name)) throw new FileError('ENOENT', from)
    old.folder.rename(old.name, young.name)
  }

  remove(path: string): void {
    this.file(path)
    const { folder, name } = this.place(path)
    folder.remove(name)
  }

  failPower(): void {
    this.#root.failPower(this.#random)
  }

  #add(path: string, node: Node): void {
    const { folder, name } = this.place(path)
    if (folder.names.has(name)) throw new FileError('EEXIST', path)
    folder.add(name, node)
  }
}

function stepsOf(path: string): readonly string[] {
  return path.split(/[/\\]/).filter((step) => step !== '')
}
