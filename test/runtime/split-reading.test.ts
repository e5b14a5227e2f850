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
