import type { JobOptions } from '../control/settings.ts'
import { resolveSettings } from '../control/settings.ts'
import { SluiceError } from '../core/errors.ts'
import type { Sink } from '../core/sink.ts'
import type { Source } from '../core/source.ts'
import type { Duration } from '../core/time.ts'
import { durationMs } from '../core/time.ts'
import type { Job } from '../dsl/job.ts'
import { graphOf, optionsOf } from '../dsl/job.ts'
import { validateGraph } from '../graph/stream-graph.ts'
import type { Feed } from './feed.ts'
import { deepFreeze } from './freeze.ts'
import type { Recorded } from './recording.ts'
import type { StateSize } from './test-cluster.ts'
import { TestCluster } from './test-cluster.ts'
import type { TestGraph } from './test-graph.ts'
import { testGraph } from './test-graph.ts'

export interface TestDriverOptions {
  /** Subtasks of every operator that does not say otherwise. Default: 1. */
  readonly parallelism?: number
  /** The clock at the beginning, in milliseconds since 1970. Default: 0. */
  readonly startTime?: number
  /**
   * `'automatic'`: `withTimestamps` makes watermarks as it does in production, after each record. `'manual'`: only `advanceWatermark` makes
   * any. Default: automatic.
   */
  readonly watermarks?: 'automatic' | 'manual'
  /** Freezes records deeply, so that an operator which changes one that it was given fails. Default: true. */
  readonly freeze?: boolean
}

/** A source as it was given to `from`, or the id of its operator. May be left out where there is only one. */
export type SourceName<T> = string | Source<T>

/** A sink as it was given to `to`, or the id of its operator. May be left out where there is only one. */
export type SinkName<T> = string | Sink<T>

export interface SendOptions<T = unknown> {
  readonly to?: SourceName<T>
  /** Event time in milliseconds since 1970, as if the source knew it. `withTimestamps` puts its own in its place. Default: none. */
  readonly timestamp?: number
  /** Which of the source's splits has the record: there is one for each subtask that it had at the start. Default: in turn. */
  readonly subtask?: number
}

/** A result and the event time that it bears; `undefined` for one without. */
export interface TimestampedResult<T> {
  readonly value: T
  readonly timestamp: number | undefined
}

/**
 * Runs a job by hand: the same graph, operators, state, watermarks, barriers and recovery as in production, in one thread, with a clock that
 * stands still until it is moved, without disk. Records are sent instead of read, and outputs looked at instead of written.
 *
 * ```ts
 * const words = job('words')
 * const out = writeJsonLines<{ key: string; count: number }>('out')
 * words.from(readText('words.txt')).keyBy((word) => word).count().to(out)
 *
 * const driver = testDriver(words)
 * driver.send('to')
 * await driver.checkpoint()
 * driver.send('to')
 * driver.crashAndRestore()
 * driver.output(out) // [{ key: 'to', count: 1 }, { key: 'to', count: 2 }]
 * ```
 *
 * What an operator throws comes out of the call that made it run, as the `SluiceError` that the engine would report. After that every call
 * throws it again, until `crashAndRestore`.
 */
export class TestDriver {
  readonly #test: TestGraph
  readonly #cluster: TestCluster
  readonly #options: JobOptions

  constructor(job: Job, options: TestDriverOptions = {}) {
    const graph = graphOf(job)
    validateGraph(graph)
    checkOptions(options)
    this.#options = optionsOf(job)
    const settings = resolveSettings(this.#options, { parallelism: options.parallelism ?? 1, workers: 0 }, {})
    this.#test = testGraph(graph, { manualWatermarks: options.watermarks === 'manual', freeze: options.freeze ?? true })
    this.#cluster = new TestCluster(this.#test, settings.parallelism, options.startTime ?? 0, settings.maxParallelism)
  }

  /** Sends a record, and lets the job work until it is quiet. @throws SluiceError what an operator threw */
  send<T>(value: NoInfer<T>, options: SendOptions<T> = {}): void {
    this.sendAll<T>([value], options)
  }

  /** Sends records together, as a source reads them. @throws SluiceError what an operator threw */
  sendAll<T>(values: Iterable<NoInfer<T>>, { to, timestamp, subtask }: SendOptions<T> = {}): void {
    const feed = this.#feed(to)
    if (feed.finished) throw invalid('the input has been finished: nothing can be sent any more')
    if (timestamp !== undefined && !Number.isFinite(timestamp)) throw invalid(`the timestamp is ${timestamp}, not milliseconds`)
    if (subtask !== undefined && !(Number.isInteger(subtask) && subtask >= 0 && subtask < feed.splits)) {
      throw invalid(`the source had ${feed.splits} subtasks at the start, counted from 0: none is ${subtask}`)
    }
    for (const value of values) feed.send(this.#test.frozen ? deepFreeze(value) : value, timestamp, subtask)
    this.#cluster.run()
  }

  /**
   * Raises watermarks by hand: no record with a time of `time` or earlier follows what has been sent. It comes out of the source, behind all
   * records so far, and each `withTimestamps` that it meets passes it on. One that is not larger than the watermark changes nothing.
   * @param options.to only out of this source
   */
  advanceWatermark(time: number, options: { readonly to?: SourceName<unknown> } = {}): void {
    if (!Number.isFinite(time))
      throw invalid(`a watermark is milliseconds since 1970, not ${time}; for the end of time call finish()`)
    this.#test.raised.add(time)
    for (const feed of this.#feedsOf(options.to)) feed.raise(time)
    this.#cluster.run()
  }

  /** Moves the clock, and stops at every instant on the way at which a timer is due. */
  advanceProcessingTime(duration: Duration): void {
    this.#cluster.advanceClock(durationMs(duration, 'the time to advance'))
  }

  /** The clock, in milliseconds since 1970. It does not go back in a crash. */
  get now(): number {
    return this.#cluster.now
  }

  /**
   * Ends the inputs: windows and event-time timers fire, as at the end of a file. Asynchronous calls may still be under way, see `settled`.
   * @param options.to only this source
   */
  finish(options: { readonly to?: SourceName<unknown> } = {}): void {
    for (const feed of this.#feedsOf(options.to)) feed.finish()
    this.#cluster.run()
  }

  /** Waits until no asynchronous call is under way. @throws SluiceError when one does not come back */
  async settled(): Promise<void> {
    await this.#cluster.settled()
  }

  /** Takes a checkpoint: what has been output by now is visible for good, and a crash goes back to here. */
  async checkpoint(): Promise<void> {
    await this.#cluster.checkpoint()
  }

  /**
   * Kills the job and starts it from the newest checkpoint, or from the beginning when there is none. It reads again what has been sent
   * since, with watermarks raised by hand in their places; the clock stays where it is.
   * @param options.parallelism of the restarted job; as before when it is left out
   */
  crashAndRestore({ parallelism }: { readonly parallelism?: number } = {}): void {
    if (parallelism !== undefined) resolveSettings(this.#options, { parallelism, workers: 0 }, {})
    this.#cluster.restart(parallelism)
  }

  /** What a sink has been given, in the order in which it came. Each result is there once, as its output would be read after the job has ended. */
  output<T = unknown>(sink?: SinkName<T>): readonly T[] {
    return this.outputWithTimestamps(sink).map((result) => result.value)
  }

  /** The same with the event time of each result. */
  outputWithTimestamps<T = unknown>(sink?: SinkName<T>): readonly TimestampedResult<T>[] {
    return this.#results(this.#test.recording.all, sink)
  }

  /** What a reader of the output would see by now: the results of complete checkpoints. */
  committed<T = unknown>(sink?: SinkName<T>): readonly T[] {
    return this.#results(this.#test.recording.visible, sink).map((result) => result.value)
  }

  /** Records that came too late. */
  get late(): number {
    return this.#cluster.late
  }

  /**
   * How many entries and timers keyed operators hold: none, when a job has forgotten what it need not know any more.
   * @param operator id of one operator; all of them when it is left out
   */
  async stateSize(operator?: string): Promise<StateSize> {
    return await this.#cluster.stateSize(operator)
  }

  /** Ends the job: the `close` handlers of its operators run. */
  close(): void {
    this.#cluster.close()
  }

  #results<T>(all: readonly Recorded[], sink: SinkName<T> | undefined): readonly TimestampedResult<T>[] {
    const id = idOf(this.#test.sinks, ({ original }) => original, sink, 'sink')
    return all.flatMap((recorded) =>
      recorded.sink === id && 'value' in recorded ? [{ value: recorded.value as T, timestamp: recorded.timestamp }] : [],
    )
  }

  #feed<T>(source: SourceName<T> | undefined): Feed {
    return this.#test.feeds.get(idOf(this.#test.feeds, (feed) => feed.source, source, 'source'))!
  }

  #feedsOf(source: SourceName<unknown> | undefined): readonly Feed[] {
    return source === undefined ? [...this.#test.feeds.values()] : [this.#feed(source)]
  }
}

function checkOptions({ watermarks = 'automatic', startTime = 0 }: TestDriverOptions): void {
  if (watermarks !== 'automatic' && watermarks !== 'manual') {
    throw invalid(`watermarks are 'automatic' or 'manual', not ${JSON.stringify(watermarks)}`)
  }
  if (!Number.isFinite(startTime)) throw invalid(`startTime is milliseconds since 1970, not ${startTime}`)
}

/** The id under which something is known that the job was built with. */
function idOf<T>(all: ReadonlyMap<string, T>, originalOf: (item: T) => unknown, name: unknown, what: string): string {
  const ids = [...all.keys()]
  const fitting =
    name === undefined
      ? ids
      : typeof name === 'string'
        ? ids.filter((id) => id === name)
        : ids.filter((id) => originalOf(all.get(id)!) === name)
  if (fitting.length === 1) return fitting[0]!
  throw new SluiceError(
    'INVALID_OPTION',
    fitting.length > 1 ? `the job has more than one such ${what}` : `the job has no such ${what}`,
    {
      hint: ids.length === 0 ? `it has no ${what} at all` : `name one of: ${ids.join(', ')}`,
    },
  )
}

function invalid(message: string): SluiceError {
  return new SluiceError('INVALID_OPTION', message)
}

/** A job to be run by hand in a test; it must not have run. @throws SluiceError when the job's graph cannot run */
export function testDriver(job: Job, options: TestDriverOptions = {}): TestDriver {
  return new TestDriver(job, options)
}
