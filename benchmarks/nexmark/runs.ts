import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { machineUsage } from '../support/environment.ts'
import type { GeneratorOutcome } from './generate.ts'
import type { NexmarkOutcome } from './job.ts'
import type { Total } from './tally.ts'

/** How a query is run. */
export interface Setting {
  readonly parallelism: number
  /** The interval between checkpoints. */
  readonly every: 'off' | '10s' | '1s'
}

export interface EventStream {
  readonly events: number
  readonly generators: number
  readonly ratePerGenerator: number
}

/** What is measured: the sources, whatever a build has left behind. */
const ENGINE = 'src/index.ts'

/** A run of a query, and what other programs took of the machine's processor time meanwhile, 0 to 1. */
export interface QueryRun {
  readonly outcome: NexmarkOutcome
  readonly othersShare: number
}

/** One run of a query in a process of its own, with a state folder of its own. @throws Error when it fails or gives anything but `expected` */
export async function runQuery(query: string, stream: EventStream, setting: Setting, expected: Total): Promise<QueryRun> {
  const usageBefore = machineUsage()
  const stateDirectory = mkdtempSync(join(tmpdir(), 'sluice-bench-'))
  try {
    const outcome = (await processOutcome('job.ts', {
      query,
      events: stream.events,
      generators: stream.generators,
      rate: stream.ratePerGenerator,
      parallelism: setting.parallelism,
      'checkpoint-every': setting.every,
      'state-directory': stateDirectory,
    })) as NexmarkOutcome
    if (outcome.engine !== ENGINE)
      throw new Error(`the job ran ${outcome.engine}, not ${ENGINE}: its figures would be those of another engine`)
    if (outcome.events !== stream.events || outcome.rows !== expected.rows || outcome.checksum !== expected.checksum)
      throw new Error(`the output of ${query} is wrong: ${JSON.stringify(outcome)}, expected ${JSON.stringify(expected)}`)
    const usage = machineUsage(usageBefore)
    return {
      outcome,
      othersShare: Math.max(0, usage.busySeconds - outcome.cpuSeconds) / (usage.busySeconds + usage.idleSeconds),
    }
  } finally {
    rmSync(stateDirectory, { recursive: true, force: true })
  }
}

export async function runGenerator(events: number, ratePerGenerator: number): Promise<GeneratorOutcome> {
  return (await processOutcome('generate.ts', { events, rate: ratePerGenerator })) as GeneratorOutcome
}

/** Runs a program of this folder. Returns what it printed last. */
async function processOutcome(file: string, flags: Readonly<Record<string, string | number>>): Promise<unknown> {
  const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)])
  const child = spawn(process.execPath, ['--conditions=@sluice/source', join(import.meta.dirname, file), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [stdout, stderr, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve)),
  ])
  if (code !== 0) throw new Error(`${file} ${args.join(' ')} ended with exit code ${code}:\n${stderr}`)
  return JSON.parse(stdout.trimEnd().split('\n').at(-1)!)
}
