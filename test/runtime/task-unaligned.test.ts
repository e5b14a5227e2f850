import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { keyGroupOf } from '../../src/core/key-groups.ts'
import type { Operator, OperatorContext } from '../../src/core/operator.ts'
import { decodeValue, encodeValue } from '../../src/core/value-codec.ts'
import type { Element } from '../../src/protocol/element.ts'
import type { CheckpointMode, InFlight } from '../../src/protocol/messages.ts'
import { sourceBody } from '../graph/graphs.ts'
import type { HarnessOptions } from './task-harness.ts'
import { barrier, END, flat, operator, records, TaskHarness, turns, watermark } from './task-harness.ts'

const passOn = operator('map', ({ output }) => ({ onRecord: (value) => output.onRecord(value) }))

const END_OF_TIME = watermark(Number.POSITIVE_INFINITY)

/** What of the input lies in a snapshot, by channel, with the watermarks between the records. */
function onTheWay(inFlight: readonly InFlight[] = []): Record<string, readonly unknown[]> {
  return Object.fromEntries(
    inFlight.map(({ channel, batches }) => [
      channel,
      flat(
        batches.map(({ values, timestamps, watermarks }) => ({
          kind: 'records',
          values: decodeValue(values) as unknown[],
          timestamps: [...timestamps],
          ...(watermarks === undefined ? {} : { watermarks }),
        })),
      ),
    ]),
  )
}

function snapshotOf(own: TaskHarness, checkpoint: number) {
  return own.acknowledged.find((each) => each.checkpoint === checkpoint)!.snapshot
}

function harness(options: Partial<HarnessOptions> = {}): TaskHarness {
  return new TaskHarness({ operators: [passOn], inputs: 2, ...options })
}

describe('an urgent snapshot', () => {
  test('is taken between two records of a batch; the rest of the batch and what follows up to the barrier is part of it', async () => {
    const seen: unknown[] = []
    const own = harness({
      operators: [
        operator('watch', ({ output }) => ({
          onRecord(value) {
            seen.push(value)
            if (value === 'b') own.signals.urgent = 1
            output.onRecord(value)
          },
        })),
      ],
    })
    own.send(0, { ...records('a', 'b', 'c', 'd'), watermarks: { after: [1, 3, 4], times: [5, 6, 7] } } as Element)
    own.task.step()
    expect(seen).toEqual(['a', 'b'])
    own.send(0, records('e'), barrier(1), records('behind'))
    own.send(1, records('f'), watermark(9), barrier(1), records('behind'))
    const out = flat(own.run()).filter((value) => !String(value).startsWith('watermark'))
    expect(out.slice(0, 3)).toEqual(['a', 'b', 'barrier 1'])
    expect(out.slice(3).toSorted()).toEqual(['behind', 'behind', 'c', 'd', 'e', 'f'])
    await turns()
    const { inFlight, channelWatermarks } = snapshotOf(own, 1)
    expect(channelWatermarks).toEqual({ '0:0:0': 5, '0:1:0': Number.NEGATIVE_INFINITY })
    expect(onTheWay(inFlight)).toEqual({ '0:0:0': ['c', 'watermark 6', 'd', 'watermark 7', 'e'], '0:1:0': ['f', 'watermark 9'] })
    expect(own.acknowledged[0]!.timing.inFlightRecords).toBe(4)
  })

  test('has nothing of a channel whose barrier was delivered before', async () => {
    const own = harness()
    own.send(0, records('a'), barrier(1), records('held'))
    expect(flat(own.run())).toEqual(['a'])
    own.signals.urgent = 1
    own.send(1, records('b'))
    // The snapshot comes first, then what was held and what was on its way.
    expect(flat(own.run())).toEqual(['barrier 1', 'b', 'held'])
    await turns()
    expect(own.acknowledged).toEqual([])
    own.send(1, records('c'), barrier(1), records('d'))
    expect(flat(own.run())).toEqual(['c', 'd'])
    await turns()
    expect(onTheWay(snapshotOf(own, 1).inFlight)).toEqual({ '0:1:0': ['b', 'c'] })
  })

  test('holds back no channel, and the next aligned one holds them as ever', async () => {
    const own = harness()
    own.signals.urgent = 1
    own.send(0, barrier(1), records('a'), barrier(2), records('behind'))
    expect(flat(own.run())).toEqual(['barrier 1', 'a'])
    own.send(1, barrier(1), records('b'), barrier(2))
    expect(flat(own.run())).toEqual(['b', 'barrier 2', 'behind'])
    await turns()
    expect(own.acknowledged.map(({ checkpoint, snapshot }) => [checkpoint, snapshot.inFlight])).toEqual([
      [1, undefined],
      [2, undefined],
    ])
  })

  test('that is given up while it is recorded is not acknowledged twice, and holds up nothing', async () => {
    const own = harness()
    own.signals.urgent = 1
    own.send(0, records('a'), barrier(1))
    own.run()
    own.task.abort(1)
    own.signals.urgent = 0
    own.send(1, records('b'), barrier(2))
    own.send(0, records('c'), barrier(2))
    expect(flat(own.run()).toSorted()).toEqual(['b', 'barrier 2', 'c'])
    await turns()
    expect(own.acknowledged.map(({ checkpoint }) => checkpoint).filter((checkpoint) => checkpoint === 2)).toEqual([2])
    expect(snapshotOf(own, 2).inFlight).toBeUndefined()
  })

  test('of a later checkpoint comes also when the message that gave the earlier one up is late', async () => {
    const own = harness()
    own.signals.urgent = 1
    own.send(0, records('a'), barrier(1))
    own.run()
    // The cells are seen at once, messages later.
    own.signals.urgent = 2
    own.send(0, records('b'), barrier(2))
    own.send(1, records('c'), barrier(2), records('d'))
    const out = [...flat(own.run())]
    own.task.abort(1)
    out.push(...flat(own.run()))
    await turns()
    expect(own.acknowledged.map(({ checkpoint }) => checkpoint)).toContain(2)
    // Before the barrier, or on its way: each record is in one of the two.
    const recorded = Object.values(onTheWay(snapshotOf(own, 2).inFlight)).flat()
    expect([...out.slice(0, out.indexOf('barrier 2')), ...recorded].toSorted()).toEqual(['b', 'c'])
    expect(out).toContain('d')
  })

  test('does not hold what lies behind its barrier, though it was taken ahead for an earlier one that never came', async () => {
    const own = harness()
    own.signals.urgent = 1
    // Upstream of the second input the first checkpoint was given up before its barrier was sent.
    own.send(0, barrier(1))
    own.send(1, records('b'), barrier(2), records('behind'))
    own.task.step()
    own.task.abort(1)
    own.signals.urgent = 2
    own.send(0, barrier(2))
    expect(flat(own.run())).toEqual(['barrier 1', 'barrier 2', 'b', 'behind'])
    await turns()
    expect(onTheWay(snapshotOf(own, 2).inFlight)).toEqual({ '0:1:0': ['b'] })
  })

  test('of a source comes behind the batch at hand, whose records are all before the barrier', async () => {
    const items = {
      kind: 'items',
      body: sourceBody({
        open: (_, position) => {
          let next = (position as number | undefined) ?? 0
          return {
            poll: () => {
              if (next >= 9) return null
              next += 3
              return [next - 3, next - 2, next - 1]
            },
            position: () => next,
          }
        },
      }),
    }
    const urgent = operator('urgent', ({ output }) => ({
      onRecord(value) {
        if (value === 4) own.signals.urgent = 1
        output.onRecord(value)
      },
    }))
    const splits = [{ index: 0, split: encodeValue(0), done: false }]
    const own = new TaskHarness({ operators: [items, urgent], splits })
    expect(flat(own.run())).toEqual([0, 1, 2, 3, 4, 5, 'barrier 1', 6, 7, 8, 'watermark Infinity', 'end'])
    await turns()
    expect(decodeValue(snapshotOf(own, 1).operators[0]!.splits![0]!.position!)).toBe(6)
    expect(snapshotOf(own, 1).operators[0]!.records).toBe(6)
    const next = new TaskHarness({ operators: [items, passOn], splits: snapshotOf(own, 1).operators[0]!.splits! })
    expect(flat(next.run())).toEqual([6, 7, 8, 'watermark Infinity', 'end'])
  })

  test('waits for what a watermark has made due', async () => {
    const buffer = (context: OperatorContext): Operator => {
      const held: unknown[] = []
      return {
        onRecord: (value) => void held.push(value),
        onWatermark() {
          while (held.length > 0) {
            if (!context.hasRoom) return false
            context.output.onRecord(held.shift())
          }
          return true
        },
        snapshot: () => held.length,
      }
    }
    const own = harness({ operators: [operator('buffer', buffer)], inputs: 1 })
    own.send(0, records(...Array.from({ length: 20_000 }, (_, index) => index)), watermark(5))
    own.runBlocked()
    own.signals.urgent = 1
    own.runBlocked()
    expect(own.progress).toEqual([])
    own.send(0, barrier(1))
    expect(flat(own.run()).slice(-2)).toEqual(['watermark 5', 'barrier 1'])
    await turns()
    expect(decodeValue(snapshotOf(own, 1).operators[0]!.state!)).toBe(0)
  })

  test('is taken also while the output is full', async () => {
    const own = harness({ inputs: 1 })
    for (let batch = 0; batch < 60; batch++)
      own.send(0, records(...Array.from({ length: 512 }, (_, index) => batch * 512 + index)))
    own.send(0, barrier(1))
    own.runBlocked()
    own.signals.urgent = 1
    own.runBlocked()
    await turns()
    expect(own.acknowledged.map(({ checkpoint }) => checkpoint)).toEqual([1])
    const before = flat(own.run())
    const place = before.indexOf('barrier 1')
    const recorded = onTheWay(snapshotOf(own, 1).inFlight)['0:0:0']!
    expect([...before.slice(0, place), ...recorded]).toEqual(Array.from({ length: 60 * 512 }, (_, index) => index))
  })
})

describe('a task that stands still for a checkpoint', () => {
  const mode: CheckpointMode = { holdsChannels: true, readsOnce: false, stopsTheWorld: true }

  test('handles nothing behind the snapshot before it is told to go on', async () => {
    const own = harness({ inputs: 1, mode })
    own.send(0, records('a'), barrier(1), records('b'))
    expect(flat(own.run())).toEqual(['a', 'barrier 1'])
    await turns()
    expect(own.acknowledged.map(({ checkpoint }) => checkpoint)).toEqual([1])
    expect(own.task.ready).toBe(false)
    expect(flat(own.run())).toEqual([])
    own.task.goOn(1)
    expect(flat(own.run())).toEqual(['b'])
  })

  test('goes on when the checkpoint is given up, and not for an older one', () => {
    const own = harness({ inputs: 1, mode, lastCheckpoint: 4 })
    own.send(0, barrier(5), records('a'))
    expect(flat(own.run())).toEqual(['barrier 5'])
    own.task.goOn(4)
    expect(flat(own.run())).toEqual([])
    own.task.abort(5)
    expect(flat(own.run())).toEqual(['a'])
  })
})

describe('a task that holds no channels', () => {
  test('handles what lies behind a barrier before its snapshot', async () => {
    const own = harness({ mode: { holdsChannels: false, readsOnce: false, stopsTheWorld: false } })
    own.send(0, records('a'), barrier(1), records('behind'))
    expect(flat(own.run())).toEqual(['a', 'behind'])
    own.send(1, records('b'), barrier(1), records('c'))
    expect(flat(own.run())).toEqual(['b', 'barrier 1', 'c'])
    await turns()
    expect(own.acknowledged.map(({ checkpoint, snapshot }) => [checkpoint, snapshot.inFlight])).toEqual([[1, undefined]])
  })
})

interface Item {
  readonly id: string
  readonly key: string
  readonly amount: number
  readonly time: number
  /** Makes the snapshot of this checkpoint urgent in the middle of its batch. */
  readonly urgent?: number
}

interface Life {
  readonly own: TaskHarness
  readonly late: string[]
}

/** Adds up amounts by key in keyed state. */
function sumLife(options: Partial<HarnessOptions>): Life {
  const late: string[] = []
  const sum = operator(
    'sum',
    (context) => {
      const table = context.keyed!.table<number>('sum')
      return {
        onRecord(value) {
          const item = value as Item
          if (item.urgent !== undefined && item.urgent > own.signals.urgent) own.signals.urgent = item.urgent
          if (item.time <= context.watermark) late.push(item.id)
          table.set((table.get() ?? 0) + item.amount)
          context.output.onRecord(item.id)
        },
        onWatermark: () => true,
      }
    },
    { keyOf: (value) => (value as Item).key },
  )
  const own: TaskHarness = new TaskHarness({ operators: [sum], inputs: 2, keyOf: (value) => (value as Item).key, ...options })
  return { own, late }
}

const CHECKPOINTS = 4
/** Keys of the first of two subtasks, which the harness runs. */
const KEYS = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].filter((key) => keyGroupOf(key, 128) < 64).slice(0, 3)
const batch = fc.array(
  fc.record({ key: fc.constantFrom(...KEYS), amount: fc.nat(9), urgent: fc.option(fc.nat(CHECKPOINTS), { freq: 6 }) }),
  {
    minLength: 1,
    maxLength: 4,
  },
)
const part = fc.array(fc.oneof(batch, fc.constant('watermark' as const)), { maxLength: 4 })
/** What one channel brings: a part before each barrier, and one behind the last. */
const input = fc.array(part, { minLength: CHECKPOINTS + 1, maxLength: CHECKPOINTS + 1 })
const happening = fc.constantFrom(
  'first',
  'first',
  'first',
  'second',
  'second',
  'second',
  'step',
  'step',
  'step',
  'urgent',
  'take',
  'crash' as const,
)

function elementsOf(
  parts: readonly (readonly ('watermark' | readonly { key: string; amount: number; urgent: number | null }[])[])[],
  channel: number,
): readonly Element[] {
  const elements: Element[] = []
  let time = 0
  parts.forEach((contents, index) => {
    for (const content of contents) {
      if (content === 'watermark') elements.push(watermark(time))
      else {
        const values = content.map(
          ({ key, amount, urgent }): Item => ({
            id: `${channel}/${++time}`,
            key,
            amount,
            time,
            ...(urgent === null ? {} : { urgent }),
          }),
        )
        elements.push({ kind: 'records', values, timestamps: values.map((value) => value.time) })
      }
    }
    if (index < CHECKPOINTS) elements.push(barrier(index + 1))
  })
  return [...elements, END_OF_TIME, END]
}

test('whatever is urgent and whenever the task dies, every record counts once, in time and in the order of its channel', async () => {
  await fc.assert(
    fc.asyncProperty(fc.tuple(input, input), fc.array(happening, { maxLength: 150, size: 'max' }), async (inputs, script) => {
      const all = inputs.map(elementsOf)
      let life = sumLife({})
      let next = [0, 0]
      let out: unknown[] = []
      const takeOut = (): void => {
        for (let element = life.own.output.poll(); element !== undefined; element = life.own.output.poll())
          out.push(...flat([element]))
      }
      /** A new task begins with the newest checkpoint, and its inputs behind the barriers of that one. */
      const crash = async (): Promise<void> => {
        await turns()
        takeOut()
        expect(life.own.failures).toEqual([])
        expect(life.late).toEqual([])
        const { checkpoint } = life.own.acknowledged.at(-1) ?? {}
        if (checkpoint === undefined) return
        out = out.slice(0, out.indexOf(`barrier ${checkpoint}`))
        next = all.map(
          (elements) => elements.findIndex((element) => element.kind === 'barrier' && element.checkpoint === checkpoint) + 1,
        )
        const before = life.own.deltas.filter((delta) => delta.checkpoint <= checkpoint)
        const options = life.own.restoreOf(checkpoint)
        life.own.task.close()
        life = sumLife(options)
        // Nothing folds here: each life hands its changes on to the next one.
        life.own.deltas.push(...before)
      }
      const send = (channel: number): void => {
        const element = all[channel]![next[channel]!]
        if (element === undefined) return
        next[channel]!++
        life.own.send(channel, element)
      }
      for (const happens of script) {
        if (happens === 'first') send(0)
        else if (happens === 'second') send(1)
        else if (happens === 'step') life.own.task.step()
        else if (happens === 'take') takeOut()
        else if (happens === 'urgent') life.own.signals.urgent = Math.min(CHECKPOINTS, life.own.signals.urgent + 1)
        else await crash()
      }
      for (let sent = 0; sent < 200; sent++) {
        send(sent % 2)
        life.own.task.step()
        takeOut()
      }
      out.push(...flat(life.own.run()))
      await turns()
      expect(life.late).toEqual([])
      expect(life.own.ended).toBe(1)
      const items = all.flatMap((elements) =>
        elements.flatMap((element) => (element.kind === 'records' ? (element.values as Item[]) : [])),
      )
      const ids = out.filter((value) => /^\d\/\d+$/.test(String(value)))
      expect(ids.toSorted()).toEqual(items.map(({ id }) => id).sort())
      for (const channel of [0, 1]) {
        const ofChannel = ids.filter((id) => String(id).startsWith(`${channel}/`))
        expect(ofChannel).toEqual(items.map(({ id }) => id).filter((id) => id.startsWith(`${channel}/`)))
      }
      const [backend] = life.own.task.backends
      for (const key of KEYS) {
        const own = items.filter((item) => item.key === key)
        backend!.setKey(key)
        expect(backend!.table('sum').get()).toBe(own.length === 0 ? undefined : own.reduce((sum, { amount }) => sum + amount, 0))
      }
    }),
    { numRuns: 300 },
  )
})
