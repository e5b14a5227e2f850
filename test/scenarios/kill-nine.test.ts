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
  expect(ledger.lines('ids')).toEqual(ledger.ids)
  expect(ledger.lines('counts').filter((line) => line !== 'key,count')).toEqual(ledger.counts)
  expect(ledger.lines('windows')).toEqual(ledger.windows)
  expect(ledger.lines('late')).toEqual([])
  expect(ledger.lines('balances')).toHaveLength(ledger.entries.length)
  expect(ledger.hidden()).toEqual([])
}

describe('a job whose process is killed', () => {
  test.each([
    { parallelism: 2, workers: 2, seed: 1 },
    { parallelism: 3, workers: 2, seed: 2 },
    { parallelism: 1, workers: 0, seed: 3 },
  ])(
    'gives the output of an undisturbed run: parallelism $parallelism, $workers workers',
    async ({ parallelism, workers, seed }) => {
      folder = new LedgerFolder(60_000, seed)
      const random = generator(seed)
      const args = ['--parallelism', String(parallelism), '--workers', String(workers), '--quiet']
      const env = { LEDGER_FOLDER: folder.path }
      for (let kill = 0; kill < 8; kill++) {
        const running = new JobProcess('ledger.ts', args, env)
        // When it dies is up to chance; what the output is must not be.
        await Promise.race([delay(150 + random() * 1_200), running.ended])
        running.process.kill('SIGKILL')
        const { stderr, signal } = await running.ended
        expect(stderr).toBe('')
        // A kill can land after the job's exit handlers: the mark says that the process had come to its end by itself.
        const atEnd = signal === null || existsSync(join(folder.path, 'state/ledger/finished'))
        if (atEnd) return expectExactlyOnce(folder)
      }
      const last = await runJob('ledger.ts', args, env)
      expect(last.stderr).toBe('')
      expect(last.code).toBe(0)
      expectExactlyOnce(folder)
    },
  )
})
