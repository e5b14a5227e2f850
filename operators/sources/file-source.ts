import { SluiceError } from '../../src/core/errors.ts'
import { onlyKnown } from '../../src/core/only-known.ts'
import type { Source, SplitReader } from '../../src/core/source.ts'
import { InputFile } from './files.ts'
import { FollowReader, type FollowSplit, followSplits } from './follow.ts'
import type { FileSplit } from './line-reader.ts'
import { checkPaths, expandPaths, type Paths } from './paths.ts'

/** Bytes of a file that one subtask reads in one go. */
const SPLIT_BYTES = 16 * 1024 * 1024

/** What all sources of text files can be told. */
export interface FileOptions {
  /** Keep reading files that grow. The source then never ends; files that appear later are not read. */
  readonly follow?: boolean
  /** Size from which a file is shared by several subtasks; 16 MiB. */
  readonly splitBytes?: number
}

export type FileSourceSplit = FileSplit | FollowSplit
export type FileSourcePosition = number | readonly number[]

/** What makes the difference between two sources of files. */
export interface FileFormat<T> {
  readonly kind: string
  readonly settings?: Readonly<Record<string, unknown>>
  /** Names of its options beside those of all sources of files. */
  readonly options?: readonly string[]
  /** Cuts a file of `size` bytes into ranges of about `splitBytes` that begin where a record begins. */
  cut(file: InputFile, size: number, splitBytes: number): readonly FileSplit[] | Promise<readonly FileSplit[]>
  open(split: FileSplit, position: number | undefined, follow: boolean): SplitReader<T, number>
}

/**
 * A source of the records of text files, in whatever format.
 *
 * @example
 * export const readWords = (paths: Paths) => fileSource(paths, {}, { kind: 'readWords', cut: cutLines, open: openWords })
 */
export function fileSource<T>(
  given: Paths,
  options: FileOptions,
  format: FileFormat<T>,
): Source<T, FileSourceSplit, FileSourcePosition> {
  const { kind } = format
  const { follow = false, splitBytes = SPLIT_BYTES } = options
  const paths = checkPaths(kind, given)
  onlyKnown(options, kind, ['follow', 'splitBytes', ...(format.options ?? [])])
  if (!(Number.isSafeInteger(splitBytes) && splitBytes > 0)) {
    throw new SluiceError('INVALID_OPTION', `${kind}: splitBytes is ${String(splitBytes)}, expected a whole number above 0`)
  }
  return {
    kind,
    settings: { ...format.settings, paths, ...(follow ? { follow } : {}) },
    inTurn: follow,
    async enumerate({ parallelism }) {
      const files = await expandPaths(paths)
      return follow ? followSplits(files, parallelism) : await cutFiles(files, splitBytes, format)
    },
    open(split, position, _context) {
      if ('files' in split) return new FollowReader(split, position as readonly number[] | undefined, format)
      return format.open(split, position as number | undefined, false)
    },
  }
}

async function cutFiles(paths: readonly string[], splitBytes: number, format: FileFormat<unknown>): Promise<FileSplit[]> {
  const splits: FileSplit[] = []
  for (const path of paths) {
    const file = new InputFile(path)
    try {
      const size = file.size
      if (size > 0) splits.push(...(await format.cut(file, size, splitBytes)))
    } finally {
      file.close()
    }
  }
  return splits
}

/**
 * Cuts a file where lines begin. The last range ends where the file ends now, and none needs a byte of the next: so what is appended
 * while the job runs is read by no start of it, rather than only by the later ones.
 */
export function cutLines(file: InputFile, size: number, splitBytes: number): FileSplit[] {
  const splits: FileSplit[] = []
  for (let start = 0; start < size; ) {
    const end = start + splitBytes < size ? file.lineStart(start + splitBytes, size) : size
    splits.push({ path: file.path, start, end })
    start = end
  }
  return splits
}
