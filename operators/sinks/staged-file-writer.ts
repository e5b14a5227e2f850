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

/** Characters that are gathered before they are encoded: the string that they make then is of the young generation, and in the cache. */
const TEXT_LENGTH = 16 * 1024

/** The most that UTF-8 takes for a character of a string. */
const BYTES_PER_CHARACTER = 3

interface OpenFile {
  readonly name: string
  readonly descriptor: number
  bytes: number
}

/**
 * Stages the records of one subtask in hidden files, one per checkpoint interval that has records.
 *
 * Records are gathered as text, then as bytes of a block, and a block is worth a call of the system. Text and block belong to the file that is
 * being written or is about to be: a cut writes what is left of both.
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
  readonly #textLength: number
  readonly #context: SinkWriterContext
  #encode: (value: T) => string
  #text = ''
  /** Made with the first record: a subtask that gets none needs none. */
  #block: Buffer | undefined
  #filled = 0
  #file: OpenFile | undefined
  #filesOpened = 0
  #failure: SluiceError | undefined

  constructor(options: StagedFileWriterOptions<T>, context: SinkWriterContext) {
    this.#options = options
    this.#files = options.files
    this.#blockLength = options.files.blockLength
    this.#textLength = Math.min(TEXT_LENGTH, this.#blockLength)
    this.#context = context
    this.#encode = options.encoder()
  }

  write(value: T): void {
    if (this.#failure !== undefined) throw this.#failure
    this.#text += this.#encode(value)
    if (this.#text.length >= this.#textLength) this.#encodeText()
  }

  prepareCommit(checkpoint: number): readonly StagedFile[] | Promise<readonly StagedFile[]> {
    const file = this.#cut()
    return file === undefined ? [] : this.#makeDurable(file, checkpoint)
  }

  close(): void {
    this.#text = ''
    this.#filled = 0
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
    this.#encodeText()
    this.#writeFilled()
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

  /** Turns the text into bytes of the block, and writes the block when it is full. */
  #encodeText(): void {
    const text = this.#text
    if (text === '') return
    this.#text = ''
    const mostBytes = text.length * BYTES_PER_CHARACTER
    this.#block ??= Buffer.allocUnsafeSlow(this.#blockLength + this.#textLength * BYTES_PER_CHARACTER)
    if (this.#filled + mostBytes > this.#block.length) this.#writeFilled()
    // A record can be longer than the block.
    if (mostBytes > this.#block.length) return this.#writeBlock(Buffer.from(text, 'utf8'))
    this.#filled += this.#block.write(text, this.#filled, 'utf8')
    if (this.#filled >= this.#blockLength) this.#writeFilled()
  }

  #writeFilled(): void {
    if (this.#filled === 0) return
    const block = this.#block!.subarray(0, this.#filled)
    this.#filled = 0
    this.#writeBlock(block)
  }

  #writeBlock(block: Buffer): void {
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
