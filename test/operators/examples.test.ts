import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as sluice from 'sluice'
import { afterAll, describe, expect, test } from 'vitest'
import { Stream } from '../../src/dsl/stream.ts'

/*
 * The examples in the comments of the operators, run. A block of code that ends with `// -> ...` is an example: its last paragraph is an
 * expression, a stream or a value, and behind the arrow is what comes out of it. `from(values)` begins a stream of the values in a job of
 * its own, and the files of `SAMPLES` are there to be read.
 */

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const SAMPLES: Readonly<Record<string, string>> = {
  'words.txt': 'one two\nthree\n',
  'flights.jsonl': '{"origin":"SEA","delay":12}\n{"origin":"LAX","delay":-3}\n',
  'flights.csv': 'origin,delay\nSEA,12\nLAX,-3\n',
}

interface Example {
  readonly name: string
  readonly code: string
  readonly expected: string
}

const folder = mkdtempSync(join(tmpdir(), 'sluice-examples-'))
for (const [name, text] of Object.entries(SAMPLES)) writeFileSync(join(folder, name), text)
afterAll(() => rmSync(folder, { recursive: true }))

function examplesOf(file: string): readonly Example[] {
  const blocks = readFileSync(join(ROOT, file), 'utf8').matchAll(/^ *\* ```ts\n((?: *\*.*\n)*?) *\* ```/gm)
  return [...blocks].flatMap(([, block]) => {
    const lines = block!.split('\n').map((line) => line.replace(/^ *\* ?/, ''))
    const at = lines.findIndex((line) => line.includes('// -> '))
    if (at < 0) return []
    const [last, first] = lines[at]!.split('// -> ') as [string, string]
    const rest = lines.slice(at + 1).map((line) => line.replace(/^ *\/\/ */, ''))
    return [{ name: file, code: [...lines.slice(0, at), last].join('\n').trim(), expected: [first, ...rest].join(' ').trim() }]
  })
}

async function outcome({ code, expected }: Example): Promise<{ readonly found: unknown; readonly expected: unknown }> {
  let job: sluice.Job | undefined
  const begin = (input: Iterable<unknown> | sluice.Source<unknown>): Stream<unknown> => {
    job ??= sluice.job('example', { workers: 0, parallelism: 1, stateDirectory: join(folder, 'state') })
    return job.from(isSource(input) ? input : sluice.items(input))
  }
  const value = await evaluate(withReturn(code), { ...sluice, from: begin })
  const wanted = await evaluate(`return [${expected}]`, {})
  if (!(value instanceof Stream)) return { found: [value], expected: wanted }
  const found: unknown[] = []
  value.to(sluice.collect(found))
  await job!.run({ quiet: true, fresh: true })
  return { found, expected: wanted }
}

function isSource(input: object): input is sluice.Source<unknown> {
  return 'enumerate' in input
}

/** The last paragraph of the code is its value. */
function withReturn(code: string): string {
  const at = code.lastIndexOf('\n\n')
  const value = at < 0 ? code : code.slice(at)
  return stripTypeScriptTypes(`async () => {${at < 0 ? '' : code.slice(0, at)}\nreturn (${value.trim()})\n}`).replace(
    /^async \(\) => \{|\}$/g,
    '',
  )
}

async function evaluate(body: string, names: Readonly<Record<string, unknown>>): Promise<unknown> {
  const code = `return (async () => {${body}\n})()`
  return await (new Function(...Object.keys(names), code)(...Object.values(names)) as Promise<unknown>)
}

const FILES = globSync('operators/**/*.ts', { cwd: ROOT }).sort()
const EXAMPLES = FILES.flatMap(examplesOf)

/** Every file that makes an operator, by the factory that it exports. */
const OPERATORS = FILES.filter((file) =>
  /^export (?:function|class) \w*(?:Operator|Function)\b/m.test(readFileSync(join(ROOT, file), 'utf8')),
)

describe('the example of', () => {
  const before = process.cwd()
  test.each(EXAMPLES)('$name: $code', async (example) => {
    process.chdir(folder)
    try {
      const { found, expected } = await outcome(example)
      expect(found).toEqual(expected)
    } finally {
      process.chdir(before)
    }
  })

  test('every operator is there', () => {
    const named = new Set(EXAMPLES.map(({ name }) => name))
    expect(OPERATORS.filter((file) => !named.has(file))).toEqual([])
  })
})
