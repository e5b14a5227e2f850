import { isStagedName } from '../../../operators/sinks/staged-file-names.ts'
import { folderSinkOver } from '../../../operators/sinks/staged-files.ts'
import type { Sink } from '../../core/sink.ts'
import type { FaultPlan } from './faults.ts'
import type { OutputCheck } from './invariants.ts'
import { SeededRandom } from './random.ts'
import { FileCalls, type FileUser, type FileWatch } from './simulated-file-calls.ts'
import { type SimulatedFile, SimulatedFiles } from './simulated-files.ts'
import { Tampering } from './tampering.ts'
import type { Violation } from './violation.ts'
import { VisibleFiles } from './visible-files.ts'
import type { World } from './world.ts'

/** What the folders of a job are made with. */
export interface FolderParts {
  readonly world: World
  readonly faults: FaultPlan
  readonly output: OutputCheck
  readonly report: (invariant: Violation['invariant'], message: string) => void
  readonly latest: () => number
  /** Only one process is there. */
  readonly isAlone: () => boolean
  /** A call does not come back for a while. */
  readonly onStalled: () => void
}

/** The folders that the sinks of a simulated job write to: the sinks are the job's own, the files simulated. They outlive every process. */
export class SimulatedFolders implements FileWatch {
  readonly #parts: FolderParts
  readonly #random: SeededRandom
  readonly #files: SimulatedFiles
  readonly #visible: VisibleFiles
  readonly #blockLength: number
  readonly #calls = new WeakMap<FileUser, FileCalls>()
  readonly #untidy = new Set<string>()
  readonly tampering: Tampering

  constructor(parts: FolderParts) {
    this.#parts = parts
    this.#random = new SeededRandom(parts.world.seed, 'files')
    this.#files = new SimulatedFiles(this.#random)
    this.#visible = new VisibleFiles({ ...parts, files: this.#files })
    this.tampering = new Tampering(this.#files, this.#random, this.#visible)
    // Small ones, so that a file is often written in several.
    this.#blockLength = this.#random.pick([1, 30, 200, 256 * 1024])
  }

  /** The sink over the files of this process. `undefined`: it is no folder sink. */
  sinkOf(id: string, sink: Sink<unknown>, user: FileUser): Sink<unknown> | undefined {
    const calls = this.#callsOf(user)
    const own = folderSinkOver(sink, calls)
    if (own !== undefined) this.#visible.watch(calls.resolve(String(sink.settings?.['folder'])), id)
    return own
  }

  /** The machine loses power. Whoever ran on it is dead. */
  failPower(): void {
    const undoable = this.#visible.undoable()
    this.#files.failPower()
    this.#visible.look(undoable)
  }

  /** The job has come to its end. @param mayLeave what others staged from whom the state had been taken is swept by the next start only */
  atEnd(mayLeave: boolean): void {
    this.#visible.atEnd()
    const folders = this.#visible.folders.filter((folder) => !mayLeave && !this.#untidy.has(folder))
    const left = folders.flatMap((folder) => [...this.#files.folder(folder).names.keys()].filter(isStagedName))
    if (left.length > 0) this.#parts.report('nothing is left behind', `staged, and neither shown nor swept: ${left.join(', ')}`)
    // Whoever has been told that the job has finished may pull the plug.
    if (!this.#parts.faults.knows('power')) return
    this.#files.failPower()
    this.#visible.look()
  }

  onChanged(path: string, file: SimulatedFile | undefined): void {
    if (this.#visible.isSeen(slashed(path), file)) this.#visible.look()
  }

  onStalled(): void {
    this.#parts.onStalled()
  }

  beforeSize(path: string): void {
    const { faults, isAlone, world } = this.#parts
    if (!isAlone() || !this.tampering.canBegin(slashed(path)) || !faults.happens('tamper', 0.3)) return
    const what = this.tampering.begin(slashed(path))
    world.note(() => what)
    this.#visible.look()
  }

  /** Tidying that failed is tried again by the next start, if there is one. */
  onTidied(folder: string, isDone: boolean): void {
    if (isDone) this.#untidy.delete(slashed(folder))
    else this.#untidy.add(slashed(folder))
  }

  #callsOf(user: FileUser): FileCalls {
    const known = this.#calls.get(user)
    if (known !== undefined) return known
    const { world, faults } = this.#parts
    const parts = { files: this.#files, world, faults, random: this.#random, watch: this, blockLength: this.#blockLength }
    const calls = new FileCalls(user, parts)
    this.#calls.set(user, calls)
    return calls
  }
}

/** Paths have their simulated form wherever the simulation runs. */
function slashed(path: string): string {
  return path.replaceAll('\\', '/')
}
