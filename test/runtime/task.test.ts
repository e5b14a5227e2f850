import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Operator, OperatorContext } from '../../src/core/operator.ts'
import { decodeValue, encodeValue } from '../../src/core/value-codec.ts'
import type { Element } from '../../src/protocol/element.ts'
import { graphOf, sinkBody, sourceBody } from '../graph/graphs.ts'
import type { HarnessOptions } from './task-harness.ts'
import { barrier, END, flat, operator, records, TaskHarness, turns, watermark } from './task-harness.ts'

const passOn = operator('map', ({ output }) => ({ onRecord: (value) => output.onRecord(value) }))

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

function harness(options: Partial<HarnessOptions> = {}): TaskHarness {
  return new TaskHarness({ operators: [passOn], ...options })
}

describe('a task', () => {
  test('hands records on in their order with their timestamps', () => {
    const own = harness()
    own.send(0, { kind: 'records', values: ['a', 'b'], timestamps: [1, Number.NaN] }, records('c'))
    expect(own.run()).toEqual([{ kind: 'records', values: ['a', 'b', 'c'], timestamps: [1, Number.NaN, Number.NaN] }])
  })

  test('sends what it has when it runs dry', () => {
    const own = harness()
    own.send(0, records('a'))
    own.task.step()
    expect(own.output.readable).toBe(false)
    own.task.step()
    expect(own.output.poll()).toEqual(records('a'))
  })

  test('reads its inputs in turn', () => {
    const own = harness({ inputs: 3 })
    for (const input of [0, 1, 2]) own.send(input, records(`${input}a`), records(`${input}b`))
    expect(flat(own.run())).toEqual(['0a', '1a', '2a', '0b', '1b', '2b'])
  })

  test('says where an operator failed', () => {
    const own = harness({
      operators: [
        operator('explode', () => ({
          onRecord: () => {
            throw new TypeError('no such field')
          },
        })),
      ],
    })
    own.send(0, records(1))
    let thrown: unknown
    try {
      own.task.step()
    } catch (error) {
      thrown = own.task.locate(error)
    }
    expect(thrown).toMatchObject({
      code: 'OPERATOR_FAILED',
      operator: 'explode-1',
      subtask: 0,
      message: expect.stringContaining('no such field'),
    })
  })
})

describe('a watermark', () => {
  test('does not overtake the records before it, nor the results that it causes', () => {
    const own = harness({ operators: [operator('buffer', buffer), passOn, operator('buffer', buffer)] })
    own.send(0, records('a', 'b'), watermark(5), records('c'), watermark(9))
    expect(flat(own.run())).toEqual(['a by 5 by 5', 'b by 5 by 5', 'watermark 5', 'c by 9 by 9', 'watermark 9'])
  })

  test('is passed on once, and never goes back', () => {
    const own = harness({ inputs: 2 })
    own.send(0, watermark(5), watermark(7))
    own.send(1, watermark(6), watermark(6), watermark(3))
    // Nothing lies between the two, so only the later one is worth sending.
    expect(flat(own.run())).toEqual(['watermark 6'])
  })

  test('that travels inside a batch acts between its records, and goes on between their results', () => {
    const own = harness({ operators: [operator('buffer', buffer), passOn] })
    own.send(0, {
      kind: 'records',
      values: ['a', 'b', 'c', 'd'],
      timestamps: [1, 2, 3, 4],
      watermarks: { after: [0, 2, 4], times: [1, 3, 9] },
    })
    expect(flat(own.run())).toEqual(['watermark 1', 'a by 3', 'b by 3', 'watermark 3', 'c by 9', 'd by 9', 'watermark 9'])
  })

  test('inside a batch counts for its own channel alone', () => {
    const own = harness({ inputs: 2, operators: [operator('buffer', buffer)] })
    own.send(0, { kind: 'records', values: ['a', 'b'], timestamps: [1, 2], watermarks: { after: [1, 2], times: [5, 7] } })
    expect(flat(own.run())).toEqual([])
    own.send(1, { kind: 'records', values: ['c', 'd'], timestamps: [1, 2], watermarks: { after: [1], times: [6] } })
    expect(flat(own.run())).toEqual(['a by 6', 'b by 6', 'c by 6', 'watermark 6'])
  })

  test('of an operator that makes its own takes the place of those of its inputs, all but the last', () => {
    const maker = operator('timestamps', (context) => ({
      makesWatermarks: true,
      onRecord: (value) => {
        context.output.onRecord(value)
        context.emitWatermark(value as number)
      },
    }))
    const own = harness({ operators: [maker] })
    own.send(0, watermark(100), records(3, 2, 8), watermark(200), watermark(Number.POSITIVE_INFINITY), END)
    expect(flat(own.run())).toEqual([3, 'watermark 3', 2, 8, 'watermark Infinity', 'end'])
  })

  test('fires what it makes due in pieces while the output is full, and is passed on after all of it', () => {
    const own = harness({ operators: [operator('buffer', buffer)] })
    const count = 20_000
    own.send(0, records(...Array.from({ length: count }, (_, index) => index)), watermark(5), records('later'), watermark(6))
    own.runBlocked()
    let waiting = 0
    while (own.output.poll() !== undefined) waiting++
    expect(waiting).toBeLessThan(12)
    const again = harness({ operators: [operator('buffer', buffer)] })
    again.send(0, records(...Array.from({ length: count }, (_, index) => index)), watermark(5), records('later'), watermark(6))
    const seen = flat(again.run())
    expect(seen).toHaveLength(count + 3)
    expect(seen.slice(0, 2)).toEqual(['0 by 5', '1 by 5'])
    expect(seen.slice(-4)).toEqual([`${count - 1} by 5`, 'watermark 5', 'later by 6', 'watermark 6'])
  })

  test('that is still firing lets no barrier pass, so a snapshot never sees half of it', () => {
    const own = harness({ operators: [operator('buffer', buffer)] })
    own.send(0, records(...Array.from({ length: 20_000 }, (_, index) => index)), watermark(5), barrier(1))
    own.runBlocked()
    expect(own.acknowledged).toEqual([])
    const seen = flat(own.run())
    expect(seen.slice(-2)).toEqual(['watermark 5', 'barrier 1'])
  })
})

describe('idleness', () => {
  /** Passes records on; says by the clock that time has come to 50, and then that nothing more is expected for now. */
  const quiet = operator('timestamps', (context) => {
    let said = false
    return {
      makesWatermarks: true,
      onRecord: (value) => {
        context.emitIdle(false)
        context.output.onRecord(value)
      },
      nextProcessingTime: () => (said ? Number.POSITIVE_INFINITY : 100),
      onProcessingTime() {
        said = true
        context.emitWatermark(50)
        context.emitIdle(true)
        return true
      },
    }
  })

  test('of all inputs is passed on once, and taken back by the first that is active again', () => {
    const own = harness({ inputs: 2 })
    const [idle, active]: Element[] = [{ kind: 'idle' }, { kind: 'active' }]
    own.send(0, watermark(5), idle!)
    expect(flat(own.run())).toEqual([])
    own.send(1, watermark(3), idle!)
    expect(flat(own.run())).toEqual(['watermark 5', 'idle'])
    own.send(0, active!, records('a'))
    expect(flat(own.run())).toEqual(['active', 'a'])
    own.send(1, active!)
    expect(flat(own.run())).toEqual([])
  })

  test('that an operator finds by the clock goes on at once, behind the watermark before it', () => {
    const own = harness({ operators: [quiet] })
    own.send(0, records('a'))
    own.run()
    own.now = 100
    expect(flat(own.run())).toEqual(['watermark 50', 'idle'])
    own.send(0, records('b'))
    expect(flat(own.run())).toEqual(['active', 'b'])
  })

  test('does not overtake the results of the last watermark in the operators behind', () => {
    const own = harness({ operators: [quiet, operator('buffer', buffer)] })
    own.send(0, records('a'))
    own.run()
    own.now = 100
    expect(flat(own.run())).toEqual(['a by 50', 'watermark 50', 'idle'])
  })

  test('does not overtake the results of the last watermark when they need more room than there is', () => {
    const count = 20_000
    const own = harness({ operators: [operator('buffer', buffer)] })
    own.send(0, records(...Array.from({ length: count }, (_, index) => index)), watermark(5), { kind: 'idle' })
    const seen = flat(own.run())
    expect(seen).toHaveLength(count + 2)
    expect(seen.slice(-2)).toEqual(['watermark 5', 'idle'])
  })
})

describe('a watermark that is made by the clock', () => {
  test('is carried out by the operators behind without waiting for a record', () => {
    let said = false
    const ticking = operator('timestamps', (context) => ({
      makesWatermarks: true,
      onRecord: (value) => context.output.onRecord(value),
      nextProcessingTime: () => (said ? Number.POSITIVE_INFINITY : 100),
      onProcessingTime() {
        said = true
        context.emitWatermark(50)
        return true
      },
    }))
    const own = harness({ operators: [ticking, operator('buffer', buffer)] })
    own.send(0, records('a'))
    own.run()
    own.now = 100
    expect(flat(own.run())).toEqual(['a by 50', 'watermark 50'])
  })
})

describe('a full output', () => {
  test('stops a task after the record that filled it, and loses nothing', () => {
    const tenfold = operator('flatMap', ({ output }) => ({
      onRecord: (value) => {
        for (let index = 0; index < 10; index++) output.onRecord(`${String(value)}/${index}`)
      },
    }))
    const own = harness({ operators: [tenfold] })
    for (let batch = 0; batch < 5; batch++)
      own.send(0, records(...Array.from({ length: 512 }, (_, index) => batch * 512 + index)))
    own.runBlocked()
    expect(own.inputs[0]!.readable).toBe(true)
    const expected = Array.from({ length: 5 * 512 * 10 }, (_, index) => `${Math.floor(index / 10)}/${index % 10}`)
    expect(flat(own.run())).toEqual(expected)
  })

  test('whatever the pace of the reader, order and content are the same', () => {
    const element = fc.oneof(
      fc.integer({ min: 1, max: 700 }).map((count) => ({ type: 'records' as const, count })),
      fc.constant({ type: 'watermark' as const, count: 0 }),
      fc.constant({ type: 'barrier' as const, count: 0 }),
    )
    fc.assert(
      fc.property(
        fc.array(element, { maxLength: 30 }),
        fc.array(fc.nat(3), { minLength: 1, maxLength: 50 }),
        (elements, pace) => {
          const own = harness({ operators: [operator('buffer', buffer), passOn] })
          const expected: string[] = []
          const held: string[] = []
          elements.forEach(({ type, count }, index) => {
            if (type === 'records') {
              const values = Array.from({ length: count }, (_, place) => `${index}/${place}`)
              own.send(0, records(...values))
              held.push(...values)
            } else if (type === 'watermark') {
              own.send(0, watermark(index))
              expected.push(...held.splice(0).map((value) => `${value} by ${index}`), `watermark ${index}`)
            } else {
              own.send(0, barrier(index + 1))
              expected.push(`barrier ${index + 1}`)
            }
          })
          const seen: Element[] = []
          for (let step = 0, idle = 0; idle < pace.length + 3; step++) {
            const worked = own.task.step()
            let polled = false
            for (let times = pace[step % pace.length]!; times > 0; times--) {
              const next = own.output.poll()
              if (next === undefined) break
              polled = true
              seen.push(next)
            }
            idle = worked || polled ? 0 : idle + 1
            if (pace.every((times) => times === 0) && idle > 2) break
          }
          const got = flat([...seen, ...own.run()])
          expect(settled(got)).toEqual(settled(expected))
        },
      ),
      { numRuns: 60 },
    )
  })
})

describe('a barrier', () => {
  /** Counts its records, and keeps the count in its snapshot. */
  const counting = operator('count', ({ output }) => {
    let count = 0
    return {
      onRecord: (value) => {
        count++
        output.onRecord(value)
      },
      snapshot: () => count,
      restore: ([state]) => {
        count = state as number
      },
    }
  })
  const countIn = (own: TaskHarness, index: number) => decodeValue(own.acknowledged[index]!.snapshot.operators[0]!.state!)

  test('goes on behind the records before it, and the snapshot holds exactly those', async () => {
    const own = harness({ operators: [counting] })
    own.send(0, records('a', 'b'), barrier(1), records('c'))
    expect(flat(own.run())).toEqual(['a', 'b', 'barrier 1', 'c'])
    await turns()
    expect(own.acknowledged.map(({ checkpoint }) => checkpoint)).toEqual([1])
    expect(countIn(own, 0)).toBe(2)
  })

  test('is aligned over all inputs: nothing behind it is seen before the snapshot', async () => {
    const own = harness({ operators: [counting], inputs: 2 })
    own.send(0, records('0 before'), barrier(1), records('0 behind'))
    expect(flat(own.run())).toEqual(['0 before'])
    own.send(1, records('1 before'), barrier(1), records('1 behind'))
    expect(flat(own.run())).toEqual(['1 before', 'barrier 1', '0 behind', '1 behind'])
    await turns()
    expect(countIn(own, 0)).toBe(2)
  })

  test('of a checkpoint that was given up holds nothing, and no snapshot is taken', async () => {
    const own = harness({ operators: [counting], inputs: 2 })
    own.send(0, barrier(1), records('a'))
    own.run()
    own.task.abort(1)
    own.send(1, barrier(1), records('b'))
    expect(flat(own.run())).toEqual(['a', 'b'])
    await turns()
    expect(own.acknowledged).toEqual([])
  })

  test('still passes when the input has ended', async () => {
    const own = harness({ operators: [counting] })
    own.send(0, records('a'), watermark(Number.POSITIVE_INFINITY), END, barrier(1), barrier(2))
    expect(flat(own.run())).toEqual(['a', 'watermark Infinity', 'end', 'barrier 1', 'barrier 2'])
    await turns()
    expect(own.ended).toBe(1)
    expect(own.acknowledged.map(({ checkpoint }) => checkpoint)).toEqual([1, 2])
    expect(countIn(own, 1)).toBe(1)
  })

  test('stores the watermarks of the channels and of the operators', async () => {
    const own = harness({ operators: [counting, passOn], inputs: 2 })
    own.send(0, watermark(10), barrier(1))
    own.send(1, watermark(4), barrier(1))
    own.run()
    await turns()
    const { snapshot } = own.acknowledged[0]!
    expect(snapshot.channelWatermarks).toEqual({ '0:0:0': 10, '0:1:0': 4 })
    expect(snapshot.operators.map(({ watermark: time }) => time)).toEqual([4, 4])
  })
})

describe('the end of the input', () => {
  test('comes when all inputs have ended, after everything that the end of time makes due', () => {
    const own = harness({ operators: [operator('buffer', buffer)], inputs: 2 })
    own.send(0, records('a'), watermark(Number.POSITIVE_INFINITY), END)
    expect(flat(own.run())).toEqual([])
    expect(own.task.state).toBe('running')
    own.send(1, records('b'), watermark(3), watermark(Number.POSITIVE_INFINITY), END)
    const seen = flat(own.run())
    expect(seen.slice(-2)).toEqual(['watermark Infinity', 'end'])
    expect(seen.filter((value) => String(value).includes(' by ')).map((value) => String(value)[0])).toEqual(['a', 'b'])
    expect(own.task.state).toBe('ended')
    expect(own.ended).toBe(1)
  })

  test('of one input is not the end of time while the other is only idle (FLINK-38477)', () => {
    const own = harness({ inputs: 2 })
    own.send(0, watermark(5), { kind: 'idle' })
    own.send(1, watermark(9))
    expect(flat(own.run()).at(-1)).toBe('watermark 9')
    own.send(1, watermark(Number.POSITIVE_INFINITY), END)
    expect(flat(own.run())).toEqual(['idle'])
    own.send(0, { kind: 'active' }, records('in time'), watermark(20))
    expect(flat(own.run())).toEqual(['active', 'in time', 'watermark 20'])
  })

  test('waits for results that the output has no room for', () => {
    const own = harness({ operators: [operator('buffer', buffer)] })
    own.send(0, records(...Array.from({ length: 10_000 }, (_, index) => index)), watermark(Number.POSITIVE_INFINITY), END)
    own.runBlocked()
    expect(own.ended).toBe(0)
    const seen = flat(own.run())
    expect(seen).toHaveLength(10_002)
    expect(seen.slice(-2)).toEqual(['watermark Infinity', 'end'])
  })

  test('is the last that is heard of a task: a processing-time timer that is due later sends nothing behind it', () => {
    let fired = 0
    const own = harness({
      operators: [
        operator('ticker', ({ output }) => ({
          onRecord: () => {},
          nextProcessingTime: () => (fired === 0 ? 100 : Number.POSITIVE_INFINITY),
          onProcessingTime: () => {
            fired++
            output.onRecord('tick')
            return true
          },
        })),
      ],
    })
    own.send(0, records('a'), watermark(Number.POSITIVE_INFINITY), END)
    expect(flat(own.run()).at(-1)).toBe('end')
    own.now = 200
    expect(flat(own.run())).toEqual([])
  })
})

describe('processing time', () => {
  test('fires what is due between records, in pieces while the output is full', () => {
    let left = 20_000
    const own = harness({
      operators: [
        operator('ticker', (context) => ({
          onRecord: (value) => context.output.onRecord(value),
          nextProcessingTime: () => (left > 0 ? 100 : Number.POSITIVE_INFINITY),
          onProcessingTime() {
            while (left > 0) {
              if (!context.hasRoom) return false
              context.output.onRecord(`tick ${left--}`)
            }
            return true
          },
        })),
      ],
    })
    own.send(0, records('a'))
    expect(flat(own.run())).toEqual(['a'])
    expect(own.task.nextWakeup()).toBe(100)
    own.now = 100
    own.send(0, records('b'))
    const seen = flat(own.run())
    expect(seen).toHaveLength(20_001)
    expect(seen.at(-1)).toBe('b')
  })
})

describe('a sink', () => {
  const sink = (prepare: (checkpoint: number) => readonly unknown[] | Promise<readonly unknown[]>, log: string[] = []) => ({
    kind: 'collect',
    name: 'out',
    body: sinkBody({
      createWriter: () => ({
        write: (value) => void log.push(`write ${String(value)}`),
        prepareCommit: (checkpoint) => {
          log.push(`cut ${checkpoint}`)
          return prepare(checkpoint)
        },
        close: () => void log.push('close'),
      }),
    }),
  })
  const committablesIn = (own: TaskHarness) =>
    own.acknowledged.map(({ checkpoint, snapshot }) => [
      checkpoint,
      snapshot.operators.at(-1)!.committables!.map((bytes) => decodeValue(bytes)),
    ])

  test('is cut at the barrier, and its committables go with the acknowledgement', async () => {
    const log: string[] = []
    const own = harness({ operators: [passOn, sink((checkpoint) => [`file ${checkpoint}`], log)] })
    own.send(0, records('a'), barrier(1), records('b'), barrier(2))
    own.run()
    await turns()
    expect(log).toEqual(['write a', 'cut 1', 'write b', 'cut 2'])
    expect(committablesIn(own)).toEqual([
      [1, ['file 1']],
      [2, ['file 2']],
    ])
  })

  test('that takes long to prepare holds up no record, and acknowledgements keep their order', async () => {
    const log: string[] = []
    const waiting = new Map<number, () => void>()
    const slow = (checkpoint: number) =>
      new Promise<readonly unknown[]>((resolve) => waiting.set(checkpoint, () => resolve([`file ${checkpoint}`])))
    const own = harness({ operators: [sink(slow, log)] })
    own.send(0, barrier(1), records('a'), barrier(2), records('b'))
    own.run()
    expect(log).toEqual(['cut 1', 'write a', 'cut 2', 'write b'])
    waiting.get(2)!()
    await turns()
    expect(own.acknowledged).toEqual([])
    waiting.get(1)!()
    await turns()
    expect(committablesIn(own)).toEqual([
      [1, ['file 1']],
      [2, ['file 2']],
    ])
  })

  test('acknowledges also when it has nothing to commit', async () => {
    const own = harness({ operators: [sink(() => [])] })
    own.send(0, barrier(1))
    own.run()
    await turns()
    expect(committablesIn(own)).toEqual([[1, []]])
  })

  test.each([
    ['rejects', () => Promise.reject(new Error('disk full'))],
    [
      'throws',
      () => {
        throw new Error('disk full')
      },
    ],
  ])('that %s when it is cut fails the task with its place, and acknowledges nothing', async (_, prepare) => {
    const own = harness({ operators: [passOn, sink(prepare)] })
    own.send(0, barrier(1))
    own.run()
    await turns()
    expect(own.acknowledged).toEqual([])
    expect(own.failures).toEqual([expect.objectContaining({ operator: 'out', message: expect.stringContaining('disk full') })])
  })

  test('that is done after the end of the attempt acknowledges nothing', async () => {
    let finish: (committables: readonly unknown[]) => void = () => {}
    const own = harness({
      operators: [
        sink(
          () =>
            new Promise((resolve) => {
              finish = resolve
            }),
        ),
      ],
    })
    own.send(0, barrier(1))
    own.run()
    own.task.close()
    finish(['file'])
    await turns()
    expect([own.acknowledged, own.failures]).toEqual([[], []])
  })

  test('is closed also when another part of the task cannot be', () => {
    const log: string[] = []
    const stubborn = operator('stubborn', ({ output }) => ({
      onRecord: (value) => output.onRecord(value),
      close: () => {
        throw new Error('no')
      },
    }))
    const own = harness({ operators: [stubborn, sink(() => [], log)] })
    try {
      own.task.close()
    } catch {
      // Whoever closes tasks reports it.
    }
    expect(log).toEqual(['close'])
  })
})

describe('a source task', () => {
  const items = (count: number) => ({
    kind: 'items',
    body: sourceBody({
      open: (_, position) => {
        let next = (position as number | undefined) ?? 0
        return {
          poll: (max) => {
            if (next >= count) return null
            const from = next
            next = Math.min(count, next + Math.min(max, 3))
            return Array.from({ length: next - from }, (_, index) => from + index)
          },
          position: () => next,
        }
      },
    }),
  })
  const splits = [{ index: 0, split: encodeValue(0), done: false }]
  const positionIn = (own: TaskHarness, index: number) => {
    const position = own.acknowledged[index]!.snapshot.operators[0]!.splits![0]!.position
    return position === undefined ? undefined : decodeValue(position)
  }

  test('takes position and barrier in one step, between two batches', async () => {
    const own = harness({ operators: [items(10), passOn], splits })
    own.task.step()
    own.task.trigger(1)
    const seen = flat(own.run())
    expect(seen).toEqual([0, 1, 2, 'barrier 1', 3, 4, 5, 6, 7, 8, 9, 'watermark Infinity', 'end'])
    await turns()
    expect(positionIn(own, 0)).toBe(3)
    expect(own.acknowledged[0]!.snapshot.operators[0]!.records).toBe(3)
  })

  test('stopped at any batch, the records before the barrier and those after a restore are all records once', async () => {
    for (let steps = 0; steps < 12; steps++) {
      const own = harness({ operators: [items(20)], splits })
      for (let step = 0; step < steps; step++) own.task.step()
      own.task.trigger(1)
      const seen = flat(own.run())
      const before = seen.slice(0, seen.indexOf('barrier 1'))
      await turns()
      const stored = own.acknowledged[0]!.snapshot.operators[0]!.splits!
      const next = harness({ operators: [items(20)], splits: stored })
      const after = flat(next.run())
      const values = [...before, ...after].filter((value) => typeof value === 'number')
      expect(values).toEqual(Array.from({ length: 20 }, (_, index) => index))
    }
  })

  test('ignores a trigger that was given up before it came to it, and one of the past', async () => {
    const own = harness({ operators: [items(3)], splits, lastCheckpoint: 5 })
    own.task.trigger(5)
    own.task.trigger(6)
    own.task.abort(6)
    expect(flat(own.run()).filter((value) => String(value).startsWith('barrier'))).toEqual([])
    own.task.trigger(7)
    expect(flat(own.run())).toEqual(['barrier 7'])
    await turns()
    expect(own.acknowledged.map(({ checkpoint }) => checkpoint)).toEqual([7])
    expect(positionIn(own, 0)).toBe(3)
  })

  test('asks again after a while when there is nothing just now', () => {
    const answers: (readonly unknown[] | null)[] = [['a'], [], ['b'], null]
    const quiet = { kind: 'quiet', body: sourceBody({ open: () => ({ poll: () => answers.shift()!, position: () => 0 }) }) }
    const own = harness({ operators: [quiet], splits })
    expect(flat(own.run())).toEqual(['a'])
    const wakeup = own.task.nextWakeup()
    expect(wakeup).toBeGreaterThan(own.now)
    expect(flat(own.run())).toEqual([])
    own.now = wakeup
    expect(flat(own.run())).toEqual(['b', 'watermark Infinity', 'end'])
  })
})

test('a graph of a test has the nodes that were sketched', () => {
  expect(graphOf([{ kind: 'items' }, { kind: 'map', from: [0] }]).nodes.map((node) => node.inputs.length)).toEqual([0, 1])
})

/** Without watermarks that are followed by another at once: whether they are sent depends on when the output is flushed. */
function settled(elements: readonly unknown[]): readonly unknown[] {
  const isWatermark = (element: unknown): boolean => String(element).startsWith('watermark ')
  return elements.filter((element, index) => !isWatermark(element) || !isWatermark(elements[index + 1]))
}
