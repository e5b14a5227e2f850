import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { canonicalKey, groupsOfSubtask, keyGroupOf, subtaskOfGroup } from '../../src/core/key-groups.ts'
import type { Key } from '../../src/core/keyed-state.ts'
import { KeyedBackend } from '../../src/state/keyed-backend.ts'
import { readChunk } from '../../src/state/snapshot-chunk.ts'
import { contractValue, difference } from '../conformance/values.ts'
import { anyKey } from '../core/keys.ts'

const MAX_PARALLELISM = 128

function wholeBackend(): KeyedBackend {
  return new KeyedBackend({ first: 0, last: MAX_PARALLELISM - 1 }, MAX_PARALLELISM)
}

function backendOf(subtask: number, parallelism: number): KeyedBackend {
  return new KeyedBackend(groupsOfSubtask(subtask, parallelism, MAX_PARALLELISM), MAX_PARALLELISM)
}

function restored(from: KeyedBackend, into: KeyedBackend = wholeBackend()): KeyedBackend {
  for (const chunk of from.snapshot()) into.restore(chunk.bytes)
  return into
}

const always = (): boolean => true

/** All timers that fire by then, with the key that was current. */
function fired(
  backend: KeyedBackend,
  kind: 'event' | 'processing',
  until = Number.POSITIVE_INFINITY,
): readonly (readonly [Key, number])[] {
  const timers = backend.timers()
  const seen: (readonly [Key, number])[] = []
  const fire = (time: number): void => void seen.push([backend.key as Key, time])
  if (kind === 'event') timers.fireEventTime(until, fire, always)
  else timers.fireProcessingTime(until, fire, always)
  return seen
}

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

  test('tells a value of undefined from none, also after a restore', () => {
    const backend = wholeBackend()
    backend.setKey('a')
    backend.table('t').set(undefined)
    expect(backend.table('t').has()).toBe(true)
    const other = restored(backend)
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
    })
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
        let backend = wholeBackend()
        const model = new Map<unknown, number>()
        for (const { type, key, value } of operations) {
          if (type === 'restart') {
            backend = restored(backend)
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
    expect([...panes.entries(10)].map(({ key, value }) => [key, value])).toEqual([
      ['a', 2],
      ['b', 3],
    ])
    expect([...panes.entries(20)]).toEqual([])
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

  test('name windows by any number', () => {
    const backend = wholeBackend()
    backend.setKey('a')
    for (const window of [-10, 0, 0.5, 1e15, -1e15]) backend.panes<number>('w').set(window, window)
    const other = restored(backend)
    other.setKey('a')
    for (const window of [-10, 0, 0.5, 1e15, -1e15]) expect(other.panes<number>('w').get(window)).toBe(window)
  })

  test('are the same in every snapshot: what came since is in the next, what was dropped is not', () => {
    // A few keys, so that most key groups are empty, the last one too.
    const backend = wholeBackend()
    const panes = backend.panes<number>('w')
    backend.setKey('user-2')
    panes.set(0, 1)
    backend.snapshot()
    backend.setKey('sensor_1')
    panes.set(0, 2)
    backend.setKey('user-2')
    panes.set(10, 3)
    const second = restored(backend)
    second.setKey('sensor_1')
    expect(second.panes('w').get(0)).toBe(2)
    second.setKey('user-2')
    expect(second.panes('w').get(10)).toBe(3)
    panes.drop(0)
    expect([...restored(backend).panes('w').windows()]).toEqual([10])
  })

  test('do what a map of maps does, through snapshots and restores', () => {
    const operation = fc.record({
      type: fc.constantFrom('set', 'set', 'set', 'drop', 'snapshot', 'restart'),
      key: fc.constantFrom<Key>('a', 'b', 1, '1', ['a', 1]),
      window: fc.integer({ min: 0, max: 3 }),
      value: fc.nat(9),
    })
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
        let backend = wholeBackend()
        const model = new Map<number, Map<unknown, number>>()
        for (const { type, key, window, value } of operations) {
          if (type === 'restart') backend = restored(backend)
          else if (type === 'snapshot') backend.snapshot()
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
            expect(new Map([...panes.entries(name)].map((entry) => [canonicalKey(entry.key), entry.value]))).toEqual(entries)
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
    expect(backend.snapshot()).toEqual([])
  })

  test('a snapshot shares nothing with the live state', () => {
    const backend = wholeBackend()
    backend.setKey('a')
    const value = { list: [1] }
    backend.table('t').set(value)
    const chunks = backend.snapshot()
    value.list.push(2)
    const other = wholeBackend()
    for (const chunk of chunks) other.restore(chunk.bytes)
    other.setKey('a')
    expect(other.table('t').get()).toEqual({ list: [1] })
  })

  test('restores values exactly, and keys as they were given', () => {
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
        const other = restored(backend)
        for (const [key] of entries) {
          other.setKey(key)
          expect(difference(model.get(canonicalKey(key)), other.table('t').get())).toBeUndefined()
          expect(difference(model.get(canonicalKey(key)), other.panes('w').get(7))).toBeUndefined()
        }
        const keysOf = (of: KeyedBackend) => new Set([...of.panes('w').entries(7)].map(({ key }) => canonicalKey(key)))
        expect(keysOf(other)).toEqual(keysOf(backend))
      }),
    )
  })

  test('a value that cannot be stored is refused when the snapshot is taken, and the next snapshot is whole', () => {
    const backend = wholeBackend()
    backend.setKey('a')
    backend.panes<unknown>('w').set(0, 'fine')
    backend.table<unknown>('t').set(() => 1)
    expect(() => backend.snapshot()).toThrow(expect.objectContaining({ code: 'VALUE_NOT_ENCODABLE' }))
    backend.table<unknown>('t').set('fine')
    const other = restored(backend)
    other.setKey('a')
    expect([other.table('t').get(), other.panes('w').get(0)]).toEqual(['fine', 'fine'])
  })

  test('split over any parallelism and joined under any other, every entry is in exactly one place', () => {
    const parallelism = fc.integer({ min: 1, max: 12 })
    const entries = fc.array(fc.tuple(anyKey(), fc.nat(5), fc.nat(1000)), { maxLength: 60 })
    fc.assert(
      fc.property(parallelism, parallelism, entries, (before, after, all) => {
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
        const chunks = old.flatMap((backend) => backend.snapshot())
        const next = Array.from({ length: after }, (_, subtask) => backendOf(subtask, after))
        next.forEach((backend, subtask) => {
          const { first, last } = groupsOfSubtask(subtask, after, MAX_PARALLELISM)
          const own = chunks.filter((chunk) => subtask % 2 === 0 || (chunk.firstGroup <= last && chunk.lastGroup >= first))
          for (const chunk of own) backend.restore(chunk.bytes)
        })
        const seen: string[] = []
        next.forEach((backend, subtask) => {
          for (const [key] of all) {
            if (ownerOf(key, after) !== subtask) continue
            backend.setKey(key)
            expect(backend.table('t').get()).toBe(table.get(String(canonicalKey(key)) + typeof key))
          }
          for (const window of backend.panes('w').windows()) {
            for (const { key, value } of backend.panes<number>('w').entries(window)) {
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
        const tables = next.flatMap((backend) => backend.snapshot()).flatMap((chunk) => [...readChunk(chunk.bytes)])
        const inTables = tables
          .filter((section) => section.kind === 'table')
          .reduce((sum, section) => sum + section.keys.length, 0)
        expect(inTables).toBe(table.size)
      }),
      { numRuns: 200 },
    )
  })
})
