import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { canonicalKey, groupsOfSubtask, keyGroupOf, subtaskOfGroup } from '../../src/core/key-groups.ts'
import type { Key, TableForm } from '../../src/core/keyed-state.ts'
import { readDelta } from '../../src/state/delta-reader.ts'
import type { KeyedBackend } from '../../src/state/keyed-backend.ts'
import { valueFromBytes } from '../../src/state/row-value.ts'
import { MemoryOperatorBase } from '../../src/state/state-base.ts'
import { contractValue, difference } from '../conformance/values.ts'
import { anyKey } from '../core/keys.ts'
import {
  always,
  backendOf as backendOfGroups,
  baseOf,
  chunksOf,
  fired,
  fold,
  heapBytes,
  MAX_PARALLELISM,
  restored,
  snapshot,
  walked,
  wholeBackend,
} from './backends.ts'

function backendOf(subtask: number, parallelism: number): KeyedBackend {
  return backendOfGroups(groupsOfSubtask(subtask, parallelism, MAX_PARALLELISM))
}

const HOW = ['deltas', 'base'] as const

describe('a table', () => {
  test('holds a value for each key', () => {
    const backend = wholeBackend()
    const table = backend.table<number>('sum')
    backend.setKey('a')
    expect([table.get(), table.has()]).toEqual([undefined, false])
    table.set(1)
    backend.setKey('b')
    expect(table.has()).toBe(false)
    table.set(2)
    table.set(3)
    backend.setKey('a')
    expect([table.get(), table.has()]).toEqual([1, true])
    table.delete()
    expect([table.get(), table.has()]).toEqual([undefined, false])
    table.delete()
    table.set(4)
    expect(table.get()).toBe(4)
    backend.setKey('b')
    expect(table.get()).toBe(3)
  })

  test.each(HOW)('tells a value of undefined from none, also after a restore from %s', (how) => {
    const backend = wholeBackend()
    backend.setKey('a')
    backend.table('t').set(undefined)
    expect(backend.table('t').has()).toBe(true)
    const other = restored(backend, how)
    other.setKey('a')
    expect([other.table('t').has(), other.table('t').get()]).toEqual([true, undefined])
  })

  test('asked for twice is one table, under another name another one', () => {
    const backend = wholeBackend()
    backend.setKey('a')
    backend.table('one').set(1)
    expect(backend.table('one').get()).toBe(1)
    expect(backend.table('two').has()).toBe(false)
    expect(backend.panes('one').has(0)).toBe(false)
  })

  test('knows equal keys as one and different ones apart', () => {
    const backend = wholeBackend()
    const table = backend.table<string>('t')
    const keys: readonly Key[] = [
      1,
      '1',
      1n,
      true,
      'true',
      new Date(1),
      [1],
      ['1'],
      [[1]],
      [1, 1],
      '',
      [],
      [''],
      0,
      Number.NaN,
      'NaN',
      '\0',
      '\0t0:',
    ]
    keys.forEach((key, index) => {
      backend.setKey(key)
      expect(table.has()).toBe(false)
      table.set(`value ${index}`)
    })
    for (const [key, equal] of [
      [0, -0],
      [Number.NaN, 0 / 0],
      [new Date(1), new Date(1)],
      [[1], [1]],
      [[[1]], [[1]]],
    ] as const) {
      backend.setKey(key)
      const value = table.get()
      backend.setKey(equal)
      expect(table.get()).toBe(value)
    }
  })

  test('does what a map of canonical keys does, through snapshots and restores', () => {
    const operation = fc.record({
      type: fc.constantFrom('set', 'set', 'get', 'delete', 'restart'),
      key: anyKey(),
      value: fc.nat(9),
      how: fc.constantFrom(...HOW),
    })
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
        let backend = wholeBackend()
        const model = new Map<unknown, number>()
        for (const { type, key, value, how } of operations) {
          if (type === 'restart') {
            backend = restored(backend, how)
            continue
          }
          backend.setKey(key)
          const table = backend.table<number>('t')
          if (type === 'set') {
            table.set(value)
            model.set(canonicalKey(key), value)
          } else if (type === 'delete') {
            table.delete()
            model.delete(canonicalKey(key))
          }
          expect(table.get()).toBe(model.get(canonicalKey(key)))
          expect(table.has()).toBe(model.has(canonicalKey(key)))
        }
      }),
    )
  })
})

describe('panes', () => {
  test('hold a value for each window and key', () => {
    const backend = wholeBackend()
    const panes = backend.panes<number>('w')
    backend.setKey('a')
    panes.set(0, 1)
    panes.set(10, 2)
    backend.setKey('b')
    panes.set(10, 3)
    expect([panes.get(0), panes.has(0), panes.get(10)]).toEqual([undefined, false, 3])
    backend.setKey('a')
    expect([panes.get(0), panes.get(10), panes.has(20)]).toEqual([1, 2, false])
    expect([...panes.windows()].sort()).toEqual([0, 10])
    expect([...walked(panes.entries(10))].map(({ key, value }) => [key, value])).toEqual([
      ['a', 2],
      ['b', 3],
    ])
    expect([...walked(panes.entries(20))]).toEqual([])
  })

  test('forget a window that is dropped, and may hold it anew', () => {
    const backend = wholeBackend()
    const panes = backend.panes<number>('w')
    backend.setKey('a')
    panes.set(10, 1)
    panes.drop(10)
    expect([panes.has(10), [...panes.windows()]]).toEqual([false, []])
    panes.set(10, 2)
    expect(panes.get(10)).toBe(2)
    panes.drop(99)
    expect(panes.get(10)).toBe(2)
  })

  test.each(HOW)('name windows by any number, also when they come from %s', (how) => {
    const backend = wholeBackend()
    backend.setKey('a')
    for (const window of [-10, 0, 0.5, 1e15, -1e15]) backend.panes<number>('w').set(window, window)
    const other = restored(backend, how)
    other.setKey('a')
    for (const window of [-10, 0, 0.5, 1e15, -1e15]) expect(other.panes<number>('w').get(window)).toBe(window)
  })

  test.each(HOW)('are the same in every snapshot, from %s: what came since is in the next, what was dropped is not', (how) => {
    // A few keys, so that most key groups are empty, the last one too.
    const backend = wholeBackend()
    const panes = backend.panes<number>('w')
    backend.setKey('user-2')
    panes.set(0, 1)
    snapshot(backend)
    backend.setKey('sensor_1')
    panes.set(0, 2)
    backend.setKey('user-2')
    panes.set(10, 3)
    const second = restored(backend, how)
    second.setKey('sensor_1')
    expect(second.panes('w').get(0)).toBe(2)
    second.setKey('user-2')
    expect(second.panes('w').get(10)).toBe(3)
    panes.drop(0)
    expect([...restored(backend, how).panes('w').windows()]).toEqual([10])
  })

  test('do what a map of maps does, through snapshots and restores', () => {
    const operation = fc.record({
      type: fc.constantFrom('set', 'set', 'set', 'drop', 'snapshot', 'restart'),
      key: fc.constantFrom<Key>('a', 'b', 1, '1', ['a', 1]),
      window: fc.integer({ min: 0, max: 3 }),
      value: fc.nat(9),
      how: fc.constantFrom(...HOW),
    })
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
        let backend = wholeBackend()
        const model = new Map<number, Map<unknown, number>>()
        for (const { type, key, window, value, how } of operations) {
          if (type === 'restart') backend = restored(backend, how)
          else if (type === 'snapshot') snapshot(backend)
          else {
            backend.setKey(key)
            const panes = backend.panes<number>('w')
            if (type === 'drop') {
              panes.drop(window)
              model.delete(window)
            } else {
              panes.set(window, value)
              model.set(window, (model.get(window) ?? new Map()).set(canonicalKey(key), value))
            }
          }
          const panes = backend.panes<number>('w')
          expect([...panes.windows()].sort()).toEqual([...model.keys()].sort())
          for (const [name, entries] of model) {
            expect(new Map([...walked(panes.entries(name))].map((entry) => [canonicalKey(entry.key), entry.value]))).toEqual(
              entries,
            )
          }
        }
      }),
    )
  })
})

describe('the keyed backend', () => {
  test('refuses a key of another subtask', () => {
    const backend = backendOf(0, 2)
    const foreign = ['a', 'b', 'c', 'd', 'e'].find((key) => keyGroupOf(key, MAX_PARALLELISM) >= 64)!
    expect(() => backend.setKey(foreign)).toThrow(
      expect.objectContaining({ code: 'UNSTABLE_KEY', message: expect.stringContaining(foreign) }),
    )
  })

  test('accepts exactly the keys of its subtask', () => {
    fc.assert(
      fc.property(anyKey(), fc.integer({ min: 1, max: 16 }), (key, parallelism) => {
        const owner = subtaskOfGroup(keyGroupOf(key, MAX_PARALLELISM), parallelism, MAX_PARALLELISM)
        for (let subtask = 0; subtask < parallelism; subtask++) {
          const set = (): void => backendOf(subtask, parallelism).setKey(key)
          if (subtask === owner) set()
          else expect(set).toThrow(expect.objectContaining({ code: 'UNSTABLE_KEY' }))
        }
      }),
    )
  })

  test.each([[null], [undefined], [{}], [Symbol('s')], [() => 1], [new Date(Number.NaN)], [['a', null]]])(
    'refuses %o as a key',
    (key) => {
      expect(() => wholeBackend().setKey(key)).toThrow(expect.objectContaining({ code: 'INVALID_KEY' }))
    },
  )

  test('writes nothing when it holds nothing', () => {
    const backend = wholeBackend()
    backend.table('t')
    backend.panes('w')
    backend.timers()
    expect(snapshot(backend)).toEqual([])
  })

  test('writes nothing of what has not changed since the snapshot before', () => {
    const backend = wholeBackend()
    backend.setKey('a')
    backend.table('t').set(1)
    backend.panes('w').set(0, 1)
    backend.timers().setEventTime(5)
    expect(snapshot(backend)).toHaveLength(1)
    backend.table('t').get()
    backend.panes('w').has(0)
    backend.timers().setEventTime(5)
    expect(snapshot(backend)).toEqual([])
  })

  test('a snapshot shares nothing with the live state', () => {
    const backend = wholeBackend()
    backend.setKey('a')
    const value = { list: [1] }
    backend.table('t').set(value)
    const chunks = snapshot(backend)
    value.list.push(2)
    const other = wholeBackend()
    for (const chunk of chunks) other.apply(chunk.bytes)
    other.setKey('a')
    expect(other.table('t').get()).toEqual({ list: [1] })
  })

  test('a snapshot that is still to be written holds nothing of what changes meanwhile', () => {
    const backend = wholeBackend()
    const table = backend.table<{ list: number[] }>('t')
    const panes = backend.panes<{ list: number[] }>('w')
    backend.setKey('a')
    table.set({ list: [1] })
    panes.set(0, { list: [1] })
    panes.set(10, { list: [1] })
    backend.timers().setEventTime(5)
    backend.timers().setEventTime(6)
    backend.freeze(1_000)
    table.edit()!.list.push(2)
    panes.edit(0)!.list.push(2)
    for (const entry of walked(panes.entries(10))) entry.value.list.push(2)
    panes.drop(10)
    backend.timers().deleteEventTime(5)
    fired(backend, 'event', 6)
    backend.encode(() => false)
    const other = wholeBackend()
    for (const chunk of backend.takeChunks()) other.apply(chunk.bytes)
    other.setKey('a')
    expect(other.table('t').get()).toEqual({ list: [1] })
    expect([other.panes('w').get(0), other.panes('w').get(10)]).toEqual([{ list: [1] }, { list: [1] }])
    expect(fired(other, 'event')).toEqual([
      ['a', 5],
      ['a', 6],
    ])
  })

  test.each(HOW)('restores values exactly, and keys as they were given, from %s', (how) => {
    fc.assert(
      fc.property(fc.array(fc.tuple(anyKey(), contractValue()), { maxLength: 10 }), (entries) => {
        const backend = wholeBackend()
        const model = new Map<unknown, unknown>()
        for (const [key, value] of entries) {
          backend.setKey(key)
          backend.table('t').set(value)
          backend.panes('w').set(7, value)
          model.set(canonicalKey(key), value)
        }
        const other = restored(backend, how)
        for (const [key] of entries) {
          other.setKey(key)
          expect(difference(model.get(canonicalKey(key)), other.table('t').get())).toBeUndefined()
          expect(difference(model.get(canonicalKey(key)), other.panes('w').get(7))).toBeUndefined()
        }
        const keysOf = (of: KeyedBackend) => new Set([...walked(of.panes('w').entries(7))].map(({ key }) => canonicalKey(key)))
        expect(keysOf(other)).toEqual(keysOf(backend))
      }),
    )
  })

  test('a value that cannot be stored is refused when the snapshot is taken, and the next snapshot is whole', () => {
    const backend = wholeBackend()
    backend.setKey('a')
    backend.panes<unknown>('w').set(0, 'fine')
    backend.table<unknown>('t').set(() => 1)
    expect(() => snapshot(backend)).toThrow(expect.objectContaining({ code: 'VALUE_NOT_ENCODABLE' }))
    backend.table<unknown>('t').set('fine')
    const other = restored(backend)
    other.setKey('a')
    expect([other.table('t').get(), other.panes('w').get(0)]).toEqual(['fine', 'fine'])
  })

  test('split over any parallelism and joined under any other, every entry is in exactly one place', () => {
    const parallelism = fc.integer({ min: 1, max: 12 })
    const entries = fc.array(fc.tuple(anyKey(), fc.nat(5), fc.nat(1000)), { maxLength: 60 })
    fc.assert(
      fc.property(parallelism, parallelism, entries, fc.constantFrom(...HOW), (before, after, all, how) => {
        const ownerOf = (key: Key, of: number) => subtaskOfGroup(keyGroupOf(key, MAX_PARALLELISM), of, MAX_PARALLELISM)
        const old = Array.from({ length: before }, (_, subtask) => backendOf(subtask, before))
        const [table, panes, timers] = [new Map<unknown, number>(), new Map<string, number>(), new Set<string>()]
        for (const [key, window, value] of all) {
          const backend = old[ownerOf(key, before)]!
          backend.setKey(key)
          backend.table('t').set(value)
          backend.panes('w').set(window, value)
          backend.timers().setEventTime(value)
          backend.timers().setProcessingTime(window)
          const name = String(canonicalKey(key)) + typeof key
          table.set(name, value)
          panes.set(`${window} ${name}`, value)
          timers.add(`event ${value} ${name}`)
          timers.add(`processing ${window} ${name}`)
        }
        // Each new subtask is given the chunks that overlap its groups, as the dealing does, or all of them: it takes only its own.
        const chunks = old.flatMap((backend) => snapshot(backend))
        const base = baseOf(...old)
        const next = Array.from({ length: after }, (_, subtask) =>
          backendOfGroups(groupsOfSubtask(subtask, after, MAX_PARALLELISM), MAX_PARALLELISM, how === 'base' ? base : undefined),
        )
        next.forEach((backend, subtask) => {
          if (how === 'base') return
          const { first, last } = groupsOfSubtask(subtask, after, MAX_PARALLELISM)
          const own = chunks.filter((chunk) => subtask % 2 === 0 || (chunk.firstGroup <= last && chunk.lastGroup >= first))
          for (const chunk of own) backend.apply(chunk.bytes)
        })
        const seen: string[] = []
        next.forEach((backend, subtask) => {
          for (const [key] of all) {
            if (ownerOf(key, after) !== subtask) continue
            backend.setKey(key)
            expect(backend.table('t').get()).toBe(table.get(String(canonicalKey(key)) + typeof key))
          }
          for (const window of backend.panes('w').windows()) {
            for (const { key, value } of walked(backend.panes<number>('w').entries(window))) {
              expect(ownerOf(key as Key, after)).toBe(subtask)
              seen.push(`${window} ${String(canonicalKey(key)) + typeof key}=${value}`)
            }
          }
          for (const kind of ['event', 'processing'] as const) {
            for (const [key, time] of fired(backend, kind)) {
              expect(ownerOf(key, after)).toBe(subtask)
              expect(timers.delete(`${kind} ${time} ${String(canonicalKey(key)) + typeof key}`)).toBe(true)
            }
          }
        })
        expect(seen.sort()).toEqual([...panes].map(([name, value]) => `${name}=${value}`).sort())
        expect([...timers]).toEqual([])
        const inTables: string[] = []
        next.forEach((backend) => backend.forEachKey('t', (key) => inTables.push(String(canonicalKey(key)) + typeof key)))
        expect(inTables.sort()).toEqual([...table.keys()].sort())
      }),
      { numRuns: 200 },
    )
  })
})

describe('what the base holds', () => {
  /** Eight keys of one group in a base, and a backend that knows nothing of them. */
  function stored() {
    const first = wholeBackend(1)
    // A date among the keys: the group lies there as rows.
    first.setKey(new Date(0))
    first.table<number>('t').set(0)
    const table = first.table<number>('t')
    for (let key = 0; key < 8; key++) {
      first.setKey(key)
      table.set(key)
      first.panes('w').set(0, key)
    }
    return restored(first, 'base', 1)
  }

  test('is read when it is asked for, and forgotten again when there is need', () => {
    const backend = stored()
    expect(backend.size).toBe(0)
    backend.setKey(3)
    expect([backend.table('t').get(), backend.panes('w').get(0)]).toEqual([3, 3])
    expect(backend.size).toBe(2)
    expect(backend.evict(100)).toBe(2)
    expect(backend.size).toBe(0)
    expect([backend.table('t').get(), backend.panes('w').get(0)]).toEqual([3, 3])
  })

  test('of a window that is being walked over is met once, and all of it, also when memory runs short meanwhile', () => {
    for (const inMemory of [8, 5, 0]) {
      const backend = stored()
      for (let key = 0; key < inMemory; key++) {
        backend.setKey(key)
        expect(backend.panes('w').get(0)).toBe(key)
      }
      const cursor = backend.panes<number>('w').entries(0)
      const seen: number[] = []
      while (cursor.next()) {
        seen.push(cursor.value)
        backend.evict(100)
      }
      expect(seen.sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
      expect(backend.evict(100)).toBe(inMemory)
    }
  })

  test('is found by the same key after it was missed, written, stored and forgotten', () => {
    const backend = stored()
    const table = backend.table<number>('t')
    backend.setKey('new')
    expect(table.has()).toBe(false)
    table.set(99)
    snapshot(backend)
    fold(backend)
    backend.evict(100)
    expect(table.get()).toBe(99)
  })

  test('stays in memory as long as the base does not hold the latest of it', () => {
    const backend = stored()
    backend.setKey(3)
    backend.table<number>('t').set(33)
    expect(backend.evict(100)).toBe(0)
    snapshot(backend)
    expect(backend.evict(100)).toBe(0)
    fold(backend)
    expect(backend.evict(100)).toBe(1)
    expect(backend.table('t').get()).toBe(33)
  })

  test('and was deleted does not come back before the base has followed, and then is forgotten', () => {
    const backend = stored()
    const table = backend.table<number>('t')
    backend.setKey(3)
    table.delete()
    expect(table.has()).toBe(false)
    backend.evict(100)
    expect(table.has()).toBe(false)
    snapshot(backend)
    expect(table.has()).toBe(false)
    fold(backend)
    expect([table.has(), backend.size]).toEqual([false, 0])
  })
})

describe('a key of a group that the base holds', () => {
  /** One key of the group is in the base. */
  function stored() {
    const first = wholeBackend(1)
    first.setKey('there')
    first.table<number>('t').set(1)
    return restored(first, 'base', 1)
  }

  /** A look at a key, a value for it, and its end. */
  function comeAndGo(backend: ReturnType<typeof stored>, key: string): void {
    const table = backend.table<number>('t')
    backend.setKey(key)
    expect(table.get()).toBeUndefined()
    table.set(1)
    table.delete()
    expect(table.has()).toBe(false)
  }

  test('leaves nothing when it comes and goes between two checkpoints', () => {
    const backend = stored()
    for (const key of ['a', 'b', 'a']) comeAndGo(backend, key)
    expect(backend.size).toBe(0)
    expect(snapshot(backend)).toEqual([])
  })

  test('leaves nothing when it is missed and then deleted', () => {
    const backend = stored()
    backend.setKey('a')
    expect(backend.table('t').has()).toBe(false)
    backend.table('t').delete()
    expect(backend.size).toBe(0)
    expect(snapshot(backend)).toEqual([])
  })

  test('is removed from the base when a snapshot has begun between its coming and its going', () => {
    const backend = stored()
    const table = backend.table<number>('t')
    backend.setKey('a')
    expect(table.has()).toBe(false)
    table.set(1)
    // The barrier; no row has been written when the key goes.
    backend.freeze(1_000_000)
    table.delete()
    expect([table.has(), backend.size]).toEqual([false, 1])
    backend.encode(() => false)
    const [came] = backend.takeChunks()
    expect(came!.rows).toBe(1)
    expect(snapshot(backend).map(({ rows }) => rows)).toEqual([1])
  })
})

describe('memory without any checkpoint', () => {
  const COUNT = 1_000_000

  test.each([
    ['a key that comes and goes', () => 'key'],
    ['a million keys that come and go', (index: number) => index],
  ])('does not grow with a table of %s', (_, keyOf) => {
    const backend = wholeBackend()
    const table = backend.table<number>('t')
    const before = heapBytes()
    for (let index = 0; index < COUNT; index++) {
      backend.setKey(keyOf(index))
      table.set(index)
      table.delete()
    }
    expect(backend.size).toBe(0)
    expect(heapBytes() - before).toBeLessThan(40 << 20)
    expect(snapshot(backend)).toEqual([])
  })

  test('does not grow with windows that come and go', () => {
    const backend = wholeBackend()
    const panes = backend.panes<number>('w')
    const before = heapBytes()
    backend.setKey('a')
    for (let window = 0; window < COUNT; window++) {
      panes.set(window, 1)
      panes.drop(window)
    }
    expect(backend.size).toBe(0)
    expect(heapBytes() - before).toBeLessThan(10 << 20)
    expect(snapshot(backend)).toEqual([])
  })

  test.each(['fire', 'are deleted'])('does not grow with a million timers that are set and %s', (end) => {
    const backend = wholeBackend()
    const timers = backend.timers()
    const before = heapBytes()
    for (let time = 0; time < COUNT; time++) {
      backend.setKey(time % 1000)
      timers.setEventTime(time)
      if (end === 'fire') timers.fireEventTime(time, () => {}, always)
      else timers.deleteEventTime(time)
    }
    expect(backend.size).toBe(0)
    expect(heapBytes() - before).toBeLessThan(40 << 20)
    expect(snapshot(backend)).toEqual([])
  })
})

describe('values in a former form', () => {
  /** Remembers for which keys it has restored a value of another clock. */
  function formOf(
    stamps: 'event' | 'processing',
    seen: unknown[] = [],
    keyOf: () => unknown = () => undefined,
  ): TableForm<number> {
    return {
      version: 1,
      stamps,
      store: (value) => [value, stamps],
      restore: (stored, from) => {
        if (from.stamps !== stamps) seen.push(keyOf())
        return (stored as readonly [number, string])[0]
      },
    }
  }

  function withValues(): KeyedBackend {
    const first = wholeBackend(4)
    const table = first.table('t', formOf('event'))
    for (const key of [1, 2, 3, 4, 5, 6]) {
      first.setKey(key)
      table.set(key * 10)
    }
    snapshot(first)
    return first
  }

  test.each(HOW)('are all seen to at a restore from %s, and stored anew with the next snapshot', (how) => {
    const first = withValues()
    const base = how === 'base' ? baseOf(first) : new MemoryOperatorBase()
    const second = backendOfGroups({ first: 0, last: 3 }, 4, base)
    const seen: unknown[] = []
    second.table(
      't',
      formOf('processing', seen, () => second.key),
    )
    if (how === 'deltas') for (const chunk of chunksOf(first)) second.apply(chunk)
    second.settleForms()
    expect(second.key).toBeUndefined()
    expect(seen.sort()).toEqual([1, 2, 3, 4, 5, 6])
    const stored: unknown[] = []
    for (const { bytes } of snapshot(second)) {
      readDelta(bytes, {
        row: (_state, _group, _namespace, _key, value) => {
          const { value: row, form } = valueFromBytes(value!)
          stored.push([row, form.stamps])
        },
        drop: () => {},
      })
    }
    expect(stored).toHaveLength(6)
    expect(stored).toContainEqual([[30, 'processing'], 'processing'])
  })
})
