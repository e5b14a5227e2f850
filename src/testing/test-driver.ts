import { SluiceError } from '../core/errors.ts'
import type { Sink } from '../core/sink.ts'
import type { Source } from '../core/source.ts'
import type { Duration } from '../core/time.ts'
import { durationMs } from '../core/time.ts'
import type { Job } from '../dsl/job.ts'
import { graphOf } from '../dsl/job.ts'
import { deepFreeze } from './freeze.ts'
import type { StateSize } from './test-cluster.ts'
import { TestCluster } from './test-cluster.ts'
import type { Capture, Feed, HandWatermarks } from './test-graph.ts'
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
export type SourceName = string | Source<never> | Source<unknown>

/** A sink as it was given to `to`, or the id of its operator. May be left out where there is only one. */
export type SinkName<T> = string | Sink<T>

export interface SendOptions {
  readonly to?: SourceName
  /** Which subtask of the source reads the record. Default: one after the other. */
  readonly subtask?: number
}

type Action = () => void

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
 */
export class TestDriver {
  readonly #cluster: TestCluster
  readonly #feeds: ReadonlyMap<string, Feed>
  readonly #captures: ReadonlyMap<string, Capture>
  readonly #watermarks: ReadonlyMap<string, HandWatermarks>
  readonly #freeze: boolean
  /** What has been done since the newest checkpoint: a crash undoes it, and it is done again. */
  #since: Action[] = []

  constructor(job: Job, options: TestDriverOptions = {}) {
    this.#freeze = options.freeze ?? true
    const test = testGraph(graphOf(job), { manualWatermarks: options.watermarks === 'manual', freeze: this.#freeze })
    this.#feeds = test.feeds
    this.#captures = test.captures
    this.#watermarks = test.watermarks
    this.#cluster = new TestCluster(test, options.parallelism ?? 1, options.startTime ?? 0)
  }

  /** Sends a record, and lets the job work until it is quiet. @throws SluiceError what an operator threw */
  send(value: unknown, options: SendOptions = {}): void {
    this.sendAll([value], options)
  }

  /** Sends records together, as a source reads them. @throws SluiceError what an operator threw */
  sendAll(values: Iterable<unknown>, options: SendOptions = {}): void {
    const feed = this.#feed(options.to)
    const sent = this.#freeze ? [...values].map(deepFreeze) : [...values]
    this.#act(() => {
      for (const value of sent) feed.send(value, options.subtask)
      this.#cluster.run()
    })
  }

  /**
   * Raises the watermark of `withTimestamps`: no record with a time of `time` or earlier follows.
   * @param operator id of one such operator; all of them when it is left out
   */
  advanceWatermark(time: number, operator?: string): void {
    const hands = operator === undefined ? [...this.#watermarks.values()] : [named(this.#watermarks, operator, 'withTimestamps')]
    if (hands.length === 0) {
      throw new SluiceError('INVALID_OPTION', 'the job has no watermarks', { hint: 'call withTimestamps in it' })
    }
    this.#act(() => {
      for (const hand of hands) hand.raise(time)
      this.#cluster.run()
    })
  }

  /** Moves the clock, and stops at every instant on the way at which a timer is due. */
  advanceProcessingTime(duration: Duration): void {
    const ms = durationMs(duration, 'the time to advance')
    this.#act(() => this.#cluster.advanceClock(ms))
  }

  /** The clock, in milliseconds since 1970. */
  get now(): number {
    return this.#cluster.now
  }

  /** Ends the inputs: windows and timers fire, as at the end of a file. */
  finish(): void {
    this.#act(() => {
      for (const feed of this.#feeds.values()) feed.finish()
      this.#cluster.run()
    })
  }

  /** Waits until no asynchronous call is under way. */
  async settled(): Promise<void> {
    await this.#cluster.settled()
  }

  /** Takes a checkpoint: what has been output by now is visible for good. */
  async checkpoint(): Promise<void> {
    await this.#cluster.checkpoint()
    for (const capture of this.#captures.values()) capture.commit()
    this.#since = []
  }

  /**
   * Kills the job, starts it from the newest checkpoint and lets it read again what has been sent since.
   * @param options.parallelism of the restarted job; as before when it is left out
   */
  crashAndRestore(options: { readonly parallelism?: number } = {}): void {
    for (const capture of this.#captures.values()) capture.rewind()
    this.#cluster.restart(options.parallelism)
    for (const action of this.#since) action()
  }

  /** What a sink has been given: each result once, as its output would be read after the job has ended. */
  output<T = unknown>(sink?: SinkName<T>): readonly T[] {
    return this.#capture(sink).records.map((record) => record.value as T)
  }

  /** The same with the event time of each result; `undefined` for those without one. */
  outputWithTimestamps<T = unknown>(
    sink?: SinkName<T>,
  ): readonly { readonly value: T; readonly timestamp: number | undefined }[] {
    return this.#capture(sink).records as readonly { readonly value: T; readonly timestamp: number | undefined }[]
  }

  /** What a reader of the output would see by now: the results of complete checkpoints. */
  committed<T = unknown>(sink?: SinkName<T>): readonly T[] {
    return this.#capture(sink).committed.map((record) => record.value as T)
  }

  /** Records that came too late, since the job was last started. */
  get late(): number {
    return this.#cluster.late
  }

  /** How much keyed operators hold: nothing, when a job does not leak. */
  async stateSize(): Promise<StateSize> {
    return await this.#cluster.stateSize()
  }

  #act(action: Action): void {
    this.#since.push(action)
    action()
  }

  #feed(source: SourceName | undefined): Feed {
    if (typeof source === 'object')
      return found(
        [...this.#feeds.values()].find((feed) => feed.source === source),
        this.#feeds,
        'source',
      )
    return named(this.#feeds, source, 'source')
  }

  #capture<T>(sink: SinkName<T> | undefined): Capture {
    if (typeof sink === 'object')
      return found(
        [...this.#captures.values()].find((capture) => capture.sink === sink),
        this.#captures,
        'sink',
      )
    return named(this.#captures, sink, 'sink')
  }
}

function named<T>(all: ReadonlyMap<string, T>, id: string | undefined, what: string): T {
  if (id !== undefined) return found(all.get(id), all, what)
  const [only, second] = all.values()
  return found(second === undefined ? only : undefined, all, what)
}

function found<T>(item: T | undefined, all: ReadonlyMap<string, T>, what: string): T {
  if (item !== undefined) return item
  const ids = [...all.keys()]
  throw new SluiceError('INVALID_OPTION', `there is no such ${what} in the job, or more than one`, {
    hint: ids.length === 0 ? `the job has no ${what}` : `name one of: ${ids.join(', ')}`,
  })
}

/** A job to be run by hand in a test; it must not have run. @throws SluiceError when the job's graph cannot run */
export function testDriver(job: Job, options: TestDriverOptions = {}): TestDriver {
  return new TestDriver(job, options)
}
