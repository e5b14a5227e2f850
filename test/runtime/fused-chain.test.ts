import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { mapOperator } from '../../operators/map.ts'
import { SluiceError } from '../../src/core/errors.ts'
import type { Receiver } from '../../src/core/operator.ts'
import { Signals } from '../../src/protocol/signals.ts'
import { fusedLoop, fusedReceiver } from '../../src/runtime/fused-chain.ts'
import type { LoopSurroundings, RecordLoop } from '../../src/runtime/record-loop.ts'
import { plainLoop } from '../../src/runtime/record-loop.ts'
import type { ChainSketch, Incident } from './chain-sketch.ts'
import { chainSketch, TracedChain } from './chain-sketch.ts'

interface Run {
  readonly sketch: ChainSketch
  readonly values: readonly number[]
  readonly timestamps: readonly number[] | undefined
  readonly incidents: ReadonlyMap<number, Incident>
  /** Places at which the task asks the loop to stop. */
  readonly stops: readonly number[]
  /** Bad records are passed over. */
  readonly isTolerant?: boolean
}

const run: fc.Arbitrary<Run> = fc.record({
  sketch: chainSketch,
  values: fc.array(fc.nat(40), { minLength: 1, maxLength: 30 }),
  timestamps: fc.option(fc.array(fc.oneof(fc.nat(1000), fc.constant(Number.NaN)), { minLength: 30, maxLength: 30 }), {
    nil: undefined,
  }),
  incidents: fc
    .array(
      fc.tuple(
        fc.nat(120),
        fc.constantFrom<Incident>('throw', 'promise', 'full', 'behind', 'urgent', 'urgent', 'full', 'behind', 'null'),
      ),
      {
        maxLength: 6,
      },
    )
    .map((pairs) => new Map(pairs)),
  stops: fc.array(fc.nat(30), { maxLength: 4 }),
  isTolerant: fc.boolean(),
})

/** Runs a batch as a task does, and returns everything that can be seen of it. */
function observed(
  { sketch, values, timestamps, incidents, stops, isTolerant }: Run,
  makeLoop: (receiver: Receiver, surroundings: LoopSurroundings) => RecordLoop,
  makeHead: (receiver: Receiver) => Receiver = (receiver) => receiver,
): unknown {
  const chain = new TracedChain(sketch, incidents, isTolerant)
  const { backpressure, signals, cell } = chain.surroundings
  const loop = makeLoop(makeHead(chain.head), chain.surroundings)
  const { trace } = chain
  let place = 0
  try {
    while (place < values.length) {
      const until = Math.min(values.length, ...stops.filter((stop) => stop > place))
      place = loop(values, timestamps, place, until, signals.urgent)
      trace.push(['stopped', place, backpressure.full, backpressure.behind, signals.urgent, signals.stepsOf(0)])
      backpressure.full = backpressure.behind = false
    }
  } catch (error) {
    trace.push(['failed', errorOf(error), signals.stepsOf(0)])
  }
  return { trace, written: chain.written, timestamp: cell.timestamp }
}

function errorOf(error: unknown): unknown {
  if (!(error instanceof SluiceError)) return error
  const { code, operator, subtask, message, hint, cause } = error
  return { code, operator, subtask, message, hint, cause }
}

describe('a fused chain', () => {
  test('does what its operators do by themselves: every call, every result, every error, in the same order', () => {
    fc.assert(
      fc.property(run, (each) => {
        expect(observed(each, fusedLoop)).toEqual(observed(each, plainLoop))
      }),
      { numRuns: 2000 },
    )
  })

  test('so does the compiled output of an operator', () => {
    fc.assert(
      fc.property(run, (each) => {
        expect(observed(each, plainLoop, fusedReceiver)).toEqual(observed(each, plainLoop))
      }),
      { numRuns: 1000 },
    )
  })

  test('may be longer than one function', () => {
    const chain = (length: number): ChainSketch =>
      length === 0 ? { verb: 'hash' } : { verb: length % 7 === 0 ? 'filter' : 'map', behind: chain(length - 1) }
    const each: Run = {
      sketch: chain(1000),
      values: Array.from({ length: 50 }, (_, place) => place),
      timestamps: undefined,
      incidents: new Map([[20_000, 'throw']]),
      stops: [],
    }
    expect(observed(each, fusedLoop)).toEqual(observed(each, plainLoop))
  })

  test('calls a receiver that has no step', () => {
    const seen: unknown[] = []
    const receiver: Receiver = { onRecord: (value) => void seen.push(value) }
    expect(fusedReceiver(receiver)).toBe(receiver)
    expect(fusedLoop(receiver, surroundings())([1, 2], undefined, 0, 2, 0)).toBe(2)
    expect(seen).toEqual([1, 2])
  })

  test('calls the functions of the job without a receiver', () => {
    const seen: unknown[] = []
    const output: Receiver = { onRecord: (value) => void seen.push(value) }
    const context = { ...new TracedChain({ verb: 'nowhere' }, new Map()), output }
    const operator = mapOperator(function (this: unknown) {
      return this
    })(context as never)
    fusedLoop(operator, surroundings())([1], undefined, 0, 1, 0)
    operator.onRecord(1)
    expect(seen).toEqual([undefined, undefined])
  })
})

describe('where code from strings is forbidden', () => {
  test('the plain way is taken, with the same results', () => {
    const program = `
      import { fusedLoop, fusedReceiver } from ${JSON.stringify(new URL('../../src/runtime/fused-chain.ts', import.meta.url).href)}
      import { Signals } from ${JSON.stringify(new URL('../../src/protocol/signals.ts', import.meta.url).href)}
      const seen = []
      const end = { onRecord: (value) => void seen.push(value) }
      const failure = (error) => error
      const map = (fn, output) => ({ step: { kind: 'map', fn, context: {}, failure, output }, onRecord: (value) => output.onRecord(fn(value)) })
      const head = map((n) => n + 1, map((n) => n * 10, end))
      const surroundings = { cell: { timestamp: NaN, split: -1 }, backpressure: { full: false, behind: false }, signals: new Signals(1) }
      fusedLoop(head, surroundings)([1, 2], undefined, 0, 2, 0)
      fusedReceiver(head).onRecord(3)
      console.log(JSON.stringify(seen))`
    const output = execFileSync(
      process.execPath,
      ['--disallow-code-generation-from-strings', '--input-type=module', '--eval', program],
      { encoding: 'utf8' },
    )
    expect(JSON.parse(output)).toEqual([20, 30, 40])
  })
})

function surroundings(): LoopSurroundings {
  return {
    cell: { timestamp: Number.NaN, split: -1 },
    backpressure: { full: false, behind: false },
    signals: new Signals(1),
  }
}
