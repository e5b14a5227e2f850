import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { JobRun } from './job-run.ts'
import { modelOutputs } from './model.ts'
import type { ExpectedOutput } from './output-watcher.ts'
import type { InputShape } from './records.ts'

/** Outputs whose lines describe each other, so that none has to be known beforehand. */
const CHAINS = { chain: 'measures', 'orders-chain': 'orders' } as const

/**
 * What the job must write: outputs that a model computes, chains, and for the others what a run writes that nobody disturbs. That run is compared with
 * the model as well.
 *
 * @param splits in which each of the streams that meet another one is read
 * @returns what is expected, and what of the undisturbed run was not as the model says
 */
export async function expectedOutput(
  folder: string,
  input: InputShape,
  splits: number,
): Promise<{ readonly expected: ExpectedOutput; readonly differences: readonly string[] }> {
  const { outputs: undisturbed, differences } = await runUndisturbed(folder, input)
  if (differences.length > 0) return { expected: { lines: new Map(), chains: new Map() }, differences }
  const model = modelOutputs(input)
  const wrong = [...model].filter(([output, lines]) => !isSame(lines, undisturbed.get(output) ?? []))
  const chains = Object.entries(CHAINS).map(
    // The main stream is read by one subtask, whatever the parallelism.
    ([output, stream]) => [output, { stream, input, splits: stream === 'measures' ? 1 : splits }] as const,
  )
  return {
    expected: { lines: new Map([...undisturbed, ...model]), chains: new Map(chains) },
    differences: wrong.map(([output]) => `${output}: an undisturbed run does not write what the model says`),
  }
}

interface Undisturbed {
  /** Lines by output, but for chains. */
  readonly outputs: ReadonlyMap<string, readonly string[]>
  readonly differences: readonly string[]
}

/** What the last input came to: rounds with one input follow each other. */
let last: { readonly input: string; readonly undisturbed: Undisturbed } | undefined

async function runUndisturbed(folder: string, input: InputShape): Promise<Undisturbed> {
  if (last?.input === JSON.stringify(input)) return last.undisturbed
  mkdirSync(folder, { recursive: true })
  const run = new JobRun({ folder, input, options: { parallelism: 1, workers: 1, checkpoint: { every: 500 } } })
  const { code, signal } = await run.ended
  if (code !== 0) {
    const how = `${code ?? signal}: ${JSON.stringify(run.outcome)} ${run.complaints.join('\n')}`
    return { outputs: new Map(), differences: [`the undisturbed run ended with ${how}`] }
  }
  const names = readdirSync(join(folder, 'out')).filter((output) => !(output in CHAINS))
  const undisturbed = { outputs: new Map(names.map((output) => [output, linesOf(join(folder, 'out', output))])), differences: [] }
  last = { input: JSON.stringify(input), undisturbed }
  return undisturbed
}

function linesOf(folder: string): readonly string[] {
  const visible = readdirSync(folder).filter((name) => !name.startsWith('.'))
  return visible.flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n')).filter((line) => line !== '')
}

function isSame(some: readonly string[], others: readonly string[]): boolean {
  const sorted = others.toSorted()
  return some.length === others.length && some.toSorted().every((line, index) => line === sorted[index])
}
