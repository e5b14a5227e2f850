import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Entry } from '../fixtures/jobs/ledger.ts'

/** A folder with the input of the ledger job, and what its outputs must be: a plain fold, written without the engine. */
export class LedgerFolder {
  readonly path: string = mkdtempSync(join(tmpdir(), 'sluice-ledger-'))
  readonly entries: readonly Entry[]

  constructor(count: number, seed: number) {
    const random = generator(seed)
    this.entries = Array.from({ length: count }, (_, id) => ({
      id,
      account: `account-${Math.floor(random() ** 2 * 50)}-ü`,
      cents: Math.floor(random() * 10_000) - 3_000,
      // Out of order by up to 30 s; the bound of the job covers it.
      at: 1_000_000_000_000 + id * 100 - Math.floor(random() * 30_000),
    }))
    mkdirSync(join(this.path, 'in'))
    const half = Math.floor(count / 2)
    this.#write('a.jsonl', this.entries.slice(0, half), '\n')
    this.#write('b.jsonl', this.entries.slice(half), '\r\n')
  }

  #write(name: string, entries: readonly Entry[], newline: string): void {
    writeFileSync(join(this.path, 'in', name), entries.map((entry) => JSON.stringify(entry) + newline).join(''))
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true })
  }

  /** Committed lines of an output, sorted. */
  lines(output: string): readonly string[] {
    const folder = join(this.path, 'out', output)
    const visible = readdirSync(folder).filter((name) => !name.startsWith('.'))
    return visible
      .flatMap((name) =>
        readFileSync(join(folder, name), 'utf8')
          .split('\n')
          .filter((line) => line !== ''),
      )
      .sort()
  }

  /** Everything in the output folders that is not committed output. */
  hidden(): readonly string[] {
    const outputs = readdirSync(join(this.path, 'out'))
    return outputs.flatMap((output) =>
      readdirSync(join(this.path, 'out', output)).filter((name) => !/^part-\d+-\d+\.\w+$/.test(name)),
    )
  }

  get ids(): readonly string[] {
    return this.entries.map((entry) => String(entry.id)).sort()
  }

  get counts(): readonly string[] {
    const counts = new Map<string, number>()
    return this.entries
      .map(({ account }) => {
        counts.set(account, (counts.get(account) ?? 0) + 1)
        return `${account},${counts.get(account)}`
      })
      .sort()
  }

  /** The last balance of each account: the highest count is not in the record, so compare sums. */
  get totals(): ReadonlyMap<string, number> {
    const totals = new Map<string, number>()
    for (const { account, cents } of this.entries) totals.set(account, (totals.get(account) ?? 0) + cents)
    return totals
  }

  get windows(): readonly string[] {
    const windows = new Map<string, { account: string; start: number; entries: number; cents: number }>()
    for (const { account, at, cents } of this.entries) {
      const start = Math.floor(at / 60_000) * 60_000
      const window = windows.get(`${account} ${start}`) ?? { account, start, entries: 0, cents: 0 }
      windows.set(`${account} ${start}`, { account, start, entries: window.entries + 1, cents: window.cents + cents })
    }
    return [...windows.values()].map((window) => JSON.stringify(window)).sort()
  }
}

/** A small seeded generator (mulberry32, public domain): the same seed gives the same run. */
export function generator(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
