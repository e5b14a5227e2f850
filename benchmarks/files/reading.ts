import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import { parse } from 'csv-parse/sync'
import { readCsv, readJsonLines } from '../../operators/sources/index.ts'
import type { Source } from '../../src/core/source.ts'
import type { Contestant, Work } from './contestants.ts'
import { Tally } from './contestants.ts'
import type { Bid, MadeFile } from './made-files.ts'

/*
 * Reading a file: from the page cache in blocks and nothing else, the parser by itself over what is in memory, a loop by hand, and the source
 * as a task reads it. All but the first hand on the records in batches of the size that the engine uses.
 */

const BATCH = 512
const NEWLINE = 10
/** As the sources read. */
const BLOCK_BYTES = 256 * 1024
/** What a loop by hand decodes at once: where it was fastest. */
const TEXT_BYTES = 64 * 1024
/** The parsers by themselves take the first records, again and again: strings of all of them would be work for the garbage collector. */
const IN_MEMORY_RECORDS = 20_000

export function readingJson(file: MadeFile): Work {
  const contestants = [
    disk(file),
    parseInMemory(file),
    linesByHand(file),
    source('readJsonLines', file, readJsonLines(file.path)),
  ]
  return { name: `read ${file.kind.name}`, contestants }
}

export function readingCsv(file: MadeFile, isQuoted: boolean): Work {
  const name = `read ${file.kind.name}`
  const ours = [source('readCsv', file, readCsv(file.path)), source('readCsv, cast', file, readCsv(file.path, { cast: true }))]
  // By hand a record is split at its commas, which is wrong where there are quotes.
  const byHand = isQuoted ? [] : [fieldsByHand(file)]
  return { name, contestants: [disk(file), csvParse(file), ...byHand, ...ours] }
}

function disk({ path, bytes, records }: MadeFile): Contestant {
  return {
    name: 'disk',
    run() {
      const block = Buffer.allocUnsafeSlow(BLOCK_BYTES)
      const descriptor = openSync(path, 'r')
      let read = 0
      for (let got = 1; got > 0; read += got) got = readSync(descriptor, block, 0, BLOCK_BYTES, read)
      closeSync(descriptor)
      if (read !== bytes) throw new Error(`${path}: ${read} bytes, expected ${bytes}`)
      return { bytes, records }
    },
  }
}

function parseInMemory({ path, records, bytes, kind }: MadeFile): Contestant {
  const lines = Array.from({ length: Math.min(records, IN_MEMORY_RECORDS) }, (_, i) => kind.lineOf(i))
  return {
    name: 'JSON.parse',
    run() {
      let left = records
      while (left > 0) {
        for (let from = 0; from < lines.length && left > 0; from += BATCH) {
          const batch = lines.slice(from, Math.min(from + BATCH, from + left)).map(parseJson)
          if (batch.length === 0) throw new Error(`${path}: an empty batch`)
          left -= batch.length
        }
      }
      return { bytes, records }
    },
  }
}

function parseJson(line: string): unknown {
  return JSON.parse(line)
}

function csvParse({ path, records, bytes }: MadeFile): Contestant {
  const file = readFileSync(path).subarray(0, Math.ceil((IN_MEMORY_RECORDS / records) * bytes))
  const part = Buffer.from(file.subarray(0, file.lastIndexOf(NEWLINE) + 1))
  return {
    name: 'csv-parse',
    run() {
      const rows = parse(part, { columns: true })
      return { bytes: part.length, records: rows.length }
    },
  }
}

/** Decodes a block, cuts it at the newlines and calls what reads a line. */
function byHand(name: string, { path, bytes, records, sum }: MadeFile, readLine: (line: string) => unknown): Contestant {
  return {
    name,
    run() {
      const tally = new Tally()
      let batch: unknown[] = []
      for (const text of textsOf(path)) {
        for (let from = 0; from < text.length; ) {
          const end = text.indexOf('\n', from)
          const record = readLine(text.slice(from, end))
          from = end + 1
          if (record === undefined) continue
          batch.push(record)
          if (batch.length < BATCH) continue
          tally.add(batch)
          batch = []
        }
      }
      tally.add(batch)
      tally.check(records, sum, path)
      return { bytes, records }
    },
  }
}

function* textsOf(path: string): Generator<string> {
  const descriptor = openSync(path, 'r')
  const block = Buffer.allocUnsafeSlow(2 * TEXT_BYTES)
  try {
    for (let offset = 0, rest = 0; ; ) {
      const got = readSync(descriptor, block, rest, TEXT_BYTES, offset)
      // The last line has a newline, so nothing is left.
      if (got === 0) return
      offset += got
      const end = block.lastIndexOf(NEWLINE, rest + got - 1) + 1
      yield block.toString('utf8', 0, end)
      block.copy(block, 0, end, rest + got)
      rest += got - end
    }
  } finally {
    closeSync(descriptor)
  }
}

function linesByHand(file: MadeFile): Contestant {
  return byHand('by hand', file, parseJson)
}

function fieldsByHand(file: MadeFile): Contestant {
  return byHand('by hand', file, (line): Record<keyof Bid, string> | undefined => {
    const [auction, bidder, price, channel, url, dateTime] = line.split(',') as [string, string, string, string, string, string]
    return auction === 'auction' ? undefined : { auction, bidder, price, channel, url, dateTime }
  })
}

function source<S, P>(name: string, { bytes, records, sum }: MadeFile, input: Source<unknown, S, P>): Contestant {
  return {
    name,
    ours: true,
    async run() {
      const tally = new Tally()
      for (const split of await input.enumerate({ parallelism: 1 })) {
        const reader = await input.open(split, undefined, { operator: 'source', subtask: 0, now: () => 0 })
        for (let batch = await reader.poll(BATCH); batch !== null; batch = await reader.poll(BATCH)) {
          tally.add(batch)
          reader.position()
        }
        await reader.close?.()
      }
      tally.check(records, sum, name)
      return { bytes, records }
    },
  }
}
