import { posix } from 'node:path'
import type { SluiceError } from '../../core/errors.ts'
import type { SeededRandom } from './random.ts'
import { SimulatedFile, type SimulatedFiles } from './simulated-files.ts'
import type { VisibleFiles } from './visible-files.ts'
import { isVisible } from './visible-files.ts'

/**
 * Somebody else at work in the folders of sinks: cuts off a file that is staged, or puts one of his own under a name that is about to be taken. A
 * commit has to notice and say so, and must change neither. He puts it right when the job has told him.
 */
export class Tampering {
  readonly #files: SimulatedFiles
  readonly #random: SeededRandom
  readonly #visible: VisibleFiles
  #undo: (() => void)[] = []

  constructor(files: SimulatedFiles, random: SeededRandom, visible: VisibleFiles) {
    this.#files = files
    this.#random = random
    this.#visible = visible
  }

  /** Whether a job that meets it may end so. */
  explains({ code }: SluiceError): boolean {
    return this.#undo.length > 0 && (code === 'COMMIT_LOST' || code === 'OUTPUT_OF_ANOTHER_RUN')
  }

  /** Whether there is anything to be done to a file that a commit is about to look at. */
  canBegin(path: string): boolean {
    const file = this.#files.find(path)
    const isThere = file instanceof SimulatedFile && file.size > 0
    return isVisible(posix.basename(path)) ? file === undefined && !this.#visible.hasShown(path) : isThere
  }

  /** Returns what has been done. */
  begin(path: string): string {
    const file = this.#files.find(path)
    return file instanceof SimulatedFile ? this.#cut(path, file) : this.#intrude(path)
  }

  putRight(): void {
    for (const undo of this.#undo.splice(0)) undo()
  }

  #cut(path: string, file: SimulatedFile): string {
    const { bytes } = file
    file.replace(bytes.subarray(0, this.#random.below(bytes.length)))
    this.#undo.push(() => file.replace(bytes))
    return `somebody cuts ${path} off at ${file.size} of ${bytes.length} bytes`
  }

  #intrude(path: string): string {
    const { folder } = this.#files.place(path)
    this.#visible.expectStranger(path, true)
    this.#files.create(path).replace(Buffer.from('not of the job\n'))
    folder.sync()
    this.#undo.push(() => {
      this.#files.remove(path)
      folder.sync()
      this.#visible.expectStranger(path, false)
    })
    return `somebody makes ${path}`
  }
}
