/*
 * Plants known protocol bugs, one at a time, in a copy of the engine, and lets the simulator look for them:
 * npm run mutants -- [--seeds 3000] [--rounds 3] [--only <part of a name>] [--json]
 *
 * Each is looked for in several rounds of fresh seeds; what is told is the median and the worst number of seeds until it was found. Exit status 1
 * when one was not found in a round: a hole in the simulator, or in the protocol's need of that line.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Mutant } from '../test/simulation/mutants.ts'
import { MUTANTS } from '../test/simulation/mutants.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '3000' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
})
const seeds = Number(values.seeds)
const rounds = Number(values.rounds)

/** How long a mutant lived. */
interface Life {
  readonly name: string
  readonly survived: boolean
  /** Seeds until it was found, by round; those of a round in which it was not are all. */
  readonly seeds: readonly number[]
  readonly median: number
  readonly worst: number
  readonly violation: string
}

const lives: Life[] = []
for (const mutant of MUTANTS.filter(({ name }) => name.includes(values.only ?? ''))) {
  const life = await lifeOf(mutant)
  lives.push(life)
  if (!values.json)
    console.log(
      `${life.survived ? 'SURVIVED' : 'found   '} median ${life.median}, worst ${life.worst}: ${life.name} (${life.violation})`,
    )
}
const survivors = lives.filter(({ survived }) => survived).length
if (values.json) console.log(JSON.stringify({ mutants: lives.length, survivors, seeds, rounds, lives }))
else console.log(`${lives.length} mutants, ${survivors} survived`)
process.exitCode = survivors > 0 ? 1 : 0

async function lifeOf(mutant: Mutant): Promise<Life> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-mutant-'))
  try {
    plant(mutant, folder)
    const found: number[] = []
    let [survived, violation] = [false, '']
    for (let round = 0; round < rounds; round++) {
      const result = await look(folder, 1 + round * 1_000_003, mutant.job)
      survived ||= result.violation === undefined
      found.push(result.seeds)
      violation = result.violation ?? violation
    }
    const sorted = found.toSorted((a, b) => a - b)
    const median = sorted[Math.floor(sorted.length / 2)]!
    return { name: mutant.name, survived, seeds: found, median, worst: sorted.at(-1)!, violation }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function plant({ name, changes }: Mutant, folder: string): void {
  for (const part of ['src', 'operators', 'scripts', 'test/simulation', 'package.json'])
    cpSync(join(ROOT, part), join(folder, part), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  for (const { file, find, replace } of changes) {
    const path = join(folder, file)
    const text = readFileSync(path, 'utf8')
    if (text.split(find).length !== 2)
      throw new Error(`'${name}' does not fit ${file} any more: it has to have once ${JSON.stringify(find)}`)
    writeFileSync(
      path,
      text.replace(find, () => replace),
    )
  }
}

async function look(
  folder: string,
  from: number,
  job: string | undefined,
): Promise<{ readonly seeds: number; readonly violation: string | undefined }> {
  const options = ['--seeds', `${seeds}`, '--from', `${from}`, '--json', ...(job === undefined ? [] : ['--job', job])]
  const child = spawn(process.execPath, ['--conditions=@sluice/source', 'scripts/sim.ts', ...options], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (data: Buffer) => {
    stdout += data.toString()
  })
  child.stderr.on('data', (data: Buffer) => {
    stderr += data.toString()
  })
  await once(child, 'close')
  if (stdout === '')
    return {
      seeds: 1,
      violation: `it does not run: ${
        stderr
          .trim()
          .split('\n')
          .find((line) => line.includes('Error')) ?? stderr.slice(0, 100)
      }`,
    }
  const result = JSON.parse(stdout) as {
    readonly seeds: number
    readonly violations: readonly { readonly violations: readonly { readonly invariant: string }[] }[]
  }
  return { seeds: result.seeds, violation: result.violations[0]?.violations[0]?.invariant }
}
