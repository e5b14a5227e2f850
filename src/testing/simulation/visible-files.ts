import { posix } from 'node:path'
import { parse } from 'csv-parse/sync'
import { messageOf } from '../../core/errors.ts'
import type { OutputCheck } from './invariants.ts'
import { SimulatedFile, type SimulatedFiles } from './simulated-files.ts'
import type { Violation } from './violation.ts'

/** What a reader has seen of a file. */
interface Shown {
  readonly sink: string
  readonly file: SimulatedFile
  readonly bytes: Buffer
  /** The machine has lost power before the name was on the disk: it has to come back. */
  readonly isUndone: boolean
}

export interface VisibleFilesParts {
  readonly files: SimulatedFiles
  readonly output: OutputCheck
  readonly report: (invariant: Violation['invariant'], message: string) => void
  /** The newest complete checkpoint. */
  readonly latest: () => number
}

/**
 * Reads what anybody may read: names that do not begin with a dot. What always has to hold:
 *
 * 1. A visible file never changes and never goes, not even when the machine loses power; only a name that its commit had not yet made durable may go
 *    then, and comes back with the same bytes.
 * 2. Its records belong to a checkpoint that is complete on the disk.
 */
export class VisibleFiles {
  readonly #parts: VisibleFilesParts
  readonly #sinks = new Map<string, string>()
  readonly #shown = new Map<string, Shown>()
  readonly #strangers = new Set<string>()

  constructor(parts: VisibleFilesParts) {
    this.#parts = parts
  }

  /** The folders that are watched. */
  get folders(): readonly string[] {
    return [...this.#sinks.keys()]
  }

  watch(folder: string, sink: string): void {
    this.#sinks.set(folder, sink)
  }

  /** Whether it is there, or has been and will be again. */
  hasShown(path: string): boolean {
    return this.#shown.has(path)
  }

  /** A file that is not output has come, or gone. It must not change in between either. */
  expectStranger(path: string, isThere: boolean): void {
    if (isThere) this.#strangers.add(path)
    else {
      this.#strangers.delete(path)
      this.#shown.delete(path)
    }
  }

  /** Whether a change of this file or name can be seen. */
  isSeen(path: string, file: SimulatedFile | undefined): boolean {
    return isVisible(posix.basename(path)) || (file !== undefined && this.#shown.values().some((shown) => shown.file === file))
  }

  /** Visible names that a loss of power may take away. */
  undoable(): ReadonlySet<string> {
    const { files } = this.#parts
    const paths = this.#shown.keys().filter((path) => {
      const { folder, name } = files.place(path)
      return !folder.isDurable(name)
    })
    return new Set(paths)
  }

  /** @param undoable what may have gone */
  look(undoable: ReadonlySet<string> = new Set()): void {
    for (const [path, shown] of this.#shown) this.#lookAgain(path, shown, undoable.has(path))
    for (const [folder, sink] of this.#sinks) this.#lookInto(folder, sink)
  }

  atEnd(): void {
    for (const [path, { isUndone, sink }] of this.#shown)
      if (isUndone) this.#parts.report('nothing is lost', `'${sink}': ${path} went when power was lost, and never came back`)
  }

  #lookAgain(path: string, shown: Shown, isUndoable: boolean): void {
    const file = this.#parts.files.find(path)
    if (file instanceof SimulatedFile) {
      if (file.bytes !== shown.bytes && !file.bytes.equals(shown.bytes)) this.#broken(path, shown, 'has changed')
      else if (shown.isUndone || file !== shown.file) this.#shown.set(path, { ...shown, file, isUndone: false })
      return
    }
    if (shown.isUndone) return
    if (isUndoable) this.#shown.set(path, { ...shown, isUndone: true })
    else this.#broken(path, shown, 'has gone')
  }

  #broken(path: string, { sink }: Shown, what: string): void {
    this.#shown.delete(path)
    this.#parts.report('what is visible stays as it is', `'${sink}': ${path} ${what}`)
  }

  #lookInto(folder: string, sink: string): void {
    if (this.#parts.files.find(folder) === undefined) return
    for (const name of this.#parts.files.folder(folder).names.keys()) {
      const path = posix.join(folder, name)
      if (!isVisible(name) || this.#shown.has(path)) continue
      const file = this.#parts.files.file(path)
      this.#shown.set(path, { sink, file, bytes: file.bytes, isUndone: false })
      if (!this.#strangers.has(path)) this.#onVisible(sink, name, file.bytes)
    }
  }

  #onVisible(sink: string, name: string, bytes: Buffer): void {
    const { latest, output, report } = this.#parts
    const checkpoint = Number(/^part-\d+-(\d+)\./.exec(name)?.[1])
    // Also of a name that says nothing.
    if (!(checkpoint <= latest()))
      report('nothing uncommitted is visible', `'${sink}' shows ${name}, and the newest on the disk is ${latest()}`)
    try {
      output.onVisible(sink, recordsOf(name, bytes.toString()))
    } catch (error) {
      report('nothing is lost', `'${sink}' shows ${name}, which cannot be read: ${messageOf(error)}`)
    }
  }
}

export function isVisible(name: string): boolean {
  return !name.startsWith('.')
}

/** What a file holds, as its ending says. */
function recordsOf(name: string, text: string): readonly unknown[] {
  if (!text.endsWith('\n')) throw new Error('its last line has no end')
  if (text.includes('\0')) throw new Error('it has zeros')
  if (name.endsWith('.csv')) return parse(text, { columns: true })
  const lines = text.slice(0, -1).split('\n')
  return name.endsWith('.jsonl') ? lines.map((line) => JSON.parse(line) as unknown) : lines
}
