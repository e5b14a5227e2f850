import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { asyncMapOperator } from '../../operators/async/async-map.ts'
import type { AsyncMapOptions } from '../../operators/async/async-options.ts'
import { asyncSettings } from '../../operators/async/async-options.ts'
import { timestampsOperator } from '../../operators/timestamps.ts'
import type { Operator, OperatorContext } from '../../src/core/operator.ts'
import { decodeValue, encodeValue } from '../../src/core/value-codec.ts'
import type { Element } from '../../src/protocol/element.ts'
import type { OperatorRestore } from '../../src/protocol/messages.ts'
import type { NodeSketch } from '../graph/graphs.ts'
import { sinkBody, sourceBody } from '../graph/graphs.ts'
import { Calls, settled } from '../operators/async/async-bench.ts'
import type { HarnessOptions } from './task-harness.ts'
import { barrier, END, flat, operator, records, TaskHarness, turns, watermark } from './task-harness.ts'

/* Operators whose results come in from outside, in a real task: `hold`, `wake`, `deliver`, `pending`, `full`, `delaysWatermarks`. */

const IDLE: Element = { kind: 'idle' }
const LAST = watermark(Number.POSITIVE_INFINITY)
const passOn = operator('map', ({ output }) => ({ onRecord: (value) => output.onRecord(value) }))

function asyncMap(calls: Calls, options: AsyncMapOptions<never, unknown> = {}): NodeSketch {
  return operator('async-map', asyncMapOperator(calls.fn as never, asyncSettings(calls.fn, options)))
}

/** Holds its records back until a watermark, and emits as many as there is room for. */
function buffer(context: OperatorContext): Operator {
  const held: unknown[] = []
  return {
    onRecord: (value) => void held.push(value),
    onWatermark(time) {
      while (held.length > 0) {
        if (!context.hasRoom) return false
        context.output.onRecord(`${String(held.shift())} by ${time}`)
      }
      return true
    },
  }
}

function harness(options: AsyncMapOptions<never, unknown> = {}, more: Partial<HarnessOptions> = {}) {
  const calls = new Calls()
  return { calls, own: new TaskHarness({ operators: [asyncMap(calls, options)], ...more }) }
}

/** Until it is woken or its time comes, the task would sleep. */
function expectAsleep(own: TaskHarness, wakeup = Number.POSITIVE_INFINITY): void {
  expect(own.task.step()).toBe(false)
  expect(own.task.ready).toBe(false)
  expect(own.task.nextWakeup()).toBe(wakeup)
}

function storedIn(own: TaskHarness, acknowledgement: number, index = 0): unknown {
  const state = own.acknowledged[acknowledgement]!.snapshot.operators[index]!.state
  return state === undefined ? undefined : (decodeValue(state) as unknown[][]).map(([value]) => value)
}

describe('a task that waits for results', () => {
  test('sleeps, is woken by an answer and sends the result at once', async () => {
    const { calls, own } = harness({ timeout: 'none' })
    own.send(0, records('a', 'b'))
    expect(flat(own.run())).toEqual([])
    expectAsleep(own)
    await calls.answer('a')
    expect(own.wakes).toBe(1)
    expect(flat(own.run())).toEqual(["a'"])
    expectAsleep(own)
  })

  test('sleeps until the first timeout, also while it takes no input', async () => {
    const { calls, own } = harness({ timeout: 500, concurrency: 2, onTimeout: (value) => `${String(value)} too late` })
    own.send(0, records('a', 'b', 'c'))
    expect(flat(own.run())).toEqual([])
    expect(calls.values).toEqual(['a', 'b'])
    expectAsleep(own, 500)
    own.now = 500
    expect(flat(own.run())).toEqual(['a too late', 'b too late'])
    expect(calls.values).toEqual(['a', 'b', 'c'])
    expectAsleep(own, 1_000)
  })

  test('takes no more input than the operator wants, and goes on where it stopped', async () => {
    const { calls, own } = harness({ concurrency: 2, timeout: 'none' })
    own.send(0, records(1, 2, 3, 4, 5), watermark(7))
    const seen: unknown[] = []
    for (const value of [1, 2, 3, 4, 5]) {
      seen.push(...flat(own.run()))
      expect(calls.open.length).toBeLessThanOrEqual(2)
      await calls.answer(value)
    }
    seen.push(...flat(own.run()))
    expect(seen).toEqual(["1'", "2'", "3'", "4'", "5'", 'watermark 7'])
    expectAsleep(own)
  })

  test('is not woken for nothing by the timers of operators that must wait too', () => {
    const ticker = operator('ticker', (context) => ({
      onRecord: (value) => context.output.onRecord(value),
      nextProcessingTime: () => 100,
      onProcessingTime: () => {
        throw new Error('fires while the operator behind it can take nothing')
      },
    }))
    const calls = new Calls()
    const own = new TaskHarness({ operators: [ticker, asyncMap(calls, { concurrency: 1, timeout: 'none' })] })
    own.send(0, records('a'))
    own.run()
    own.now = 200
    expectAsleep(own)
  })

  test('waits for room in the output first, and is ready as soon as there is some', async () => {
    const { calls, own } = harness({ concurrency: 1, timeout: 'none' })
    own.send(0, records('a'))
    own.run()
    await calls.answer('a')
    for (let count = 0; count < 8; count++) own.output.write(records('earlier'))
    own.task.step()
    own.task.step()
    expect([own.task.step(), own.task.ready]).toEqual([false, false])
    own.output.poll()
    own.output.poll()
    expect(own.task.ready).toBe(true)
    expect(flat(own.run()).at(-1)).toBe("a'")
  })

  test('fails with an error of a call in a step', async () => {
    const { calls, own } = harness()
    own.send(0, records('a'), END)
    own.run()
    calls.of('a').reject(new TypeError('no such user'))
    await settled()
    expect(() => own.run()).toThrow(expect.objectContaining({ code: 'OPERATOR_FAILED', operator: 'async-map-1' }))
  })

  test('hears nothing more once it is closed', async () => {
    const { calls, own } = harness()
    own.send(0, records('a'))
    own.run()
    const { reject, signal } = calls.of('a')
    own.task.close()
    expect(signal.aborted).toBe(true)
    reject(signal.reason)
    await turns()
    expect([own.wakes, own.task.step(), own.failures]).toEqual([0, false, []])
  })
})

describe('a barrier', () => {
  test('passes results that are under way; the snapshot holds their records', async () => {
    const { calls, own } = harness()
    own.send(0, records('a', 'b'))
    own.run()
    await calls.answer('a')
    expect(flat(own.run())).toEqual(["a'"])
    own.send(0, barrier(1), records('c'))
    expect(flat(own.run())).toEqual(['barrier 1'])
    await calls.answer('c', 'b')
    expect(flat(own.run())).toEqual(["b'", "c'"])
    await turns()
    expect(storedIn(own, 0)).toEqual(['b'])
  })

  test('passes while the operator takes no input, when all records before it have been taken', async () => {
    const { calls, own } = harness({ concurrency: 2, timeout: 'none' })
    own.send(0, records('a', 'b'))
    own.run()
    expectAsleep(own)
    own.send(0, barrier(1), records('c'), barrier(2))
    expect(own.task.ready).toBe(true)
    expect(flat(own.run())).toEqual(['barrier 1'])
    expectAsleep(own)
    await calls.answer('a')
    expect(flat(own.run())).toEqual(["a'", 'barrier 2'])
    await turns()
    expect([storedIn(own, 0), storedIn(own, 1)]).toEqual([
      ['a', 'b'],
      ['b', 'c'],
    ])
  })

  test('passes after the end of the input, as often as it comes, and the task ends behind the last result', async () => {
    const { calls, own } = harness({ timeout: 'none' })
    own.send(0, records('a'), LAST, END, barrier(1))
    expect(flat(own.run())).toEqual(['barrier 1'])
    expect([own.task.state, own.ended]).toEqual(['draining', 0])
    expectAsleep(own)
    own.send(0, barrier(2))
    expect(flat(own.run())).toEqual(['barrier 2'])
    await calls.answer('a')
    expect(flat(own.run())).toEqual(["a'", 'watermark Infinity', 'end'])
    own.send(0, barrier(3))
    expect(flat(own.run())).toEqual(['barrier 3'])
    await turns()
    expect([0, 1, 2].map((index) => storedIn(own, index))).toEqual([['a'], ['a'], undefined])
    expect(own.ended).toBe(1)
  })

  test('of a source passes while results are under way, held or not, and after the end', async () => {
    const numbers = {
      kind: 'numbers',
      body: sourceBody({
        open: (_, position) => {
          let next = (position as number | undefined) ?? 0
          return { poll: () => (next >= 4 ? null : [next++, next++]), position: () => next }
        },
      }),
    }
    const calls = new Calls()
    const own = new TaskHarness({
      operators: [numbers, asyncMap(calls, { concurrency: 2, timeout: 'none' })],
      splits: [{ index: 0, split: encodeValue(0), done: false }],
    })
    expect(flat(own.run())).toEqual([])
    expectAsleep(own)
    own.task.trigger(1)
    expect(own.task.ready).toBe(true)
    expect(flat(own.run())).toEqual(['barrier 1'])
    expectAsleep(own)
    await calls.answer(0, 1)
    expect(flat(own.run())).toEqual(["0'", "1'"])
    await calls.answer(2)
    expect(flat(own.run())).toEqual(["2'"])
    expect(own.task.state).toBe('draining')
    own.task.trigger(2)
    expect(flat(own.run())).toEqual(['barrier 2'])
    expectAsleep(own)
    await calls.answer(3)
    expect(flat(own.run())).toEqual(["3'", 'watermark Infinity', 'end'])
    await turns()
    expect([storedIn(own, 0, 1), storedIn(own, 1, 1)]).toEqual([[0, 1], [3]])
    const positions = own.acknowledged.map(({ snapshot }) => decodeValue(snapshot.operators[0]!.splits![0]!.position!))
    expect(positions).toEqual([2, 4])
  })

  test('finds a record that cannot be stored, and blames its operator', () => {
    const calls = new Calls()
    const own = new TaskHarness({ operators: [passOn, asyncMap(calls)] })
    own.send(0, records({ at: () => 1 }), barrier(1))
    expect(() => own.run()).toThrow(expect.objectContaining({ code: 'VALUE_NOT_ENCODABLE', operator: 'async-map-1' }))
  })
})

describe('timers', () => {
  test('of results under way run after the end of the input', async () => {
    const { calls, own } = harness({ timeout: 1_000, retry: { attempts: 3, delay: 100 }, onTimeout: () => 'none' })
    own.send(0, records('a', 'b'), LAST, END)
    own.run()
    calls.of('a').reject(new Error('again'))
    await settled()
    // Nobody waits between attempts any more.
    own.run()
    await calls.answer('a')
    expect(flat(own.run())).toEqual(["a'"])
    expectAsleep(own, 1_000)
    own.now = 1_000
    expect(flat(own.run())).toEqual(['none', 'watermark Infinity', 'end'])
  })
})

describe('idleness', () => {
  test('waits behind the watermarks that results hold back', async () => {
    const { calls, own } = harness({ timeout: 'none' })
    own.send(0, records('a'), watermark(5), IDLE)
    expect(flat(own.run())).toEqual([])
    await calls.answer('a')
    expect(flat(own.run())).toEqual(["a'", 'watermark 5', 'idle'])
  })

  test('that is over again while it waited is never heard of', async () => {
    const { calls, own } = harness({ timeout: 'none' })
    own.send(0, records('a'), IDLE, { kind: 'active' }, records('b'))
    own.run()
    await calls.answer('a', 'b')
    expect(flat(own.run())).toEqual(["a'", "b'"])
  })

  test('goes on at once when nothing is under way, and is taken back before the record that ends it', async () => {
    const { calls, own } = harness({ timeout: 'none' })
    own.send(0, watermark(5), IDLE)
    expect(flat(own.run())).toEqual(['watermark 5', 'idle'])
    own.send(0, { kind: 'active' }, records('a'))
    expect(flat(own.run())).toEqual(['active'])
    await calls.answer('a')
    expect(flat(own.run())).toEqual(["a'"])
  })
})

describe('operators behind', () => {
  test('get the watermarks between the results that belong there', async () => {
    const calls = new Calls()
    const own = new TaskHarness({ operators: [asyncMap(calls), operator('buffer', buffer)] })
    own.send(0, records('a'), watermark(5), records('b'), watermark(7), records('c'), LAST, END)
    own.run()
    await calls.answer('c', 'b', 'a')
    expect(flat(own.run())).toEqual([
      "a' by 5",
      'watermark 5',
      "b' by 7",
      'watermark 7',
      "c' by Infinity",
      'watermark Infinity',
      'end',
    ])
  })

  test('that make watermarks of their own make them for results as for a batch', async () => {
    const stamp = (value: unknown) => Number(String(value).slice(0, -1))
    const calls = new Calls()
    const own = new TaskHarness({
      operators: [
        asyncMap(calls),
        operator('with-timestamps', timestampsOperator(stamp, {}) as never),
        operator('buffer', buffer),
      ],
    })
    own.send(0, records(10, 20))
    own.run()
    await calls.answer(10, 20)
    expect(flat(own.run()).at(-1)).toBe('watermark 19')
  })

  test('may be sinks', async () => {
    const written: unknown[] = []
    const writer = {
      write: (value: unknown) => void written.push(value),
      prepareCommit: () => written.splice(0),
      close: () => {},
    }
    const calls = new Calls()
    const own = new TaskHarness({
      operators: [asyncMap(calls), { kind: 'collect', body: sinkBody({ createWriter: () => writer }) }],
    })
    own.send(0, records('a', 'b'), LAST, END)
    own.run()
    await calls.answer('b', 'a')
    own.run()
    expect([written, own.ended]).toEqual([["a'", "b'"], 1])
  })
})

describe('operators before', () => {
  test('stop firing when it can take no more, and a barrier behind waits until they are through', async () => {
    const calls = new Calls()
    const own = new TaskHarness({
      operators: [operator('buffer', buffer), asyncMap(calls, { concurrency: 2, timeout: 'none' }), operator('buffer', buffer)],
    })
    own.send(0, records('a', 'b', 'c', 'd', 'e'), watermark(5), barrier(1), LAST, END)
    const seen: unknown[] = []
    for (let rounds = 0; own.ended === 0 && rounds < 10; rounds++) {
      seen.push(...flat(own.run()))
      expect(calls.open.length).toBeLessThanOrEqual(2)
      if (own.ended === 0) expectAsleep(own)
      await calls.answer(...[...calls.values].reverse())
    }
    expect(seen).toEqual([
      'barrier 1',
      ...['a', 'b', 'c', 'd', 'e'].map((value) => `${value} by 5' by 5`),
      'watermark Infinity',
      'end',
    ])
  })
})

describe('two of them in one chain', () => {
  test('the second full holds up the first, not the other way round', async () => {
    const [first, second] = [new Calls(), new Calls()]
    const own = new TaskHarness({
      operators: [asyncMap(first, { concurrency: 3, timeout: 'none' }), asyncMap(second, { concurrency: 1, timeout: 'none' })],
    })
    own.send(0, records('a', 'b', 'c'), LAST, END)
    own.run()
    await first.answer('a', 'b', 'c')
    own.run()
    expect(second.values).toEqual(["a'"])
    expectAsleep(own)
    for (const value of ["a'", "b'", "c'"]) {
      await second.answer(value)
      expect(flat(own.run())[0]).toBe(`${value}'`)
    }
    expect(own.ended).toBe(1)
  })
})

const happening = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: 1, max: 4 }).map((choice) => ({ type: 'records' as const, choice })) },
  { weight: 2, arbitrary: fc.constant({ type: 'watermark' as const, choice: 0 }) },
  { weight: 6, arbitrary: fc.nat().map((choice) => ({ type: 'answer' as const, choice })) },
  { weight: 3, arbitrary: fc.constant({ type: 'step' as const, choice: 0 }) },
  { weight: 1, arbitrary: fc.constant({ type: 'take' as const, choice: 0 }) },
  { weight: 1, arbitrary: fc.constant({ type: 'restore' as const, choice: 0 }) },
)

test('whatever happens to a chain of two with others around them, what comes out is what came in, in its order', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(happening, { maxLength: 60 }),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 4 }),
      async (script, firstConcurrency, secondConcurrency) => {
        let calls: Calls[] = []
        const build = (restores: Record<string, OperatorRestore> = {}, lastCheckpoint = 0): TaskHarness => {
          calls = [new Calls(), new Calls()]
          const [first, second] = [firstConcurrency, secondConcurrency].map((concurrency, index) =>
            asyncMap(calls[index]!, { concurrency, timeout: 'none' }),
          )
          return new TaskHarness({ operators: [passOn, first!, passOn, second!, passOn], restores, lastCheckpoint })
        }
        const answer = async (choice: number): Promise<boolean> => {
          const open = calls.filter((each) => each.open.length > 0)
          if (open.length === 0) return false
          const chosen = open[choice % open.length]!
          await chosen.answer(chosen.values[choice % chosen.open.length])
          return true
        }
        let own = build()
        const out: unknown[] = []
        const sent: unknown[] = []
        let checkpoints = 0
        for (const [index, { type, choice }] of script.entries()) {
          if (type === 'records') {
            const values = Array.from({ length: choice }, (_, place) => `${index}/${place}`)
            own.send(0, records(...values))
            sent.push(...values.map((value) => `${value}''`))
          } else if (type === 'watermark') {
            own.send(0, watermark(index))
            sent.push(`watermark ${index}`)
          } else if (type === 'answer') await answer(choice)
          else if (type === 'step') own.task.step()
          else if (type === 'take') out.push(...flat(own.run()))
          else {
            own.send(0, barrier(++checkpoints))
            const seen = [...flat(own.run())]
            while (!seen.includes(`barrier ${checkpoints}`) && (await answer(0))) seen.push(...flat(own.run()))
            out.push(...seen.slice(0, seen.indexOf(`barrier ${checkpoints}`)))
            await turns()
            own.task.close()
            own = build(own.restoreOf(checkpoints).restores!, checkpoints)
          }
        }
        own.send(0, watermark(1_000), LAST, END)
        do out.push(...flat(own.run()))
        while (await answer(0))
        expect(own.ended).toBe(1)
        // Watermarks in a row are one, and a restore says the last one again: compared is the one before each record.
        expect(behindWatermarks(out)).toEqual(behindWatermarks(sent))
        expect(out.slice(-2)).toEqual(['watermark Infinity', 'end'])
      },
    ),
    { numRuns: 200 },
  )
})

function behindWatermarks(elements: readonly unknown[]): readonly string[] {
  let last = Number.NEGATIVE_INFINITY
  return elements.flatMap((element) => {
    const time = /^watermark (.*)$/.exec(String(element))?.[1]
    if (time !== undefined) last = Math.max(last, Number(time))
    return time === undefined && element !== 'end' ? [`${String(element)} behind ${last}`] : []
  })
}
