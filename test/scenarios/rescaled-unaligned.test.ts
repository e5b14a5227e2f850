import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunOptions } from '../../src/index.ts'
import { parallelismWithRecordsOnTheirWay } from '../campaigns/stored-state.ts'
import { JobProcess } from './run-job.ts'

const RECORDS = 2_000

let folder: string
let expected: ReadonlyMap<string, readonly string[]>

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-lanes-'))
  const own = folderOf('undisturbed')
  const { stderr, code } = await start(own, { parallelism: 1, workers: 1, checkpoint: { every: 500 } }).ended
  expect([code, stderr]).toEqual([0, ''])
  expected = outputsOf(own)
})

afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

function folderOf(name: string): string {
  const own = join(folder, name)
  mkdirSync(own, { recursive: true })
  return own
}

function start(own: string, options: RunOptions, args: readonly string[] = ['--quiet']): JobProcess {
  return new JobProcess('lanes.ts', args, {
    LANES_FOLDER: own,
    LANES_RECORDS: String(RECORDS),
    LANES_OPTIONS: JSON.stringify(options),
  })
}

/** Lines of each output, sorted. */
function outputsOf(own: string): ReadonlyMap<string, readonly string[]> {
  const names = readdirSync(join(own, 'out')).sort()
  return new Map(
    names.map((name) => {
      const files = readdirSync(join(own, 'out', name)).filter((file) => !file.startsWith('.'))
      const lines = files.flatMap((file) => readFileSync(join(own, 'out', name, file), 'utf8').split('\n'))
      return [name, lines.filter((line) => line !== '').sort()]
    }),
  )
}

/** Kills the job behind one of its first checkpoints. True when it has come to its end before. */
async function killBehind(running: JobProcess, checkpoint: number): Promise<boolean> {
  const seen = Promise.withResolvers<void>()
  let count = 0
  createInterface(running.process.stderr!).on('line', (line) => {
    if (line.includes('"event":"checkpoint"') && ++count >= checkpoint) seen.resolve()
  })
  await Promise.race([seen.promise, running.ended])
  running.process.kill('SIGKILL')
  return (await running.ended).signal === null
}

function unaligned(parallelism: number, mode: 'unaligned' | 'aligned-then-unaligned', workers: number): RunOptions {
  const timeout = mode === 'unaligned' ? {} : { alignmentTimeout: 5 }
  return { parallelism, workers, checkpoint: { every: 60, mode, ...timeout } }
}

describe('a job that is killed and starts again at another parallelism, with records on their way', () => {
  test.each([
    { path: [1, 2, 1, 3, 1, 2], workers: 2, mode: 'unaligned' },
    { path: [3, 1, 2, 3, 2, 1], workers: 2, mode: 'unaligned' },
    { path: [2, 3, 1, 4, 1, 3], workers: 1, mode: 'aligned-then-unaligned' },
    { path: [4, 1, 4, 2, 1, 2], workers: 0, mode: 'unaligned' },
  ] as const)(
    'gives the output of an undisturbed run: parallelism $path, $workers workers, $mode',
    async ({ path, workers, mode }) => {
      const own = folderOf(path.join('-'))
      let changes = 0
      for (const [place, parallelism] of path.entries()) {
        const before = await parallelismWithRecordsOnTheirWay(join(own, 'state/lanes'))
        if (before !== undefined && before !== parallelism) changes++
        const running = start(own, unaligned(parallelism, mode, workers), ['--json'])
        if (place < path.length - 1) expect(await killBehind(running, 2)).toBe(false)
        else expect((await running.ended).code).toBe(0)
      }
      const outputs = outputsOf(own)
      expect([...outputs.keys()]).toEqual([...expected.keys()])
      for (const [name, lines] of expected) expect(outputs.get(name), name).toEqual(lines)
      // Otherwise it would say nothing about what it is for.
      expect(changes).toBeGreaterThan(1)
    },
    120_000,
  )
})
