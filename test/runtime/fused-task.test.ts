import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { filterOperator } from '../../operators/filter.ts'
import { flatMapOperator } from '../../operators/flat-map.ts'
import { countOperator } from '../../operators/keyed/count.ts'
import { mapOperator } from '../../operators/map.ts'
import { timestampsOperator } from '../../operators/timestamps.ts'
import { keyGroupOf } from '../../src/core/key-groups.ts'
import type { OperatorContext } from '../../src/core/operator.ts'
import type { Element } from '../../src/protocol/element.ts'
import type { NodeSketch } from '../graph/graphs.ts'
import { barrier, END, operator, TaskHarness, watermark } from './task-harness.ts'

/** What a function of the job does at one of its calls. */
type Incident = 'throw' | 'urgent'

/** What is done to a task, one after the other. */
type Action =
  | { readonly type: 'send'; readonly input: number; readonly element: Element }
  | { readonly type: 'steps'; readonly count: number }
  | { readonly type: 'urgent' }
  | { readonly type: 'abort' }
  | { readonly type: 'take' }

interface Run {
  readonly verbs: readonly (keyof typeof VERBS)[]
  readonly incidents: ReadonlyMap<number, Incident>
  readonly actions: readonly Action[]
}

/** Keys of the subtask of the harness: it is the first of two. */
const KEYS = Array.from({ length: 40 }, (_, key) => key).filter((key) => keyGroupOf(key, 128) < 64)

/** A task and what the functions of its job have seen. */
class Observed {
  readonly trace: unknown[] = []
  readonly harness: TaskHarness
  readonly #incidents: ReadonlyMap<number, Incident>
  #calls = 0

  constructor({ verbs, incidents }: Run, plain: boolean) {
    this.#incidents = incidents
    this.harness = new TaskHarness({ operators: verbs.map((verb) => VERBS[verb](this)), inputs: 2, plain })
  }

  /** A call of a function of the job. */
  call(verb: string, value: unknown, timestamp: unknown, time: number): void {
    const incident = this.#incidents.get(this.#calls++)
    this.trace.push([verb, value, timestamp, time, incident])
    if (incident === 'throw') throw new RangeError(`${verb} has failed`)
    if (incident === 'urgent') this.harness.signals.urgent++
  }

  act(action: Action): boolean {
    const { harness, trace } = this
    if (action.type === 'send') harness.send(action.input, action.element)
    else if (action.type === 'urgent') harness.signals.urgent++
    else if (action.type === 'abort') harness.task.abort(harness.signals.urgent)
    else if (action.type === 'take') this.#take()
    else
      for (let step = 0; step < action.count; step++) {
        try {
          trace.push(['step', harness.task.step(), harness.signals.stepsOf(0)])
        } catch (error) {
          trace.push(['failed', harness.task.locate(error)])
          return false
        }
      }
    return true
  }

  #take(): void {
    for (let element = this.harness.output.poll(); element !== undefined; element = this.harness.output.poll())
      this.trace.push(element)
  }

  async end(): Promise<unknown> {
    this.#take()
    const { harness } = this
    const snapshots = harness.acknowledged.map(({ checkpoint, snapshot }) => ({ checkpoint, snapshot }))
    await Promise.resolve()
    return { trace: this.trace, snapshots, progress: harness.progress, ended: harness.ended, failures: harness.failures }
  }
}

const VERBS = {
  map: (run: Observed): NodeSketch =>
    operator(
      'map',
      mapOperator((value, record) => {
        run.call('map', value, record.timestamp, record.watermark)
        return Number(value) + 1
      }),
    ),
  filter: (run: Observed): NodeSketch =>
    operator(
      'filter',
      filterOperator((value, record) => {
        run.call('filter', value, record.timestamp, record.watermark)
        return Number(value) % 4
      }),
    ),
  flatMap: (run: Observed): NodeSketch =>
    operator(
      'flat-map',
      flatMapOperator((value, record) => {
        run.call('flatMap', value, record.timestamp, record.watermark)
        return [value, Number(value) + 1, Number(value) + 2]
      }),
    ),
  timestamps: (run: Observed): NodeSketch =>
    operator(
      'timestamps',
      timestampsOperator(
        (value, record) => {
          run.call('timestamps', value, record.timestamp, record.watermark)
          return Number(value)
        },
        { maxOutOfOrderness: 3 },
      ),
    ),
  buffer: (run: Observed): NodeSketch => operator('buffer', (context) => buffer(context, run)),
  count: (run: Observed): NodeSketch =>
    operator('count', (context) => counting(context), {
      keyOf: (value) => {
        run.call('keyOf', value, undefined, 0)
        return KEYS[Math.abs(Number(value)) % KEYS.length]!
      },
    }),
}

/** A count of each key, as numbers. */
function counting(context: OperatorContext): ReturnType<ReturnType<typeof countOperator>> {
  const output = { onRecord: (value: unknown) => context.output.onRecord((value as { count: number }).count) }
  return countOperator()(Object.create(context, { output: { value: output }, keyed: { value: context.keyed } }))
}

/** Holds its records back until a watermark, and emits as many as there is room for. */
function buffer(context: OperatorContext, run: Observed): ReturnType<Parameters<typeof operator>[1]> {
  const held: unknown[] = []
  return {
    onRecord: (value) => void held.push(value),
    onWatermark(time) {
      run.trace.push(['buffer', time])
      while (held.length > 0) {
        if (!context.hasRoom) return false
        context.output.onRecord(held.shift())
      }
      return true
    },
    snapshot: () => held,
  }
}

const batch: fc.Arbitrary<Element> = fc
  .record({
    values: fc.array(fc.nat(60), { minLength: 1, maxLength: 40 }),
    times: fc.array(fc.nat(60), { minLength: 40, maxLength: 40 }),
    marks: fc.uniqueArray(fc.nat(40), { maxLength: 5 }),
    rise: fc.nat(50),
  })
  .map(({ values, times, marks, rise }) => {
    const after = marks.filter((place) => place <= values.length).sort((a, b) => a - b)
    return {
      kind: 'records',
      values,
      timestamps: values.map((_, place) => times[place]!),
      ...(after.length === 0 ? {} : { watermarks: { after, times: after.map((_, place) => rise + place * 5) } }),
    }
  })

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ type: fc.constant('send' as const), input: fc.nat(1), element: batch }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('send' as const), input: fc.nat(1), element: fc.nat(80).map(watermark) }),
  },
  { weight: 8, arbitrary: fc.record({ type: fc.constant('steps' as const), count: fc.nat(4) }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('take' as const) }) },
  { weight: 1, arbitrary: fc.constantFrom<Action>({ type: 'urgent' }, { type: 'abort' }) },
)

const run: fc.Arbitrary<Run> = fc.record({
  verbs: fc.array(fc.constantFrom(...(Object.keys(VERBS) as (keyof typeof VERBS)[])), { minLength: 1, maxLength: 6 }),
  incidents: fc
    .array(fc.tuple(fc.nat(400), fc.constantFrom<Incident>('throw', 'urgent', 'urgent')), { maxLength: 4 })
    .map((pairs) => new Map(pairs)),
  actions: fc.array(action, { minLength: 5, maxLength: 40 }),
})

async function observed(each: Run, plain: boolean): Promise<unknown> {
  const own = new Observed(each, plain)
  const ends: readonly Action[] = [0, 1].flatMap((input) => [
    { type: 'send', input, element: barrier(own.harness.signals.urgent + 1) },
    { type: 'send', input, element: END },
  ])
  const rest: readonly Action[] = Array.from({ length: 20 }, (_, turn) => (turn % 2 === 0 ? STEPS : { type: 'take' }))
  for (const next of [...each.actions, ...ends, ...rest]) if (!own.act(next)) break
  return await own.end()
}

const STEPS: Action = { type: 'steps', count: 30 }

describe('a task with a fused chain', () => {
  test('does what one with a plain chain does, with watermarks between records, full outputs, urgent snapshots and errors', async () => {
    await fc.assert(
      fc.asyncProperty(run, async (each) => {
        expect(await observed(each, false)).toEqual(await observed(each, true))
      }),
      { numRuns: 500 },
    )
  })
})
