import { KeyedBackend } from '../../src/state/keyed-backend.ts'

/* Fills keyed state of several kinds, and says what each takes in memory and what the engine believes. To be run with --expose-gc. */

const ENTRIES = 100_000

const longText = (n: number): string => `a-long-customer-id-${String(n).padStart(12, '0')}`
const account = (n: number): object => ({ count: n, total: 2 * n, name: `abc${n}` })

type Fill = (backend: KeyedBackend) => void

function table(keyOf: (n: number) => unknown, made: (n: number) => unknown): Fill {
  return (backend) => {
    const values = backend.table('values')
    for (let n = 0; n < ENTRIES; n++) {
      backend.setKey(keyOf(n))
      values.set(made(n))
    }
  }
}

const KINDS: Readonly<Record<string, Fill>> = {
  'counts of numbers': table(Number, Number),
  'counts of short text': table((n) => `user-${String(n).padStart(6, '0')}`, Number),
  'counts of long text': table(longText, Number),
  'objects of numbers': table(Number, account),
  'objects of long text': table(longText, account),
  timers: (backend) => {
    const timers = backend.timers()
    for (let n = 0; n < ENTRIES; n++) {
      backend.setKey(n)
      timers.setEventTime(n)
    }
  },
  windows: (backend) => {
    const panes = backend.panes('panes')
    for (let n = 0; n < ENTRIES; n++) {
      backend.setKey(n % 10_000)
      panes.set(1000 * Math.floor(n / 10_000), n)
    }
  },
}

/** Nothing of those before may be freed meanwhile. */
const kept: KeyedBackend[] = []

function usedBytes(): number {
  for (let times = 0; times < 4; times++) globalThis.gc!()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

const found = Object.entries(KINDS).map(([name, fill]) => {
  const before = usedBytes()
  const backend = new KeyedBackend({ groups: { first: 0, last: 127 }, maxParallelism: 128 })
  fill(backend)
  kept.push(backend)
  const used = usedBytes() - before
  return { name, used: used / ENTRIES, believed: backend.memoryBytes / ENTRIES }
})
console.log(JSON.stringify(found))
