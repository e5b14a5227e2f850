import { join } from 'node:path'
import { diskFull, isNoSpace } from '../../src/core/disk-full.ts'
import { messageOf, SluiceError } from '../../src/core/errors.ts'
import type { SinkWriter, SinkWriterContext } from '../../src/core/sink.ts'
import type { Files } from './files.ts'
import { finalName, stagedName } from './staged-file-names.ts'
import type { StagedFile } from './staged-files.ts'

/** Where and how one writer writes. */
export interface StagedFileWriterOptions<T> {
  readonly files: Files
  readonly folder: string
  readonly extension: string
  readonly encoder: () => (value: T) => string
}

interface OpenFile {
  readonly name: string
  readonly descriptor: number
  bytes: number
}

/**
 * Stages the records of one subtask in hidden files, one per checkpoint interval that has records.
 *
 * ```ts
 * const writer = writeText('out').createWriter(context)
 * writer.write('a line')
 * const committables = await writer.prepareCommit(7)
 * ```
 */
export class StagedFileWriter<T> implements SinkWriter<T, StagedFile> {
  readonly #options: StagedFileWriterOptions<T>
  readonly #files: Files
  readonly #blockLength: number
  readonly #context: SinkWriterContext
  #encode: (value: T) => string
  #text = ''
  #file: OpenFile | undefined
  #filesOpened = 0
  #failure: SluiceError | undefined

  constructor(options: StagedFileWriterOptions<T>, context: SinkWriterContext) {
    this.#options = options
    this.#files = options.files
    this.#blockLength = options.files.blockLength
    this.#context = context
    this.#encode = options.encoder()
  }

  write(value: T): void {
    if (this.#failure !== undefined) throw this.#failure
    this.#text += this.#encode(value)
    if (this.#text.length >= this.#blockLength) this.#writeBlock()
  }

  prepareCommit(checkpoint: number): readonly StagedFile[] | Promise<readonly StagedFile[]> {
    const file = this.#cut()
    return file === undefined ? [] : this.#makeDurable(file, checkpoint)
  }

  close(): void {
    this.#text = ''
    const file = this.#file
    this.#file = undefined
    if (file === undefined) return
    try {
      this.#files.closeNow(file.descriptor)
      this.#files.unlinkNow(join(this.#options.folder, file.name))
    } catch {
      // The attempt is over and nothing names this file. If it stays, the next start of an attempt removes it.
    }
  }

  /** Ends the interval's file; later records go to a new one. */
  #cut(): OpenFile | undefined {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#text !== '') this.#writeBlock()
    const file = this.#file
    this.#file = undefined
    if (file !== undefined) this.#encode = this.#options.encoder()
    return file
  }

  async #makeDurable(file: OpenFile, checkpoint: number): Promise<readonly StagedFile[]> {
    try {
      await this.#syncAndClose(file.descriptor)
      // Without this the bytes would survive a power cut, but perhaps not the name under which the commit looks for them.
      await this.#files.syncFolder(this.#options.folder)
    } catch (error) {
      throw this.#fail(file.name, error)
    }
    const final = finalName(this.#context.subtask, checkpoint, this.#options.extension)
    return [{ staged: file.name, final, bytes: file.bytes }]
  }

  #writeBlock(): void {
    const block = Buffer.from(this.#text, 'utf8')
    this.#text = ''
    const name = this.#file?.name ?? this.#nextName()
    try {
      // Exclusive, because a file of this name would be another writer's.
      this.#file ??= { name, descriptor: this.#files.create(join(this.#options.folder, name)), bytes: 0 }
      this.#writeFully(this.#file.descriptor, block)
      this.#file.bytes += block.length
    } catch (error) {
      throw this.#fail(name, error)
    }
  }

  #nextName(): string {
    const { subtask, run, attempt } = this.#context
    return stagedName({ subtask, file: this.#filesOpened++, run, attempt, extension: this.#options.extension })
  }

  /** The first error stays: what follows it would only be its echo. */
  #fail(name: string, cause: unknown): SluiceError {
    const { operator, subtask } = this.#context
    const { folder } = this.#options
    const what = `Cannot write ${join(folder, name)}`
    const place = { operator, subtask }
    this.#failure ??= isNoSpace(cause)
      ? diskFull(what, folder, cause, place)
      : new SluiceError('OUTPUT_UNWRITABLE', `${what}: ${messageOf(cause)}`, { cause, ...place })
    return this.#failure
  }

  /** The operating system may take less than it is given, for instance on a disk that is nearly full. */
  #writeFully(descriptor: number, block: Buffer): void {
    let written = 0
    while (written < block.length) written += this.#files.write(descriptor, block, written)
  }

  async #syncAndClose(descriptor: number): Promise<void> {
    try {
      await this.#files.sync(descriptor)
    } finally {
      await this.#files.close(descriptor)
    }
  }
}
