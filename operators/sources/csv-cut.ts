import { setImmediate } from 'node:timers/promises'
import { type CsvDialect, CsvRecordReader } from './csv-records.ts'
import { cutLines } from './file-source.ts'
import { BLOCK_BYTES, type InputFile } from './files.ts'
import type { FileSplit } from './line-reader.ts'

const NEWLINE = 10

/** Bytes after which cutting a file lets other work of the thread go on. */
const BREATH_BYTES = 8 * 1024 * 1024

/**
 * Cuts a file where records begin. Only reading it from its start can tell, so a large file is read once for that alone, and by counting
 * quotes where that is enough: see `CsvRecordReader` for why it is.
 */
export async function cutRecords(
  file: InputFile,
  size: number,
  splitBytes: number,
  dialect: CsvDialect,
): Promise<readonly FileSplit[]> {
  const { quote, comment } = dialect
  if (size <= splitBytes) return [{ path: file.path, start: 0, end: size }]
  if (quote === false) return cutLines(file, size, splitBytes)
  // The quotes of a comment do not count, so where there may be comments each record is looked at.
  const starts =
    comment === undefined ? startsByQuotes(file, size, splitBytes, quote) : startsByRecords(file, size, splitBytes, dialect)
  const splits: FileSplit[] = []
  let start = 0
  for await (const next of starts) {
    splits.push({ path: file.path, start, end: next })
    start = next
  }
  return [...splits, { path: file.path, start, end: size }]
}

/** Where the splits begin, but for the first one. */
async function* startsByQuotes(file: InputFile, size: number, splitBytes: number, quote: string): AsyncGenerator<number> {
  const counter = new QuoteCounter(quote.charCodeAt(0))
  const block = Buffer.allocUnsafe(Math.min(BLOCK_BYTES, size))
  let [wanted, rested] = [splitBytes, 0]
  for (let offset = 0; offset < size; ) {
    const bytes = file.read(block, 0, Math.min(block.length, size - offset), offset)
    // A file that has become shorter is refused by its reader.
    if (bytes === 0) return
    const filled = block.subarray(0, bytes)
    let done = 0
    // The newline before a record that begins at `wanted` may be the last byte of the block before.
    while (wanted <= offset + bytes) {
      const newline = counter.newline(filled, done, wanted - 1 - offset)
      done = newline === -1 ? bytes : newline + 1
      if (newline === -1 || offset + done >= size) break
      yield offset + done
      wanted = offset + done + splitBytes
    }
    counter.pass(filled, done, bytes)
    offset += bytes
    if (offset < rested + BREATH_BYTES) continue
    rested = offset
    await setImmediate()
  }
}

/** Knows whether an even number of quotes has been passed. */
class QuoteCounter {
  readonly #quote: number
  #quotes = 0

  constructor(quote: number) {
    this.#quote = quote
  }

  /** Passes bytes up to, and with, the first newline at `least` or later that ends a record, and returns its index; or -1, with all passed. */
  newline(block: Buffer, from: number, least: number): number {
    const start = Math.max(from, least)
    this.pass(block, from, start)
    for (let newline = block.indexOf(NEWLINE, start), at = start; ; ) {
      this.pass(block, at, newline === -1 ? block.length : newline)
      if (newline === -1 || this.#quotes % 2 === 0) return newline
      at = newline + 1
      newline = block.indexOf(NEWLINE, at)
    }
  }

  pass(block: Buffer, from: number, end: number): void {
    const first = from < end ? block.indexOf(this.#quote, from) : -1
    if (first === -1) return
    let quotes = 0
    // Quotes stand close together where there are any, so a search for each would cost more than this.
    for (let at = first; at < end; at++) if (block[at] === this.#quote) quotes++
    this.#quotes += quotes
  }
}

async function* startsByRecords(
  { path }: InputFile,
  size: number,
  splitBytes: number,
  dialect: CsvDialect,
): AsyncGenerator<number> {
  const records = new CsvRecordReader({ path, start: 0, end: size }, 0, false, dialect)
  try {
    for (let [wanted, rested] = [splitBytes, 0]; records.next(); ) {
      if (records.offset >= wanted) {
        yield records.offset
        wanted = records.offset + splitBytes
      }
      if (records.offset < rested + BREATH_BYTES) continue
      rested = records.offset
      await setImmediate()
    }
  } finally {
    records.close()
  }
}
