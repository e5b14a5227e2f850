import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { writeJsonLines } from '../../../operators/sinks/index.ts'
import { encodeJsonLine } from '../../../operators/sinks/json-lines.ts'
import { describeFolderSink } from './conformance.ts'
import { committerOf, FIRST_START, stage, temporaryFolder, textOf, writerOf } from './folder-harness.ts'

function readLines(text: string): unknown[] {
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line))
}

describeFolderSink('writeJsonLines', {
  create: (folder) => writeJsonLines(folder),
  extension: 'jsonl',
  records: [{ a: 1, b: 'two\nlines' }, { a: -0.5, b: null, nested: { list: [1, [2], {}] } }, 'text', 42],
  read: readLines,
})

class Opaque {
  hidden = 1
  toJSON() {
    return 'shown'
  }
}

class Point {
  x = 1
  y = 2
}

const cyclic: Record<string, unknown> = { name: 'loop' }
cyclic.list = [{ back: cyclic }]

const deep = Array.from({ length: 40 }).reduce<unknown>((inner) => ({ inner }), 1n)

describe('encodeJsonLine', () => {
  test.each<[string, unknown, string]>([
    ['a bigint', { stops: [{ gate: 1n }] }, 'the field stops[0].gate is a bigint'],
    ['a function', { run: () => 1 }, 'the field run is a function'],
    ['a symbol', { id: Symbol('id') }, 'the field id is a symbol'],
    ['NaN', { rate: Number.NaN }, 'the field rate is NaN'],
    ['an infinity', [[1, Number.NEGATIVE_INFINITY]], 'the field [0][1] is -Infinity'],
    ['an invalid date', { 'left at': new Date(Number.NaN) }, 'the field ["left at"] is an invalid Date'],
    ['a map', { counts: new Map() }, 'the field counts is of type Map'],
    ['a set', { seen: new Set() }, 'the field seen is of type Set'],
    ['bytes', { bytes: new Uint8Array(2) }, 'the field bytes is of type Uint8Array'],
    ['a regular expression', { pattern: /a/ }, 'the field pattern is of type RegExp'],
    ['an error', { failure: new Error('no') }, 'the field failure is of type Error'],
    ['a boxed number', { count: Object(1) }, 'the field count is of type Number'],
    ['undefined in an array', { list: [1, undefined] }, 'the field list[1] is undefined'],
    // biome-ignore lint/suspicious/noSparseArray: a hole is what is tested.
    ['a hole in an array', { list: [1, , 2] }, 'the field list[1] is undefined'],
    ['undefined', undefined, 'the record is undefined'],
    ['a function as the record', () => 1, 'the record is a function'],
    ['a map as the record', new Map(), 'the record is of type Map'],
    ['a cycle', cyclic, 'the field list[0].back is a cycle: it contains itself'],
    ['a bigint far down', deep, `${Array(40).fill('inner').join('.')} is a bigint`],
    ['a bigint out of toJSON', { at: { toJSON: () => ({ value: 1n }) } }, 'the field at.value is a bigint'],
    ["a bigint out of an array's toJSON", Object.assign([1], { toJSON: () => 1n }), 'the record is a bigint'],
    ['a bigint after a nested object', { first: { list: [{}] }, second: 1n }, 'the field second is a bigint'],
  ])('refuses %s', (_, value, message) => {
    expect(() => encodeJsonLine(value)).toThrow(
      expect.objectContaining({ code: 'VALUE_NOT_ENCODABLE', message: expect.stringContaining(message) }),
    )
  })

  test.each<[string, unknown, string]>([
    ['a date', { at: new Date(0) }, '{"at":"1970-01-01T00:00:00.000Z"}'],
    ['a date as the record', new Date(0), '"1970-01-01T00:00:00.000Z"'],
    ['an undefined property', { a: undefined, b: 1 }, '{"b":1}'],
    ['an undefined property of an instance', Object.assign(new Point(), { x: undefined }), '{"y":2}'],
    ['toJSON', { value: new Opaque() }, '{"value":"shown"}'],
    ['an instance', new Point(), '{"x":1,"y":2}'],
    ['an object without prototype', Object.assign(Object.create(null), { a: 1 }), '{"a":1}'],
    ['an own property __proto__', JSON.parse('{"__proto__":1}'), '{"__proto__":1}'],
    ['negative zero', [-0], '[0]'],
    ['null', null, 'null'],
    ['half a surrogate pair', '\ud83d', '"\\ud83d"'],
  ])('writes %s', (_, value, line) => {
    expect(encodeJsonLine(value)).toBe(`${line}\n`)
  })

  test('one object may be in two places', () => {
    const point = new Point()
    expect(encodeJsonLine({ from: point, to: point, path: [point] })).toBe(
      '{"from":{"x":1,"y":2},"to":{"x":1,"y":2},"path":[{"x":1,"y":2}]}\n',
    )
  })

  test('calls toJSON once', () => {
    let calls = 0
    encodeJsonLine({ value: { toJSON: () => ++calls } })
    expect(calls).toBe(1)
  })

  test('reports what toJSON throws as its cause', () => {
    const cause = new Error('broken')
    const value = {
      toJSON() {
        throw cause
      },
    }
    expect(() => encodeJsonLine(value)).toThrow(expect.objectContaining({ code: 'VALUE_NOT_ENCODABLE', cause }))
  })

  test('an unexpected value is either refused or written as JSON.stringify would', () => {
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withTypedArray: true }),
        (value) => {
          let line: string
          try {
            line = encodeJsonLine(value)
          } catch (error) {
            expect(error).toMatchObject({ code: 'VALUE_NOT_ENCODABLE' })
            return
          }
          expect(line).toBe(`${JSON.stringify(value)}\n`)
          expect(line.indexOf('\n')).toBe(line.length - 1)
        },
      ),
    )
  })
})

describe('writeJsonLines', () => {
  test('what was written is read back equal', async () => {
    const folder = temporaryFolder()
    const sink = writeJsonLines(folder)
    const committer = committerOf(sink)
    await committer.open(FIRST_START)
    const writer = writerOf(sink)
    let checkpoint = 0
    await fc.assert(
      fc.asyncProperty(fc.array(fc.jsonValue({ stringUnit: 'binary' }), { minLength: 1 }), async (values) => {
        checkpoint++
        await committer.commit(await stage(writer, values, checkpoint))
        expect(readLines(textOf(folder, `part-0-${checkpoint}.jsonl`))).toEqual(values.map(withoutNegativeZero))
      }),
    )
  })
})

/** JSON.stringify writes -0 as 0, which is documented. */
function withoutNegativeZero(value: unknown): unknown {
  if (value === 0) return 0
  if (Array.isArray(value)) return value.map(withoutNegativeZero)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withoutNegativeZero(inner)]))
}
