import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeFolder } from './folder-job.ts'
import type { Outcomes } from './folder-runner.ts'
import { FolderRunner, isAllowed } from './folder-runner.ts'
import { damaged, damages, KNOWN_DAMAGES } from './lmdb-damage.ts'
import { runsOf, SEED, timeoutOf } from './runs.ts'

/*
 * A state folder whose file is damaged is refused with a code, or works. The actions are in processes of their own, because what is not seen
 * beforehand ends the process: LMDB believes what a page says.
 */

const ACTIONS = ['status', 'check', 'verify', 'read', 'run', 'read again']
const FILE = 'state/hostile/checkpoints.mdb'

let folder: string
let whole: Buffer
const runner = new FolderRunner()

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-fuzz-'))
  await makeFolder(join(folder, 'whole'))
  whole = readFileSync(join(folder, 'whole', FILE))
})

afterAll(() => {
  runner.close()
  rmSync(folder, { recursive: true, force: true })
})

/** A copy of the folder with this file. */
function copyWith(name: string, file: Buffer): string {
  const copy = join(folder, name)
  mkdirSync(join(copy, 'state/hostile'), { recursive: true })
  cpSync(join(folder, 'whole/out'), join(copy, 'out'), { recursive: true })
  writeFileSync(join(copy, FILE), file)
  return copy
}

function notAllowed(outcomes: Outcomes): readonly string[] {
  return [...outcomes].filter(([, outcome]) => !isAllowed(outcome)).map(([action, outcome]) => `${action}: ${outcome}`)
}

test('is read, checked and run when it is whole', async () => {
  const outcomes = await runner.try(copyWith('copy', whole), ACTIONS)
  expect(Object.fromEntries(outcomes)).toEqual(Object.fromEntries(ACTIONS.map((action) => [action, 'ok'])))
})

test(
  'is refused with a code, or works, when its file is damaged',
  async () => {
    const problems: unknown[] = []
    const counts = new Map<string, number>()
    for (const [index, damage] of [...KNOWN_DAMAGES, ...fc.sample(damages, { numRuns: runsOf(25), seed: SEED })].entries()) {
      const actions = index % 4 === 0 ? ACTIONS.map((each) => (each === 'run' ? 'run with threads' : each)) : ACTIONS
      const copy = copyWith('damaged', damaged(whole, damage))
      const outcomes = await runner.try(copy, actions)
      for (const [action, outcome] of outcomes) {
        const name = `${action}: ${outcome.slice(0, 60)}`
        counts.set(name, (counts.get(name) ?? 0) + 1)
      }
      const found = notAllowed(outcomes)
      if (found.length > 0) problems.push({ index, damage: JSON.stringify(damage), found })
      rmSync(copy, { recursive: true })
    }
    if (process.env['SLUICE_FUZZ_VERBOSE'] !== undefined) console.log([...counts].sort())
    expect(problems).toEqual([])
  },
  timeoutOf(120_000),
)
