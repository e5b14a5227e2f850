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

/** How far the lines of a file have been counted. */
interface Counted {
  readonly path: string
  offset: number
  line: number
}

/** By whoever counted last in this thread: who begins in the middle of a file goes on from there. */
const counted: Counted[] = []
const COUNTED_MAX = 64

/**
 * The numbers of the lines of a file, from 1, for error messages: what is before a line is read, or what lies between it and the one that was asked
 * for before. A job that passes over bad records asks for many, one behind the other.
 */
export class LineNumbers {
  readonly #path: string
  #counted: Counted | undefined

  constructor(path: string) {
    this.#path = path
  }

  at(offset: number): number {
    const own = this.#counted
    const known = own !== undefined && own.offset <= offset ? own : this.#nearest(offset)
    const line = known.line + newlinesBetween(this.#path, known.offset, offset)
    if (own === undefined) this.#remember({ path: this.#path, offset, line })
    else Object.assign(own, { offset, line })
    return line
  }

  #nearest(offset: number): Counted {
    let nearest: Counted = { path: this.#path, offset: 0, line: 1 }
    for (const each of counted) {
      if (each.path === this.#path && each.offset <= offset && each.offset > nearest.offset) nearest = each
    }
    return nearest
  }

  #remember(own: Counted): void {
    this.#counted = own
    counted.push(own)
    if (counted.length > COUNTED_MAX) counted.shift()
  }
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
export function malformed({ path, offset, line }: RecordPlace, what: string, details: ErrorDetails = {}): SluiceError {
  return new SluiceError('MALFORMED_RECORD', `${path}, line ${line} (byte ${offset}): ${what}`, details)
}

/** Where a record lies in a file of lines. */
export interface RecordPlace {
  readonly path: string
  /** In bytes. */
  readonly offset: number
  /** From 1. */
  readonly line: number
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
