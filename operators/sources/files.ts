import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { type ErrorDetails, messageOf, SluiceError } from '../../src/core/errors.ts'

/** Bytes of one read: large enough that the call itself does not count, small enough to stay in the processor's cache. */
export const BLOCK_BYTES = 256 * 1024

const NEWLINE = 10

/**
 * A file opened for reading, whose failures name it.
 *
 * @example
 * const file = new InputFile('/data/words.txt')
 * const bytesRead = file.read(buffer, 0, buffer.length, offset)
 */
export class InputFile {
  readonly path: string
  readonly #descriptor: number
  #closed = false

  constructor(path: string) {
    this.path = path
    this.#descriptor = this.#attempt(() => openSync(path, 'r'))
  }

  get size(): number {
    return this.#attempt(() => fstatSync(this.#descriptor).size)
  }

  /** Reads up to `length` bytes from `offset` of the file to `at` of the buffer; 0 at its end. */
  read(buffer: Uint8Array, at: number, length: number, offset: number): number {
    return this.#attempt(() => readSync(this.#descriptor, buffer, at, length, offset))
  }

  /** Where the first line begins that starts at `from` or later; `end`, or the end of the file, when there is none before it. */
  lineStart(from: number, end: number): number {
    if (from === 0) return 0
    const block = Buffer.allocUnsafe(Math.min(BLOCK_BYTES, end))
    // A line that starts exactly at `from` has its predecessor's newline just before it.
    for (let offset = from - 1; offset < end; ) {
      const bytes = this.read(block, 0, Math.min(block.length, end - offset), offset)
      if (bytes === 0) return offset
      const newline = block.subarray(0, bytes).indexOf(NEWLINE)
      if (newline !== -1) return offset + newline + 1
      offset += bytes
    }
    return end
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    closeSync(this.#descriptor)
  }

  #attempt<R>(action: () => R): R {
    try {
      return action()
    } catch (error) {
      throw unreadable(this.path, error)
    }
  }
}

/** The line that was last asked for: a job that passes over bad records asks for many of one file, one behind the other. */
let lastLine = { path: '', offset: 0, line: 1 }

/** The number, from 1, of the line at `offset`. Reads the file up to there, at worst from its beginning, so it is for error messages only. */
export function lineNumberAt(path: string, offset: number): number {
  const isBehind = lastLine.path === path && lastLine.offset <= offset
  const known = isBehind ? lastLine : { path, offset: 0, line: 1 }
  const line = known.line + newlinesBetween(path, known.offset, offset)
  lastLine = { path, offset, line }
  return line
}

function newlinesBetween(path: string, from: number, end: number): number {
  const file = new InputFile(path)
  const block = Buffer.allocUnsafe(Math.min(BLOCK_BYTES, end - from))
  let newlines = 0
  try {
    for (let at = from; at < end; ) {
      const bytes = file.read(block, 0, Math.min(block.length, end - at), at)
      if (bytes === 0) break
      newlines += countNewlines(block.subarray(0, bytes))
      at += bytes
    }
  } finally {
    file.close()
  }
  return newlines
}

function countNewlines(bytes: Buffer): number {
  let count = 0
  for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) count++
  return count
}

/** A record of a file of lines that cannot be read, with its place in the three ways in which people look for it. */
export function malformed(path: string, offset: number, what: string, details: ErrorDetails = {}): SluiceError {
  return new SluiceError('MALFORMED_RECORD', `${path}, line ${lineNumberAt(path, offset)} (byte ${offset}): ${what}`, details)
}

/** The beginning of a record, to be shown in an error. */
export function excerpt(text: string): string {
  return text.length <= 80 ? JSON.stringify(text) : `${JSON.stringify(text.slice(0, 80).toWellFormed())}...`
}

export function unreadable(path: string, cause: unknown): SluiceError {
  return new SluiceError('INPUT_UNREADABLE', `cannot read ${path}: ${messageOf(cause)}`, { cause })
}

export function changed(path: string, how: string): SluiceError {
  return new SluiceError('INPUT_CHANGED', `${path} has changed since this job started: ${how}`, {
    hint: 'put the file back as it was, or start the job afresh with --fresh',
  })
}

/** Whatever is thrown while a file is read says that it cannot be, unless it says something better. */
export function readable(error: unknown, path: string): SluiceError {
  return error instanceof SluiceError ? error : unreadable(path, error)
}
