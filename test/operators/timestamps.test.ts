import fc from 'fast-check'
import type { Stream } from 'sluice'
import { record, runOperator } from 'sluice/testing'
import { describe, expect, test } from 'vitest'
import type { TimestampOptions } from '../../operators/timestamps.ts'
import { timestampSettings, timestampsOperator } from '../../operators/timestamps.ts'
import type { WatermarkGroup } from '../../src/core/operator.ts'
import type { SplitReader } from '../../src/core/source.ts'
import { WATERMARK_END } from '../../src/core/time.ts'
import { encodeValue } from '../../src/core/value-codec.ts'
import type { OperatorRestore, SplitState } from '../../src/protocol/messages.ts'
import type { NodeSketch } from '../graph/graphs.ts'
import { sourceBody } from '../graph/graphs.ts'
import { END, flat, operator, records, TaskHarness, turns, watermark } from '../runtime/task-harness.ts'

function stamping(options: TimestampOptions = {}, more: Partial<NodeSketch> = {}): NodeSketch {
  return operator('stamp', (context) => timestampsOperator<unknown>((time) => time as number, options)(context), more)
}

/** Answers of a split by hand: what is pushed is given at the next poll, `null` is its end. */
class Hand implements SplitReader<unknown> {
  readonly answers: (readonly number[] | null | Promise<readonly number[]>)[] = []
  polls = 0
  #given = 0

  poll(): readonly number[] | null | Promise<readonly number[]> {
    this.polls++
    return this.answers.shift() ?? (this.answers.length === 0 ? [] : null)
  }

  push(...times: number[]): void {
    this.answers.push(times)
  }

  end(): void {
    // An undefined answer stands for nothing, so the end has its own.
    this.poll = () => null
  }

  position(): number {
    return ++this.#given
  }
}

interface Parts {
  readonly splits?: number
  readonly inTurn?: boolean
  readonly begun?: readonly number[]
  readonly done?: readonly number[]
  readonly restores?: Readonly<Record<string, OperatorRestore>>
  readonly watermarkGroup?: WatermarkGroup
  readonly operators?: readonly NodeSketch[]
}

/** A source with splits in hand, and `withTimestamps` directly behind it. */
function behindSource(options: TimestampOptions, parts: Parts = {}) {
  const { splits = 2, inTurn = true, begun = [], done = [], operators = [], ...rest } = parts
  const hands = Array.from({ length: splits }, () => new Hand())
  const states = hands.map(
    (_, index): SplitState => ({
      index,
      split: encodeValue(index),
      done: done.includes(index),
      ...(begun.includes(index) ? { position: encodeValue(1) } : {}),
    }),
  )
  const source: NodeSketch = { kind: 'hands', body: sourceBody({ inTurn, open: (index) => hands[index as number]! }) }
  const own = new TaskHarness({
    operators: [source, stamping(options, options.alignment ? { alignmentGroup: 'a' } : {}), ...operators],
    splits: states,
    ...rest,
  })
  return { own, hands }
}

/** Lets time pass in small steps, as a task that is woken by its timers would see it. */
function pass(own: TaskHarness, ms: number, stepMs = 5): readonly unknown[] {
  const seen: unknown[] = []
  for (const end = own.now + ms; own.now < end; ) {
    own.now = Math.min(end, own.now + stepMs)
    seen.push(...flat(own.run()))
  }
  return seen
}

function stateOf(own: TaskHarness, checkpoint: number): unknown {
  own.task.trigger(checkpoint)
  own.run()
  return own.chain.snapshot(1).find(({ operator: id }) => id === 'stamp-1')!.state
}

function restoreOf(states: readonly unknown[], rescaled: boolean): Readonly<Record<string, OperatorRestore>> {
  const restore: OperatorRestore = {
    watermark: Number.NEGATIVE_INFINITY,
    rescaled,
    watermarkFloors: [],
    records: 0,
    states: states.map((state) => encodeValue(state)),
    splits: [],
    deltas: [],
  }
  return { 'stamp-1': restore }
}

describe('watermarks behind an exchange', () => {
  test('follow the latest time by the bound and a millisecond, each behind the record that makes it', () => {
    const own = new TaskHarness({ operators: [stamping({ maxOutOfOrderness: 10 })] })
    own.send(0, records(100, 90, 120), records(105), records(200), END)
    expect(flat(own.run())).toEqual([100, 'watermark 89', 90, 120, 'watermark 109', 105, 200, 'watermark Infinity', 'end'])
  })

  test('replace those from upstream, except the last one', () => {
    const own = new TaskHarness({ operators: [stamping()] })
    own.send(0, watermark(1_000), records(5), watermark(2_000), END)
    expect(flat(own.run())).toEqual([5, 'watermark Infinity', 'end'])
  })

  test('begin at nothing: the lowest times do not wrap', () => {
    const own = new TaskHarness({ operators: [stamping({ maxOutOfOrderness: '1d' })] })
    own.send(0, records(-8_640_000_000_000_000))
    expect(flat(own.run())).toEqual([-8_640_000_000_000_000, `watermark ${-8_640_000_000_000_000 - 86_400_001}`])
  })

  test('after a change of parallelism begin with the smallest of all former ones', () => {
    const states = [
      { emitted: 99, latest: [[-1, 100]] },
      { emitted: 49, latest: [[-1, 50]] },
    ]
    const own = new TaskHarness({ operators: [stamping()], restores: restoreOf(states, true) })
    own.send(0, records(40), records(60))
    expect(flat(own.run())).toEqual(['watermark 49', 40, 60, 'watermark 59'])
  })

  test('after a change of parallelism do not follow who has come to its end', () => {
    const states = [
      { emitted: WATERMARK_END, latest: [] },
      { emitted: 49, latest: [[3, 50]] },
    ]
    const own = new TaskHarness({ operators: [stamping()], restores: restoreOf(states, true) })
    own.send(0, records(60))
    expect(flat(own.run())).toEqual(['watermark 49', 60, 'watermark 59'])
  })

  test.each([Number.NaN, Number.POSITIVE_INFINITY, 'soon', undefined])('are not made of the time %s', (time) => {
    const own = new TaskHarness({ operators: [stamping()] })
    own.send(0, records(time))
    expect(() => own.run()).toThrow(expect.objectContaining({ code: 'INVALID_TIMESTAMP', operator: 'stamp-1' }))
  })
})

describe('watermarks directly behind a source', () => {
  test('are those of the slowest split that is being read', () => {
    const { own, hands } = behindSource({})
    hands[0]!.push(1_000)
    expect(pass(own, 5)).toEqual([1_000])
    hands[1]!.push(10)
    expect(pass(own, 5)).toEqual([10, 'watermark 9'])
    hands[0]!.push(2_000)
    expect(pass(own, 5)).toEqual([2_000])
    hands[1]!.push(1_500)
    expect(pass(own, 5)).toEqual([1_500, 'watermark 1499'])
  })

  test('rise when the slowest split comes to its end, without another record', () => {
    const { own, hands } = behindSource({})
    hands[0]!.push(1_000)
    hands[1]!.push(10)
    own.run()
    hands[1]!.end()
    expect(pass(own, 5)).toEqual(['watermark 999'])
  })

  test('rise before the records that are read in the step in which a split ends', () => {
    const { own, hands } = behindSource({})
    hands[0]!.push(10)
    hands[1]!.push(1_000)
    own.run()
    hands[0]!.end()
    hands[1]!.push(1_010)
    expect(pass(own, 5)).toEqual(['watermark 999', 1_010, 'watermark 1009'])
  })

  test('of splits that are read one after the other are those of the current one, and never go back', () => {
    const { own, hands } = behindSource({}, { inTurn: false })
    hands[0]!.push(100)
    expect(flat(own.run())).toEqual([100, 'watermark 99'])
    expect(hands[1]!.polls).toBe(0)
    hands[0]!.end()
    hands[1]!.push(50)
    expect(pass(own, 5)).toEqual([50])
    hands[1]!.push(101)
    expect(pass(own, 5)).toEqual([101, 'watermark 100'])
  })

  test('of half-read splits that came together are those of the slowest', () => {
    const states = [
      { emitted: 99, latest: [[0, 100]] },
      { emitted: 49, latest: [[1, 50]] },
    ]
    const { own, hands } = behindSource({}, { splits: 3, inTurn: false, begun: [0, 1], restores: restoreOf(states, true) })
    hands[0]!.push(110)
    expect(flat(own.run())).toEqual(['watermark 49', 110])
    hands[1]!.push(60)
    expect(pass(own, 5)).toEqual([60, 'watermark 59'])
    hands[1]!.end()
    expect(pass(own, 5)).toEqual(['watermark 109'])
    expect(hands[2]!.polls).toBe(0)
    hands[0]!.end()
    hands[2]!.push(120)
    expect(pass(own, 5)).toEqual([120, 'watermark 119'])
  })

  test('take over what belongs to their own splits, and forget what is done', () => {
    const { own, hands } = behindSource({}, { splits: 2 })
    hands[0]!.push(30)
    hands[1]!.push(40)
    own.run()
    hands[0]!.end()
    pass(own, 5)
    expect(stateOf(own, 1)).toEqual(encodeValue({ emitted: 39, latest: [[1, 40]] }))
    const states = [
      {
        emitted: 39,
        latest: [
          [1, 40],
          [7, 500],
        ],
      },
    ]
    const next = behindSource({}, { splits: 2, begun: [0, 1], done: [0], restores: restoreOf(states, true) })
    next.hands[1]!.push(45)
    expect(flat(next.own.run())).toEqual(['watermark 39', 45, 'watermark 44'])
  })

  test('pass the last one', () => {
    const { own, hands } = behindSource({ watermarkEvery: '1h' })
    hands[0]!.push(5)
    own.run()
    for (const hand of hands) hand.end()
    expect(pass(own, 5)).toEqual(['watermark Infinity', 'end'])
  })

  test('are the smallest latest time over any interleaving of batches, against a model', () => {
    const batch = fc.record({ split: fc.nat(2), times: fc.array(fc.nat(1_000), { minLength: 1, maxLength: 4 }) })
    fc.assert(
      fc.property(fc.array(batch, { maxLength: 30 }), fc.nat(50), (batches, bound) => {
        const { own, hands } = behindSource({ maxOutOfOrderness: bound }, { splits: 3 })
        const latest = [-Infinity, -Infinity, -Infinity]
        let emitted = -Infinity
        for (const { split, times } of batches) {
          hands[split]!.push(...times)
          const expected = times.flatMap((time): readonly unknown[] => {
            latest[split] = Math.max(latest[split]!, time)
            const next = Math.min(...latest) - bound - 1
            if (next <= emitted) return [time]
            emitted = next
            return [time, `watermark ${next}`]
          })
          expect(pass(own, 5)).toEqual(expected)
        }
      }),
      { numRuns: 200 },
    )
  })
})

describe('watermarks by the clock', () => {
  test('come at the ends of intervals in which they rose, and no other time', () => {
    const { own, hands } = behindSource({ watermarkEvery: '200ms' }, { splits: 1 })
    own.run()
    own.now = 50
    hands[0]!.push(10)
    expect(pass(own, 149)).toEqual([10])
    expect(pass(own, 1)).toEqual(['watermark 9'])
    expect(pass(own, 1_000)).toEqual([])
    hands[0]!.push(20)
    hands[0]!.push(30)
    expect(pass(own, 199)).toEqual([20, 30])
    expect(pass(own, 1)).toEqual(['watermark 29'])
  })

  test('are in checkpoints: what was sent, and what was not yet', () => {
    const { own, hands } = behindSource({ watermarkEvery: '200ms' }, { splits: 1 })
    hands[0]!.push(10)
    pass(own, 200)
    hands[0]!.push(50)
    pass(own, 5)
    expect(stateOf(own, 1)).toEqual(encodeValue({ emitted: 9, latest: [[0, 50]] }))
  })

  test('need no timer while nothing rises', () => {
    const { own } = behindSource({ watermarkEvery: '200ms' }, { splits: 1 })
    own.run()
    expect(own.task.nextWakeup()).toBe(5)
    expect(own.chain.nextProcessingTime(false)).toBe(Number.POSITIVE_INFINITY)
  })
})

describe('an idle split', () => {
  test('leaves the minimum after the timeout, and not before', () => {
    const { own, hands } = behindSource({ idleTimeout: 1_000 })
    hands[0]!.push(10)
    hands[1]!.push(500)
    own.run()
    for (let time = 0; time < 900; time += 100) {
      hands[1]!.push(600 + time)
      expect(pass(own, 100)).toEqual([600 + time])
    }
    for (let time = 900; time < 1_400; time += 100) {
      hands[1]!.push(600 + time)
      expect(pass(own, 100)).toEqual([600 + time])
    }
    // The third look at the clock: the first one saw the record.
    expect(pass(own, 100)).toEqual(['watermark 1899'])
    hands[1]!.push(3_000)
    expect(pass(own, 5)).toEqual([3_000, 'watermark 2999'])
  })

  test('counts again from its next record', () => {
    const { own, hands } = behindSource({ idleTimeout: 1_000 })
    hands[0]!.push(10)
    hands[1]!.push(10)
    pass(own, 5)
    for (let time = 0; time < 2_000; time += 100) {
      hands[1]!.push(100 + time)
      pass(own, 100)
    }
    hands[0]!.push(50)
    expect(pass(own, 5)).toEqual([50])
    hands[1]!.push(9_000)
    expect(pass(own, 5)).toEqual([9_000])
    hands[0]!.push(8_000)
    expect(pass(own, 5)).toEqual([8_000, 'watermark 7999'])
  })

  test('makes the subtask idle when it is the last one, after the largest watermark', () => {
    const { own, hands } = behindSource({ idleTimeout: 1_000 })
    hands[0]!.push(10)
    hands[1]!.push(500)
    expect(flat(own.run())).toEqual([10, 500, 'watermark 9'])
    expect(pass(own, 1_600)).toEqual(['watermark 499', 'idle'])
    hands[0]!.push(20)
    expect(pass(own, 5)).toEqual(['active', 20])
  })

  test('from the beginning lets the subtask be idle without any record', () => {
    const { own } = behindSource({ idleTimeout: 1_000 })
    own.run()
    expect(pass(own, 1_600)).toEqual(['idle'])
  })

  test('that comes to its end is finished: the others decide', () => {
    const { own, hands } = behindSource({ idleTimeout: 1_000 })
    own.run()
    pass(own, 1_600)
    hands[0]!.push(5)
    expect(pass(own, 5)).toEqual(['active', 5, 'watermark 4'])
    hands[0]!.end()
    expect(pass(own, 5)).toEqual(['idle'])
    hands[1]!.push(7)
    expect(pass(own, 5)).toEqual(['active', 7, 'watermark 6'])
  })

  test('gives way to the next one of a source that is read one after the other', () => {
    const { own, hands } = behindSource({ idleTimeout: 1_000 }, { inTurn: false })
    own.run()
    expect(pass(own, 1_600)).toEqual(['idle'])
    hands[0]!.end()
    expect(pass(own, 5)).toEqual(['active'])
    expect(pass(own, 900)).toEqual([])
    expect(pass(own, 700)).toEqual(['idle'])
  })

  test('may wait for a promise', async () => {
    const { own, hands } = behindSource({ idleTimeout: 1_000 }, { splits: 1 })
    let arrive: (times: readonly number[]) => void = () => {}
    hands[0]!.answers.push(new Promise((resolve) => (arrive = resolve)))
    own.run()
    expect(pass(own, 2_000, 100)).toEqual(['idle'])
    arrive([5])
    await turns()
    expect(flat(own.run())).toEqual(['active', 5, 'watermark 4'])
  })

  test('is one whose records are all dropped before they get here', () => {
    const filter = operator('filter', (context) => ({
      onRecord: (time) => {
        if ((time as number) > 0) context.output.onRecord(time)
      },
    }))
    const hand = new Hand()
    const own = new TaskHarness({
      operators: [{ kind: 'hand', body: sourceBody({ open: () => hand }) }, filter, stamping({ idleTimeout: 1_000 })],
      splits: [{ index: 0, split: encodeValue(0), done: false }],
    })
    for (let time = 0; time < 1_000; time += 10) {
      hand.push(-1)
      expect(pass(own, 10)).toEqual([])
    }
    for (let time = 0; time < 600; time += 10) hand.push(-1)
    expect(pass(own, 600)).toEqual(['idle'])
  })

  test('is not one that nobody has asked: a late look at the clock counts one step', () => {
    const { own, hands } = behindSource({ idleTimeout: 1_000 })
    hands[0]!.push(1)
    hands[1]!.push(1)
    own.run()
    // The thread did something else for a minute. Records were there all the time.
    own.now += 60_000
    hands[0]!.push(2)
    hands[1]!.push(2)
    expect(flat(own.run())).toEqual([2, 2, 'watermark 1'])
    own.now += 60_000
    expect(flat(own.run())).toEqual([])
    expect(pass(own, 490)).toEqual([])
    expect(pass(own, 1_100)).toEqual(['idle'])
  })

  test('is not one behind a full output, however long that lasts', () => {
    const fan = operator('fan', (context) => ({
      onRecord: (value) => {
        for (let copy = 0; copy < 5_000; copy++) context.output.onRecord(value)
      },
    }))
    const { own, hands } = behindSource({ idleTimeout: 1_000 }, { operators: [fan] })
    own.run()
    for (let round = 1; round < 10; round++) {
      hands[0]!.push(round)
      own.now += 5
      own.runBlocked()
      // The output stays full for four times the timeout; nobody asks the other split meanwhile.
      for (let step = 0; step < 8; step++) {
        own.now += 500
        own.task.step()
      }
      expect(flat(own.run()).filter((each) => typeof each === 'string')).toEqual([])
    }
    expect(pass(own, 400)).toEqual([])
    expect(pass(own, 1_600)).toContain('idle')
  })

  test('is not one that alignment holds back', () => {
    let smallest = 0
    const group: WatermarkGroup = {
      show: () => {},
      get smallest() {
        return smallest
      },
    }
    const { own, hands } = behindSource({ idleTimeout: 1_000, alignment: { maxDrift: 10 } }, { watermarkGroup: group })
    hands[0]!.push(1_000)
    hands[1]!.push(1_000)
    expect(flat(own.run())).toEqual([1_000, 1_000, 'watermark 999'])
    const polls = hands[0]!.polls
    expect(pass(own, 5_000)).toEqual([])
    expect(hands[0]!.polls).toBe(polls)
    smallest = 990
    expect(pass(own, 900)).toEqual([])
    expect(hands[0]!.polls).toBeGreaterThan(polls)
    expect(pass(own, 700)).toEqual(['idle'])
  })

  test('is a matter of three looks in a row behind an exchange', () => {
    const own = new TaskHarness({ operators: [stamping({ idleTimeout: 1_000 })] })
    own.send(0, records(1))
    own.run()
    own.now = 60_000
    expect(flat(own.run())).toEqual([])
    // However late a look comes, it counts for one step.
    own.now = 120_000
    expect(flat(own.run())).toEqual([])
    own.now = 120_500
    expect(flat(own.run())).toEqual(['idle'])
    own.send(0, records(2))
    expect(flat(own.run())).toEqual(['active', 2, 'watermark 1'])
  })
})

describe('what an aligned subtask shows the others', () => {
  function showing(options: TimestampOptions, parts: Parts = {}) {
    const shown: number[] = []
    const group: WatermarkGroup = { show: (time) => shown.push(time), smallest: Number.POSITIVE_INFINITY }
    return { shown, ...behindSource({ alignment: { maxDrift: 10 }, ...options }, { watermarkGroup: group, ...parts }) }
  }

  test('is nothing yet, its watermark, that it is idle, and its end', () => {
    const { own, hands, shown } = showing({ idleTimeout: 1_000 }, { splits: 1 })
    own.run()
    expect(shown.at(-1)).toBe(Number.NEGATIVE_INFINITY)
    hands[0]!.push(100)
    pass(own, 5)
    expect(shown.at(-1)).toBe(99)
    pass(own, 2_000)
    expect(shown.at(-1)).toBeNaN()
    hands[0]!.push(200)
    pass(own, 5)
    expect(shown.at(-1)).toBe(199)
    hands[0]!.end()
    pass(own, 5)
    expect(shown.at(-1)).toBe(WATERMARK_END)
  })

  test('does not go back to nothing between two splits', () => {
    const { own, hands, shown } = showing({}, { inTurn: false })
    hands[0]!.push(100)
    own.run()
    hands[0]!.end()
    pass(own, 50)
    expect(shown.at(-1)).toBe(99)
  })

  test('is after a restore what it was', () => {
    const restores = restoreOf([{ emitted: 49, latest: [[0, 50]] }], false)
    const { shown } = showing({}, { splits: 1, begun: [0], restores })
    expect(shown).toEqual([49])
  })
})

describe('options of withTimestamps', () => {
  test('in milliseconds, with what they are by default', () => {
    expect(timestampSettings({})).toEqual({
      maxOutOfOrdernessMs: 0,
      idleTimeoutMs: null,
      watermarkEveryMs: null,
      alignment: null,
    })
    expect(
      timestampSettings({ maxOutOfOrderness: '5s', idleTimeout: '1m', watermarkEvery: 200, alignment: { maxDrift: '1h' } }),
    ).toEqual({
      maxOutOfOrdernessMs: 5_000,
      idleTimeoutMs: 60_000,
      watermarkEveryMs: 200,
      alignment: { group: 'default', maxDriftMs: 3_600_000 },
    })
  })

  test.each([
    [{ idleTimeout: 0 }, 'INVALID_DURATION', 'idleTimeout'],
    [{ watermarkEvery: 0 }, 'INVALID_DURATION', 'watermarkEvery'],
    [{ watermarkEvery: '5 seconds' as '5s' }, 'INVALID_DURATION', 'watermarkEvery'],
    [{ maxOutOfOrderness: -1 }, 'INVALID_DURATION', 'maxOutOfOrderness'],
    [{ alignment: { maxDrift: Number.POSITIVE_INFINITY } }, 'INVALID_DURATION', 'alignment.maxDrift'],
    [{ alignment: { maxDrift: '1s', group: '' } }, 'INVALID_OPTION', 'alignment.group'],
  ] as const)('%j are refused', (options, code, what) => {
    expect(() => timestampSettings(options)).toThrow(expect.objectContaining({ code, message: expect.stringContaining(what) }))
  })
})

describe('timestamps', () => {
  test('are whole milliseconds: what lies between two belongs to the earlier one, also before 1970', async () => {
    const items = [9.7, 3, -0.5].map((n) => record(n))
    const { outcomes } = await runOperator(
      (input: Stream<number>) => input.withTimestamps((n) => n, { maxOutOfOrderness: 20 }),
      items,
    )
    expect(outcomes).toEqual([
      { output: 'main', value: 9.7, timestamp: 9 },
      { watermark: -12 },
      { output: 'main', value: 3, timestamp: 3 },
      { output: 'main', value: -0.5, timestamp: -1 },
    ])
  })
})
