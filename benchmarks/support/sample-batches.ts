import type { RecordBatch } from '../../src/protocol/element.ts'

/** Batches of records as they cross threads: 512 each, with their timestamps. */
export const BATCH = 512
export const START_MS: number = Date.UTC(2026, 0, 1)

export function counters(): RecordBatch {
  return batchOf((i) => ({ key: (i * 7919) % 100_000, value: i % 1000, count: i }))
}

export function readings(): RecordBatch {
  return batchOf((i) => ({ key: keyOf(i * 7919), value: i % 1000, time: START_MS + i }))
}

/** Shaped like the bids of Nexmark: four channels get half of them, with an address each, and the last text is random. */
export function bids(): RecordBatch {
  const channels = ['Google', 'Facebook', 'Baidu', 'Apple']
  return batchOf((i) => {
    const isHot = i % 2 === 0
    const channel = isHot ? channels[(i >>> 1) % channels.length]! : `channel-${(i * 7919) % 10_000}`
    const folders = [0, 5, 10].map((from) => lettersOf(isHot ? channel.length : i).slice(from, from + 5)).join('/')
    return {
      ...bidNumbers(i),
      channel,
      url: `https://www.nexmark.com/${folders}/item.htm?query=1${isHot ? '' : `&channel_id=${i}`}`,
      extra: lettersOf(i * 31 + 7).slice(0, 30 + (i % 30)),
    }
  })
}

export function bareBids(): RecordBatch {
  return batchOf(bidNumbers)
}

function bidNumbers(i: number): { auction: number; bidder: number; price: number; dateTime: number } {
  return {
    auction: 1000 + ((i * 31) % 700),
    bidder: 1000 + ((i * 17) % 900),
    price: 100 + ((i * 7919) % 99_000),
    dateTime: START_MS + i * 10,
  }
}

/** 60 letters that look random, the same for the same seed. */
function lettersOf(seed: number): string {
  let state = seed + 1
  return Array.from({ length: 60 }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
    return String.fromCharCode(97 + ((state >>> 16) % 26))
  }).join('')
}

function batchOf(recordAt: (i: number) => unknown): RecordBatch {
  const numbers = Array.from({ length: BATCH }, (_, i) => i)
  return { kind: 'records', values: numbers.map(recordAt), timestamps: numbers.map((i) => START_MS + i) }
}

export function keyOf(i: number): string {
  return `user-${String(i % 1_000_000).padStart(6, '0')}`
}
