import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { LedgerFolder } from './ledger.ts'
import { runJob } from './run-job.ts'

const SHAPES = [
  { parallelism: 1, workers: 1 },
  { parallelism: 2, workers: 2 },
  { parallelism: 3, workers: 2 },
  { parallelism: 2, workers: 0 },
] as const

let ledger: LedgerFolder

beforeAll(() => {
  ledger = new LedgerFolder(30_000, 11)
})

afterAll(() => {
  ledger.remove()
})

async function run(shape: { parallelism: number; workers: number }, env: Readonly<Record<string, string>> = {}): Promise<void> {
  const args = ['--parallelism', String(shape.parallelism), '--workers', String(shape.workers), '--quiet', '--overwrite']
  const { code, stderr } = await runJob('ledger.ts', args, { LEDGER_FOLDER: ledger.path, ...env })
  expect(stderr).toBe('')
  expect(code).toBe(0)
}

describe('the output of a job', () => {
  test.each(SHAPES)('is the fold of its input at parallelism $parallelism on $workers workers', async (shape) => {
    await run(shape)
    expect(ledger.lines('ids')).toEqual(ledger.ids)
    expect(ledger.lines('counts').filter((line) => line !== 'key,count')).toEqual(ledger.counts)
    expect(ledger.lines('windows')).toEqual(ledger.windows)
    expect(ledger.lines('late')).toEqual([])
    expect(ledger.hidden()).toEqual([])
  })

  test.each(SHAPES)(
    'holds every record once, in time or late, where the bound is too small: $parallelism on $workers',
    async (shape) => {
      await run(shape, { LEDGER_BOUND: '2000' })
      const late = ledger.lines('late').map((line) => (JSON.parse(line) as { id: number }).id)
      const windows = ledger.lines('windows').map((line) => JSON.parse(line) as { entries: number; cents: number })
      // With several readers the slowest one's watermark counts, which makes records late less often.
      if (shape.parallelism === 1) expect(late.length).toBeGreaterThan(0)
      expect(new Set(late).size).toBe(late.length)
      expect(late.length + windows.reduce((sum, window) => sum + window.entries, 0)).toBe(ledger.entries.length)
      const lateCents = late.reduce((sum, id) => sum + ledger.entries[id]!.cents, 0)
      const cents = ledger.entries.reduce((sum, entry) => sum + entry.cents, 0)
      expect(lateCents + windows.reduce((sum, window) => sum + window.cents, 0)).toBe(cents)
    },
  )
})
