import { SluiceError } from '../../src/core/errors.ts'
import type { Sink } from '../../src/core/sink.ts'
import { type StagedFile, stagedFileSink } from './staged-files.ts'

/**
 * Writes strings as lines of UTF-8 text to `part-<subtask>-<checkpoint>.txt` in a folder. A file appears when its checkpoint is
 * complete, and never changes after that.
 *
 * ```ts
 * job('shouting')
 *   .from(readText('words.txt'))
 *   .map((word) => word.toUpperCase())
 *   .to(writeText('out/shouts'))
 * ```
 *
 * A record is refused with `VALUE_NOT_ENCODABLE` if it could not be read back as it is: one that is no string, that contains a line
 * feed, or that contains half of a surrogate pair.
 */
export function writeText(folder: string): Sink<string, StagedFile> {
  return stagedFileSink<string>({ kind: 'writeText', folder, extension: 'txt', encoder: () => encodeTextLine })
}

/** A string as one line. */
export function encodeTextLine(value: string): string {
  if (typeof value !== 'string') {
    throw new SluiceError('VALUE_NOT_ENCODABLE', `writeText takes strings, but a record is ${describeType(value)}.`, {
      hint: 'Turn records into strings with map, or use writeJsonLines.',
    })
  }
  if (value.includes('\n')) {
    throw new SluiceError('VALUE_NOT_ENCODABLE', 'writeText writes one line per record, but a record contains a line feed.', {
      hint: 'Split the record with flatMap, replace its line feeds, or use writeJsonLines.',
    })
  }
  if (!value.isWellFormed()) {
    throw new SluiceError('VALUE_NOT_ENCODABLE', 'A string contains half of a surrogate pair, which UTF-8 cannot hold.', {
      hint: 'Replace the half with String.prototype.toWellFormed, or use writeJsonLines.',
    })
  }
  return `${value}\n`
}

function describeType(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  return value === undefined ? 'undefined' : `of type ${typeof value}`
}
