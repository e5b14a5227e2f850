import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { generator, LedgerFolder } from './ledger.ts'
import { JobProcess, runJob } from './run-job.ts'

let folder: LedgerFolder | undefined

afterEach(() => {
  folder?.remove()
  folder = undefined
})

/** Compares every output with the fold: each record once, nothing hidden, nothing left. */
function expectExactlyOnce(ledger: LedgerFolder): void {
  const signed = (sign: string, entries: LedgerFolder['entries']) => entries.map(({ id }) => `${sign}${id}`).sort()
  const negative = ledger.entries.filter(({ cents }) => cents < 0)
  const others = ledger.entries.filter(({ cents }) => cents >= 0)
  expect(ledger.lines('ids')).toEqual(ledger.ids)
  expect(ledger.lines('counts')).toEqual(ledger.counts)
  expect(ledger.lines('debits')).toEqual(signed('-', negative))
  expect(ledger.lines('credits')).toEqual(signed('+', others))
  expect(ledger.hidden()).toEqual([])
}

describe('calls that are under way when the process is killed', () => {
  test.each([
    { parallelisms: [2], workers: 2, seed: 11 },
    { parallelisms: [2, 3, 1, 4], workers: 2, seed: 12 },
    { parallelisms: [1], workers: 0, seed: 13 },
  ])(
    'are made again, and each result comes out once: parallelism $parallelisms, $workers workers',
    async ({ parallelisms, workers, seed }) => {
      folder = new LedgerFolder(12_000, seed)
      const random = generator(seed)
      const args = (run: number): string[] => {
        const parallelism = parallelisms[run % parallelisms.length]!
        return ['--parallelism', String(parallelism), '--workers', String(workers), '--quiet']
      }
      const env = { LEDGER_FOLDER: folder.path }
      for (let kill = 0; kill < 6; kill++) {
        const running = new JobProcess('async.ts', args(kill), env)
        // When it dies is up to chance; what the output is must not be.
        await Promise.race([delay(400 + random() * 900), running.ended])
        running.process.kill('SIGKILL')
        const { stderr, signal } = await running.ended
        expect(stderr).toBe('')
        const atEnd = signal === null || existsSync(join(folder.path, 'state/async/finished'))
        if (atEnd) return expectExactlyOnce(folder)
      }
      const last = await runJob('async.ts', args(6), env)
      expect(last.stderr).toBe('')
      expect(last.code).toBe(0)
      expectExactlyOnce(folder)
    },
  )
})
