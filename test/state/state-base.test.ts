import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CheckpointStore } from '../../src/checkpoint/checkpoint-store.ts'
import type { DeltaChunk, StateIdentity } from '../../src/state/delta-chunk.ts'
import { DeltaWriter } from '../../src/state/delta-writer.ts'
import { keyBytes, keyFromBytes } from '../../src/state/key-bytes.ts'
import { DEFAULT_FORM, valueFromBytes } from '../../src/state/row-value.ts'
import type { OperatorBase } from '../../src/state/state-base.ts'
import { baseRows, holdsAny, MemoryBase, MemoryOperatorBase } from '../../src/state/state-base.ts'
import { sampleManifest } from '../checkpoint/manifests.ts'
import { anyKey } from '../core/keys.ts'

/*
 * Both bases do the same: the one in memory, of which tests and subtasks that are run by hand make use, and the stored one. What differs is the
 * order of keys of more than a thousand bytes, of which nothing is promised.
 */

const TABLE: StateIdentity = { kind: 'table', name: 't' }
const PANES: StateIdentity = { kind: 'pane', name: 't' }
const TIMERS: StateIdentity = { kind: 'event-timer', name: '' }
const LONG = 'k'.repeat(3_000)

interface Filled {
  readonly base: OperatorBase
  /** More comes into the base. */
  add(chunk: DeltaChunk): void
}

let directory: string
let store: CheckpointStore | undefined
let jobs = 0

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sluice-base-'))
})

afterEach(async () => {
  await store?.close()
  store = undefined
  rmSync(directory, { recursive: true, force: true })
})

function inMemory(): Filled {
  const base = new MemoryOperatorBase()
  return { base, add: ({ bytes }) => base.apply(bytes) }
}

function stored(): Filled {
  const own = CheckpointStore.open(directory, `job-${jobs++}`)
  void store?.close()
  store = own
  own.claim(() => 'run-1')
  let checkpoint = 0
  const base = own.base('count-1')
  return {
    base,
    add(chunk) {
      const deltas = own.addDeltas(++checkpoint, 'count-1', [chunk])
      own.complete(sampleManifest(checkpoint, { deltas }))
      own.committed(checkpoint, 1)
      while (own.foldStep()) {}
      base.refresh()
    },
  }
}

function chunkOf(write: (writer: DeltaWriter) => void): DeltaChunk {
  const writer = new DeltaWriter()
  write(writer)
  writer.cut()
  return writer.take()[0]!
}

function put(state: StateIdentity, group: number, namespace: number, key: unknown, value: unknown): DeltaChunk {
  return chunkOf((writer) => writer.put(state, group, namespace, key, value, DEFAULT_FORM))
}

function valueIn(base: OperatorBase, state: StateIdentity, group: number, namespace: number, key: unknown): unknown {
  const bytes = base.get(state, group, namespace, keyBytes(key))
  return bytes === undefined ? undefined : valueFromBytes(bytes).value
}

function rowsIn(base: OperatorBase, state: StateIdentity, group: number, from?: number): readonly (readonly unknown[])[] {
  return [...baseRows(base, state, group, from)].map(({ namespace, key, value }) => [
    namespace,
    keyFromBytes(key),
    valueFromBytes(value).value,
  ])
}

describe.each([
  ['in memory', inMemory],
  ['in the store', stored],
])('a base %s', (_, fresh) => {
  test('holds nothing at first', () => {
    const { base } = fresh()
    expect(base.states()).toEqual([])
    expect(base.get(TABLE, 0, 0, keyBytes('a'))).toBeUndefined()
    expect(base.page(TABLE, 0, Number.NEGATIVE_INFINITY, undefined, 10)).toEqual([])
    expect(base.nextNamespace(TIMERS, 0, Number.NEGATIVE_INFINITY)).toBeUndefined()
    expect(holdsAny(base, TABLE, 0)).toBe(false)
  })

  test('finds a row by state, group, namespace and key, and by nothing less', () => {
    const { base, add } = fresh()
    add(put(PANES, 3, 10, 'a', 'value'))
    expect(valueIn(base, PANES, 3, 10, 'a')).toBe('value')
    expect(valueIn(base, PANES, 3, 11, 'a')).toBeUndefined()
    expect(valueIn(base, PANES, 2, 10, 'a')).toBeUndefined()
    expect(valueIn(base, PANES, 3, 10, 'b')).toBeUndefined()
    expect(valueIn(base, TABLE, 3, 10, 'a')).toBeUndefined()
    expect(valueIn(base, { ...PANES, name: 'other' }, 3, 10, 'a')).toBeUndefined()
    expect(base.states()).toMatchObject([PANES])
  })

  test('asked for a state before it knew of it finds it later', () => {
    const { base, add } = fresh()
    expect(valueIn(base, TABLE, 0, 0, 'a')).toBeUndefined()
    add(put(TABLE, 0, 0, 'a', 1))
    expect(valueIn(base, TABLE, 0, 0, 'a')).toBe(1)
    expect(holdsAny(base, TABLE, 0)).toBe(true)
    expect(holdsAny(base, TABLE, 1)).toBe(false)
  })

  test('takes a later value for an earlier one, and removes', () => {
    const { base, add } = fresh()
    add(put(TABLE, 0, 0, 'a', 1))
    add(put(TABLE, 0, 0, 'a', 2))
    expect(valueIn(base, TABLE, 0, 0, 'a')).toBe(2)
    add(chunkOf((writer) => writer.remove(TABLE, 0, 0, 'a')))
    add(chunkOf((writer) => writer.remove(TABLE, 0, 0, 'never there')))
    expect(rowsIn(base, TABLE, 0)).toEqual([])
  })

  test('drops a namespace in the groups that are named, and none beside it', () => {
    const { base, add } = fresh()
    add(
      chunkOf((writer) => {
        for (const group of [0, 1, 2, 3]) {
          for (const window of [-10, 0, 10]) {
            for (const key of ['a', LONG]) writer.put(PANES, group, window, key, group, DEFAULT_FORM)
          }
        }
      }),
    )
    add(chunkOf((writer) => writer.drop(PANES, 1, 2, 0)))
    for (const group of [0, 1, 2, 3]) {
      const windows = new Set(rowsIn(base, PANES, group).map(([namespace]) => namespace))
      expect([...windows]).toEqual(group === 1 || group === 2 ? [-10, 10] : [-10, 0, 10])
    }
  })

  test('drops more rows than one transaction takes', () => {
    const { base, add } = fresh()
    for (let part = 0; part < 5; part++) {
      add(
        chunkOf((writer) => {
          for (let key = 0; key < 2_000; key++) writer.putKey(PANES, 0, 7, part * 2_000 + key)
        }),
      )
    }
    add(put(PANES, 0, 8, 'stays', 1))
    add(chunkOf((writer) => writer.drop(PANES, 0, 3, 7)))
    expect(rowsIn(base, PANES, 0)).toEqual([[8, 'stays', 1]])
  })

  test('gives pages in the order of namespace and key, also of more rows than a page and of long keys', () => {
    const { base, add } = fresh()
    const keys = [
      ...Array.from({ length: 600 }, (_, index) => index),
      ...Array.from({ length: 20 }, (_, index) => `${LONG}${index}`),
    ]
    add(
      chunkOf((writer) => {
        for (const key of keys.toReversed()) if (typeof key === 'number') writer.put(PANES, 0, key % 3, key, key, DEFAULT_FORM)
      }),
    )
    for (const key of keys) if (typeof key === 'string') add(put(PANES, 0, 1, key, key.length))
    const rows = rowsIn(base, PANES, 0)
    expect(rows).toHaveLength(620)
    const numbers = rows.filter(([, key]) => typeof key === 'number')
    expect(numbers).toEqual(
      numbers.toSorted((a, b) => (a[0] as number) - (b[0] as number) || (a[1] as number) - (b[1] as number)),
    )
    expect(new Set(rows.map(([, key]) => key))).toEqual(new Set(keys))
    expect(rows.map(([namespace]) => namespace)).toEqual(rows.map(([namespace]) => namespace).toSorted())
    expect(rowsIn(base, PANES, 0, 2).map(([namespace]) => namespace)).toEqual(new Array(200).fill(2))
    expect(rowsIn(base, PANES, 0, 3)).toEqual([])
  })

  test('gives rows that stay as they are when others are asked for', () => {
    const { base, add } = fresh()
    for (const key of ['a', 'b', 'c', LONG]) add(put(TABLE, 0, 0, key, `value of ${key}`))
    const page = base.page(TABLE, 0, Number.NEGATIVE_INFINITY, undefined, 10)
    const one = base.get(TABLE, 0, 0, keyBytes('a'))!
    const other = base.get(TABLE, 0, 0, keyBytes(LONG))!
    base.page(TABLE, 0, Number.NEGATIVE_INFINITY, undefined, 10)
    base.get(TABLE, 0, 0, keyBytes('b'))
    expect(page.map(({ key, value }) => [keyFromBytes(key), valueFromBytes(value).value])).toEqual(
      ['a', 'b', 'c', LONG].map((key) => [key, `value of ${key}`]),
    )
    expect([valueFromBytes(one).value, valueFromBytes(other).value]).toEqual(['value of a', `value of ${LONG}`])
  })

  test('names the next namespace that holds anything', () => {
    const { base, add } = fresh()
    for (const time of [-1e15, -0.5, 0, 7, 1e15, Number.MAX_VALUE]) add(chunkOf((writer) => writer.putKey(TIMERS, 5, time, LONG)))
    add(chunkOf((writer) => writer.putKey(TIMERS, 6, 3, 'of another group')))
    const seen: number[] = []
    for (let time = base.nextNamespace(TIMERS, 5, Number.NEGATIVE_INFINITY); time !== undefined; ) {
      seen.push(time)
      time = base.nextNamespace(TIMERS, 5, time)
    }
    expect(seen).toEqual([-1e15, -0.5, 0, 7, 1e15, Number.MAX_VALUE])
    expect(base.nextNamespace(TIMERS, 5, 6.9)).toBe(7)
  })
})

test('whatever is put, removed and dropped, both bases say the same of it', () => {
  const key = fc.oneof({ weight: 5, arbitrary: anyKey() }, { weight: 1, arbitrary: fc.nat(3).map((place) => `${LONG}${place}`) })
  const state = fc.constantFrom(TABLE, PANES, TIMERS)
  const change = fc.record({
    type: fc.constantFrom('put', 'put', 'put', 'remove', 'drop'),
    state,
    group: fc.nat(2),
    namespace: fc.oneof(fc.integer({ min: -2, max: 2 }), fc.double({ noNaN: true })),
    key,
    value: fc.nat(9),
  })
  fc.assert(
    fc.property(
      fc.array(fc.array(change, { minLength: 1, maxLength: 20 }), { maxLength: 4 }),
      fc.integer({ min: 1, max: 5 }),
      (chunks, limit) => {
        const [left, right] = [inMemory(), stored()]
        for (const changes of chunks) {
          const chunk = chunkOf((writer) => {
            for (const { type, state: of, group, namespace, key: own, value } of changes) {
              const within = of.kind === 'table' ? 0 : namespace
              if (type === 'put') writer.put(of, group, within, own, value, DEFAULT_FORM)
              else if (type === 'remove') writer.remove(of, group, within, own)
              else writer.drop(PANES, 0, group, namespace)
            }
          })
          left.add(chunk)
          right.add(chunk)
        }
        for (const { state: of, group, namespace, key: own } of chunks.flat()) {
          const within = of.kind === 'table' ? 0 : namespace
          expect(valueIn(right.base, of, group, within, own)).toEqual(valueIn(left.base, of, group, within, own))
          if (of.kind !== 'table') {
            expect(right.base.nextNamespace(of, group, namespace)).toBe(left.base.nextNamespace(of, group, namespace))
          }
          const isShort = (row: readonly unknown[]): boolean =>
            JSON.stringify(row[1] ?? null, (_, part) => (typeof part === 'bigint' ? `${part}` : part)).length < 500
          for (const from of of.kind === 'table' ? [undefined] : [undefined, namespace]) {
            const [ofLeft, ofRight] = [rowsIn(left.base, of, group, from), rowsIn(right.base, of, group, from)]
            expect(ofRight.filter(isShort)).toEqual(ofLeft.filter(isShort))
            expect(ofRight.length).toBe(ofLeft.length)
            // In pages of any size they are the same rows.
            const paged: unknown[] = []
            for (let page = right.base.page(of, group, from ?? Number.NEGATIVE_INFINITY, undefined, limit); ; ) {
              paged.push(...page.map((row) => keyFromBytes(row.key)))
              if (page.length < limit) break
              page = right.base.page(of, group, from ?? Number.NEGATIVE_INFINITY, page.at(-1), limit)
            }
            expect(paged).toEqual(ofRight.map(([, each]) => each))
          }
        }
      },
    ),
    { numRuns: 60 },
  )
})

test('a copy of a base in memory goes its own way', () => {
  const all = new MemoryBase()
  all.operator('a').apply(put(TABLE, 0, 0, 'key', 1).bytes)
  const copy = all.copy()
  all.operator('a').apply(put(TABLE, 0, 0, 'key', 2).bytes)
  copy.operator('a').apply(put(TIMERS, 0, 5, 'key', undefined).bytes)
  copy.operator('b').apply(put(TABLE, 0, 0, 'key', 3).bytes)
  expect(valueIn(all.operator('a'), TABLE, 0, 0, 'key')).toBe(2)
  expect(valueIn(copy.operator('a'), TABLE, 0, 0, 'key')).toBe(1)
  expect([all.operators(), copy.operators()]).toEqual([['a'], ['a', 'b']])
  expect([copy.operator('a').count(false), copy.operator('a').count(true)]).toEqual([1, 1])
})
