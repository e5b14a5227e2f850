import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { keyGroupOf } from '../../src/core/key-groups.ts'
import type { KeyedTimers } from '../../src/core/keyed-state.ts'
import { KeyedBackend } from '../../src/state/keyed-backend.ts'

const always = (): boolean => true

function newBackend(): KeyedBackend {
  return new KeyedBackend({ first: 0, last: 127 }, 128)
}

/** Timers of a backend, set by key, and what has fired as `key@time`. */
function harness(backend = newBackend()) {
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

  test('of one time fire in the order of their key groups, so that a replay after a restore fires them alike', () => {
    const keys = ['user-1', 'key', 'a', 'A', 'user-2', 'sensor_1']
    const { set, fire, fired, backend } = harness()
    for (const key of keys) set(key, 10)
    const again = harness(newBackend())
    for (const chunk of backend.snapshot()) again.backend.restore(chunk.bytes)
    fire(10)
    again.fire(10)
    expect(fired).toEqual(again.fired)
    expect(fired).toEqual(keys.sort((a, b) => keyGroupOf(a, 128) - keyGroupOf(b, 128)).map((key) => `${key}@10`))
  })

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

  test('stop where they are told to and go on from there, each fired once', () => {
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
    const other = harness(newBackend())
    for (const chunk of backend.snapshot()) other.backend.restore(chunk.bytes)
    expect(fire(15)).toBe(true)
    fire(20)
    other.fire(20)
    expect(fired).toHaveLength(6)
    expect(other.fired.toSorted()).toEqual(['a@20', 'b@20', 'c@20'])
  })

  test('a snapshot in the middle of firing holds exactly what has not fired', () => {
    const { set, fire, fired, backend } = harness()
    for (const key of ['a', 'b', 'c']) set(key, 10)
    let left = 1
    fire(10, undefined, () => left-- > 0)
    const other = harness(newBackend())
    for (const chunk of backend.snapshot()) other.backend.restore(chunk.bytes)
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

  test('do what a sorted set of (time, key) does', () => {
    const operation = fc.oneof(
      fc.record({
        type: fc.constantFrom('set' as const, 'set' as const, 'delete' as const),
        key: fc.constantFrom('a', 'b', 'c'),
        time: fc.nat(20),
      }),
      fc.record({ type: fc.constant('fire' as const), until: fc.nat(20), most: fc.nat(4) }),
      fc.constant({ type: 'restart' as const }),
    )
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
        let own = harness()
        const model = new Set<string>()
        for (const step of operations) {
          if (step.type === 'restart') {
            const next = harness(newBackend())
            for (const chunk of own.backend.snapshot()) next.backend.restore(chunk.bytes)
            own = next
          } else if (step.type === 'fire') {
            let left = step.most
            const before = own.fired.length
            const done = own.fire(step.until, undefined, () => left-- > 0)
            const fired = own.fired.slice(before)
            for (const name of fired) expect(model.delete(name)).toBe(true)
            const times = fired.map((name) => Number(name.split('@')[1]))
            expect(times).toEqual(times.toSorted((a, b) => a - b))
            const due = [...model].map((name) => Number(name.split('@')[1])).filter((time) => time <= step.until)
            expect(done).toBe(due.length === 0)
            if (due.length > 0) expect(Math.min(...due)).toBeGreaterThanOrEqual(times.at(-1) ?? 0)
          } else if (step.type === 'set') {
            own.set(step.key, step.time)
            model.add(`${step.key}@${step.time}`)
          } else {
            own.delete(step.key, step.time)
            model.delete(`${step.key}@${step.time}`)
          }
        }
      }),
    )
  })
})
