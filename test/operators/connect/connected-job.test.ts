import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Event } from '../../fixtures/jobs/connected.ts'
import { runJob } from '../../scenarios/run-job.ts'

const COUNT = 6_000

let folder: string
let left: readonly Event[]
let right: readonly Event[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-connected-'))
  left = side('left', 17, 31)
  right = side('right', 19, 29)
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

/** Events out of order by up to a second, over some hundred keys. */
function side(name: string, keyStep: number, timeStep: number): readonly Event[] {
  const events = Array.from({ length: COUNT }, (_, id) => ({
    id,
    key: `key ${(id * keyStep) % 113}`,
    at: 1_000_000_000_000 + id * 10 - ((id * timeStep) % 1000),
  }))
  mkdirSync(join(folder, name))
  writeFileSync(join(folder, name, 'events.jsonl'), events.map((event) => `${JSON.stringify(event)}\n`).join(''))
  return events
}

function lines(output: string): readonly string[] {
  const at = join(folder, 'out', output)
  return readdirSync(at)
    .filter((name) => !name.startsWith('.'))
    .flatMap((name) => readFileSync(join(at, name), 'utf8').trimEnd().split('\n'))
    .map((line) => JSON.parse(line) as string)
    .sort()
}

function pairs(): readonly string[] {
  const byKey = Map.groupBy(right, (event) => event.key)
  const near = (a: Event): readonly Event[] => (byKey.get(a.key) ?? []).filter((b) => a.at - 200 <= b.at && b.at <= a.at + 1_000)
  return left.flatMap((a) => near(a).map((b) => `${a.id} ${b.id}`)).sort()
}

function counts(): readonly string[] {
  const [lefts, rights] = [left, right].map((events) => Map.groupBy(events, (event) => event.key))
  const keys = new Set([...lefts!.keys(), ...rights!.keys()])
  return [...keys].map((key) => `${key} ${lefts!.get(key)?.length ?? 0} ${rights!.get(key)?.length ?? 0}`).sort()
}

describe('a job whose streams meet gives the fold of its inputs', () => {
  test.each([
    { parallelism: 2, workers: 0, failing: false },
    { parallelism: 2, workers: 2, failing: false },
    { parallelism: 3, workers: 2, failing: true },
  ])('at parallelism $parallelism on $workers workers, failing once: $failing', async ({ parallelism, workers, failing }) => {
    const args = ['--parallelism', String(parallelism), '--workers', String(workers), '--quiet']
    const { code, stderr } = await runJob('connected.ts', args, {
      CONNECTED_FOLDER: folder,
      ...(failing ? { CONNECTED_FAILS: 'once' } : {}),
    })
    expect(code, stderr).toBe(0)
    expect(existsSync(join(folder, 'failed'))).toBe(failing)
    expect(pairs().length).toBeGreaterThan(COUNT)
    expect(lines('interval')).toEqual(pairs())
    expect(lines('keyed')).toEqual(counts())
    expect(lines('plain')).toEqual([...left.map(({ id }) => `left ${id}`), ...right.map(({ id }) => `right ${id}`)].sort())
    expect(lines('rules')).toEqual(Array.from({ length: parallelism }, (_, subtask) => `${subtask} 1`))
    expect(lines('divided')).toEqual(
      left
        .filter(({ id }) => id % 7 === 0)
        .map(({ id, key }) => `${key} ${id}`)
        .sort(),
    )
  })
})
