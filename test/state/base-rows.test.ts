import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  baseRow,
  behindGroup,
  behindNamespace,
  behindRow,
  groupOfRow,
  RowKeys,
  rangeStart,
  rowKey,
  rowValue,
  valueOfRow,
} from '../../src/state/base-rows.ts'
import type { StateIdentity } from '../../src/state/delta-chunk.ts'
import { keyBytes } from '../../src/state/key-bytes.ts'
import { DEFAULT_FORM, valueBytesInPlace } from '../../src/state/row-value.ts'
import { anyKey } from '../core/keys.ts'

const TABLE: StateIdentity = { kind: 'table', name: 't' }
const PANES: StateIdentity = { kind: 'pane', name: 'w' }

const state = fc.constantFrom(TABLE, PANES)
const namespace = fc.oneof(
  fc.integer(),
  fc.double({ noNaN: true }),
  fc.constantFrom(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
)
/** Also such as are too long for a key of the table below. */
const key = fc.oneof(
  { weight: 4, arbitrary: anyKey().map(keyBytes) },
  { weight: 1, arbitrary: fc.integer({ min: 1_000, max: 1_050 }).map((length) => keyBytes('k'.repeat(length))) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.integer({ min: 1_100, max: 9_000 }), fc.string())
      .map(([length, text]) => keyBytes(text + 'k'.repeat(length))),
  },
)
const place = fc.record({ number: fc.nat(9), state, group: fc.nat(200), namespace, key })

function asStored(
  {
    number,
    state: of,
    group,
    namespace: within,
    key: bytes,
  }: { number: number; state: StateIdentity; group: number; namespace: number; key: Uint8Array },
  value: Uint8Array,
) {
  return { key: rowKey(number, of, group, within, bytes), value: Buffer.from(rowValue(bytes, value)) }
}

function namespaceOf(of: StateIdentity, within: number): number {
  return of.kind === 'table' ? 0 : within + 0
}

describe('rows of the base', () => {
  test('lie at the same places when many are written one after the other', () => {
    const keys = new RowKeys()
    fc.assert(
      fc.property(place, fc.array(fc.record({ namespace, key }), { minLength: 1 }), fc.nat(20), (first, more, before) => {
        keys.begin(first.number, first.state, first.group)
        for (const row of [first, ...more]) {
          // The key may lie anywhere in a larger buffer.
          const source = Buffer.concat([Buffer.alloc(before), row.key, Buffer.alloc(3)])
          const written = keys.of(row.namespace, source, before, before + row.key.byteLength)
          expect(written).toEqual(rowKey(first.number, first.state, first.group, row.namespace, row.key))
        }
      }),
    )
  })

  test('come back, with long keys too, and none is longer than LMDB takes', () => {
    fc.assert(
      fc.property(place, fc.json(), (at, json) => {
        const value = Uint8Array.from(valueBytesInPlace(json, DEFAULT_FORM))
        const stored = asStored(at, value)
        expect(stored.key.byteLength).toBeLessThanOrEqual(1_978)
        expect(groupOfRow(stored.key)).toBe(at.group)
        const row = baseRow(at.state, stored)
        expect(row.namespace).toBe(namespaceOf(at.state, at.namespace))
        expect(Buffer.compare(row.key, at.key)).toBe(0)
        expect(Buffer.compare(row.value, value)).toBe(0)
        expect(Buffer.compare(valueOfRow(stored.value), value)).toBe(0)
      }),
      { numRuns: 500 },
    )
  })

  test('of different keys lie in different places, also when the keys are long and begin alike', () => {
    const long = Array.from({ length: 50 }, (_, index) => keyBytes(`${'k'.repeat(2_000)}${index}`))
    expect(new Set(long.map((bytes) => rowKey(0, TABLE, 0, 0, bytes).toString('hex'))).size).toBe(50)
  })

  test('sort by state, group, namespace and, where they are short, by key', () => {
    fc.assert(
      fc.property(place, place, (a, b) => {
        const [left, right] = [a, { ...b, state: a.state }]
        const short = left.key.byteLength <= 1_024 && right.key.byteLength <= 1_024
        const order =
          left.number - right.number ||
          left.group - right.group ||
          compare(namespaceOf(a.state, left.namespace), namespaceOf(a.state, right.namespace)) ||
          (short ? Buffer.compare(left.key, right.key) : 0)
        if (order === 0 && !short) return
        const [ofLeft, ofRight] = [asStored(left, new Uint8Array(1)).key, asStored(right, new Uint8Array(1)).key]
        expect(Math.sign(Buffer.compare(ofLeft, ofRight))).toBe(Math.sign(order))
      }),
      { numRuns: 1_000 },
    )
  })

  test('lie between the borders of their namespace and group, and those of others do not', () => {
    fc.assert(
      fc.property(place, place, ({ number, ...at }, other) => {
        const row = rowKey(number, at.state, at.group, at.namespace, at.key)
        const start = rangeStart(number, at.state, at.group, at.namespace)
        const isBetween = (bytes: Buffer, end: Buffer): boolean =>
          Buffer.compare(start, bytes) <= 0 && Buffer.compare(bytes, end) < 0
        expect(isBetween(row, behindNamespace(number, at.state, at.group, at.namespace))).toBe(true)
        expect(isBetween(row, behindGroup(number, at.group))).toBe(true)
        expect(Buffer.compare(behindRow(row), row)).toBe(1)
        const foreign = rowKey(number, at.state, other.group, other.namespace, other.key)
        const isSame = other.group === at.group && namespaceOf(at.state, other.namespace) === namespaceOf(at.state, at.namespace)
        expect(isBetween(foreign, behindNamespace(number, at.state, at.group, at.namespace))).toBe(isSame)
      }),
      { numRuns: 1_000 },
    )
  })
})

function compare(a: number, b: number): number {
  return a < b ? -1 : a > b ? 1 : 0
}
