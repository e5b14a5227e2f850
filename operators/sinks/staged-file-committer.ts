import { join } from 'node:path'
import { diskFull, isNoSpace } from '../../src/core/disk-full.ts'
import { messageOf, SluiceError } from '../../src/core/errors.ts'
import type { SinkCommitter, SinkCommitterContext, SinkOpening } from '../../src/core/sink.ts'
import type { Files } from './files.ts'
import { createFolder } from './folders.ts'
import { isFinalName, isStagedLater, isStagedName } from './staged-file-names.ts'
import type { StagedFile } from './staged-files.ts'

/** Where one committer works. */
export interface StagedFileCommitterOptions {
  readonly files: Files
  readonly folder: string
  readonly extension: string
}

/**
 * Gives staged files their visible names, and keeps the folder free of what dead attempts left in it.
 *
 * ```ts
 * const committer = writeText('out').createCommitter(context)
 * await committer.open({ attempt: 1, fresh: true, overwrite: false, pending: [] })
 * await committer.commit(committables)
 * await committer.close(true)
 * ```
 */
export class StagedFileCommitter implements SinkCommitter<StagedFile> {
  readonly #files: Files
  readonly #folder: string
  readonly #extension: string
  readonly #context: SinkCommitterContext
  #claimed: string | undefined
  #attempt = 0

  constructor(options: StagedFileCommitterOptions, context: SinkCommitterContext) {
    this.#files = options.files
    this.#folder = options.folder
    this.#extension = options.extension
    this.#context = context
  }

  async check({ fresh, overwrite }: SinkOpening<StagedFile>): Promise<void> {
    if (!fresh || overwrite) return
    const foreign = this.#visible(await this.#namesIfAny())
    if (foreign.length > 0) throw this.#foreignOutput(foreign.length)
  }

  async open(opening: SinkOpening<StagedFile>): Promise<void> {
    try {
      await this.check(opening)
      await createFolder(this.#files, this.#folder)
      await this.#claim()
      await this.#cleanUp(opening)
    } catch (error) {
      this.#release()
      throw this.#coded(error, 'OUTPUT_UNWRITABLE', 'Cannot write to the folder')
    }
  }

  async commit(committables: readonly StagedFile[]): Promise<void> {
    if (committables.length === 0) return
    try {
      for (const file of committables) await this.#reveal(file)
      // Also when every file had its name already: the process that renamed it may have died before this line.
      await this.#files.syncFolder(this.#folder)
    } catch (error) {
      throw this.#coded(error, 'COMMIT_FAILED', 'Cannot commit to the folder')
    }
  }

  async close(finished: boolean): Promise<void> {
    try {
      if (finished) await this.#removeStaged(await this.#files.list(this.#folder), [], this.#attempt)
    } catch (error) {
      // All output is committed. A hidden file that stays is untidy, not wrong.
      this.#context.warn(`Cannot tidy up the folder ${this.#folder}: ${messageOf(error)}`)
    } finally {
      this.#release()
    }
  }

  async #cleanUp({ attempt, fresh, overwrite, pending }: SinkOpening<StagedFile>): Promise<void> {
    const names = await this.#files.list(this.#folder)
    const foreign = fresh ? this.#visible(names) : []
    // Since the check it may have come, of a process that has taken over; or the check may not have seen it.
    if (foreign.length > 0 && !overwrite) throw this.#foreignOutput(foreign.length)
    await this.#remove(foreign)
    await this.#removeStaged(names, pending, attempt)
    await this.#files.syncFolder(this.#folder)
  }

  #visible(names: readonly string[]): readonly string[] {
    return names.filter((name) => isFinalName(name, this.#extension))
  }

  #foreignOutput(files: number): SluiceError {
    const found = files === 1 ? '1 part file' : `${files} part files`
    return this.#error('OUTPUT_OF_ANOTHER_RUN', `The folder ${this.#folder} already holds ${found} of another run.`, {
      hint: `Start with --overwrite to remove ${files === 1 ? 'it' : 'them'}, or choose another folder.`,
    })
  }

  /** What a later attempt has staged is that of a process that has taken over. */
  async #removeStaged(names: readonly string[], pending: readonly StagedFile[], attempt: number): Promise<void> {
    this.#attempt = attempt
    const wanted = new Set(pending.map((file) => file.staged))
    const isLeft = (name: string): boolean => isStagedName(name) && !isStagedLater(name, this.#context.run, attempt)
    await this.#remove(names.filter((name) => isLeft(name) && !wanted.has(name)))
  }

  async #remove(names: readonly string[]): Promise<void> {
    for (const name of names) await this.#files.remove(join(this.#folder, name))
  }

  async #reveal(file: StagedFile): Promise<void> {
    const staged = join(this.#folder, file.staged)
    const final = join(this.#folder, file.final)
    // In this order: a process that is thought to be dead may be making the same commit, and a file that has both names has two owners.
    const isTaken = (await this.#files.size(final)) !== undefined
    const stagedBytes = await this.#files.size(staged)
    if (stagedBytes === undefined) return this.#checkCommitted(file, final, await this.#files.size(final))
    if (isTaken) throw this.#nameTaken(final)
    if (stagedBytes !== file.bytes) throw this.#torn(staged, stagedBytes, file.bytes)
    await this.#files.rename(staged, final)
  }

  /** The staged file is gone: an earlier commit must have renamed it, or its records are lost. */
  #checkCommitted(file: StagedFile, final: string, finalBytes: number | undefined): void {
    if (finalBytes === file.bytes) return
    if (finalBytes !== undefined) throw this.#torn(final, finalBytes, file.bytes)
    throw this.#error('COMMIT_LOST', `${final} cannot be committed: neither it nor its staged file ${file.staged} exists.`, {
      hint: 'If the file was moved away, put it back. If the folder is relative, start the job from the same working directory.',
    })
  }

  #nameTaken(final: string): SluiceError {
    return this.#error('OUTPUT_OF_ANOTHER_RUN', `${final} exists, but this run did not write it. It is not overwritten.`, {
      hint: 'Move the file away and start again.',
    })
  }

  #torn(path: string, bytes: number, expected: number): SluiceError {
    return this.#error('COMMIT_LOST', `${path} has ${bytes} bytes, but ${expected} were staged for it.`, {
      hint: 'Something other than this job changed the file, or the disk lost a part of it.',
    })
  }

  async #claim(): Promise<void> {
    const { job, run, operator } = this.#context
    const path = await this.#files.realPath(this.#folder)
    this.#files.claims.claim(path, { owner: JSON.stringify([job, run, operator]), committer: this })
    this.#claimed = path
  }

  #release(): void {
    if (this.#claimed !== undefined) this.#files.claims.release(this.#claimed, this)
    this.#claimed = undefined
  }

  #coded(error: unknown, code: 'OUTPUT_UNWRITABLE' | 'COMMIT_FAILED', what: string): SluiceError {
    if (error instanceof SluiceError) return error
    if (isNoSpace(error)) return diskFull(`${what} ${this.#folder}`, this.#folder, error, { operator: this.#context.operator })
    return this.#error(code, `${what} ${this.#folder}: ${messageOf(error)}`, { cause: error })
  }

  #error(code: SluiceError['code'], message: string, details: { cause?: unknown; hint?: string }): SluiceError {
    return new SluiceError(code, message, { operator: this.#context.operator, ...details })
  }

  /** A folder that does not exist yet holds nothing; what else may be wrong with it `open` will say. */
  async #namesIfAny(): Promise<readonly string[]> {
    try {
      return await this.#files.list(this.#folder)
    } catch {
      return []
    }
  }
}
