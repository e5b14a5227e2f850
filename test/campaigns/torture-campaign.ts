import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { environmentPath, openForReading } from '../../src/checkpoint/environment.ts'
import { StoredCheckpoints } from '../../src/checkpoint/stored-checkpoints.ts'
import { decodeValue } from '../../src/core/value-codec.ts'
import type { RunOptions } from '../../src/index.ts'
import { generator } from '../scenarios/ledger.ts'

/*
 * Kills a job again and again at moments that chance draws, starts it again under other settings, and compares what it has written with what an
 * undisturbed run writes.
 *
 * The parallelism changes at every start, also from a checkpoint with records on their way: one subtask reads the stream in which records are late,
 * so which of them are follows from its order alone, whoever handles them.
 */

/** What happens beside kills. */
export type CampaignMode = 'kill' | 'faults' | 'savepoint'
export type Bound = 'tight' | 'exact'
type BarrierMode = 'aligned' | 'unaligned' | 'aligned-then-unaligned'

export interface RoundOptions {
  readonly seed: number
  readonly mode: CampaignMode
  readonly bound: Bound
  readonly records: number
  /** After so many the job is left to come to its end. */
  readonly kills: number
  readonly barriers?: BarrierMode | undefined
  /** Makes records larger, so that a snapshot does not fit one transaction. Default: 1. */
  readonly weight?: number
  /** The folder stays, for looking into it. */
  readonly keep?: boolean
}

export interface RoundResult {
  readonly seed: number
  readonly mode: CampaignMode
  readonly bound: Bound
  readonly starts: number
  readonly kills: number
  readonly stops: number
  readonly restarts: number
  readonly checkpoints: number
  /** Checkpoints with records on their way that a start began with. */
  readonly unalignedStarts: number
  /** Those of them that had another parallelism than the checkpoint. */
  readonly rescaledUnalignedStarts: number
  readonly evictingStarts: number
  /** Empty when everything is as it must be. */
  readonly differences: readonly string[]
  readonly history: readonly string[]
  readonly folder: string
}

const JOB = fileURLToPath(new URL('../fixtures/jobs/torture.ts', import.meta.url))
/** Nothing here takes that long; a job that hangs is a finding. */
const HANGS_MS = 60_000
const FAULT_EVERY = 1_500

/** A run of the job: what it said so far, and how it ended. */
class Run {
  readonly process: ChildProcess
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
  readonly events: { readonly event?: string; readonly message?: string; readonly savepoint?: string }[] = []
  /** Lines that are no events: a job that is only killed has none. */
  readonly complaints: string[] = []
  #onCheckpoint: (() => void) | undefined

  constructor(
    folder: string,
    { seed, bound, records, mode, weight = 1 }: RoundOptions,
    options: RunOptions,
    from: string | undefined,
  ) {
    const origin = from === undefined ? [] : ['--from', from]
    this.process = spawn(process.execPath, ['--conditions=@sluice/source', JOB, '--json', ...origin], {
      env: {
        ...process.env,
        NODE_OPTIONS: '',
        TORTURE_FOLDER: folder,
        TORTURE_SEED: String(seed),
        TORTURE_BOUND: bound,
        TORTURE_RECORDS: String(records),
        TORTURE_WEIGHT: String(weight),
        TORTURE_OPTIONS: JSON.stringify(options),
        TORTURE_FAULT_EVERY: mode === 'faults' ? String(FAULT_EVERY) : '0',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.process.stdout!.resume()
    createInterface(this.process.stderr!).on('line', (line) => this.#onLine(line))
    this.ended = once(this.process, 'close').then(([code, signal]) => ({ code, signal }))
  }

  #onLine(line: string): void {
    try {
      this.events.push(JSON.parse(line) as Run['events'][number])
    } catch {
      this.complaints.push(line)
    }
    if (this.events.at(-1)?.event === 'checkpoint') this.#onCheckpoint?.()
  }

  count(event: string): number {
    return this.events.filter((each) => each.event === event).length
  }

  /** Settles with the checkpoint of this number, counted from now. */
  async checkpoints(number: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    let missing = number
    this.#onCheckpoint = () => {
      if (--missing === 0) resolve()
    }
    await Promise.race([promise, this.ended])
  }
}

/** One job from its beginning to its end, and everything that happens to it. */
export class Round {
  readonly #options: RoundOptions
  readonly #random: () => number
  readonly #folder: string
  readonly #history: string[] = []
  readonly #differences: string[] = []
  #from: string | undefined
  readonly #counts = {
    starts: 0,
    kills: 0,
    stops: 0,
    restarts: 0,
    checkpoints: 0,
    unalignedStarts: 0,
    rescaledUnalignedStarts: 0,
    evictingStarts: 0,
  }

  constructor(options: RoundOptions) {
    this.#options = options
    this.#random = generator(options.seed)
    this.#folder = mkdtempSync(join(tmpdir(), 'sluice-torture-'))
  }

  async run(): Promise<RoundResult> {
    const { seed, mode, bound, keep } = this.#options
    const reference = await this.#reference()
    const own = this.#prepare('run')
    while (!(await this.#start(own)) && this.#differences.length === 0);
    if (this.#differences.length === 0) this.#compare(reference, own)
    if (this.#differences.length === 0) this.#differences.push(...storeTroubles(join(own, 'state/torture')))
    if (!keep && this.#differences.length === 0) rmSync(this.#folder, { recursive: true, force: true })
    return { seed, mode, bound, ...this.#counts, differences: this.#differences, history: this.#history, folder: this.#folder }
  }

  #prepare(name: string): string {
    const folder = join(this.#folder, name)
    mkdirSync(join(folder, 'faults'), { recursive: true })
    return folder
  }

  async #reference(): Promise<string> {
    const folder = this.#prepare('reference')
    const options: RunOptions = { parallelism: 1, workers: 1, checkpoint: { every: 500 } }
    const undisturbed = new Run(folder, { ...this.#options, mode: 'kill' }, options, undefined)
    const { code } = await undisturbed.ended
    if (code !== 0) this.#differences.push(`the undisturbed run ended with ${code}: ${undisturbed.complaints.join('\n')}`)
    return folder
  }

  /** True when the job has come to its end. */
  async #start(folder: string): Promise<boolean> {
    const options = this.#drawOptions(folder)
    const run = new Run(folder, this.#options, options, this.#from)
    this.#counts.starts++
    this.#history.push(`${JSON.stringify(options)}${this.#from === undefined ? '' : ` --from ${this.#from}`}`)
    const hanging = setTimeout(() => {
      this.#differences.push(`a run hangs: ${JSON.stringify(run.events.slice(-5))}`)
      run.process.kill('SIGKILL')
    }, HANGS_MS)
    if (this.#counts.kills < this.#options.kills) await this.#disturb(run)
    const { code, signal } = await run.ended
    clearTimeout(hanging)
    this.#counts.restarts += run.count('restart')
    this.#counts.checkpoints += run.count('checkpoint')
    this.#history.push(`  ${code ?? signal} after ${run.count('checkpoint')} checkpoints, ${run.count('restart')} restarts`)
    return this.#judge(folder, run, code, signal)
  }

  #judge(folder: string, run: Run, code: number | null, signal: NodeJS.Signals | null): boolean {
    const ended = run.events.findLast((each) => each.event === 'ended') as { status?: string; savepoint?: string } | undefined
    if (this.#options.mode !== 'faults' && run.count('restart') > 0) {
      this.#differences.push(
        `a restart that nobody asked for: ${JSON.stringify(run.events.filter((each) => each.event === 'restart'))}`,
      )
    }
    if (signal !== null) return existsSync(join(folder, 'state/torture/finished'))
    if (code === 0 && ended?.status === 'stopped') {
      // A run that is stopped before it runs has no checkpoint of its own, and leaves the one that it began with.
      if (run.count('checkpoint') > 0 && parallelismWithRecordsOnTheirWay(join(folder, 'state/torture')) !== undefined) {
        this.#differences.push('a savepoint holds records on their way, so it does not fit another parallelism')
      }
      // Half of the times it goes on with its own state, the other half with the savepoint.
      this.#from = this.#random() < 0.5 ? undefined : ended.savepoint
      return false
    }
    this.#from = this.#afterImport(run)
    if (this.#from !== undefined) return false
    if (code === 0 && run.complaints.length === 0) return true
    this.#differences.push(`the job ended with ${code}: ${run.complaints.join('\n')} ${JSON.stringify(run.events.slice(-3))}`)
    return false
  }

  /** The savepoint whose import a kill has cut short, as the refusal names it. */
  #afterImport(run: Run): string | undefined {
    return /import it again with --from (\S+?),/.exec(run.complaints.join('\n'))?.[1]
  }

  async #disturb(run: Run): Promise<void> {
    const asked = this.#options.mode === 'savepoint' && this.#random() < 0.3
    const moment = this.#random()
    // The first one by what it says and not by the clock: a machine may be so quick that chance comes too late every time.
    if (this.#counts.starts === 1) await run.checkpoints(1)
    else if (moment < 0.35) await this.#pause(run, 20 + this.#random() * 600)
    else if (moment < 0.6) await this.#pause(run, 300 + this.#random() * 2_500)
    else {
      await run.checkpoints(this.#draw([1, 2, 3, 5, 8]))
      if (this.#random() < 0.7) await this.#pause(run, this.#random() * 25)
    }
    if (run.process.exitCode !== null) return
    if (asked) {
      run.process.kill('SIGINT')
      this.#counts.stops++
      // A stop may be cut short, too.
      if (this.#random() < 0.6) return
      await this.#pause(run, this.#random() * 300)
      if (run.process.exitCode !== null) return
    }
    if (run.process.kill('SIGKILL')) this.#counts.kills++
    await run.ended
    // Whether the import was complete shows at the next start.
    this.#from = undefined
  }

  async #pause(run: Run, milliseconds: number): Promise<void> {
    await Promise.race([delay(milliseconds), run.ended])
  }

  #drawOptions(folder: string): RunOptions {
    const parallelism = this.#draw([1, 2, 3])
    const before = this.#from === undefined ? parallelismWithRecordsOnTheirWay(join(folder, 'state/torture')) : undefined
    if (before !== undefined) this.#counts.unalignedStarts++
    if (before !== undefined && before !== parallelism) this.#counts.rescaledUnalignedStarts++
    const mode = this.#options.barriers ?? this.#draw<BarrierMode>(['aligned', 'unaligned', 'aligned-then-unaligned'])
    const isEvicting = this.#random() < 0.5
    if (isEvicting) this.#counts.evictingStarts++
    const minPause = this.#draw([0, 0, 15])
    return {
      parallelism,
      workers: this.#draw([0, 1, 1, 2, 2, 2]),
      checkpoint: {
        every: 20 + Math.floor(this.#random() * 180),
        mode,
        retain: this.#draw([1, 2, 3]),
        minPause,
        ...(mode === 'aligned' && minPause === 0 ? { maxConcurrent: this.#draw([1, 2, 3]) } : {}),
        ...(mode === 'aligned-then-unaligned' ? { alignmentTimeout: 20 } : {}),
      },
      ...(isEvicting ? { stateMemory: '64kb' } : {}),
    }
  }

  #draw<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.#random() * choices.length)]!
  }

  #compare(reference: string, own: string): void {
    for (const output of readdirSync(join(reference, 'out'))) {
      const difference = outputDifference(output, linesOf(join(reference, 'out', output)), linesOf(join(own, 'out', output)))
      if (difference !== undefined) this.#differences.push(difference)
      const strange = readdirSync(join(own, 'out', output)).filter((name) => !/^part-\d+-\d+\.\w+$/.test(name))
      if (strange.length > 0) this.#differences.push(`${output}: hidden files are left: ${strange.join(', ')}`)
    }
  }
}

/** The parallelism at which the newest checkpoint was taken, when it holds records that were on their way. */
export function parallelismWithRecordsOnTheirWay(stateFolder: string): number | undefined {
  if (!existsSync(environmentPath(stateFolder))) return undefined
  const stored = StoredCheckpoints.openForReading(stateFolder)
  try {
    const { subtasks = [] } = stored.latest() ?? {}
    const isAligned = subtasks.every(({ inFlight = [] }) => inFlight.length === 0)
    return isAligned ? undefined : Math.max(...subtasks.map(({ parallelism }) => parallelism))
  } finally {
    void stored.close()
  }
}

/** Lines of everything that is visible, sorted. */
function linesOf(folder: string): readonly string[] {
  const visible = readdirSync(folder).filter((name) => !name.startsWith('.'))
  return visible
    .flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n'))
    .filter((line) => line !== '')
    .sort()
}

function outputDifference(output: string, expected: readonly string[], found: readonly string[]): string | undefined {
  const counts = new Map<string, number>()
  for (const line of expected) counts.set(line, (counts.get(line) ?? 0) + 1)
  for (const line of found) counts.set(line, (counts.get(line) ?? 0) - 1)
  const missing = [...counts].filter(([, left]) => left > 0).map(([line]) => line)
  const extra = [...counts].filter(([, left]) => left < 0).map(([line]) => line)
  if (missing.length === 0 && extra.length === 0) return undefined
  const some = (lines: readonly string[]): string => lines.slice(0, 3).join(' | ')
  return `${output}: ${missing.length} lines are missing (${some(missing)}), ${extra.length} too many (${some(extra)})`
}

/** What is wrong with the store of a job that has come to its end: chunks that belong to nothing, and whatever cannot be read. */
function storeTroubles(stateFolder: string): readonly string[] {
  const stored = StoredCheckpoints.openForReading(stateFolder)
  const tables = openForReading(environmentPath(stateFolder))
  try {
    const named = new Set<string>()
    for (const id of stored.retained()) {
      for (const delta of stored.unfolded(stored.manifest(id))) {
        stored.readDelta(delta)
        named.add(`${delta.checkpoint}/${delta.sequence}`)
      }
    }
    for (const { value } of tables.meta.getRange()) decodeValue(value)
    for (const row of tables.state.getRange()) if (row.value.byteLength === 0) return ['a row of the base is empty']
    const orphans = [...tables.deltas.getKeys()].filter(([checkpoint, sequence]) => !named.has(`${checkpoint}/${sequence}`))
    return orphans.length === 0 ? [] : [`chunks belong to no checkpoint: ${orphans.map(String).join('; ')}`]
  } catch (error) {
    return [`the store cannot be read: ${String(error)}`]
  } finally {
    void tables.root.close()
    void stored.close()
  }
}
