import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { open } from 'lmdb'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { JobProcess, runJob } from './run-job.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-troubled-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

async function run(trouble: string, ...args: string[]): Promise<Record<string, unknown>> {
  const { stdout, stderr } = await runJob('troubled.ts', args, { TROUBLE: trouble, TROUBLE_FOLDER: folder })
  expect(stderr).toBe('')
  return JSON.parse(stdout) as Record<string, unknown>
}

function outputIds(): readonly number[] {
  const visible = readdirSync(join(folder, 'out')).filter((name) => !name.startsWith('.'))
  const ids = visible.flatMap((name) =>
    readFileSync(join(folder, 'out', name), 'utf8')
      .split('\n')
      .filter((line) => line !== ''),
  )
  return ids.map(Number).sort((a, b) => a - b)
}

const ALL = Array.from({ length: 20_000 }, (_, id) => id)

describe('a job goes on from its newest checkpoint', () => {
  test.each([
    ['throw-once', '2'],
    ['throw-once', '0'],
    ['exit-once', '2'],
    ['reject-once', '2'],
  ])('after %s with %s workers, and every record counts once', async (trouble, workers) => {
    const result = await run(trouble, '--parallelism', '2', '--workers', workers)
    expect(result).toMatchObject({ status: 'finished', restarts: 1, recordsIn: 20_000, recordsOut: 20_000 })
    expect(outputIds()).toEqual(ALL)
  })

  test('after the restart strategy has given up and somebody has mended the trouble', async () => {
    const failed = await run('throw-always', '--parallelism', '2')
    expect(failed).toMatchObject({ code: 'OPERATOR_FAILED', operator: 'map-1', cause: 'TypeError: a lasting trouble' })
    expect(String(failed['message'])).toContain('a lasting trouble')
    const result = await run('none', '--parallelism', '2')
    expect(result).toMatchObject({ status: 'finished', restarts: 0, recordsIn: 20_000, recordsOut: 20_000 })
    expect(outputIds()).toEqual(ALL)
  })

  test('with another parallelism than before', async () => {
    expect(await run('throw-always', '--parallelism', '2')).toMatchObject({ code: 'OPERATOR_FAILED' })
    expect(await run('throw-always', '--parallelism', '3')).toMatchObject({ code: 'OPERATOR_FAILED' })
    expect(await run('none', '--parallelism', '1')).toMatchObject({ status: 'finished', recordsIn: 20_000, recordsOut: 20_000 })
    expect(outputIds()).toEqual(ALL)
  })

  test('or fails with a code when its threads die of errors outside of any record', async () => {
    for (let round = 0; round < 3; round++) {
      expect(await run('throw-later', '--parallelism', '3', '--workers', '3')).toMatchObject({ code: 'WORKER_LOST' })
    }
    expect(await run('none')).toMatchObject({ status: 'finished', recordsIn: 20_000, recordsOut: 20_000 })
  })

  test('after Ctrl-C, which takes one more checkpoint', async () => {
    const first = new JobProcess('troubled.ts', [], { TROUBLE: 'slow', TROUBLE_FOLDER: folder })
    while (!visibleOutput()) await delay(10)
    first.process.kill('SIGINT')
    const { stdout, code } = await first.ended
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ status: 'stopped' })
    expect(await run('none')).toMatchObject({ status: 'finished', recordsIn: 20_000, recordsOut: 20_000 })
    expect(outputIds()).toEqual(ALL)
  })
})

describe('a job is refused or fails with a code', () => {
  test.each([
    ['null-key', 'INVALID_KEY', 'process-1', /null/],
    ['object-key', 'INVALID_KEY', 'process-1', /object/],
    ['unstable-key', 'UNSTABLE_KEY', 'process-1', /key group/],
    ['class-instance', 'VALUE_NOT_ENCODABLE', 'map-1', /\.when is an instance of URL/],
    ['no-timestamps', 'NO_TIMESTAMPS', 'window-count-1', /event time/],
    ['duplicate-id', 'DUPLICATE_OPERATOR_ID', 'twice', /twice/],
    ['no-files', 'NO_INPUT_FILES', 'read-json-lines-1', /nothing/],
    ['other-graph-in-threads', 'GRAPH_DIFFERS', undefined, /worker \d built another graph.*map-2/],
    ['unencodable-output', 'VALUE_NOT_ENCODABLE', 'write-json-lines-1', /bigint/i],
  ])('%s: %s', async (trouble, code, operator, message) => {
    const failed = await run(trouble, '--parallelism', '2', '--workers', '2')
    expect(failed['code']).toBe(code)
    expect(failed['operator']).toBe(operator)
    expect(failed['message']).toMatch(message)
  })

  test('a malformed line is named by file, line and offset', async () => {
    writeFileSync(join(folder, 'bad.jsonl'), '{"a":1}\n{"a":2}\n{"a":\n{"a":4}\n')
    const failed = await run('malformed')
    expect(failed).toMatchObject({ code: 'MALFORMED_RECORD', operator: 'read-json-lines-1' })
    expect(failed['message']).toMatch(/bad\.jsonl.*3.*16/)
  })

  test('an unknown duration, when the job is built', async () => {
    const { stderr, code } = await runJob('troubled.ts', [], { TROUBLE: 'bad-duration', TROUBLE_FOLDER: folder })
    expect(code).toBe(1)
    expect(stderr).toContain('INVALID_DURATION')
    expect(stderr).toContain('1 fortnight')
  })

  test('nothing, when an operator without state was added since: the job goes on', async () => {
    await run('throw-always')
    expect(await run('more-operators')).toMatchObject({ status: 'finished', recordsOut: 20_000 })
    expect(outputIds()).toEqual(ALL)
  })

  test('the output of another run, unless it may be overwritten; a refused --fresh loses nothing', async () => {
    await run('throw-always')
    expect(outputIds().length).toBeGreaterThan(0)
    const refused = await run('none', '--fresh')
    expect(refused).toMatchObject({ code: 'OUTPUT_OF_ANOTHER_RUN', operator: 'write-json-lines-1' })
    expect(refused['hint']).toContain('--overwrite')
    // The state is still there: the job resumes where it stopped.
    expect(await run('none')).toMatchObject({ status: 'finished', recordsIn: 20_000, recordsOut: 20_000 })
    expect(outputIds()).toEqual(ALL)
    // It has finished, so the next start is a fresh one.
    expect(await run('none')).toMatchObject({ code: 'OUTPUT_OF_ANOTHER_RUN' })
    expect(await run('none', '--overwrite')).toMatchObject({ status: 'finished', recordsOut: 20_000 })
    expect(outputIds()).toEqual(ALL)
  })

  test('the way back to before the first record, with output that is visible; it loses nothing either', async () => {
    await run('kept-throw-always')
    expect(outputIds().length).toBeGreaterThan(0)
    const refused = await run('kept', '--from', '0')
    expect(refused).toMatchObject({ code: 'OUTPUT_OF_ANOTHER_RUN', hint: expect.stringContaining('--overwrite') })
    expect(await run('kept')).toMatchObject({ status: 'finished', recordsOut: 20_000 })
    expect(outputIds()).toEqual(ALL)
    expect(await run('kept', '--from', '0', '--overwrite')).toMatchObject({ status: 'finished', recordsOut: 20_000 })
    expect(outputIds()).toEqual(ALL)
  })

  test('a second live process, by the number of the first', async () => {
    const first = new JobProcess('troubled.ts', [], { TROUBLE: 'slow', TROUBLE_FOLDER: folder })
    while (!visibleOutput()) await delay(10)
    const refused = await run('none')
    expect(refused).toMatchObject({ code: 'JOB_ALREADY_RUNNING' })
    expect(refused['message']).toContain(String(first.process.pid))
    writeFileSync(join(folder, 'go-on'), '')
    await first.ended
    expect(outputIds()).toEqual(ALL)
  })

  test.each([
    ['cut off', (path: string) => truncateSync(path, Math.floor(statSync(path).size / 2))],
    ['cut off in its first pages', (path: string) => truncateSync(path, 5_000)],
    ['overwritten', (path: string) => writeFileSync(path, Buffer.alloc(100_000, 'noise'))],
  ])('a state file that is %s', async (_, damage) => {
    await run('throw-always')
    damage(join(folder, 'state/troubled/checkpoints.mdb'))
    expect(await run('none')).toMatchObject({ code: 'CHECKPOINT_UNREADABLE' })
  })

  test('an unreadable checkpoint, by its number', async () => {
    await run('throw-always')
    const root = open<Buffer, string>({
      path: join(folder, 'state/troubled/checkpoints.mdb'),
      noSubdir: true,
      encoding: 'binary',
    })
    const checkpoints = root.openDB<Buffer, number>({ name: 'checkpoints', encoding: 'binary' })
    const [newest] = [...checkpoints.getKeys({ reverse: true, limit: 1 })]
    const bytes = Buffer.from(checkpoints.get(newest!)!)
    bytes[40]! ^= 1
    checkpoints.putSync(newest!, bytes)
    await root.close()
    const refused = await run('none')
    expect(refused).toMatchObject({ code: 'CHECKPOINT_UNREADABLE' })
    expect(refused['message']).toContain(`checkpoint ${newest}`)
  })
})

function visibleOutput(): boolean {
  mkdirSync(join(folder, 'out'), { recursive: true })
  return readdirSync(join(folder, 'out')).some((name) => !name.startsWith('.'))
}
