import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { FilesResult } from '../../benchmarks/files.ts'

// Nothing here looks at a time: the benchmark must run, verify what it ran, and write what can be read.

test('files reads and writes, verifies it, and compares with what it is made of', () => {
  const out = mkdtempSync(join(tmpdir(), 'sluice-files-test-'))
  onTestFinished(() => rmSync(out, { recursive: true, force: true }))
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--conditions=@sluice/source', 'benchmarks/run.ts', 'files', '--quick', '--records', '3000', '--out', out],
    { cwd: join(import.meta.dirname, '..', '..'), encoding: 'utf8' },
  )
  expect(stderr).toBe('round 1, verified\n')
  expect(status).toBe(0)
  expect(stdout).toContain('the result of every run was verified')
  expect(readdirSync(out).sort()).toEqual(['files.json', 'files.svg'])
  const { works }: FilesResult = JSON.parse(readFileSync(join(out, 'files.json'), 'utf8'))
  expect(works.map(({ name, contestants }) => [name, contestants.map((contestant) => contestant.name)])).toEqual([
    ['read JSON lines of 130 bytes', ['disk', 'JSON.parse', 'by hand', 'readJsonLines']],
    ['read JSON lines of 700 bytes', ['disk', 'JSON.parse', 'by hand', 'readJsonLines']],
    ['read CSV without quotes', ['disk', 'csv-parse', 'by hand', 'readCsv', 'readCsv, cast']],
    ['read CSV with quotes', ['disk', 'csv-parse', 'readCsv', 'readCsv, cast']],
    ['write JSON lines of 130 bytes', ['JSON.stringify', 'by hand', 'writeJsonLines']],
    ['write CSV without quotes', ['csv-stringify', 'by hand', 'writeCsv']],
  ])
  for (const { contestants } of works) {
    for (const { recordsPerSecond, ofOurs } of contestants) {
      expect(recordsPerSecond.median).toBeGreaterThan(0)
      expect(ofOurs.median).toBeGreaterThan(0)
    }
  }
})
