import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readOutput } from '../../examples/support/output.ts'

let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-examples-'))
})

afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

/** Runs an example as a user would, in an empty folder, and returns what it prints. */
function example(name: string): string {
  const file = fileURLToPath(new URL(`../../examples/${name}.ts`, import.meta.url))
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--conditions=@sluice/source', file], {
    cwd: folder,
    encoding: 'utf8',
  })
  expect(stderr).not.toContain('Error')
  expect(status).toBe(0)
  return stdout
}

test('flight-delays counts three million flights, each of them once', () => {
  const said = example('flight-delays')
  expect(said).toContain('3,000,000 flights')
  const hours = readOutput<{ flights: number }>(join(folder, 'out/flight-delays/hourly'))
  const late = readOutput(join(folder, 'out/flight-delays/late')).length
  expect(hours.reduce((sum, hour) => sum + hour.flights, 0) + late).toBe(3_000_000)
  expect(late).toBeGreaterThan(0)
})

test('word-count finds the most frequent word of a licence', () => {
  expect(example('word-count')).toMatch(/the +100\n/)
})

test('crash-and-recover gives the same answer twice', () => {
  expect(example('crash-and-recover')).toContain('The answers are the same, byte for byte.')
})
