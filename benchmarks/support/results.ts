import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BenchmarkOptions } from './benchmark.ts'

/** Writes a result, and its pictures by name, where the command line says; a quick run writes only when it is asked to. */
export function writeResults(
  options: BenchmarkOptions,
  result: { readonly benchmark: string },
  pictures: Readonly<Record<string, string>> = {},
): void {
  if (options.quick && !options.json) return
  mkdirSync(options.out, { recursive: true })
  const files = { [`${result.benchmark}.json`]: `${JSON.stringify(result, null, 2)}\n`, ...pictures }
  for (const [name, content] of Object.entries(files)) writeFileSync(join(options.out, name), content)
  process.stdout.write(
    `written: ${Object.keys(files)
      .map((name) => join(options.out, name))
      .join(', ')}\n`,
  )
}
