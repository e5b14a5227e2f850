import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

/* The checks are programs that must compile: what the types promise, and behind each `@ts-expect-error` what they must refuse. */
test('the types infer what they should and refuse what they should', () => {
  const tsc = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'test/types/tsconfig.json'], {
    cwd: root,
    encoding: 'utf8',
  })
  expect(`${tsc.stdout}${tsc.stderr}`).toBe('')
  expect(tsc.status).toBe(0)
})

test('the compiler is shown every file of checks', () => {
  const tsc = spawnSync(
    process.execPath,
    ['node_modules/typescript/bin/tsc', '-p', 'test/types/tsconfig.json', '--listFilesOnly'],
    {
      cwd: root,
      encoding: 'utf8',
    },
  )
  const checks = readdirSync(new URL('.', import.meta.url)).filter((name) => name.endsWith('.test-d.ts'))
  expect(checks.filter((name) => !tsc.stdout.includes(`test/types/${name}`))).toEqual([])
  expect(checks.length).toBeGreaterThan(0)
})
