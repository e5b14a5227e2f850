import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { BatchCodec } from '../../src/protocol/batch-codec.ts'
import type { Element, RecordBatch } from '../../src/protocol/element.ts'
import { batchOfRecords, contractValue, difference, HOSTILE_VALUES, REFUSED_VALUES } from './values.ts'

/** What every codec for batches must do, whatever it does it with. */
export function describeBatchCodec(create: () => BatchCodec): void {
  const codec = create()

  /** There and back, through bytes of its own that are wiped afterwards: nothing decoded may still look at them. */
  function roundTrip(element: Element, sender: BatchCodec = codec): Element {
    const bytes = sender.encode(element).slice()
    const decoded = create().decode(bytes)
    bytes.fill(0xee)
    return decoded
  }

  function batch(values: readonly unknown[], timestamps: readonly number[] = values.map(() => Number.NaN)): RecordBatch {
    return { kind: 'records', values: [...values], timestamps: [...timestamps] }
  }

  function expectSame(expected: unknown, actual: unknown): void {
    expect(difference(expected, actual)).toBeUndefined()
  }

  describe('control', () => {
    const elements: readonly Element[] = [
      { kind: 'idle' },
      { kind: 'active' },
      { kind: 'end' },
      ...[0, -1, 1_700_000_000_000, 0.5, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY].map((time) => ({
        kind: 'watermark' as const,
        time,
      })),
      ...[0, 1, 2 ** 31, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER].map((checkpoint) => ({ kind: 'barrier' as const, checkpoint })),
    ]
    test.each(elements)('passes %o', (element) => {
      expectSame(element, roundTrip(element))
    })

    test('is not disturbed by what was in the buffer before', () => {
      roundTrip(batch(['x'.repeat(1000)]))
      expectSame({ kind: 'idle' }, roundTrip({ kind: 'idle' }))
      expectSame({ kind: 'barrier', checkpoint: 3 }, roundTrip({ kind: 'barrier', checkpoint: 3 }))
      expectSame(batch([]), roundTrip(batch([])))
    })
  })

  describe('a batch', () => {
    test('may be empty', () => {
      expectSame(batch([]), roundTrip(batch([])))
    })

    test('keeps the watermarks between its records, with timestamps and without', () => {
      for (const timestamps of [
        [1, 2, 3],
        [Number.NaN, Number.NaN, Number.NaN],
      ]) {
        for (const watermarks of [
          { after: [0], times: [Number.NEGATIVE_INFINITY] },
          { after: [3], times: [Number.POSITIVE_INFINITY] },
          { after: [0, 1, 2, 3], times: [-5, 0, 0.5, 1_700_000_000_000] },
        ]) {
          expectSame(
            { ...batch(['a', { b: 1 }, null], timestamps), watermarks },
            roundTrip({ ...batch(['a', { b: 1 }, null], timestamps), watermarks }),
          )
        }
      }
    })

    test('keeps the timestamp of every record, also of those without one', () => {
      const values = [1, 2, 3, 4]
      for (const timestamps of [
        [1, 2, 3, 4],
        [Number.NaN, Number.NaN, Number.NaN, Number.NaN],
        [Number.NaN, 0, -1, 1_700_000_000_000],
        [1.5, -0, Number.MAX_SAFE_INTEGER, Number.NaN],
      ]) {
        expectSame(batch(values, timestamps), roundTrip(batch(values, timestamps)))
      }
    })

    test('decodes in place of another that was larger, smaller or of another shape', () => {
      const batches = [
        batch(['x'.repeat(100_000)], [1]),
        batch([{ a: 1 }]),
        batch([]),
        batch([{ b: 1 }, { a: 2 }], [1, 2]),
        batch([1]),
      ]
      const encoded = batches.map((element) => codec.encode(element).slice())
      // Each batch must be readable by itself: the other side may have seen none of the others.
      for (const [index, bytes] of [...encoded.entries()].reverse()) expectSame(batches[index], create().decode(bytes))
    })

    test('decodes from the middle of a larger buffer', () => {
      const bytes = codec.encode(batch([{ a: new Float64Array([1, 2]) }], [5]))
      for (const offset of [1, 2, 3, 4, 8]) {
        const larger = new Uint8Array(bytes.byteLength + 16)
        larger.set(bytes, offset)
        const decoded = create().decode(larger.subarray(offset, offset + bytes.byteLength))
        larger.fill(0xee)
        expectSame(batch([{ a: new Float64Array([1, 2]) }], [5]), decoded)
      }
    })

    test('holds 10,000 distinct shapes', () => {
      const values = Array.from({ length: 10_000 }, (_, index) => ({
        [`name${index}`]: index,
        common: 'x',
        [`other${index % 777}`]: [index],
      }))
      expectSame(batch(values), roundTrip(batch(values)))
      expectSame(batch(values.toReversed()), roundTrip(batch(values.toReversed())))
    })

    test('holds 10,000 distinct shapes inside each other', () => {
      const values = Array.from({ length: 100 }, (_, outer) => ({
        [`outer${outer}`]: Array.from({ length: 100 }, (_, inner) => ({
          [`inner${outer * 100 + inner}`]: { deep: inner, [`d${inner}`]: 1 },
        })),
      }))
      expectSame(batch(values), roundTrip(batch(values)))
    })

    test('encodes the same twice, whatever came between', () => {
      const first = codec.encode(batch([{ a: 1, b: 'x' }], [1])).slice()
      for (const [, value] of HOSTILE_VALUES.slice(0, 20)) codec.encode(batch([value]))
      expect(codec.encode(batch([{ a: 1, b: 'x' }], [1])).slice()).toEqual(first)
    })

    test('is not changed by being encoded', () => {
      const value = { list: [1, -0, '\ud800'], map: new Map([['a', { b: -0 }]]) }
      const before = structuredClone(value)
      codec.encode(batch([value]))
      expectSame(before, value)
    })

    test('may be frozen', () => {
      const value = Object.freeze({ list: Object.freeze([1, -0]), inner: Object.freeze({ a: '\ud800' }) })
      expectSame(batch([{ list: [1, -0], inner: { a: '\ud800' } }]), roundTrip(Object.freeze(batch([value]))))
    })
  })

  describe('a value', () => {
    test.each(HOSTILE_VALUES)('comes back unchanged: %s', (_, value) => {
      expectSame(batch([value]), roundTrip(batch([value])))
      const amongOthers = batch([{ before: 1, value, after: 'x' }, { before: 2, value: 'plain', after: 'y' }, [value]], [1, 2, 3])
      expectSame(amongOthers, roundTrip(amongOthers))
    })

    test('a hole in an array comes back as undefined', () => {
      const holes = new Array<unknown>(3)
      holes[1] = 'x'
      expectSame(batch([[undefined, 'x', undefined]]), roundTrip(batch([holes])))
      expectSame(batch([[undefined, 'x', undefined, -0]]), roundTrip(batch([[...holes, -0]])))
    })

    test('an own __proto__ changes no prototype', () => {
      const decoded = roundTrip(batch([JSON.parse('{"__proto__": {"polluted": true}}')])) as RecordBatch
      expect((decoded.values[0] as Record<string, unknown>)['polluted']).toBeUndefined()
      expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
    })

    test('any value of the contract comes back unchanged', () => {
      fc.assert(
        fc.property(
          fc.array(fc.tuple(contractValue(), fc.oneof(fc.constant(Number.NaN), fc.integer())), { maxLength: 8 }),
          (records) => {
            const element = batch(
              records.map(([value]) => value),
              records.map(([, timestamp]) => timestamp),
            )
            expectSame(element, roundTrip(element))
          },
        ),
        { numRuns: 2000 },
      )
    })

    test('batches of any values in a row do not disturb each other', () => {
      fc.assert(
        fc.property(fc.array(fc.array(contractValue(), { maxLength: 4 }), { minLength: 2, maxLength: 5 }), (batches) => {
          const bytes = batches.map((values) => codec.encode(batch(values)).slice())
          batches.forEach((values, index) => expectSame(batch(values), codec.decode(bytes[index]!)))
        }),
        { numRuns: 300 },
      )
    })
  })

  describe('records that look alike', () => {
    test('come back unchanged, batch after batch, also where one of them is different', () => {
      fc.assert(
        fc.property(fc.array(batchOfRecords(), { minLength: 1, maxLength: 5 }), (batches) => {
          for (const values of batches) expectSame(batch(values), roundTrip(batch(values)))
        }),
        { numRuns: 300 },
      )
    })

    test('of several kinds in one batch keep their order', () => {
      const values = Array.from({ length: 300 }, (_, index) => {
        if (index % 7 === 0) return { person: index, name: `name ${index}` }
        if (index % 5 === 0) return [index, `pair ${index}`]
        if (index % 11 === 0) return index / 3
        if (index % 13 === 0) return new Map([[index, index]])
        return { auction: index, bidder: { id: index * 2, name: index % 3 === 0 ? null : 'x'.repeat(index % 20) } }
      })
      expectSame(batch(values), roundTrip(batch(values)))
      expectSame(batch(values.toReversed()), roundTrip(batch(values.toReversed())))
    })

    test('may change from batch to batch', () => {
      const rows = Array.from({ length: 40 }, (_, index) => index)
      const kinds: readonly ((index: number) => unknown)[] = [
        (index) => ({ a: index, b: 'x' }),
        (index) => ({ a: index / 2, b: 'x' }),
        (index) => ({ a: index === 20 ? null : index, b: index === 39 ? undefined : 'x' }),
        (index) => ({ b: 'x', a: index }),
        (index) => ({ a: index === 30 ? 'text' : index, b: 'x' }),
        (index) => ({ a: { deep: index, deeper: { at: index % 2 === 0 } }, b: 'x' }),
        (index) => ({ a: index === 10 ? null : { deep: index, deeper: { at: -0 } }, b: 'x' }),
        (index) => ({ a: index === 10 ? { deep: 1, more: 1 } : { deep: index }, b: 'x' }),
        (index) => (index === 20 ? { a: 1 } : { a: index, b: 'x' }),
        (index) => ({ a: new Date(index), b: BigInt(index) ** 3n, c: [index, 'x'], d: index % 3 === 0 }),
        (index) => ({ a: new Date(Number.NaN), b: 2n ** 70n, c: [index], d: null }),
      ]
      for (const kind of [...kinds, ...kinds.toReversed(), ...kinds])
        expectSame(batch(rows.map(kind)), roundTrip(batch(rows.map(kind))))
    })

    test('keep strings of every kind, repeated or not', () => {
      const texts: readonly ((index: number) => string)[] = [
        (index) => `${index}`,
        () => '',
        (index) => ['a', 'b', 'c', ''][index % 4]!,
        (index) => 'é'.repeat(index % 13),
        (index) => `a long string with "quotes" and \\ in it, number ${index}`,
        (index) => `\u0000\n\u2028 ${index} and some more than that`,
        (index) => (index % 2 === 0 ? '\ud83d' : '\udc4d'),
        (index) => `日本語 ${index % 3}`,
        (index) => (index === 100 ? '日' : 'plain'),
        (index) => 'x'.repeat(index),
      ]
      for (const length of [1, 2, 31, 32, 33, 300]) {
        for (const text of texts) {
          const values = Array.from({ length }, (_, index) => ({ text: text(index), index }))
          expectSame(batch(values), roundTrip(batch(values)))
          expectSame(batch(values.map((value) => value.text)), roundTrip(batch(values.map((value) => value.text))))
        }
      }
    })

    test('may have accessors: what comes back is what one of them gave', () => {
      let reads = 0
      const odd = (): object =>
        Object.defineProperty({ a: 1 }, 'b', {
          get: () => [1, 'x', null, 0.5][reads++ % 4],
          enumerable: true,
          configurable: true,
        })
      for (let round = 0; round < 8; round++) {
        const values = [{ a: 1, b: 2 }, odd(), { a: 1, b: 3 }]
        const [, { b }] = (roundTrip(batch(values)) as RecordBatch).values as [unknown, { b: unknown }]
        expect([1, 'x', null, 0.5]).toContain(b)
      }
    })

    test('leave nothing of their frame behind: a string that is kept does not keep those beside it', () => {
      setFlagsFromString('--expose-gc')
      const collect = runInNewContext('gc') as () => void
      for (const length of [12, 13, 60]) {
        const kept: unknown[] = []
        const usedBytes = (): number => {
          collect()
          return process.memoryUsage().heapUsed
        }
        const before = usedBytes()
        for (let round = 0; round < 200; round++) {
          const values = Array.from({ length: 500 }, (_, index) => ({ text: `${round}/${index}`.padEnd(length, '.') }))
          kept.push(((roundTrip(batch(values)) as RecordBatch).values[250] as { text: string }).text)
        }
        // Blocks of 500 strings each would be 1.2 MB to 6 MB.
        expect(usedBytes() - before).toBeLessThan(600_000)
        expect(kept).toHaveLength(200)
      }
    })
  })

  describe('what is refused', () => {
    const refused = (value: unknown): unknown => {
      try {
        codec.encode(batch([value]))
      } catch (error) {
        return error
      }
      return 'was accepted'
    }

    test.each(REFUSED_VALUES)('$name, with its path', ({ value, what }) => {
      expect(refused(value)).toMatchObject({ code: 'VALUE_NOT_ENCODABLE', message: expect.stringContaining(what!) })
      const inField = refused({ order: { lines: ['fine', { price: value }] } })
      expect(inField).toMatchObject({ code: 'VALUE_NOT_ENCODABLE' })
      expect((inField as Error).message).toContain('order.lines[1].price')
      expect((inField as Error).message.length).toBeLessThan(500)
    })

    test.each(REFUSED_VALUES)('$name as the key of a Map and as a member of a Set', ({ value }) => {
      expect(refused(new Map([[value, 1]]))).toMatchObject({ code: 'VALUE_NOT_ENCODABLE' })
      expect(refused(new Map([[1, value]]))).toMatchObject({ code: 'VALUE_NOT_ENCODABLE' })
      expect(refused(new Set([value]))).toMatchObject({ code: 'VALUE_NOT_ENCODABLE' })
    })

    test('leaves the codec as it was', () => {
      for (const { value } of REFUSED_VALUES) {
        refused({ a: 1, value, [`b${String(REFUSED_VALUES.length)}`]: 2 })
        expectSame(batch([{ a: 1, b: 2 }]), roundTrip(batch([{ a: 1, b: 2 }])))
      }
    })

    test('a batch whose timestamps are not as many as its values', () => {
      expect(() => codec.encode(batch([1, 2], [1]))).toThrow('broken invariant')
    })
  })
}
