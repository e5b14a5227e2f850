import { pathToFileURL } from 'node:url'
import { flagsOf } from '../control/flags.ts'
import type { JobResult } from '../control/job-manager.ts'
import type { JobOptions, JobSettings, RunOptions } from '../control/settings.ts'
import { badRecordSettings, resolveSettings } from '../control/settings.ts'
import { SluiceError } from '../core/errors.ts'
import { shown } from '../core/shown.ts'
import type { Source } from '../core/source.ts'
import { handOver, isWorkerOfJob } from '../graph/handover.ts'
import type { StreamGraph } from '../graph/stream-graph.ts'
import { GraphBuilder } from './graph-builder.ts'
import { Stream } from './stream.ts'

/** Looks into a job; set by the class, which alone can. */
let insideOf: (job: Job) => { readonly graph: StreamGraph; readonly options: JobOptions }

/** A job: begin with `from`, end with `run`. */
export class Job {
  readonly name: string
  readonly #options: JobOptions
  readonly #builder: GraphBuilder

  static {
    insideOf = (job) => ({ graph: job.#builder.graph(badRecordSettings(job.#options)), options: job.#options })
  }

  constructor(name: string, options: JobOptions) {
    if (typeof name !== 'string' || !/^[A-Za-z0-9_-]{1,128}$/.test(name)) {
      throw new SluiceError('INVALID_JOB_NAME', `${shown(name)} is not a name for a job`, {
        hint: "use letters, digits, '-' and '_': the name is that of the job's state folder",
      })
    }
    this.name = name
    this.#options = options
    this.#builder = new GraphBuilder(name)
  }

  /** A stream of everything that a source reads. */
  from<T, Split, Position>(source: Source<T, Split, Position>): Stream<T> {
    return new Stream<T>(this.#builder, [this.#builder.addSource(source as unknown as Source<unknown>)])
  }

  /**
   * Runs the job to its end, resuming from its newest checkpoint when an earlier run was killed, stopped or failed. Flags on the command
   * line override `overrides`, which override the job's options. In a worker thread it hands the graph over and never settles.
   * @throws SluiceError what made the job fail for good
   */
  async run(overrides: RunOptions = {}): Promise<JobResult> {
    const graph = this.#builder.graph(badRecordSettings({ ...this.#options, ...overrides }))
    const resolve = (): JobSettings => resolveSettings(this.#options, overrides, flagsOf(process.argv.slice(2)))
    if (isWorkerOfJob()) return (await handOver(graph, resolve)) as JobResult
    const settings = resolve()
    // Loaded only here: worker threads import this module too, and need not wait for what only the main thread does.
    const { runJob } = await import('../control/job-manager.ts')
    return await runJob(graph, settings, settings.workers === 0 ? undefined : moduleOf(settings.module))
  }
}

/**
 * Begins a job.
 *
 * ```ts
 * const wordCount = job('word-count')
 * wordCount.from(readText('books/*.txt')).flatMap((line) => line.split(' ')).keyBy((word) => word).count().to(print())
 * await wordCount.run()
 * ```
 *
 * @param name letters, digits, `-`, `_`: it names the folder of the job's state
 * @throws SluiceError `INVALID_JOB_NAME`
 */
export function job(name: string, options: JobOptions = {}): Job {
  checkNode(process.versions.node)
  return new Job(name, options)
}

/** The graph of a job as far as it is written; for `sluice/testing`, which runs it in its own way. */
export function graphOf(job: Job): StreamGraph {
  return insideOf(job).graph
}

/** The options that a job was made with; for `sluice/testing`. */
export function optionsOf(job: Job): JobOptions {
  return insideOf(job).options
}

function checkNode(version: string): void {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > 22 || (major === 22 && minor >= 18)) return
  throw new SluiceError('NODE_TOO_OLD', `this is Node ${version}, Sluice needs 22.18 or newer`)
}

function moduleOf(given: string | undefined): string {
  const module = given ?? process.argv[1]
  if (module === undefined) {
    throw new SluiceError('MODULE_UNKNOWN', 'worker threads cannot build the job: the program has no entry file', {
      hint: 'put the job in a file, pass run({ module: import.meta.url }), or run it without threads: { workers: 0 }',
    })
  }
  return /^(file|data):/.test(module) ? module : pathToFileURL(module).href
}
