import { inspect, isDeepStrictEqual } from 'node:util'
import { unreachable } from '../core/assert.ts'
import type { Sink } from '../core/sink.ts'
import type { Source } from '../core/source.ts'
import { GraphBuilder } from '../dsl/graph-builder.ts'
import { Stream } from '../dsl/stream.ts'
import type { Feed } from './feed.ts'
import { deepFreeze } from './freeze.ts'
import type { StateSize } from './test-cluster.ts'
import { TestCluster } from './test-cluster.ts'
import type { TestGraph } from './test-graph.ts'
import { testGraph } from './test-graph.ts'

/** Something that happens to an operator. */
export type Item =
  | { readonly type: 'record'; readonly input: 0 | 1; readonly value: unknown; readonly timestamp: number }
  | { readonly type: 'watermark'; readonly input: 0 | 1 | undefined; readonly time: number }
  | { readonly type: 'clock'; readonly time: number }
  | { readonly type: 'end' }

/** A record of the first input. Without a timestamp it has none. */
export function record(value: unknown, timestamp: number = Number.NaN): Item {
  return { type: 'record', input: 0, value, timestamp }
}

/** A record of the second input. */
export function second(value: unknown, timestamp: number = Number.NaN): Item {
  return { type: 'record', input: 1, value, timestamp }
}

/** The watermark of one input, or of both when none is named. */
export function watermark(time: number, input?: 0 | 1): Item {
  return { type: 'watermark', input, time }
}

/** The clock moves on to `time`, and stops at every instant on the way at which something is due. */
export function processingTime(time: number): Item {
  return { type: 'clock', time }
}

/** The end of all inputs. */
export function end(): Item {
  return { type: 'end' }
}

/** What came out: a result, or the watermark that was passed on. */
export type Outcome =
  | { readonly output: string; readonly value: unknown; readonly timestamp: number | undefined }
  | { readonly watermark: number }

/** The piece of a job to try: from an input, or two, to a stream or several by name. */
export type Fragment<A = never, B = never> = (
  first: Stream<A>,
  second: Stream<B>,
) => Stream<unknown> | Readonly<Record<string, Stream<unknown>>>

export interface RunOptions {
  /** After which items the operators are saved and restored into fresh instances; `'all'`: after each. Default: never. */
  readonly restoreAfter?: readonly number[] | 'all'
  /** Results go one at a time: each waits for room. Default: false. */
  readonly oneSlot?: boolean
  /** Asynchronous calls stay under way from one item to the next, and into checkpoints. Default: each item waits until they are over. */
  readonly inFlight?: boolean
}

/** What a run gave. */
export interface HarnessRun {
  readonly outcomes: readonly Outcome[]
  /** What the operators still held after the last item. */
  readonly state: StateSize
}

/**
 * Runs operators item by item on the engine's own tasks, chains and state. `build` is any piece of a job:
 *
 * ```ts
 * const { outcomes } = await runOperator((input: Stream<number>) => input.map((n) => n + 1), [record(1, 10), watermark(10), end()])
 * // [{ output: 'main', value: 2, timestamp: 10 }, { watermark: 10 }, { watermark: Infinity }]
 * ```
 */
export async function runOperator<A, B>(
  build: Fragment<A, B>,
  items: readonly Item[],
  options: RunOptions = {},
): Promise<HarnessRun> {
  const bench = new Bench(build as Fragment<unknown, unknown>, options)
  const cuts = options.restoreAfter ?? []
  for (const [index, item] of items.entries()) {
    await bench.apply(item)
    if (cuts === 'all' || cuts.includes(index)) await bench.restore()
  }
  return await bench.finish()
}

export interface CheckOptions {
  /** The results, when they are known: compared with those of the plain run, without watermarks. */
  readonly expected?: readonly unknown[]
  /** Nothing may be left in state and timers after the last item. Default: false. */
  readonly emptyAtEnd?: boolean
  /** False where no order is promised: results are then compared as sets, from one watermark to the next. Default: true. */
  readonly ordered?: boolean
  /** True: also restored with asynchronous calls under way. Only for calls that come to an end without the clock. Default: false. */
  readonly inFlight?: boolean
}

/**
 * Runs operators in every way that must not make a difference: plainly; saved and restored into fresh instances after each single item, and after
 * all of them; and with results that each wait for room.
 * @throws Error with both outcomes where one differs
 */
export async function checkOperator<A, B>(
  build: Fragment<A, B>,
  items: readonly Item[],
  options: CheckOptions = {},
): Promise<HarnessRun> {
  const plain = await runOperator(build, items)
  if (options.expected !== undefined) {
    const found = plain.outcomes.flatMap((outcome) => ('value' in outcome ? [outcome.value] : []))
    compare('the results', options.expected, found, options)
  }
  const ways: (readonly [string, RunOptions])[] = [
    ['with one slot for results', { oneSlot: true }],
    ['restored after each item', { restoreAfter: 'all' }],
    ['restored after each item, with one slot for results', { restoreAfter: 'all', oneSlot: true }],
    ...items.map((item, index) => [`restored after item ${index} (${shown(item)})`, { restoreAfter: [index] }] as const),
  ]
  if (options.inFlight) {
    ways.push(['with calls under way', { inFlight: true }])
    ways.push(['restored after each item, with calls under way', { restoreAfter: 'all', inFlight: true }])
    for (const index of items.keys()) {
      ways.push([`restored after item ${index}, with calls under way`, { restoreAfter: [index], inFlight: true }])
    }
  }
  for (const [name, way] of ways) {
    const run = await runOperator(build, items, way)
    const seen = (outcomes: readonly Outcome[]): readonly Outcome[] => (way.inFlight ? withoutOvertaken(outcomes) : outcomes)
    compare(name, seen(plain.outcomes), seen(run.outcomes), options)
    if (options.emptyAtEnd) checkEmpty(name, run.state)
  }
  if (options.emptyAtEnd) checkEmpty('run plainly', plain.state)
  return plain
}

function compare(name: string, expected: readonly unknown[], found: readonly unknown[], { ordered = true }: CheckOptions): void {
  const [left, right] = ordered ? [expected, found] : [sorted(expected), sorted(found)]
  if (isDeepStrictEqual(left, right)) return
  const at = left.findIndex((outcome, index) => index >= right.length || !isDeepStrictEqual(outcome, right[index]))
  const place = at < 0 ? left.length : at
  throw new Error(`${name}: outcome ${place} differs\nexpected ${listed(left, place)}\nbut got  ${listed(right, place)}`)
}

/** Without watermarks that another follows at once: while calls are under way, how many there are follows from when the calls end. */
function withoutOvertaken(outcomes: readonly Outcome[]): readonly Outcome[] {
  return outcomes.filter((outcome, index) => {
    const next = outcomes[index + 1]
    return 'value' in outcome || next === undefined || 'value' in next
  })
}

/** All outcomes, one in each line, with a mark at the one that differs. */
function listed(outcomes: readonly unknown[], place: number): string {
  const lines = outcomes.map((outcome, index) => `\n${index === place ? '>' : ' '} ${shown(outcome)}`)
  return `${outcomes.length} outcomes:${lines.join('')}${place >= outcomes.length ? '\n> nothing more' : ''}`
}

/** Results in an order of their own between two watermarks, which stay where they are. */
function sorted(outcomes: readonly unknown[]): readonly unknown[] {
  const rows: { readonly segment: number; readonly text: string; readonly outcome: unknown }[] = []
  let segment = 0
  for (const outcome of outcomes) {
    const isWatermark = typeof outcome === 'object' && outcome !== null && 'watermark' in outcome && !('output' in outcome)
    if (isWatermark) segment++
    rows.push({ segment, text: isWatermark ? '' : shown(outcome), outcome })
    if (isWatermark) segment++
  }
  const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
  return rows.sort((a, b) => a.segment - b.segment || compareText(a.text, b.text)).map(({ outcome }) => outcome)
}

function shown(value: unknown): string {
  return inspect(value, { depth: 8, breakLength: Number.POSITIVE_INFINITY, compact: true, sorted: true })
}

/** A piece of a job that is tried again and again; each run begins anew. */
export interface OperatorHarness {
  /** Runs it item by item. See `runOperator`. */
  run(items: readonly Item[], options?: RunOptions): Promise<HarnessRun>
  /** Runs it in every way that must not make a difference. See `checkOperator`. @throws Error where one does */
  check(items: readonly Item[], options?: CheckOptions): Promise<HarnessRun>
}

/**
 * `runOperator` and `checkOperator` for one piece of a job:
 *
 * ```ts
 * const harness = operatorHarness((input: Stream<number>) => input.keyBy((n) => n % 2).count())
 * const { outcomes } = await harness.run([record(1), record(3)])
 * ```
 */
export function operatorHarness<A, B>(build: Fragment<A, B>): OperatorHarness {
  return {
    run: (items, options) => runOperator(build, items, options),
    check: (items, options) => checkOperator(build, items, options),
  }
}

function checkEmpty(name: string, { entries, timers }: StateSize): void {
  if (entries === 0 && timers === 0) return
  throw new Error(`${name}: ${entries} entries and ${timers} timers are left in state`)
}

/** One run: the fragment between two inputs and its outputs. */
class Bench {
  readonly #test: TestGraph
  readonly #cluster: TestCluster
  readonly #feeds: readonly Feed[]
  readonly #inFlight: boolean
  readonly #outputs: ReadonlyMap<string, string>

  constructor(build: Fragment<unknown, unknown>, { oneSlot = false, inFlight = false }: RunOptions) {
    const builder = new GraphBuilder('harness')
    const [first, second] = [inputStream(builder, 'first'), inputStream(builder, 'second')]
    const built = build(first, second)
    const outputs = Object.entries(built instanceof Stream ? { main: built as Stream<unknown> } : built)
    for (const [, stream] of outputs) stream.to(OUTPUT)
    this.#test = testGraph(builder.graph(), { freeze: true, timedSources: true, recordWatermarks: true, oneSlot })
    this.#outputs = new Map([...this.#test.sinks.keys()].map((id, index) => [id, outputs[index]![0]]))
    this.#feeds = [...this.#test.feeds.values()]
    this.#inFlight = inFlight
    this.#cluster = new TestCluster(this.#test, 1, 0)
  }

  /** Results of all outputs in the order in which they came, and each watermark once: as it came through the first of them. */
  get outcomes(): readonly Outcome[] {
    const [watched] = this.#outputs.keys()
    return this.#test.recording.all.flatMap((recorded): readonly Outcome[] => {
      if ('watermark' in recorded) return recorded.sink === watched ? [{ watermark: recorded.watermark }] : []
      const { sink, value, timestamp } = recorded
      return [{ output: this.#outputs.get(sink)!, value, timestamp }]
    })
  }

  async apply(item: Item): Promise<void> {
    switch (item.type) {
      case 'record':
        this.#feeds[item.input]!.send(deepFreeze(item.value), item.timestamp)
        break
      case 'watermark':
        this.#feeds.forEach((feed, input) => {
          if (item.input === undefined || item.input === input) feed.raise(item.time)
        })
        break
      case 'clock':
        this.#cluster.advanceClock(Math.max(0, item.time - this.#cluster.now))
        break
      case 'end':
        for (const feed of this.#feeds) feed.finish()
        break
      default:
        unreachable(item)
    }
    this.#cluster.run()
    if (!this.#inFlight) await this.#cluster.settled()
  }

  async restore(): Promise<void> {
    await this.#cluster.checkpoint()
    this.#cluster.restart()
  }

  async finish(): Promise<HarnessRun> {
    await this.#cluster.settled()
    const state = await this.#cluster.stateSize()
    this.#cluster.close()
    return { outcomes: this.outcomes, state }
  }
}

/** Stands for whatever reads an output. */
const OUTPUT: Sink<unknown> = {
  kind: 'output',
  createWriter: () => ({ write: () => undefined, prepareCommit: () => [], close: () => undefined }),
  createCommitter: () => ({ open: () => undefined, commit: () => undefined }),
}

/** A stream of what is fed. */
function inputStream(builder: GraphBuilder, kind: string): Stream<unknown> {
  const source: Source<unknown> = { kind, enumerate: () => [], open: () => ({ poll: () => null, position: () => 0 }) }
  return new Stream<unknown>(builder, [builder.addSource(source)])
}
