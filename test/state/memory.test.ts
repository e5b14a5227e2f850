import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

test('what keyed state takes in memory is known well enough to keep it within a limit', () => {
  const child = fileURLToPath(new URL('memory-child.ts', import.meta.url))
  const output = execFileSync(process.execPath, ['--expose-gc', child], { encoding: 'utf8' })
  const found = JSON.parse(output) as readonly { name: string; used: number; believed: number }[]
  expect(found).toHaveLength(7)
  for (const { name, used, believed } of found) {
    expect(believed / used, `${name}: ${used} bytes an entry, believed ${believed}`).toBeGreaterThan(0.65)
    expect(believed / used, `${name}: ${used} bytes an entry, believed ${believed}`).toBeLessThan(1.5)
  }
})
