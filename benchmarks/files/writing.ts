import { createHash } from 'node:crypto'
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'csv-stringify/sync'
import { writeCsv, writeJsonLines } from '../../operators/sinks/index.ts'
import type { Sink } from '../../src/core/sink.ts'
import type { Contestant, Work } from './contestants.ts'
import { type Bid, bidOf } from './made-files.ts'

/*
 * Writing records: making text of them and nothing else, a loop by hand that writes blocks and syncs the file at its end, and the sink as a task
 * writes to it, with a checkpoint in the middle and one at the end. What is written is compared byte by byte, by its hash.
 */

const BLOCK_LENGTH = 256 * 1024
/** Records that are written, again and again. */
const DIFFERENT = 50_000

export function writingJson(folder: string, records: number): Work {
  const bids = bidsOf(records)
  const lineOf = (bid: Bid): string => `${JSON.stringify(bid)}\n`
  const contestants = [
    textOnly('JSON.stringify', bids, records, (some) => some.reduce((length, bid) => length + JSON.stringify(bid).length + 1, 0)),
    byHand(folder, bids, records, lineOf, ''),
    sink('writeJsonLines', folder, bids, records, writeJsonLines(folder), digest(bids, records, lineOf, '')),
  ]
  return { name: 'write JSON lines of 130 bytes', contestants }
}

export function writingCsv(folder: string, records: number): Work {
  const bids = bidsOf(records)
  const header = `${Object.keys(bidOf(0)).join(',')}\n`
  const lineOf = ({ auction, bidder, price, channel, url, dateTime }: Bid): string =>
    `${auction},${bidder},${price},${channel},${url},${dateTime}\n`
  const contestants = [
    textOnly('csv-stringify', bids, Math.min(records, DIFFERENT), (some) => stringify(some as Bid[]).length),
    byHand(folder, bids, records, lineOf, header),
    sink('writeCsv', folder, bids, records, writeCsv(folder), digest(bids, records, lineOf, header)),
  ]
  return { name: 'write CSV without quotes', contestants }
}

function bidsOf(records: number): readonly Bid[] {
  return Array.from({ length: Math.min(records, DIFFERENT) }, (_, i) => bidOf(i))
}

function textOnly(name: string, bids: readonly Bid[], records: number, lengthOf: (some: readonly Bid[]) => number): Contestant {
  return {
    name,
    run() {
      let bytes = 0
      for (let left = records; left > 0; left -= bids.length) bytes += lengthOf(left < bids.length ? bids.slice(0, left) : bids)
      return { records, bytes }
    },
  }
}

function byHand(folder: string, bids: readonly Bid[], records: number, lineOf: (bid: Bid) => string, head: string): Contestant {
  return {
    name: 'by hand',
    run() {
      mkdirSync(folder, { recursive: true })
      const path = join(folder, 'by-hand')
      const descriptor = openSync(path, 'w')
      let text = head
      let bytes = 0
      for (let i = 0; i < records; i++) {
        text += lineOf(bids[i % bids.length]!)
        if (text.length < BLOCK_LENGTH) continue
        bytes += writeSync(descriptor, Buffer.from(text))
        text = ''
      }
      bytes += writeSync(descriptor, Buffer.from(text))
      fsyncSync(descriptor)
      closeSync(descriptor)
      rmSync(path)
      return { records, bytes }
    },
  }
}

interface Digest {
  readonly hash: string
  readonly bytes: number
}

/** What the two files of a sink hold together. */
function digest(bids: readonly Bid[], records: number, lineOf: (bid: Bid) => string, head: string): Digest {
  const hash = createHash('sha256')
  const half = records >> 1
  let bytes = 0
  for (let i = 0; i < records; i++) {
    const text = (i === 0 || i === half ? head : '') + lineOf(bids[i % bids.length]!)
    hash.update(text)
    bytes += text.length
  }
  return { hash: hash.digest('hex'), bytes }
}

function sink<C>(
  name: string,
  folder: string,
  bids: readonly Bid[],
  records: number,
  output: Sink<Bid, C>,
  expected: Digest,
): Contestant {
  let isVerified = false
  return {
    name,
    ours: true,
    async run() {
      mkdirSync(folder, { recursive: true })
      const writer = output.createWriter({ job: 'files', run: 'run', attempt: 1, operator: name, subtask: 0 })
      const half = records >> 1
      for (let i = 0; i < records; i++) {
        if (i === half) await writer.prepareCommit(1)
        writer.write(bids[i % bids.length]!)
      }
      await writer.prepareCommit(2)
      writer.close()
      verify(folder, expected, isVerified)
      isVerified = true
      rmSync(folder, { recursive: true })
      return { records, bytes: expected.bytes }
    },
  }
}

/** Reads it all again once; afterwards it is enough that it is as much, because reading would keep the processor busy. */
function verify(folder: string, expected: Digest, isVerified: boolean): void {
  const paths = readdirSync(folder)
    .sort()
    .map((name) => join(folder, name))
  const bytes = paths.reduce((sum, path) => sum + statSync(path).size, 0)
  if (bytes !== expected.bytes) throw new Error(`${folder}: ${bytes} bytes were written, expected ${expected.bytes}`)
  if (isVerified) return
  const hash = createHash('sha256')
  for (const path of paths) hash.update(readFileSync(path))
  if (hash.digest('hex') !== expected.hash) throw new Error(`${folder}: what was written is not what was to be written`)
}
