import { isDeepStrictEqual } from 'node:util'
import type { Operator, OperatorContext } from '../core/operator.ts'
import type { Source } from '../core/source.ts'
import { GraphBuilder } from '../dsl/graph-builder.ts'
import { Stream } from '../dsl/stream.ts'
import { deepFreeze } from './freeze.ts'
import type { StateSize } from './test-cluster.ts'
import { TestCluster } from './test-cluster.ts'
import type { Feed, HandWatermarks } from './test-graph.ts'
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
  const bench = new Bench(build as Fragment<unknown, unknown>, options.oneSlot ?? false)
  const cuts = options.restoreAfter ?? []
  for (const [index, item] of items.entries()) {
    await bench.apply(item)
    if (cuts === 'all' || cuts.includes(index)) await bench.restore()
  }
  return { outcomes: bench.outcomes, state: await bench.stateSize() }
}

export interface CheckOptions {
  /** The results, when they are known: compared with those of the plain run, without watermarks. */
  readonly expected?: readonly unknown[]
  /** Nothing may be left in state and timers after the last item. Default: false. */
  readonly emptyAtEnd?: boolean
  /** How outcomes are compared: as they come, or as sets where no order is promised. Default: as they come. */
  readonly ordered?: boolean
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
    ...items.map((_, index) => [`restored after item ${index}`, { restoreAfter: [index] }] as const),
  ]
  for (const [name, way] of ways) {
    const run = await runOperator(build, items, way)
    compare(name, plain.outcomes, run.outcomes, options)
    if (options.emptyAtEnd) checkEmpty(name, run.state)
  }
  if (options.emptyAtEnd) checkEmpty('run plainly', plain.state)
  return plain
}

function compare(name: string, expected: readonly unknown[], found: readonly unknown[], { ordered = true }: CheckOptions): void {
  const [left, right] = ordered ? [expected, found] : [sorted(expected), sorted(found)]
  if (isDeepStrictEqual(left, right)) return
  throw new Error(`${name}: expected\n${shown(left)}\nbut got\n${shown(right)}`)
}

function sorted(outcomes: readonly unknown[]): readonly unknown[] {
  return outcomes
    .filter((outcome) => !(typeof outcome === 'object' && outcome !== null && 'watermark' in outcome))
    .map((outcome) => ({ outcome, text: shown([outcome]) }))
    .sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0))
    .map(({ outcome }) => outcome)
}

function shown(values: readonly unknown[]): string {
  const plain = (_: string, value: unknown): unknown => {
    if (typeof value === 'bigint' || (typeof value === 'number' && !Number.isFinite(value))) return String(value)
    return value instanceof Map || value instanceof Set ? [...value] : value
  }
  return values.map((value) => `  ${JSON.stringify(value, plain)}`).join('\n')
}

function checkEmpty(name: string, { entries, timers }: StateSize): void {
  if (entries === 0 && timers === 0) return
  throw new Error(`${name}: ${entries} entries and ${timers} timers are left in state`)
}

/** One run: the fragment between two inputs and its outputs. */
class Bench {
  readonly outcomes: Outcome[] = []
  readonly #cluster: TestCluster
  readonly #feeds: readonly Feed[]
  readonly #hands: readonly HandWatermarks[]

  constructor(build: Fragment<unknown, unknown>, oneSlot: boolean) {
    const builder = new GraphBuilder('harness')
    const inputs = ['first', 'second'].map((name) => inputStream(builder, name))
    const built = build(inputs[0]!, inputs[1]!)
    const outputs = built instanceof Stream ? { main: built as Stream<unknown> } : built
    const passed = { watermark: Number.NEGATIVE_INFINITY }
    for (const [output, stream] of Object.entries(outputs)) {
      stream.process({ onRecord: () => undefined }).named(`out-${output}`)
    }
    const graph = builder.graph()
    const nodes = graph.nodes.map((node) => {
      if (!node.name?.startsWith('out-')) return node
      const output = node.name.slice('out-'.length)
      const create = (context: OperatorContext): Operator => this.#collector(context, output, oneSlot, passed)
      return { ...node, body: { type: 'operator' as const, create } }
    })
    const test = testGraph({ ...graph, nodes }, { manualWatermarks: false, freeze: true })
    this.#feeds = [...test.feeds.values()]
    this.#hands = ['in-first', 'in-second'].map((id) => test.watermarks.get(id)!)
    this.#cluster = new TestCluster(test, 1, 0)
  }

  /** Notes results, and each watermark once, whatever number of outputs it comes through. */
  #collector(context: OperatorContext, output: string, oneSlot: boolean, passed: { watermark: number }): Operator {
    return {
      onRecord: (value) => {
        const { timestamp } = context.cell
        this.outcomes.push({ output, value: deepFreeze(value), timestamp: Number.isNaN(timestamp) ? undefined : timestamp })
        if (oneSlot) context.hold()
      },
      onWatermark: (watermark) => {
        if (watermark > passed.watermark && output === 'main') this.outcomes.push({ watermark })
        passed.watermark = Math.max(passed.watermark, watermark)
        return true
      },
      full: false,
      deliver: () => false,
    }
  }

  async apply(item: Item): Promise<void> {
    switch (item.type) {
      case 'record':
        this.#feeds[item.input]!.send(deepFreeze({ value: item.value, timestamp: item.timestamp }))
        break
      case 'watermark':
        this.#hands.forEach((hand, input) => {
          if (item.input === undefined || item.input === input) hand.raise(item.time)
        })
        break
      case 'clock':
        this.#cluster.advanceClock(Math.max(0, item.time - this.#cluster.now))
        break
      case 'end':
        for (const feed of this.#feeds) feed.finish()
        break
    }
    await this.#cluster.settled()
  }

  async restore(): Promise<void> {
    const ended = this.#feeds.some((feed) => feed.finished)
    await this.#cluster.checkpoint()
    this.#cluster.restart()
    if (ended) for (const feed of this.#feeds) feed.finish()
  }

  async stateSize(): Promise<StateSize> {
    return await this.#cluster.stateSize()
  }
}

/** A stream of what is fed, with the timestamps that it is fed with. */
function inputStream(builder: GraphBuilder, name: string): Stream<unknown> {
  const source: Source<unknown> = { kind: name, enumerate: () => [], open: () => ({ poll: () => null, position: () => 0 }) }
  const read = builder.addSource(source)
  const reference = builder.add({ kind: 'input', body: { type: 'operator', create: unwrap }, assignsTimestamps: true }, [
    { outputs: [read] },
  ])
  builder.name(reference.node, `in-${name}`)
  return new Stream<unknown>(builder, [reference])
}

function unwrap({ cell, output }: OperatorContext): Operator {
  return {
    makesWatermarks: true,
    onRecord(wrapped) {
      const { value, timestamp } = wrapped as { readonly value: unknown; readonly timestamp: number }
      const before = cell.timestamp
      cell.timestamp = timestamp
      output.onRecord(value)
      cell.timestamp = before
    },
  }
}
