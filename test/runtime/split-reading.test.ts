import { describe, expect, test, vi } from 'vitest'
import { SluiceError } from '../../src/core/errors.ts'
import type { Source, SplitReader } from '../../src/core/source.ts'
import { decodeValue, encodeValue } from '../../src/core/value-codec.ts'
import type { SplitState } from '../../src/protocol/messages.ts'
import type { Reading } from '../../src/runtime/split-reading.ts'
import { SplitReading } from '../../src/runtime/split-reading.ts'

const CONTEXT = { operator: 'items-1', subtask: 2, now: () => 0 }

function newSplits(count: number): readonly SplitState[] {
  return Array.from({ length: count }, (_, index) => ({ index, split: encodeValue({ number: index }), done: false }))
}

interface Behaviour {
  readonly records?: number
  /** What a source wraps its answers in. */
  readonly async?: boolean
  readonly reader?: Partial<SplitReader<unknown>>
  readonly open?: Source<unknown>['open']
}

/** A source whose splits hold records such as '1:0', '1:1'; it keeps a log of what it was asked for. */
function sourceOf({ records = 3, async = false, reader = {}, open }: Behaviour = {}): { source: Source<unknown>; log: string[] } {
  const log: string[] = []
  const wrap = <T>(value: T): T | Promise<T> => (async ? Promise.resolve(value) : value)
  const source: Source<unknown> = {
    kind: 'items',
    enumerate: () => [],
    open:
      open ??
      ((split, position) => {
        const { number } = split as { number: number }
        log.push(`open ${number}${position === undefined ? '' : ` at ${String(position)}`}`)
        let next = (position as number | undefined) ?? 0
        const own: SplitReader<unknown> = {
          poll(max) {
            if (next >= records) return wrap(null)
            const from = next
            next = Math.min(records, next + max)
            return wrap(Array.from({ length: next - from }, (_, index) => `${number}:${from + index}`))
          },
          position: () => next,
          close: () => {
            log.push(`close ${number}`)
            return wrap(undefined)
          },
          ...reader,
        }
        return wrap(own)
      }),
  }
  return { source, log }
}

function reading(behaviour: Behaviour = {}, splits = newSplits(2), wake: () => void = () => {}) {
  const { source, log } = sourceOf(behaviour)
  return { reading: new SplitReading(source, CONTEXT, splits, wake), log }
}

/** The next answer that is not 'waiting'. */
async function settled(own: SplitReading, max = 2): Promise<Reading> {
  for (;;) {
    const answer = own.next(max)
    if (answer.type !== 'waiting') return answer
    await new Promise((resolve) => setImmediate(resolve))
  }
}

async function readAll(own: SplitReading, max = 2): Promise<readonly unknown[]> {
  const all: unknown[] = []
  for (;;) {
    const answer = await settled(own, max)
    if (answer.type === 'end') return all
    if (answer.type !== 'records') continue
    all.push(...answer.records)
    own.handedOn()
  }
}

/** Positions as they would be stored. */
function stored(own: SplitReading): readonly { done: boolean; position: unknown }[] {
  return own
    .positions()
    .map(({ done, position }) => ({ done, position: position === undefined ? undefined : decodeValue(position) }))
}

/** What is rejected without anybody listening while `action` and the turns after it run. */
async function unhandledDuring(action: () => Promise<void>): Promise<readonly unknown[]> {
  const seen: unknown[] = []
  const others = process.listeners('unhandledRejection')
  process.removeAllListeners('unhandledRejection')
  process.on('unhandledRejection', (reason) => seen.push(reason))
  try {
    await action()
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
  } finally {
    process.removeAllListeners('unhandledRejection')
    for (const other of others) process.on('unhandledRejection', other)
  }
  return seen
}

describe.each([
  ['synchronous', false],
  ['asynchronous', true],
])('reading a %s source', (_, async) => {
  test('goes through its splits one after the other, in order, and closes each', async () => {
    const { reading: own, log } = reading({ async }, newSplits(3))
    expect(await readAll(own)).toEqual(['0:0', '0:1', '0:2', '1:0', '1:1', '1:2', '2:0', '2:1', '2:2'])
    expect(log).toEqual(['open 0', 'close 0', 'open 1', 'close 1', 'open 2', 'close 2'])
    expect(own.next(2)).toEqual({ type: 'end' })
    expect(stored(own)).toEqual(new Array(3).fill({ done: true, position: 3 }))
  })

  test('counts a batch only when it has been handed on', async () => {
    const { reading: own } = reading({ async })
    expect(stored(own)[0]).toEqual({ done: false, position: undefined })
    expect(await settled(own)).toEqual({ type: 'records', records: ['0:0', '0:1'] })
    expect(stored(own)[0]).toEqual({ done: false, position: undefined })
    own.handedOn()
    expect(stored(own)[0]).toEqual({ done: false, position: 2 })
    expect(await settled(own)).toEqual({ type: 'records', records: ['0:2'] })
    expect(stored(own)[0]).toEqual({ done: false, position: 2 })
    own.handedOn()
    expect(stored(own)).toEqual([
      { done: false, position: 3 },
      { done: false, position: undefined },
    ])
  })

  test('stopped between any two batches and begun again at the stored positions, it gives every record once', async () => {
    const whole = await readAll(reading({ async, records: 5 }, newSplits(3)).reading)
    for (let batches = 0; batches <= 10; batches++) {
      const first = reading({ async, records: 5 }, newSplits(3)).reading
      const before: unknown[] = []
      for (let batch = 0; batch < batches; batch++) {
        const answer = await settled(first)
        if (answer.type !== 'records') break
        before.push(...answer.records)
        first.handedOn()
      }
      // What was read beyond the last batch that was handed on is read again.
      await settled(first)
      const after = reading({ async, records: 5 }, first.positions()).reading
      expect([...before, ...(await readAll(after))]).toEqual(whole)
    }
  })

  test('opens neither a split that is done nor one that it has not come to', async () => {
    const splits = newSplits(3).map((split, index) => (index === 0 ? { ...split, done: true, position: encodeValue(3) } : split))
    const { reading: own, log } = reading({ async }, splits)
    await settled(own)
    expect(log).toEqual(['open 1'])
  })

  test('without splits is at its end', async () => {
    expect(await settled(reading({ async }, []).reading)).toEqual({ type: 'end' })
  })

  test('says so when there is nothing just now, and asks again', async () => {
    const answers: (readonly string[] | null)[] = [[], ['a'], [], null]
    const poll = () => (async ? Promise.resolve(answers.shift()!) : answers.shift()!)
    const { reading: own } = reading({ async, reader: { poll, position: () => 7 } }, newSplits(1))
    expect(await settled(own)).toEqual({ type: 'nothing' })
    expect(stored(own)).toEqual([{ done: false, position: undefined }])
    expect(await settled(own)).toEqual({ type: 'records', records: ['a'] })
    own.handedOn()
    expect(await settled(own)).toEqual({ type: 'nothing' })
    expect(await settled(own)).toEqual({ type: 'end' })
  })

  test('passes 20,000 empty splits', async () => {
    const { reading: own } = reading({ async, records: 0 }, newSplits(async ? 200 : 20_000))
    expect(await settled(own)).toEqual({ type: 'end' })
  })

  test.each(['open', 'poll'] as const)('says where %s failed', async (where) => {
    const fail = (): never | Promise<never> => {
      if (async) return Promise.reject(new Error('disk gone'))
      throw new Error('disk gone')
    }
    const { reading: own } = reading(where === 'open' ? { open: fail } : { async, reader: { poll: fail } })
    const error = await settled(own).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'SOURCE_FAILED', operator: 'items-1', subtask: 2 })
    expect((error as SluiceError).message).toContain('disk gone')
    expect((error as SluiceError).cause).toBeInstanceOf(Error)
  })

  test('says where closing a split failed', async () => {
    const close = (): void | Promise<void> => {
      if (async) return Promise.reject(new Error('cannot close'))
      throw new Error('cannot close')
    }
    const { reading: own } = reading({ async, reader: { close } })
    await expect(readAll(own)).rejects.toMatchObject({ code: 'SOURCE_FAILED', operator: 'items-1' })
  })

  test("keeps the code of the source's own refusal, and adds the place", async () => {
    const refusal = new SluiceError('MALFORMED_RECORD', 'line 3', { hint: 'mend it' })
    const poll = (): Promise<never> => {
      if (async) return Promise.reject(refusal)
      throw refusal
    }
    const { reading: own } = reading({ async, reader: { poll } })
    await expect(settled(own)).rejects.toMatchObject({
      code: 'MALFORMED_RECORD',
      operator: 'items-1',
      subtask: 2,
      hint: 'mend it',
    })
  })

  test('closes the reader when it is closed in the middle of a split', async () => {
    const { reading: own, log } = reading({ async })
    await settled(own)
    own.close()
    expect(log).toEqual(['open 0', 'close 0'])
    own.close()
    expect(log).toEqual(['open 0', 'close 0'])
  })

  test('survives a reader that cannot be closed at the end of an attempt', async () => {
    const close = (): Promise<void> => Promise.reject(new Error('cannot close'))
    const { reading: own } = reading({ async, reader: { close } })
    await settled(own)
    expect(await unhandledDuring(async () => own.close())).toEqual([])
  })
})

describe('a promise of a source', () => {
  test('is waited for, one at a time, and wakes the task when it has settled', async () => {
    const wake = vi.fn()
    let polls = 0
    let resolve: (records: readonly unknown[]) => void = () => {}
    const poll = () => {
      polls++
      return new Promise<readonly unknown[]>((settle) => {
        resolve = settle
      })
    }
    const { reading: own } = reading({ reader: { poll, position: () => 1 } }, newSplits(1), wake)
    expect(own.next(2)).toEqual({ type: 'waiting' })
    expect(own.next(2)).toEqual({ type: 'waiting' })
    expect([polls, wake.mock.calls.length]).toEqual([1, 0])
    resolve(['a'])
    await new Promise((done) => setImmediate(done))
    expect(wake).toHaveBeenCalledTimes(1)
    expect(own.next(2)).toEqual({ type: 'records', records: ['a'] })
    expect(polls).toBe(1)
    own.handedOn()
    expect(own.next(2)).toEqual({ type: 'waiting' })
    expect(polls).toBe(2)
  })

  test('to open that is kept after the end of the attempt leaves no reader open', async () => {
    let arrive: (reader: SplitReader<unknown>) => void = () => {}
    const close = vi.fn()
    const { reading: own } = reading({
      open: () =>
        new Promise((resolve) => {
          arrive = resolve
        }),
    })
    expect(own.next(2)).toEqual({ type: 'waiting' })
    own.close()
    arrive({ poll: () => null, position: () => 0, close })
    await new Promise((done) => setImmediate(done))
    expect(close).toHaveBeenCalledTimes(1)
  })

  test.each([
    ['rejects', () => Promise.reject(new Error('cannot close'))],
    [
      'throws',
      () => {
        throw new Error('cannot close')
      },
    ],
  ])('to open that is kept after the end of the attempt does no harm when closing its reader %s', async (_, close) => {
    const unhandled = await unhandledDuring(async () => {
      let arrive: (reader: SplitReader<unknown>) => void = () => {}
      const { reading: own } = reading({
        open: () =>
          new Promise((resolve) => {
            arrive = resolve
          }),
      })
      own.next(2)
      own.close()
      arrive({ poll: () => null, position: () => 0, close })
    })
    expect(unhandled).toEqual([])
  })

  test('that is broken after the end of the attempt does no harm', async () => {
    const unhandled = await unhandledDuring(async () => {
      let fail: (error: Error) => void = () => {}
      const poll = () =>
        new Promise<null>((_, reject) => {
          fail = reject
        })
      const { reading: own } = reading({ reader: { poll } })
      own.next(2)
      own.close()
      fail(new Error('aborted'))
    })
    expect(unhandled).toEqual([])
  })

  test('may be that of another library', async () => {
    const answers: unknown[] = [['a'], null]
    // Not an instance of Promise, and yet one.
    const poll = () =>
      ({ then: (resolve: (value: unknown) => void) => resolve(answers.shift()) }) as unknown as Promise<readonly unknown[]>
    const { reading: own } = reading({ reader: { poll, position: () => 1 } }, newSplits(1))
    expect(await readAll(own)).toEqual(['a'])
  })
})

describe('a position', () => {
  test('that cannot be read is an error of the source', async () => {
    const position = (): never => {
      throw new Error('no position')
    }
    const { reading: own } = reading({ reader: { position } })
    await settled(own)
    expect(() => own.handedOn()).toThrow(expect.objectContaining({ code: 'SOURCE_FAILED', operator: 'items-1', subtask: 2 }))
  })
})

/** A source whose splits hold `records` each, read in turn or not, with a clock by hand. */
function timedReading(inTurn: boolean, splits: readonly SplitState[], records = 3) {
  const clock = { now: 0 }
  const { source, log } = sourceOf({ records })
  const context = { ...CONTEXT, now: () => clock.now }
  return { own: new SplitReading({ ...source, inTurn }, context, splits, () => {}), log, clock }
}

function begun(split: SplitState, position: number): SplitState {
  return { ...split, position: encodeValue(position) }
}

describe('the splits that are being read', () => {
  test('are one after the other, and each change is told once', async () => {
    const { own } = timedReading(false, newSplits(3))
    const seen: (readonly number[])[] = []
    for (let answer = own.next(2); ; answer = own.next(2)) {
      if (own.takeChange()) seen.push(own.reading)
      expect(own.takeChange()).toBe(false)
      if (answer.type === 'end') break
      expect(own.reading).toContain(own.split)
      own.handedOn()
    }
    expect(seen).toEqual([[0], [1], [2], []])
  })

  test('are all that are not done when they are read in turn', async () => {
    const { own } = timedReading(true, newSplits(3))
    expect(own.reading).toEqual([0, 1, 2])
    expect(await readAll(own)).toEqual(['0:0', '0:1', '1:0', '1:1', '2:0', '2:1', '0:2', '1:2', '2:2'])
    expect(own.reading).toEqual([])
  })

  test('are those that were half read when several come together, in turn, and then the rest one after the other', async () => {
    const [zero, one, two, three] = newSplits(4) as [SplitState, SplitState, SplitState, SplitState]
    const { own } = timedReading(false, [begun(zero, 1), begun(one, 2), two, three], 4)
    expect(own.reading).toEqual([0, 1])
    const all = await readAll(own, 1)
    expect(all).toEqual(['0:1', '1:2', '0:2', '1:3', '0:3', '2:0', '2:1', '2:2', '2:3', '3:0', '3:1', '3:2', '3:3'])
  })

  test('are also those before them that nobody had come to: another subtask was behind', () => {
    const [zero, one, two, three] = newSplits(4) as [SplitState, SplitState, SplitState, SplitState]
    const { own } = timedReading(false, [{ ...begun(zero, 3), done: true }, one, begun(two, 1), three])
    expect(own.reading).toEqual([1, 2])
  })

  test('are known after a restore also when they had given no record yet', async () => {
    const { own } = timedReading(false, newSplits(2))
    const stored = own.positions()
    expect(stored.map(({ reading = false }) => reading)).toEqual([true, false])
    const joined = timedReading(false, [stored[0]!, { ...stored[1]!, reading: true }])
    expect(joined.own.reading).toEqual([0, 1])
    expect((await readAll(joined.own)).length).toBe(6)
  })

  test('stopped anywhere and begun again give every record once, however many are half read', async () => {
    const half = newSplits(4).map((split, index) => (index < 3 ? begun(split, index) : split))
    const whole = (await readAll(timedReading(false, half, 5).own)).toSorted()
    for (let batches = 0; batches <= 10; batches++) {
      const first = timedReading(false, half, 5).own
      const before: unknown[] = []
      for (let batch = 0; batch < batches; batch++) {
        const answer = first.next(2)
        if (answer.type !== 'records') break
        before.push(...answer.records)
        first.handedOn()
      }
      const after = timedReading(false, first.positions(), 5).own
      expect([...before, ...(await readAll(after))].toSorted()).toEqual(whole)
    }
  })
})

describe('a split that is held back', () => {
  test('is not asked, while the others are', () => {
    const { own, log } = timedReading(true, newSplits(2))
    const held = new Set([0])
    own.holdBack((split) => held.has(split))
    expect(own.next(2)).toEqual({ type: 'records', records: ['1:0', '1:1'] })
    own.handedOn()
    expect(own.next(2)).toEqual({ type: 'records', records: ['1:2'] })
    own.handedOn()
    expect(own.next(2)).toEqual({ type: 'nothing' })
    expect(log).toEqual(['open 1', 'close 1'])
    held.clear()
    expect(own.next(2)).toEqual({ type: 'records', records: ['0:0', '0:1'] })
  })

  test('is held by anyone who wants it to be', () => {
    const { own } = timedReading(false, newSplits(1))
    const wishes = [true, true]
    for (const index of wishes.keys()) own.holdBack(() => wishes[index]!)
    expect(own.next(2).type).toBe('nothing')
    wishes[0] = false
    expect(own.next(2).type).toBe('nothing')
    wishes[1] = false
    expect(own.next(2).type).toBe('records')
  })
})

describe('the time in which a split was asked', () => {
  function silent() {
    const clock = { now: 0 }
    const source: Source<unknown> = {
      kind: 'silent',
      inTurn: true,
      enumerate: () => [],
      open: () => ({ poll: () => [], position: () => 0 }),
    }
    const own = new SplitReading(source, { ...CONTEXT, now: () => clock.now }, newSplits(2), () => {})
    const ask = (now: number): void => {
      clock.now = now
      own.next(2)
    }
    return { own, clock, ask }
  }

  test('goes from question to question', () => {
    const { own, ask } = silent()
    expect(own.listenedMs(0)).toBe(0)
    ask(100)
    expect(own.listenedMs(0)).toBe(0)
    ask(130)
    ask(150)
    expect(own.listenedMs(0)).toBe(50)
    expect(own.listenedMs(1)).toBe(50)
    expect(own.listenedMs(7)).toBe(0)
  })

  test('stands still while the task is held up', () => {
    const { own, clock, ask } = silent()
    ask(0)
    clock.now = 10
    own.block()
    clock.now = 500
    own.block()
    clock.now = 1_000
    own.unblock()
    own.unblock()
    ask(1_005)
    expect(own.listenedMs(0)).toBe(15)
  })

  test('stands still while the split is held back', () => {
    const { own, ask } = silent()
    let held = false
    own.holdBack((split) => held && split === 0)
    ask(0)
    held = true
    ask(10)
    ask(500)
    held = false
    ask(1_000)
    ask(1_020)
    expect(own.listenedMs(0)).toBe(20)
    expect(own.listenedMs(1)).toBe(1_020)
  })

  test('does not go back with the clock', () => {
    const { own, ask } = silent()
    ask(100)
    ask(50)
    ask(80)
    expect(own.listenedMs(0)).toBe(30)
  })

  test('begins for a split with its turn', () => {
    const { own, clock } = timedReading(false, newSplits(2), 1)
    own.next(1)
    own.handedOn()
    clock.now = 1_000
    own.next(1)
    expect(own.split).toBe(1)
    expect(own.listenedMs(1)).toBe(0)
  })
})
