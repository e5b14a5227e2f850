import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Sink, Source } from 'sluice'
import { collect, generate, items, job } from 'sluice'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { runJob } from './run-job.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-handling-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

const QUIET = { quiet: true, workers: 0, parallelism: 1 } as const

/** Emits 0 to 9, waits until told, then 10 to 19 and the end. */
function twoHalves(goOn: () => boolean): Source<number, object, number> {
  return {
    kind: 'twoHalves',
    enumerate: () => [{}],
    open(_, position = 0) {
      let next = position
      return {
        poll() {
          if (next >= 20) return null
          if (next === 10 && !goOn()) return []
          const records = Array.from({ length: 10 }, (_unused, index) => next + index)
          next += 10
          return records
        },
        position: () => next,
      }
    },
  }
}

/** Stages in memory; its first preparation gives the source many turns to read on, which it must not. */
function heldSink(visible: number[], onCut: () => void): Sink<number, number[]> {
  return {
    kind: 'held',
    createWriter() {
      let open: number[] = []
      let first = true
      return {
        write: (value) => void open.push(value),
        async prepareCommit() {
          const cut = open
          open = []
          if (first) {
            first = false
            onCut()
            for (let turn = 0; turn < 1_000; turn++) await new Promise(setImmediate)
          }
          return cut.length === 0 ? [] : [cut]
        },
        close: () => undefined,
      }
    },
    createCommitter: () => ({
      open: () => undefined,
      commit: (committables) => void visible.push(...committables.flat()),
    }),
  }
}

describe('stopping', () => {
  test('while the input comes to its end behind the last barrier loses nothing: the next run delivers the rest', async () => {
    const visible: number[] = []
    let cut = false
    const build = () => {
      const stopped = job('stopped', { checkpoint: { every: 'off' }, stateDirectory: folder })
      const numbers = stopped.from(
        twoHalves(() => {
          if (!cut) process.emit('SIGINT', 'SIGINT')
          return cut
        }),
      )
      numbers.to(heldSink(visible, () => (cut = true)))
      return stopped
    }
    const first = await build().run(QUIET)
    expect(first).toMatchObject({ status: 'stopped', recordsIn: 10 })
    expect(visible).toEqual(Array.from({ length: 10 }, (_, i) => i))
    const second = await build().run(QUIET)
    expect(second).toMatchObject({ status: 'finished', recordsIn: 20 })
    expect(visible).toEqual(Array.from({ length: 20 }, (_, i) => i))
  })
})

describe('several jobs', () => {
  test('of one module run one after the other in worker threads, also after one that failed', async () => {
    const file = join(folder, 'jobs.ts')
    writeFileSync(
      file,
      `import { items, job, collect } from ${JSON.stringify(new URL('../../src/index.ts', import.meta.url).href)}
const options = { stateDirectory: ${JSON.stringify(folder)}, parallelism: 2, restart: { strategy: 'none' } }
const failing = job('failing', options)
failing.from(items([1])).map(() => { throw new Error('no') })
let code
try { await failing.run({ quiet: true }) } catch (error) { code = error.code }
const numbers = []
const second = job('second', options)
second.from(items([1, 2, 3])).map((n) => n * 2).to(collect(numbers))
await second.run({ quiet: true })
console.log(JSON.stringify({ code, numbers: numbers.sort() }))
`,
    )
    const { stdout, stderr } = await runJob(file, [], {})
    expect(stderr).toBe('')
    expect(JSON.parse(stdout)).toEqual({ code: 'OPERATOR_FAILED', numbers: [2, 4, 6] })
  })

  test('a module that fails in a worker is named as that, not as a lost worker', async () => {
    const file = join(folder, 'broken.ts')
    writeFileSync(
      file,
      `import { isMainThread } from 'node:worker_threads'
import { items, job } from ${JSON.stringify(new URL('../../src/index.ts', import.meta.url).href)}
if (!isMainThread) throw new Error('only in threads')
const broken = job('broken', { stateDirectory: ${JSON.stringify(folder)} })
broken.from(items([1])).map((n) => n)
await broken.run({ quiet: true }).catch((error) => console.log(error.code, error.message))
`,
    )
    const { stdout } = await runJob(file, [], {})
    expect(stdout).toContain('MODULE_FAILED')
    expect(stdout).toContain('only in threads')
  })
})

describe('a process that is killed between the end of its job and its own', () => {
  test('comes to the same end when it is started again, and after that the job starts afresh', async () => {
    const file = join(folder, 'late-kill.ts')
    writeFileSync(
      file,
      `import { existsSync, writeFileSync } from 'node:fs'
import { items, job, writeJsonLines } from ${JSON.stringify(new URL('../../src/index.ts', import.meta.url).href)}
const folder = ${JSON.stringify(folder)}
const late = job('late-kill', { stateDirectory: folder })
late.from(items([1, 2, 3])).to(writeJsonLines(folder + '/out'))
const result = await late.run({ quiet: true }).catch((error) => ({ code: error.code }))
if (!existsSync(folder + '/killed')) {
  writeFileSync(folder + '/killed', '')
  process.kill(process.pid, 'SIGKILL')
}
console.log(JSON.stringify(result))
`,
    )
    expect(await runJob(file, [], {})).toMatchObject({ signal: 'SIGKILL', stdout: '' })
    const again = await runJob(file, [], {})
    expect(JSON.parse(again.stdout)).toMatchObject({ status: 'finished', recordsIn: 3, recordsOut: 3 })
    expect(JSON.parse((await runJob(file, [], {})).stdout)).toEqual({ code: 'OUTPUT_OF_ANOTHER_RUN' })
  })
})

describe('many jobs in one process', () => {
  test('are each marked as finished, and Node has nothing to warn of', async () => {
    const file = join(folder, 'many.ts')
    writeFileSync(
      file,
      `import { collect, items, job } from ${JSON.stringify(new URL('../../src/index.ts', import.meta.url).href)}
for (let i = 0; i < 15; i++) {
  const many = job('many-' + i, { stateDirectory: ${JSON.stringify(folder)}, workers: 0 })
  many.from(items([1])).to(collect([]))
  await many.run({ quiet: true })
}
`,
    )
    expect(await runJob(file, [], {})).toMatchObject({ code: 0, stderr: '' })
    for (let i = 0; i < 15; i++) expect(existsSync(join(folder, `many-${i}`, 'finished'))).toBe(true)
  })
})

describe('endless splits', () => {
  test('are all read, also by fewer subtasks than before', async () => {
    const seen: number[] = []
    const build = (): ReturnType<typeof job> => {
      const endless = job('endless', { checkpoint: { every: 5 }, stateDirectory: folder })
      endless
        .from(generate({ at: (i) => i }))
        .filter((i) => i < 100 || i % 1_000 < 2)
        .to(collect(seen))
      return endless
    }
    const stopWhen = async (condition: () => boolean, parallelism: number): Promise<void> => {
      seen.length = 0
      const running = build().run({ ...QUIET, parallelism })
      const watch = setInterval(() => condition() && process.emit('SIGINT', 'SIGINT'), 5)
      await running
      clearInterval(watch)
    }
    let asked = false
    const both = (): boolean => {
      const done = seen.some((i) => i % 2 === 0) && seen.some((i) => i % 2 === 1)
      if (!done || asked) return false
      asked = true
      return true
    }
    await stopWhen(both, 2)
    asked = false
    await stopWhen(both, 1)
    expect(seen.some((i) => i % 2 === 1)).toBe(true)
  })
})

describe('commits', () => {
  test('of one sink never overlap, also when the commit of another one fails', async () => {
    let running = 0
    let most = 0
    let failures = 0
    const slow: Sink<number, number> = {
      kind: 'slow',
      createWriter: () => ({ write: () => undefined, prepareCommit: (checkpoint) => [checkpoint], close: () => undefined }),
      createCommitter: () => ({
        open: () => undefined,
        async commit() {
          most = Math.max(most, ++running)
          await new Promise((resolve) => setTimeout(resolve, 30))
          running--
        },
      }),
    }
    const failing: Sink<number, number> = {
      ...slow,
      kind: 'failing',
      createCommitter: () => ({
        open: () => undefined,
        commit() {
          if (failures++ < 2) throw new Error('not now')
        },
      }),
    }
    const two = job('two-sinks', { stateDirectory: folder, restart: { strategy: 'fixed', delay: 0, attempts: 5 } })
    two
      .from(items([1, 2, 3]))
      .to(slow)
      .to(failing)
    expect(await two.run(QUIET)).toMatchObject({ status: 'finished', restarts: 0 })
    expect(most).toBe(1)
    expect(running).toBe(0)
  })
})
