import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { RunOptions } from 'sluice'
import { expect } from 'vitest'
import { JobProcess } from './run-job.ts'

const PACKAGE = fileURLToPath(new URL('../..', import.meta.url))
const JOB = fileURLToPath(new URL('../fixtures/jobs/faults.ts', import.meta.url))
const RECORDS = 20_000

/** What goes wrong, by the place where it does; see the job. */
export type Faults = Readonly<Record<string, string>>
export type Environment = Readonly<Record<string, string>>

/** What the job says at its end: its result, or its error. */
export type Outcome = Readonly<Record<string, unknown>>

/** The faults job, in a project of its own that has the engine as a package, and its output. */
export class FaultFolder {
  readonly path: string = mkdtempSync(join(tmpdir(), 'sluice-faults-'))
  readonly job: string = join(this.path, 'job.ts')

  constructor() {
    mkdirSync(join(this.path, 'node_modules'))
    symlinkSync(PACKAGE, join(this.path, 'node_modules/sluice'))
    writeFileSync(join(this.path, 'package.json'), '{ "type": "module" }')
    copyFileSync(JOB, this.job)
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true })
  }

  environment(faults: Faults, options: RunOptions = {}, more: Environment = {}): Environment {
    const own = { FAULTS_FOLDER: this.path, FAULTS: JSON.stringify(faults), FAULTS_OPTIONS: JSON.stringify(options) }
    return { ...own, ...more }
  }

  start(faults: Faults, options: RunOptions = {}, more: Environment = {}, args: readonly string[] = []): JobProcess {
    return new JobProcess(this.job, args, this.environment(faults, options, more))
  }

  /** Runs the job to its end. @throws when its process did not come to it by itself */
  async run(faults: Faults, options: RunOptions = {}, more: Environment = {}, args: readonly string[] = []): Promise<Outcome> {
    const { stdout, stderr, signal } = await this.start(faults, options, more, args).ended
    if (signal !== null || stdout === '') throw new Error(`the job ended by ${signal}: ${stderr}`)
    return JSON.parse(stdout) as Outcome
  }

  lines(output: string): readonly string[] {
    return linesOf(join(this.path, output))
  }

  /** Compares the output with what a plain loop over the numbers gives. */
  expectUndisturbed(output = join(this.path, 'out')): void {
    expect(linesOf(output)).toEqual(undisturbed())
    expect(this.lines('others')).toEqual(others())
  }
}

/** The committed lines of a folder, sorted; none where there is none. */
export function linesOf(folder: string): readonly string[] {
  let names: readonly string[]
  try {
    names = readdirSync(folder)
  } catch {
    return []
  }
  const visible = names.filter((name) => !name.startsWith('.'))
  return visible.flatMap((name) => readFileSync(join(folder, name), 'utf8').trimEnd().split('\n')).sort()
}

function numbers(): readonly number[] {
  return Array.from({ length: RECORDS }, (_, n) => n)
}

function others(): readonly string[] {
  return numbers()
    .map((n) => JSON.stringify({ n, key: `k${n % 10}` }))
    .sort()
}

function undisturbed(): readonly string[] {
  const sums = new Map<string, { numbers: number; sum: number }>()
  const lines = numbers().flatMap((n) => {
    const key = `k${n % 10}`
    const before = sums.get(key) ?? { numbers: 0, sum: 0 }
    const after = { numbers: before.numbers + 1, sum: before.sum + n }
    sums.set(key, after)
    const timer = { n: n + 500, key: `timer of ${key}`, numbers: 0, sum: 0 }
    return n % 1_000 < 10 ? [{ n, key, ...after }, timer] : [{ n, key, ...after }]
  })
  return lines.map((line) => JSON.stringify(line)).sort()
}
