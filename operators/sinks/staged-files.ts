import { SluiceError } from '../../src/core/errors.ts'
import type { Sink } from '../../src/core/sink.ts'
import { type Files, nodeFiles } from './files.ts'
import { StagedFileCommitter } from './staged-file-committer.ts'
import { StagedFileWriter } from './staged-file-writer.ts'

/**
 * The engine of the folder sinks: stage and rename.
 *
 * Invariants:
 * 1. A name that does not begin with a dot is committed output, complete and durable. Nobody writes to such a file, and no commit
 *    replaces one.
 * 2. A staged file holds the records of exactly one interval of one subtask of one attempt. It lies in the output folder itself, so
 *    that its rename stays within one file system and is atomic.
 * 3. A committable exists only for a staged file whose bytes *and* whose name have reached the disk.
 * 4. Of a committable's two names exactly one exists, from the end of its preparation on. So a commit can tell "still to be done" from
 *    "done before", also in a process that knows nothing but the committable.
 * 5. A staged file that no committable names belongs to a dead attempt. It is removed when an attempt starts, before any writer does.
 * 6. After an input/output error a writer takes nothing more: what it staged may be torn, and must not be cut into a committable.
 * 7. No final name is used twice in a run: it is made of subtask and checkpoint, and checkpoint ids never repeat, whatever the
 *    parallelism.
 *
 * ```ts
 * export function writeShouts(folder: string): Sink<string> {
 *   return stagedFileSink({ kind: 'writeShouts', folder, extension: 'txt', encoder: () => (text) => `${text.toUpperCase()}\n` })
 * }
 *
 * job('shouting').from(readText('words.txt')).to(writeShouts('out/shouts'))
 * ```
 */
export function stagedFileSink<T>(options: StagedFileSinkOptions<T>): Sink<T, StagedFile> {
  const { kind, folder } = options
  if (typeof folder !== 'string' || folder === '') {
    throw new SluiceError('INVALID_OPTION', `${kind} needs the name of a folder, but was given ${JSON.stringify(folder)}.`)
  }
  return sinkOver(nodeFiles, options)
}

/** Asks a folder sink for itself over other files. */
const overFiles: unique symbol = Symbol('over other files')

interface FolderSink<T> extends Sink<T, StagedFile> {
  [overFiles](files: Files): Sink<T, StagedFile>
}

function sinkOver<T>(files: Files, options: StagedFileSinkOptions<T>): FolderSink<T> {
  const { kind, folder, extension, encoder } = options
  return {
    kind,
    settings: { folder, ...options.settings },
    createWriter: (context) => new StagedFileWriter({ files, folder: files.resolve(folder), extension, encoder }, context),
    createCommitter: (context) => new StagedFileCommitter({ files, folder: files.resolve(folder), extension }, context),
    [overFiles]: (others) => sinkOver(others, options),
  }
}

/** The same sink with its folder in another file system. `undefined`: it is no folder sink. */
export function folderSinkOver<T>(sink: Sink<T>, files: Files): Sink<T> | undefined {
  return overFiles in sink ? ((sink as FolderSink<T>)[overFiles](files) as Sink<T>) : undefined
}

/** What one folder sink has of its own. */
export interface StagedFileSinkOptions<T> {
  /** The verb of the sink, such as `writeText`. */
  readonly kind: string
  /** Relative to the working directory of the process. */
  readonly folder: string
  /** Ending of the file names, without its dot. */
  readonly extension: string
  /**
   * Makes the encoder of one new file. The encoder returns the text of one record, line end included; the text of the first record may
   * begin with a header. For a record that it refuses it throws `VALUE_NOT_ENCODABLE` and behaves as if it had never seen it.
   */
  readonly encoder: () => (value: T) => string
  /** Further settings for the graph's fingerprint, beside the folder. */
  readonly settings?: Readonly<Record<string, unknown>>
}

/** One file that waits for its name. */
export interface StagedFile {
  /** Name in the output folder until the commit; hidden. */
  readonly staged: string
  /** Name in the output folder from the commit on. */
  readonly final: string
  readonly bytes: number
}
