import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/*
 * The files that are read, and the records that are written. Both are made from numbers, so it is known beforehand what comes out.
 */

/** A kind of record, in one format. */
export interface FileKind {
  readonly name: string
  readonly format: 'jsonl' | 'csv'
  /** What stands before the first record. */
  readonly head: string
  lineOf(i: number): string
}

/** A file with its records counted and added up. */
export interface MadeFile {
  readonly kind: FileKind
  readonly path: string
  readonly bytes: number
  readonly records: number
  readonly sum: number
}

/** Shaped like the bids of Nexmark: six fields, about 130 bytes of JSON. */
export interface Bid {
  readonly auction: number
  readonly bidder: number
  readonly price: number
  readonly channel: string
  readonly url: string
  readonly dateTime: number
}

const CHANNELS = ['Google', 'Facebook', 'Baidu', 'Apple'] as const
const START_MS = Date.UTC(2026, 0, 1)
const WORDS = 'the quick brown fox jumps over a lazy dog and sleeps until noon'.split(' ')

export function bidOf(i: number): Bid {
  return {
    auction: 1000 + ((i * 31) % 700),
    bidder: 1000 + ((i * 17) % 900),
    price: priceOf(i),
    channel: CHANNELS[i % CHANNELS.length]!,
    url: `https://www.nexmark.com/items/${(i * 7919) % 10_000}`,
    dateTime: START_MS + i * 10,
  }
}

/** 26 fields, 700 bytes of JSON, with other characters than ASCII. */
function wideOf(i: number): unknown {
  const texts = Array.from({ length: 24 }, (_, k) => [
    `field${k}`,
    k % 3 === 0 ? (i * 7919 + k) % 1e6 : `${WORDS[(i + k) % 13]} ${WORDS[(i * 3 + k) % 13]} number ${k}`,
  ])
  return { price: priceOf(i), ...Object.fromEntries(texts), nested: { list: [1, 2, i % 100], name: `Zoë ${i % 100}` } }
}

function priceOf(i: number): number {
  return 100 + ((i * 7919) % 99_000)
}

const HEADER = 'auction,bidder,price,channel,url,dateTime\n'

export const BIDS_JSON: FileKind = {
  name: 'JSON lines of 130 bytes',
  format: 'jsonl',
  head: '',
  lineOf: (i) => JSON.stringify(bidOf(i)),
}

export const WIDE_JSON: FileKind = {
  name: 'JSON lines of 700 bytes',
  format: 'jsonl',
  head: '',
  lineOf: (i) => JSON.stringify(wideOf(i)),
}

export const BIDS_CSV: FileKind = {
  name: 'CSV without quotes',
  format: 'csv',
  head: HEADER,
  lineOf: (i) => Object.values(bidOf(i)).join(','),
}

export const QUOTED_CSV: FileKind = {
  name: 'CSV with quotes',
  format: 'csv',
  head: HEADER,
  lineOf(i) {
    const { auction, bidder, price, channel, url, dateTime } = bidOf(i)
    return `${auction},${bidder},${price},"${channel}, ""Inc""","${url}",${dateTime}`
  },
}

export function makeFile(folder: string, kind: FileKind, records: number): MadeFile {
  const path = join(folder, `${kind.name.replaceAll(' ', '-')}.${kind.format}`)
  const descriptor = openSync(path, 'w')
  let text = kind.head
  let bytes = 0
  let sum = 0
  for (let i = 0; i < records; i++) {
    text += `${kind.lineOf(i)}\n`
    sum += priceOf(i)
    if (text.length < 2 ** 18 && i < records - 1) continue
    bytes += writeSync(descriptor, text)
    text = ''
  }
  closeSync(descriptor)
  return { kind, path, bytes, records, sum }
}
