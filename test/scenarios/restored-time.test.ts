import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { collect, items, job, tumblingWindow, writeJsonLines } from 'sluice'
import { testDriver } from 'sluice/testing'
import { afterAll, describe, expect, test } from 'vitest'

const folder = mkdtempSync(join(tmpdir(), 'sluice-restored-time-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** What comes out of one reader must not depend on how many subtasks stand beside it or behind it. */
describe('event time behind a restart at another parallelism', () => {
  test.each([1, 2, 3])('does not wait for subtasks that have nothing to read: %i subtasks', (parallelism) => {
    const silent = job('silent')
    const [counts, late] = [writeJsonLines('counts'), writeJsonLines('late')]
    const windows = silent
      .from(items<{ t: number }>([]))
      .withTimestamps((r) => r.t)
      .keyBy(() => 'k')
      .window(tumblingWindow(5))
      .count()
    windows.to(counts)
    windows.late.to(late)
    const driver = testDriver(silent)
    driver.send({ t: 29 })
    driver.send({ t: 21 })
    driver.crashAndRestore({ parallelism })
    driver.finish()
    expect(driver.output(counts)).toEqual([{ key: 'k', window: { start: 25, end: 30 }, count: 1 }])
    expect(driver.output(late)).toEqual([{ t: 21 }])
  })

  test.each([1, 2, 3])(
    'goes on where it stood, though a stream that is ahead says nothing new: %i subtasks',
    async (parallelism) => {
      const stall = job('stall')
      const [fast, slow] = [items<{ t: number }>([]), items<{ t: number }>([])]
      const passedOn = (source: typeof fast) =>
        stall
          .from(source)
          .withParallelism(1)
          .withTimestamps((r) => r.t)
          .withParallelism(1)
          .keyBy(() => 1)
          .process({
            *onRecord(r) {
              yield r
            },
          })
          .withParallelism(1)
      passedOn(fast)
        .union(passedOn(slow))
        .keyBy(() => 'k')
        .window(tumblingWindow(10))
        .count()
        .to(writeJsonLines('out'))
      const driver = testDriver(stall)
      driver.send({ t: 5 }, { to: fast })
      driver.send({ t: 100 }, { to: fast })
      driver.send({ t: 6 }, { to: slow })
      await driver.checkpoint()
      driver.crashAndRestore({ parallelism })
      driver.send({ t: 90 }, { to: slow })
      expect(driver.output()).toEqual([{ key: 'k', window: { start: 0, end: 10 }, count: 2 }])
    },
  )
})

test('one reader makes the same records late at every parallelism and in every run', async () => {
  const readings = Array.from({ length: 1_000 }, (_, i) => ({ t: i % 2 === 1 ? 0 : 1_000 + i }))
  for (const parallelism of [1, 2, 4]) {
    const inline = job('inline', { workers: 0, parallelism, checkpoint: { every: 'off' }, stateDirectory: folder })
    const late: unknown[] = []
    inline
      .from(items(readings))
      .withTimestamps((r) => r.t)
      .keyBy(() => 'k')
      .window(tumblingWindow(5))
      .count()
      .late.to(collect(late))
    await inline.run({ quiet: true, fresh: true })
    expect(late).toHaveLength(500)
  }
})
