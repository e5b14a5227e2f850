import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { canonicalKey, compareKeys, keyGroupOf } from '../../src/core/key-groups.ts'
import type { Key, KeyedTimers } from '../../src/core/keyed-state.ts'
import type { Operator, OperatorContext } from '../../src/core/operator.ts'
import type { KeyedBackend } from '../../src/state/keyed-backend.ts'
import { MemoryOperatorBase } from '../../src/state/state-base.ts'
import { anyKey } from '../core/keys.ts'
import { operator, TaskHarness } from '../runtime/task-harness.ts'
import { always, fired, fold, restored, snapshot, wholeBackend } from './backends.ts'

const HOW = ['deltas', 'base'] as const

/** A record without a timestamp. */
const NONE = Number.NaN

/** Timers of a backend, set by key, and what has fired as `key@time`. */
function harness(backend: KeyedBackend = wholeBackend()) {
  const timers = backend.timers()
  const fired: string[] = []
  const forKey = (key: string, action: (timers: KeyedTimers) => void): void => {
    backend.setKey(key)
    action(timers)
  }
  return {
    backend,
    timers,
    fired,
    set: (key: string, time: number) => forKey(key, () => timers.setEventTime(time)),
    delete: (key: string, time: number) => forKey(key, () => timers.deleteEventTime(time)),
    fire: (until: number, during: (key: string, time: number) => void = () => {}, proceed = always) =>
      timers.fireEventTime(
        until,
        (time) => {
          fired.push(`${String(backend.key)}@${time}`)
          during(String(backend.key), time)
        },
        proceed,
      ),
  }
}

describe('timers', () => {
  test('fire in the order of their times, up to and with the watermark', () => {
    const { set, fire, fired } = harness()
    for (const time of [30, 10, 20, -5, 11]) set('a', time)
    expect(fire(20)).toBe(true)
    expect(fired).toEqual(['a@-5', 'a@10', 'a@11', 'a@20'])
    fire(30)
    expect(fired.at(-1)).toBe('a@30')
  })

  test.each(HOW)(
    'of one time fire in the order of their key groups, so that a replay after a restore from %s fires them alike',
    (how) => {
      const keys = ['user-1', 'key', 'a', 'A', 'user-2', 'sensor_1']
      const { set, fire, fired, backend } = harness()
      for (const key of keys) set(key, 10)
      const again = harness(restored(backend, how))
      fire(10)
      again.fire(10)
      expect(fired).toEqual(again.fired)
      expect(fired).toEqual(keys.sort((a, b) => keyGroupOf(a, 128) - keyGroupOf(b, 128)).map((key) => `${key}@10`))
    },
  )

  test('set twice are one, for each key and time and kind', () => {
    const { set, fire, fired, timers, backend } = harness()
    set('a', 10)
    set('a', 10)
    set('b', 10)
    set('a', 20)
    backend.setKey('a')
    timers.setProcessingTime(10)
    fire(100)
    expect(fired.toSorted()).toEqual(['a@10', 'a@20', 'b@10'])
    expect(timers.nextProcessingTime()).toBe(10)
  })

  test('fire once', () => {
    const { set, fire, fired } = harness()
    set('a', 10)
    fire(10)
    fire(10)
    fire(50)
    expect(fired).toEqual(['a@10'])
  })

  test('that are deleted do not fire, and deleting a missing one does nothing', () => {
    const { set, delete: remove, fire, fired } = harness()
    set('a', 10)
    set('b', 10)
    set('a', 20)
    remove('a', 10)
    remove('a', 15)
    remove('c', 20)
    fire(100)
    expect(fired).toEqual(['b@10', 'a@20'])
  })

  test('can be set again after they were deleted or have fired', () => {
    const { set, delete: remove, fire, fired } = harness()
    set('a', 10)
    remove('a', 10)
    set('a', 10)
    fire(10)
    set('a', 10)
    fire(10)
    expect(fired).toEqual(['a@10', 'a@10'])
  })

  test('of the past fire with the next watermark, not at once', () => {
    const { set, fire, fired } = harness()
    fire(100)
    set('a', 10)
    expect(fired).toEqual([])
    fire(101)
    expect(fired).toEqual(['a@10'])
  })

  test('that are set while others fire and are already due fire in the same call', () => {
    const { set, fire, fired, timers } = harness()
    set('a', 10)
    fire(40, (_, time) => {
      if (time < 60) timers.setEventTime(time + 10)
    })
    expect(fired).toEqual(['a@10', 'a@20', 'a@30', 'a@40'])
    fire(50)
    expect(fired.at(-1)).toBe('a@50')
  })

  test('that are set for the same time while it fires are new ones', () => {
    const { set, fire, fired, timers } = harness()
    set('a', 10)
    let again = 2
    fire(10, () => {
      if (again-- > 0) timers.setEventTime(10)
    })
    expect(fired).toEqual(['a@10', 'a@10', 'a@10'])
  })

  test('that their own handler sets, deletes and sets again are there', () => {
    const { set, fire, fired, timers } = harness()
    set('a', 10)
    let first = true
    fire(10, () => {
      if (!first) return
      first = false
      timers.setEventTime(10)
      timers.deleteEventTime(10)
      timers.setEventTime(10)
    })
    expect(fired).toEqual(['a@10', 'a@10'])
  })

  test('that are set for an earlier time while others fire come before the later ones', () => {
    const { set, fire, fired, timers } = harness()
    set('a', 10)
    set('b', 20)
    set('b', 30)
    fire(100, (_, time) => {
      if (time === 20) timers.setEventTime(5)
    })
    expect(fired).toEqual(['a@10', 'b@20', 'b@5', 'b@30'])
  })

  test('that are deleted while others of their key fire do not fire', () => {
    const { set, fire, fired, timers } = harness()
    for (const time of [10, 20, 30]) set('a', time)
    fire(100, (_, time) => timers.deleteEventTime(time + 10))
    expect(fired).toEqual(['a@10', 'a@30'])
  })

  test.each(HOW)('stop where they are told to and go on from there, each fired once, also from %s', (how) => {
    const { set, fire, fired, backend } = harness()
    for (const key of ['a', 'b', 'c']) for (const time of [10, 20]) set(key, time)
    let left = 2
    const proceed = () => left-- > 0
    expect(fire(15, undefined, proceed)).toBe(false)
    expect(fired).toHaveLength(2)
    left = 0
    expect(fire(15, undefined, proceed)).toBe(false)
    expect(fired).toHaveLength(2)
    left = 1
    fire(15, undefined, proceed)
    expect(fired).toHaveLength(3)
    // Whatever has not fired when a snapshot is taken in between is in the snapshot.
    const other = harness(restored(backend, how))
    expect(fire(15)).toBe(true)
    fire(20)
    other.fire(20)
    expect(fired).toHaveLength(6)
    expect(other.fired.toSorted()).toEqual(['a@20', 'b@20', 'c@20'])
  })

  test.each(HOW)('a snapshot in the middle of firing holds exactly what has not fired, from %s', (how) => {
    const { set, fire, fired, backend } = harness()
    for (const key of ['a', 'b', 'c']) set(key, 10)
    let left = 1
    fire(10, undefined, () => left-- > 0)
    const other = harness(restored(backend, how))
    other.fire(10)
    expect([...fired, ...other.fired].toSorted()).toEqual(['a@10', 'b@10', 'c@10'])
  })

  test('a timer that throws has fired, and the others are still there', () => {
    const { set, fire, fired } = harness()
    set('a', 10)
    set('a', 20)
    const fail = () => {
      throw new Error('handler')
    }
    expect(() => fire(100, fail)).toThrow('handler')
    fire(100)
    expect(fired).toEqual(['a@10', 'a@20'])
  })

  test('of processing time tell when the next one is due, past those that were deleted', () => {
    const { timers, backend } = harness()
    expect(timers.nextProcessingTime()).toBe(Number.POSITIVE_INFINITY)
    backend.setKey('a')
    for (const time of [30, 10, 20]) timers.setProcessingTime(time)
    expect(timers.nextProcessingTime()).toBe(10)
    timers.deleteProcessingTime(10)
    expect(timers.nextProcessingTime()).toBe(20)
    const fired: number[] = []
    timers.fireProcessingTime(20, (time) => fired.push(time), always)
    expect(fired).toEqual([20])
    expect(timers.nextProcessingTime()).toBe(30)
    timers.deleteProcessingTime(30)
    expect(timers.nextProcessingTime()).toBe(Number.POSITIVE_INFINITY)
  })

  test('at the end of time all fire', () => {
    const { set, fire, fired } = harness()
    set('a', 8.64e15)
    set('a', Number.MAX_VALUE)
    fire(Number.POSITIVE_INFINITY)
    expect(fired).toHaveLength(2)
  })

  test('of one time and key group fire in the order of their keys, whatever the order in which they were set', () => {
    const keys: readonly Key[] = [false, true, -1, 0, 2, 10, 3n, new Date(1), [1, 'a'], '10', '2', 'a', 'b']
    for (const order of [keys, keys.toReversed(), [...keys.slice(6), ...keys.slice(0, 6)]]) {
      const backend = wholeBackend(1)
      const timers = backend.timers()
      for (const key of order) {
        backend.setKey(key)
        timers.setEventTime(5)
      }
      for (const each of [restored(backend, 'deltas', 1), restored(backend, 'base', 1), backend]) {
        const fired: unknown[] = []
        each.timers().fireEventTime(5, () => fired.push(each.key), always)
        expect(fired).toEqual(keys)
      }
    }
  })

  test('that a handler sets again for the time that fires come before the keys behind it', () => {
    const backend = wholeBackend(1)
    const own = harness(backend)
    for (const key of ['c', 'a', 'b']) own.set(key, 10)
    let left = 2
    own.fire(10, (key) => {
      if (key === 'a' && left-- > 0) own.timers.setEventTime(10)
    })
    expect(own.fired).toEqual(['a@10', 'a@10', 'a@10', 'b@10', 'c@10'])
  })

  test('a million of one time fire in order', () => {
    const backend = wholeBackend()
    const timers = backend.timers()
    for (let key = 0; key < 1_000_000; key++) {
      backend.setKey(key)
      timers.setEventTime(10)
    }
    let fired = 0
    let [group, last] = [-1, -1]
    timers.fireEventTime(
      10,
      () => {
        fired++
        const key = backend.key as number
        const own = keyGroupOf(key, 128)
        if (own < group || (own === group && key <= last)) throw new Error(`${key} fired after ${last}`)
        ;[group, last] = [own, key]
      },
      always,
    )
    expect(fired).toBe(1_000_000)
    expect(snapshot(backend)).toEqual([])
  })

  test('that are moved with every record leave nothing behind', () => {
    const backend = wholeBackend()
    const timers = backend.timers()
    backend.setKey('a')
    for (let time = 0; time < 1_000_000; time++) {
      timers.setProcessingTime(1_000_000 - time)
      timers.deleteProcessingTime(1_000_000 - time)
    }
    expect(timers.nextProcessingTime()).toBe(Number.POSITIVE_INFINITY)
    timers.setProcessingTime(7)
    expect(timers.nextProcessingTime()).toBe(7)
  })

  test.each(HOW)('of another name know nothing of each other, also from %s', (how) => {
    const backend = wholeBackend()
    backend.setKey('a')
    backend.timers('ttl:x').setEventTime(5)
    backend.timers('ttl:x').setProcessingTime(6)
    const other = restored(backend, how)
    expect(other.timers().nextEventTime()).toBe(Number.POSITIVE_INFINITY)
    expect([other.timers('ttl:x').nextEventTime(), other.timers('ttl:x').nextProcessingTime()]).toEqual([5, 6])
  })

  test('that lie in the base are read as their time comes near, and fire in order with those that were set since', () => {
    const COUNT = 20_000
    const first = wholeBackend(4)
    for (let index = 0; index < COUNT; index++) {
      first.setKey(index)
      // Five thousand at one time, which is more than is read at once.
      first.timers().setEventTime(index < 5_000 ? 50 : index)
    }
    const backend = restored(first, 'base', 4)
    const timers = backend.timers()
    expect(timers.nextEventTime()).toBe(50)
    expect(backend.size).toBeLessThan(COUNT / 2)
    backend.setKey(19_000)
    timers.deleteEventTime(19_000)
    timers.setEventTime(10)
    timers.setEventTime(19_500.5)
    const seen = fired(backend, 'event')
    expect(seen).toHaveLength(COUNT + 1)
    expect(seen[0]).toEqual([19_000, 10])
    expect(new Set(seen.map(([key, time]) => `${String(key)}@${time}`)).size).toBe(COUNT + 1)
    expect(seen.map(([, time]) => time)).toEqual(seen.map(([, time]) => time).toSorted((a, b) => a - b))
    expect(seen).not.toContainEqual([19_000, 19_000])
    expect(seen).toContainEqual([19_000, 19_500.5])
  })

  test('that the base holds are forgotten when there is need, the latest first, and come back in time', () => {
    const COUNT = 12_000
    const backend = wholeBackend(4, new MemoryOperatorBase())
    const timers = backend.timers()
    for (let index = 0; index < COUNT; index++) {
      backend.setKey(index)
      timers.setEventTime(index)
    }
    expect(backend.evict(COUNT)).toBe(0)
    snapshot(backend)
    fold(backend)
    expect(backend.evict(4_000)).toBe(4_000)
    expect(timers.nextEventTime()).toBe(0)
    expect(backend.size).toBe(8_000)
    backend.setKey(11_000)
    timers.deleteEventTime(11_000)
    const seen = fired(backend, 'event')
    expect(seen.map(([, time]) => time)).toEqual(
      Array.from({ length: COUNT }, (_, index) => index).filter((time) => time !== 11_000),
    )
  })

  test.each([
    ['at the end of the input', Number.POSITIVE_INFINITY, (time: number) => time + 1],
    ['for the very time that fires', 10, (time: number) => time],
    ['for the past', 10, (time: number) => time - 1],
  ])('that a handler sets for ever %s are stopped with an error', (_, until, next) => {
    const { set, fire, timers, fired } = harness()
    set('a', 10)
    const forEver = (): boolean => fire(until, (_key, time) => timers.setEventTime(next(time)))
    expect(forEver).toThrow(
      expect.objectContaining({ code: 'TIMER_LOOP', hint: expect.stringContaining('ctx.watermark < Infinity') }),
    )
    expect(fired.length).toBeGreaterThan(1_000_000)
  })

  test('that a handler sets for ever are found also when full outputs interrupt it', () => {
    const { set, fire, timers } = harness()
    set('a', 10)
    const onFire = (_: string, time: number): void => timers.setEventTime(time + 1)
    expect(() => {
      for (let calls = 0; calls < 1_000_000; calls++) {
        let left = 3
        fire(Number.POSITIVE_INFINITY, onFire, () => left-- > 0)
      }
    }).toThrow(expect.objectContaining({ code: 'TIMER_LOOP' }))
  })

  test('that come to an end are no loop: three more for each of half a million keys', () => {
    const backend = wholeBackend()
    const timers = backend.timers()
    for (let key = 0; key < 500_000; key++) {
      backend.setKey(key)
      timers.setEventTime(0)
    }
    let fired = 0
    timers.fireEventTime(
      Number.POSITIVE_INFINITY,
      (time) => {
        fired++
        if (time < 3) timers.setEventTime(time + 1)
      },
      always,
    )
    expect(fired).toBe(2_000_000)
  })

  test('that move on with a finite watermark are no loop', () => {
    const { set, fire, timers, fired } = harness()
    set('a', 0)
    fire(1_500_000, (_, time) => timers.setEventTime(time + 1))
    expect(fired).toHaveLength(1_500_001)
  })

  test('do what a sorted list of (time, key group, key) does, also when they are set and deleted while others fire', () => {
    const key = anyKey()
    const change = fc.record({ type: fc.constantFrom('set' as const, 'delete' as const), by: fc.integer({ min: -3, max: 3 }) })
    const operation = fc.oneof(
      fc.record({ type: fc.constantFrom('set' as const, 'set' as const, 'delete' as const), key, time: fc.nat(10) }),
      fc.record({
        type: fc.constant('fire' as const),
        until: fc.nat(12),
        most: fc.nat(6),
        during: fc.array(fc.array(change, { maxLength: 2 }), { maxLength: 5 }),
      }),
      fc.constantFrom(...HOW).map((how) => ({ type: 'restart' as const, how })),
    )
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 40 }), (operations) => {
        let backend = wholeBackend()
        let model: Waiting[] = []
        for (const step of operations) {
          if (step.type === 'restart') {
            backend = restored(backend, step.how)
          } else if (step.type === 'fire') {
            const result = fireBoth(backend, model, step)
            expect(result.fired).toEqual(result.expected)
            model = result.left
            expect(result.done).toBe(model.every(({ time }) => time > step.until))
          } else {
            backend.setKey(step.key)
            const canonical = canonicalKey(step.key)
            if (step.type === 'set') backend.timers().setEventTime(step.time)
            else backend.timers().deleteEventTime(step.time)
            model = changed(model, { time: step.time, group: keyGroupOf(step.key, 128), canonical }, step.type)
          }
        }
      }),
      { numRuns: 300 },
    )
  })
})

interface Waiting {
  readonly time: number
  readonly group: number
  readonly canonical: unknown
}

function changed(model: readonly Waiting[], timer: Waiting, type: 'set' | 'delete'): Waiting[] {
  const others = model.filter(({ time, canonical }) => time !== timer.time || !Object.is(canonical, timer.canonical))
  return type === 'set' ? [...others, timer] : others
}

/** Fires the queue and the list; after each timer the same changes are made to both. */
function fireBoth(
  backend: KeyedBackend,
  before: readonly Waiting[],
  step: {
    readonly until: number
    readonly most: number
    readonly during: readonly (readonly { readonly type: 'set' | 'delete'; readonly by: number }[])[]
  },
) {
  const timers = backend.timers()
  const fired: string[] = []
  let left = step.most
  const done = timers.fireEventTime(
    step.until,
    (time) => {
      for (const { type, by } of step.during[fired.length] ?? []) {
        if (type === 'set') timers.setEventTime(time + by)
        else timers.deleteEventTime(time + by)
      }
      fired.push(`${String(canonicalKey(backend.key))} ${typeof backend.key} ${time}`)
    },
    () => left-- > 0,
  )
  let model = [...before]
  const expected: string[] = []
  while (expected.length < step.most) {
    const due = model.filter(({ time }) => time <= step.until)
    const next = due.sort((a, b) => a.time - b.time || a.group - b.group || compareKeys(a.canonical, b.canonical))[0]
    if (next === undefined) break
    model = changed(model, next, 'delete')
    for (const { type, by } of step.during[expected.length] ?? []) {
      model = changed(model, { ...next, time: next.time + by }, type)
    }
    expected.push(`${String(next.canonical)} ${typeOfCanonical(next.canonical)} ${next.time}`)
  }
  return { fired, expected, left: model, done }
}

/** Dates and tuples are text in their canonical form. */
function typeOfCanonical(canonical: unknown): string {
  return typeof canonical === 'string' && /^\0[dt]/.test(canonical) ? 'object' : typeof canonical
}

describe('timers by the clock in a task', () => {
  /** Passes records on, and sets a timer for what a record says; emits the times that fire. */
  function setter(onOpen: (context: OperatorContext) => void = () => {}): (context: OperatorContext) => Operator {
    return (context) => {
      const timers = context.keyed!.timers()
      return {
        open: () => onOpen(context),
        onRecord: (value) => {
          context.output.onRecord(value)
          if (typeof value === 'number') timers.setProcessingTime(value)
        },
        nextProcessingTime: () => timers.nextProcessingTime(),
        onProcessingTime: (nowMs) => timers.fireProcessingTime(nowMs, (time) => context.output.onRecord(`fired ${time}`), always),
      }
    }
  }

  const keyed = { keyOf: () => 'user-2' }

  function values(elements: readonly unknown[]): readonly unknown[] {
    return elements.flatMap((element) => (element as { readonly values?: readonly unknown[] }).values ?? [])
  }

  test('wait longer than 2^31 ms', () => {
    const task = new TaskHarness({ operators: [operator('set', setter(), keyed)] })
    const day = 86_400_000
    task.send(0, { kind: 'records', values: [40 * day], timestamps: [NONE] })
    expect(values(task.run())).toEqual([40 * day])
    expect(task.task.nextWakeup()).toBe(40 * day)
    task.now = 40 * day - 1
    expect(values(task.run())).toEqual([])
    task.now = 40 * day
    expect(values(task.run())).toEqual([`fired ${40 * day}`])
  })

  test('that are overdue after a restore fire before the next record, and not while the task is opened', () => {
    const first = new TaskHarness({ operators: [operator('set', setter(), keyed)] })
    first.send(0, { kind: 'records', values: [-50, -100], timestamps: [NONE, NONE] })
    // Handled, but before the clock is looked at.
    first.task.step()
    const { deltas } = first.cut(1)
    let outputsAtOpen = -1
    const seen: unknown[] = []
    const watching = (context: OperatorContext): Operator => ({
      onRecord: (value) => {
        seen.push(value)
        context.output.onRecord(value)
      },
    })
    const second = new TaskHarness({
      operators: [
        operator(
          'set',
          setter(() => (outputsAtOpen = seen.length)),
          keyed,
        ),
        operator('watch', watching),
      ],
      restores: {
        'set-1': {
          watermark: Number.NEGATIVE_INFINITY,
          rescaled: false,
          watermarkFloors: [],
          records: 0,
          states: [],
          splits: [],
          deltas: deltas['set-1']!,
        },
      },
    })
    expect([outputsAtOpen, seen]).toEqual([0, []])
    second.send(0, { kind: 'records', values: ['record'], timestamps: [NONE] })
    expect(values(second.run())).toEqual(['fired -100', 'fired -50', 'record'])
  })
})
