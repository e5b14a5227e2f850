import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { ColumnarCodec } from '../../src/protocol/columnar-codec.ts'
import type { RecordBatch } from '../../src/protocol/element.ts'
import { MessagePackCodec } from '../../src/protocol/message-pack-codec.ts'
import { describeBatchCodec } from '../conformance/batch-codec.ts'
import { batchOfRecords, difference, HOSTILE_VALUES } from '../conformance/values.ts'
import { COLUMNAR_BATCHES } from './fixtures/columnar-batches.ts'

describe('the columnar codec', () => {
  describe('with generated code', () => describeBatchCodec(() => new ColumnarCodec('generated')))
  describe('without generated code', () => describeBatchCodec(() => new ColumnarCodec('interpreted')))
  describe('with code for schemas that come often', () => describeBatchCodec(() => new ColumnarCodec()))
})

function batch(values: readonly unknown[]): RecordBatch {
  return { kind: 'records', values: [...values], timestamps: values.map(() => Number.NaN) }
}

function rows(length: number, recordAt: (index: number) => unknown): RecordBatch {
  return batch(Array.from({ length }, (_, index) => recordAt(index)))
}

function roundTrip(codec: ColumnarCodec, element: RecordBatch): RecordBatch {
  return new ColumnarCodec('generated').decode(codec.encode(element).slice()) as RecordBatch
}

describe('frames of generated and of interpreted code', () => {
  test('are equal, and each reads those of the other', () => {
    const [generated, interpreted] = [new ColumnarCodec('generated'), new ColumnarCodec('interpreted')]
    const check = (element: RecordBatch): void => {
      const frame = Buffer.from(generated.encode(element))
      expect(frame.equals(interpreted.encode(element))).toBe(true)
      expect(difference(element, generated.decode(frame))).toBeUndefined()
      expect(difference(element, interpreted.decode(frame))).toBeUndefined()
    }
    COLUMNAR_BATCHES.forEach(check)
    for (const [, value] of HOSTILE_VALUES) check(rows(3, () => ({ value })))
    fc.assert(
      fc.property(batchOfRecords(), (values) => check(batch(values))),
      { numRuns: 500 },
    )
  })

  test('are the same in a process that may not make code from strings', () => {
    const script = fileURLToPath(new URL('fixtures/no-code-from-strings.ts', import.meta.url))
    const flags = ['--conditions=@sluice/source', '--disallow-code-generation-from-strings']
    const output = execFileSync(process.execPath, [...flags, script], { encoding: 'utf8' })
    const there = JSON.parse(output) as { mayGenerate: boolean; frames: string[]; again: string[] }
    const codec = new ColumnarCodec('generated')
    const here = COLUMNAR_BATCHES.map((element) => Buffer.from(codec.encode(element)).toString('base64'))
    expect(there.mayGenerate).toBe(false)
    expect(there.frames).toEqual(here)
    const fresh = COLUMNAR_BATCHES.map((element) => Buffer.from(new ColumnarCodec().encode(element)).toString('base64'))
    expect(there.again).toEqual(fresh)
  })
})

describe('records of one shape', () => {
  test('take the width of their columns', () => {
    const codec = new ColumnarCodec()
    const numbers = codec.encode(rows(500, (index) => ({ id: index, price: index / 3, open: index % 2 === 0 }))).byteLength
    expect(numbers).toBeLessThan(500 * (4 + 8 + 1 / 8) + 100)
    const cities = codec.encode(rows(500, (index) => ({ city: ['Amsterdam', 'Berlin', 'Copenhagen'][index % 3] }))).byteLength
    expect(cities).toBeLessThan(500 + 150)
    const keys = codec.encode(rows(500, (index) => ({ key: `user-${100_000 + index}` }))).byteLength
    expect(keys).toBeLessThan(500 * (11 + 1) + 100)
  })

  test('are made with one hidden class', () => {
    setFlagsFromString('--allow-natives-syntax')
    const sameMap = new Function('a', 'b', 'return %HaveSameMap(a, b)') as (a: unknown, b: unknown) => boolean
    const codec = new ColumnarCodec('generated')
    const values = Array.from({ length: 100 }, (_, index) => ({ id: index, name: `n${index}`, at: { x: index / 2 } }))
    const first = roundTrip(codec, batch(values)).values
    const second = roundTrip(codec, batch(values)).values
    for (const record of [...first, ...second]) expect(sameMap(first[0], record)).toBe(true)
  })

  test('keep their columns when one field varies, and when there are others between them', () => {
    const codec = new ColumnarCodec()
    const ids = { a: 1, b: 2, c: 3, d: 4, e: 5 }
    const mixed = rows(500, (index) =>
      index % 50 === 0 ? `other ${index}` : { ...ids, note: index % 99 === 0 ? { index } : null },
    )
    expect(difference(mixed, roundTrip(codec, mixed))).toBeUndefined()
    expect(codec.encode(mixed).byteLength).toBeLessThan(500 * (5 * 4 + 1 + 1 + 4) + 1000)
  })

  test('may become too wide for columns', () => {
    const codec = new ColumnarCodec('interpreted')
    const wide = (big: bigint): RecordBatch => rows(40, (index) => (index === 30 ? big : BigInt(index)))
    const deep = (width: number): RecordBatch => {
      return rows(40, (index) => ({
        a: index % 2 === 0 ? null : Object.fromEntries(Array.from({ length: width }, (_, at) => [`f${at}`, at])),
        b: 1,
      }))
    }
    for (let round = 0; round < 100; round++)
      for (const element of [wide(1n), wide(2n ** 90n), deep(100), deep(127), deep(128), deep(300)])
        expect(difference(element, roundTrip(codec, element))).toBeUndefined()
  })

  test('have columns again after a stream of records that were never alike', () => {
    const codec = new ColumnarCodec('interpreted')
    for (let number = 0; number < 3000; number++) {
      const odd = rows(2, (index) => ({ [`name${number}/${index}`]: number, [`other${number % 70}`]: index }))
      expect(difference(odd, roundTrip(codec, odd))).toBeUndefined()
    }
    const element = rows(500, (index) => ({ id: index, price: index / 3 }))
    for (let round = 0; round < 40; round++) codec.encode(element)
    expect(codec.encode(element).byteLength).toBeLessThan(500 * 12 + 100)
  })
})

describe('names', () => {
  test.each([
    '"];globalThis.injected=1;//',
    "'+(globalThis.injected=1)+'",
    '$' + '{globalThis.injected=1}',
    '\u2028globalThis.injected=1',
    '\nglobalThis.injected=1',
    '\\"]=0;globalThis.injected=1;//',
    '__proto__',
    'constructor',
    'toString',
    'i',
    'values',
    'return',
    '*/',
    '12',
    '\ud800',
  ])('never become code: %j', (name) => {
    const record = Object.defineProperty({ a: 1 }, name, { value: 2, enumerable: true, configurable: true, writable: true })
    const element = rows(300, () => record)
    expect(difference(element, roundTrip(new ColumnarCodec('generated'), element))).toBeUndefined()
    expect((globalThis as { injected?: unknown }).injected).toBeUndefined()
  })

  test('that nobody writes are refused in a schema that was read', () => {
    const frame = new ColumnarCodec().encode(rows(4, (index) => ({ safe_name: index }))).slice()
    for (const name of ['__proto__', 'a\nb\tc\0d', '123456789'] as const) {
      const changed = Buffer.from(frame)
      changed.write(name, changed.indexOf('safe_name'))
      expect(() => new ColumnarCodec('generated').decode(changed)).toThrow('a frame holds')
    }
  })
})

describe('what other code did to the prototypes of all values', () => {
  afterEach(() => {
    delete (Array.prototype as { toJSON?: unknown }).toJSON
    delete (String.prototype as { toJSON?: unknown }).toJSON
    delete (Object.prototype as { extra?: unknown }).extra
  })

  test('changes no record', () => {
    const element = rows(40, (index) => ({ id: index, text: `a string of more than twelve: ${index}` }))
    const expected = structuredClone(element)
    const codec = new ColumnarCodec('generated')
    codec.encode(element)
    Object.defineProperty(Array.prototype, 'toJSON', { value: () => ['changed'], configurable: true })
    Object.defineProperty(String.prototype, 'toJSON', { value: () => 'changed', configurable: true })
    expect(difference(expected, roundTrip(codec, element))).toBeUndefined()
    delete (Array.prototype as { toJSON?: unknown }).toJSON
    Object.defineProperty(Object.prototype, 'extra', { value: 1, enumerable: true, configurable: true, writable: true })
    for (const each of [codec, new ColumnarCodec('generated'), new ColumnarCodec('interpreted')]) {
      const names = Object.keys(roundTrip(each, element).values[0] as object)
      expect(names.join()).toBe('id,text')
    }
  })
})

describe('damaged frames', () => {
  const element = rows(100, (index) => ({
    id: index,
    name: `n${index}`,
    city: ['a', 'b'][index % 2],
    note: index % 9 === 0 ? [] : 1,
  }))

  test('are refused where they are cut off, at any place', () => {
    const frame = new ColumnarCodec().encode(element).slice()
    for (let length = 0; length < frame.length - 8; length++) {
      expect(() => new ColumnarCodec('interpreted').decode(frame.slice(0, length))).toThrow()
    }
  })

  test('make nothing for records that are not there', () => {
    const frame = new ColumnarCodec().encode(rows(64, (index) => ({ open: index % 2 === 0 }))).slice()
    const words = new Uint32Array(frame.buffer)
    const [inHeader, inGroup] = [1, 5]
    expect([words[inHeader], words[inGroup]]).toEqual([64, 64])
    for (const count of [0, 63, 65, 1000, 0x7fffffff, 0xffffffff]) {
      for (const places of [[inHeader], [inGroup], [inHeader, inGroup]]) {
        const changed = words.slice()
        for (const place of places) changed[place] = count
        const decode = (): unknown => new ColumnarCodec().decode(new Uint8Array(changed.buffer))
        // A bit of 64 is there for each of 63 records, and none is looked at for a frame of no records.
        if ((count === 63 && places.length === 2) || (count === 0 && places[0] === inHeader)) expect(decode).not.toThrow()
        else expect(decode).toThrow()
      }
    }
  })

  test('of another codec are refused', () => {
    expect(() => new ColumnarCodec().decode(new MessagePackCodec().encode(element))).toThrow('for the codec columnar')
    expect(() => new MessagePackCodec().decode(new ColumnarCodec().encode(element))).toThrow('for the codec msgpackr')
  })
})
