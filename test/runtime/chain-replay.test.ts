import { describe, expect, test } from 'vitest'
import type { Operator, OperatorContext } from '../../src/core/operator.ts'
import { encodeValue } from '../../src/core/value-codec.ts'
import type { BatchWatermarks } from '../../src/protocol/element.ts'
import type { ChainedInFlight } from '../../src/protocol/messages.ts'
import { sourceBody } from '../graph/graphs.ts'
import type { HarnessOptions } from './task-harness.ts'
import { barrier, END, flat, operator, records, TaskHarness, turns, watermark } from './task-harness.ts'

/** What was on its way to an operator in the middle of the chain. */
function onTheWay(to: string, values: readonly unknown[], watermarks?: BatchWatermarks): ChainedInFlight {
  const batch = { values: encodeValue(values), timestamps: values.map((_, index) => index) }
  return { operator: to, batches: [watermarks === undefined ? batch : { ...batch, watermarks }] }
}

/** Hands on every record with its name behind it. */
function named(kind: string, more: (context: OperatorContext) => Partial<Operator> = () => ({})) {
  return operator(kind, (context) => ({
    onRecord: (value) => context.output.onRecord(`${String(value)} ${kind}`),
    ...more(context),
  }))
}

/** As `withTimestamps` does: says again when it opens what it had given out. */
function saying(time: number) {
  return named('maker', (context) => ({ makesWatermarks: true, open: () => context.emitWatermark(time) }))
}

/** Keeps the records until a watermark comes, and says with which. */
const window = operator('window', (context) => {
  let kept: unknown[] = []
  return {
    onRecord: (value) => void kept.push(value),
    onWatermark(time) {
      if (kept.length > 0 || time === 50) context.output.onRecord(`${kept.join('+')} at ${time}`)
      kept = []
      return true
    },
  }
})

function harness(options: HarnessOptions): TaskHarness {
  return new TaskHarness({ inputs: 1, ...options })
}

describe('what was on its way to the middle of a chain', () => {
  test('comes to those further on first, and all of it before the input of the chain', () => {
    const own = harness({
      operators: [named('a'), named('b'), named('c')],
      chainedInFlight: [onTheWay('c-1', ['x', 'y']), onTheWay('b-1', ['z'])],
    })
    own.send(0, records('new'))
    expect(flat(own.run())).toEqual(['x c', 'y c', 'z b c', 'new a b c'])
  })

  test('brings its timestamps and its watermarks', () => {
    const seen: unknown[] = []
    const watch = operator('watch', (context) => ({
      onRecord: (value) => void seen.push([value, context.cell.timestamp, context.watermark]),
    }))
    const own = harness({
      operators: [named('a'), watch],
      chainedInFlight: [onTheWay('watch-1', ['x', 'y', 'z'], { after: [1, 3], times: [5, 7] })],
    })
    own.run()
    expect(seen).toEqual([
      ['x', 0, Number.NEGATIVE_INFINITY],
      ['y', 1, 5],
      ['z', 2, 5],
    ])
    expect(own.chain.watermark).toBe(7)
  })

  test('is not overtaken by the watermark that the operators before had given out', () => {
    const own = harness({
      operators: [saying(50), named('pass'), window],
      chainedInFlight: [onTheWay('window-1', ['x', 'y'], { after: [1, 2], times: [10, 50] }), onTheWay('pass-1', ['z'])],
    })
    own.send(0, records('new'))
    expect(flat(own.run()).filter((each) => !String(each).startsWith('watermark'))).toEqual(['x at 10', 'y at 50'])
    own.send(0, watermark(Number.POSITIVE_INFINITY))
    expect(flat(own.run()).at(0)).toBe('z pass+new maker pass at Infinity')
  })

  test('does not see the watermark of an operator before it that does nothing at watermarks', () => {
    const seen: unknown[] = []
    const watch = operator('watch', (context) => ({
      onRecord: (value) => void seen.push([value, context.watermark]),
    }))
    const restored = { rescaled: true, watermarkFloors: [], records: 0, states: [], splits: [], deltas: [] }
    const own = harness({
      operators: [named('a'), watch],
      restores: { 'a-1': { ...restored, watermark: 50 }, 'watch-1': { ...restored, watermark: 3 } },
      chainedInFlight: [onTheWay('watch-1', ['x', 'y'], { after: [1, 2], times: [10, 50] })],
      channelWatermarks: { '0:0:0': 50 },
    })
    own.send(0, records('new'))
    own.run()
    expect(seen).toEqual([
      ['x', 3],
      ['y', 10],
      ['new a', 50],
    ])
  })

  test('waits for results of the world outside, but not for those of operators before it', () => {
    let answers = 0
    const asking = (kind: string, restored: readonly unknown[]) =>
      operator(kind, (context) => {
        const asked = [...restored]
        return {
          onRecord(value) {
            asked.push(value)
            context.hold()
          },
          get full() {
            return asked.length > 0
          },
          get pending() {
            return asked.length > 0
          },
          deliver() {
            if (answers === 0 || asked.length === 0) return false
            answers--
            context.output.onRecord(`${String(asked.shift())} ${kind}`)
            return true
          },
        }
      })
    const own = harness({
      operators: [asking('before', ['restored']), asking('after', [])],
      chainedInFlight: [onTheWay('after-1', ['x', 'y'])],
    })
    own.send(0, records('new'))
    const out: unknown[] = []
    for (let turn = 0; turn < 12; turn++) {
      answers = 1
      out.push(...flat(own.run()))
    }
    expect(out).toEqual(['x after', 'y after', 'restored before after', 'new before after'])
  })

  test('is in no snapshot, so none is taken before all of it is handled', async () => {
    const own = harness({
      operators: [named('a'), named('b')],
      chainedInFlight: [
        onTheWay(
          'b-1',
          Array.from({ length: 20_000 }, (_, index) => index),
        ),
      ],
    })
    own.send(0, records('new'), barrier(1), records('behind'))
    own.runBlocked()
    own.signals.urgent = 1
    own.runBlocked()
    await turns()
    expect(own.acknowledged).toEqual([])
    const out = flat(own.run())
    await turns()
    expect(out.slice(0, 20_001)).toEqual([...Array.from({ length: 20_000 }, (_, index) => `${index} b`), 'barrier 1'])
    expect(out.slice(20_001)).toEqual(['new a b', 'behind a b'])
    expect(own.acknowledged.map(({ checkpoint, snapshot }) => [checkpoint, snapshot.inFlight?.length])).toEqual([[1, 1]])
  })

  test('comes before what a source reads, and before its barrier', async () => {
    const items = {
      kind: 'items',
      body: sourceBody({
        open: () => {
          let next = 0
          return { poll: () => (next < 2 ? [next++] : null), position: () => next }
        },
      }),
    }
    const own = new TaskHarness({
      operators: [items, named('a'), named('b')],
      splits: [{ index: 0, split: encodeValue(0), done: false }],
      chainedInFlight: [onTheWay('b-1', ['x']), onTheWay('a-1', ['y'])],
    })
    own.task.trigger(1)
    expect(flat(own.run())).toEqual(['x b', 'y a b', 'barrier 1', '0 a b', '1 a b', 'watermark Infinity', 'end'])
  })
})

describe('a watermark that was on its way over an exchange that is part of a chain now, without a record', () => {
  const restored = { rescaled: true, watermarkFloors: [], records: 0, states: [], splits: [], deltas: [] }

  test.each([
    ['of an operator that passes it on', named('a')],
    ['of one that makes watermarks of its own', named('a', () => ({ makesWatermarks: true }))],
  ])('is said again by the operator that had said it: the end of time %s', (_, first) => {
    const seen: unknown[] = []
    const timed = operator('timed', () => ({ onRecord: () => undefined, onWatermark: (time) => seen.push(time) > 0 }))
    const own = harness({
      operators: [first, named('between'), timed],
      channelWatermarks: { '0:0:0': Number.POSITIVE_INFINITY },
      restores: {
        'a-1': { ...restored, watermark: Number.POSITIVE_INFINITY },
        'between-1': { ...restored, watermark: Number.POSITIVE_INFINITY },
        'timed-1': { ...restored, watermark: 3 },
      },
    })
    own.send(0, END)
    own.run()
    expect(seen).toEqual([Number.POSITIVE_INFINITY])
  })

  test('is said again by the operator that had said it: one before the end', () => {
    const seen: unknown[] = []
    const timed = operator('timed', () => ({ onRecord: () => undefined, onWatermark: (time) => seen.push(time) > 0 }))
    const own = harness({
      operators: [named('a'), timed],
      restores: { 'a-1': { ...restored, watermark: 8 }, 'timed-1': { ...restored, watermark: 3 } },
    })
    own.send(0, records('x'))
    own.run()
    expect(seen).toEqual([8])
  })
})

describe('where what was on its way comes first in the whole job', () => {
  test('a channel that has brought all of it is held until all have', () => {
    const own = harness({ operators: [named('a')], inputs: 2, replaysFirst: true })
    own.send(0, records('old'), barrier(0), records('new'))
    expect(flat(own.run())).toEqual(['old a'])
    own.send(1, records('slow'), barrier(0), records('newer'))
    expect(flat(own.run())).toEqual(['slow a', 'barrier 0', 'new a', 'newer a'])
  })

  test('a barrier of a checkpoint waits with what is new, and an urgent snapshot for all of it', async () => {
    const own = harness({ operators: [named('a')], inputs: 2, replaysFirst: true })
    own.signals.urgent = 1
    own.send(0, barrier(0), records('new'), barrier(1))
    expect(flat(own.run())).toEqual([])
    own.send(1, records('slow'), barrier(0))
    expect(flat(own.run())).toEqual(['slow a', 'barrier 0', 'barrier 1', 'new a'])
    own.send(1, barrier(1), END)
    own.run()
    await turns()
    expect(own.acknowledged.map(({ checkpoint, snapshot }) => [checkpoint, snapshot.inFlight?.length])).toEqual([[1, 1]])
  })

  test('a source says so before it reads anything', () => {
    const splits = [{ index: 0, split: encodeValue(0), done: false }]
    const items = { kind: 'items', body: sourceBody() }
    const own = new TaskHarness({
      operators: [items, named('a')],
      splits,
      replaysFirst: true,
      chainedInFlight: [onTheWay('a-1', ['x'])],
    })
    expect(flat(own.run())).toEqual(['x a', 'barrier 0', 'watermark Infinity', 'end'])
  })
})
