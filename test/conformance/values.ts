import fc from 'fast-check'

/** A value of the contract, under the name of what is hard about it. */
export type NamedValue = readonly [name: string, value: unknown]

const loneHigh = '\ud800'
const loneLow = 'a\udc00b'

function withOwnProto(): object {
  return Object.defineProperty({ before: 1 }, '__proto__', { value: 'own', enumerable: true, configurable: true, writable: true })
}

function nullPrototype(entries: readonly (readonly [string, unknown])[]): object {
  const object = Object.create(null) as Record<string, unknown>
  for (const [name, value] of entries) object[name] = value
  return object
}

function nested(depth: number, wrap: (inner: unknown) => unknown): unknown {
  let value: unknown = 'inside'
  for (let level = 0; level < depth; level++) value = wrap(value)
  return value
}

/** Values that codecs have been known to change without a word. */
export const HOSTILE_VALUES: readonly NamedValue[] = [
  ['undefined', undefined],
  ['null', null],
  ['true and false', [true, false]],
  ['an undefined field beside a missing one', [{ a: undefined }, {}, { a: null }]],
  ['undefined in an array', [undefined, 1, undefined]],
  ['-0', -0],
  ['-0 and 0 in fields', { minus: -0, plus: 0, list: [-0, 0] }],
  ['NaN', Number.NaN],
  ['infinities', [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]],
  ['numbers at the borders of integer types', integersAtBorders()],
  [
    'numbers at the borders of doubles',
    [5e-324, -5e-324, Number.MAX_VALUE, Number.EPSILON, 0.1, 1 / 3, 1e21, 123456789.12345679],
  ],
  ['numbers that fit in 32 bits but not in a float', [16_777_217, 0.1 + 0.2, 1.100000023841858]],
  ['bigints of 64 bits', [0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 64n - 1n]],
  ['bigints beyond 64 bits', [2n ** 64n, -(2n ** 63n) - 1n, 2n ** 200n, -(2n ** 200n), 7n ** 500n, -(7n ** 500n)]],
  [
    'bigints at the borders of bytes',
    Array.from({ length: 40 }, (_, index) => [
      2n ** BigInt(8 * index),
      -(2n ** BigInt(8 * index)),
      2n ** BigInt(8 * index + 7),
    ]).flat(),
  ],
  ['a bigint beside an equal number', [1n, 1, '1']],
  ['dates', [new Date(0), new Date(1), new Date(-1), new Date(1_700_000_000_123), new Date(8.64e15), new Date(-8.64e15)]],
  [
    'dates of other centuries',
    [new Date(-62_135_596_800_001), new Date(253_402_300_800_000), new Date(4_294_967_296_000), new Date(17_179_869_184_000)],
  ],
  ['an invalid date', new Date(Number.NaN)],
  ['the empty string', ''],
  ['strings at the borders of lengths', [31, 32, 255, 256, 65_535, 65_536].map((length) => 'x'.repeat(length))],
  ['strings beyond Latin-1', ['é', 'ÿĀ', '日本語', '👍', '👨‍👩‍👧‍👦', '\u{10ffff}', '\0', 'a\0b', '\ufeff']],
  ['a lone high surrogate', loneHigh],
  ['lone surrogates in fields and lists', { high: loneHigh, list: [loneLow, 'whole', '\udfff\ud800'] }],
  ['lone surrogates in names', { [loneHigh]: 1, [loneLow]: { [loneLow]: 2 } }],
  ['lone surrogates in keys and members', [new Map([[loneHigh, loneLow]]), new Set([loneHigh])]],
  ['a lone surrogate at the end of a long string', `${'x'.repeat(10_000)}${loneHigh}`],
  ['a string of 5 MB', 'sluice'.repeat(900_000)],
  ['a string of 5 MB beyond Latin-1', '水門'.repeat(900_000)],
  ['the empty array and the empty object', [[], {}]],
  ['an array of 100,000 numbers', Array.from({ length: 100_000 }, (_, index) => index)],
  ['arrays at the borders of lengths', [15, 16, 65_535, 65_536].map((length) => new Array(length).fill(0))],
  ['nested arrays', [[], [[]], [[], [[]]]]],
  [
    'a Map',
    new Map<unknown, unknown>([
      ['a', 1],
      [2, 'b'],
      [null, undefined],
      [Number.NaN, -0],
    ]),
  ],
  [
    'a Map with objects, dates and Maps as keys',
    new Map<unknown, unknown>([
      [{ a: 1 }, 1],
      [new Date(5), 2],
      [new Map([[1, 2]]), 3],
      [[1], 4],
    ]),
  ],
  ['an empty Map and an empty Set', [new Map(), new Set()]],
  [
    'a Map that keeps its order',
    new Map([
      ['z', 1],
      ['a', 2],
      ['1', 3],
      ['0', 4],
    ]),
  ],
  ['a Set', new Set<unknown>(['a', 1, 1n, null, undefined, Number.NaN, { a: 1 }, [1]])],
  ['a Set in a Map in a Set', new Set([new Map([['a', new Set([1])]])])],
  [
    'names that objects have by themselves',
    [{ constructor: 1 }, { toString: 'a', valueOf: 'b', hasOwnProperty: 'c' }, { toJSON: 1 }, { then: 1 }, { length: 3 }],
  ],
  ['an own constructor beside an own toJSON', { constructor: 'x', toJSON: 'y', a: 1 }],
  ['an own constructor that is an object', { constructor: { name: 'Map' }, size: 1 }],
  ['an own __proto__', withOwnProto()],
  ['an own __proto__ that is an object', JSON.parse('{"__proto__": {"polluted": true}, "a": 1}')],
  [
    'an object without a prototype',
    nullPrototype([
      ['a', 1],
      ['b', undefined],
    ]),
  ],
  ['an empty object without a prototype', nullPrototype([])],
  [
    'objects without prototypes inside each other',
    [nullPrototype([['inner', nullPrototype([['x', -0]])]]), { plain: nullPrototype([['__proto__', 1]]) }],
  ],
  ['names that are numbers, in their order', { 10: 'a', 2: 'b', x: 'c', '-1': 'd', '01': 'e' }],
  [
    'the empty name, odd names',
    { '': 1, ' ': 2, 'a.b': 3, 'a[0]': 4, 日本: 5, '\0': 6, 'a-b': 7, "it's": 8, '"': 9, '\\': 10, '\n': 11 },
  ],
  ['the same object twice', sharedObject()],
  ['records of one shape', Array.from({ length: 1000 }, (_, index) => ({ id: index, name: `name ${index}`, price: index / 3 }))],
  [
    'records whose field changes its type',
    [
      { a: 1 },
      { a: 'x' },
      { a: null },
      { a: undefined },
      { a: 1n },
      { a: [1] },
      { a: { b: 1 } },
      {},
      { a: 1, b: 2 },
      { b: 2, a: 1 },
    ],
  ],
  ['an object of 1000 fields', Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`field ${index}`, index]))],
  ['150 arrays inside each other', nested(150, (inner) => [inner])],
  ['150 objects inside each other', nested(150, (inner) => ({ inner }))],
  ['150 Maps inside each other, and a lone surrogate', nested(150, (inner) => new Map([[loneHigh, inner]]))],
  ...typedArrays(),
]

function integersAtBorders(): readonly number[] {
  const powers = [5, 7, 8, 15, 16, 31, 32, 47, 48, 52, 53, 63, 64].map((bits) => 2 ** bits)
  return [...powers, Number.MAX_SAFE_INTEGER].flatMap((value) => [value - 1, value, value + 1, -value - 1, -value, -value + 1])
}

function sharedObject(): unknown {
  const shared = { a: [1] }
  return [shared, shared, { shared }]
}

function typedArrays(): readonly NamedValue[] {
  const types = [
    Int8Array,
    Uint8Array,
    Uint8ClampedArray,
    Int16Array,
    Uint16Array,
    Int32Array,
    Uint32Array,
    Float32Array,
    Float64Array,
  ]
  const ofNumbers = types.flatMap((Type): NamedValue[] => {
    const padded = new ArrayBuffer(64)
    return [
      [`a ${Type.name}`, new Type([1, 2, 200, -3])],
      [`an empty ${Type.name}`, new Type(0)],
      [`a ${Type.name} that is part of a larger buffer`, new Type(padded, 8, 3)],
    ]
  })
  return [
    ...ofNumbers,
    ['a Float64Array with NaN and -0', new Float64Array([Number.NaN, -0, Number.POSITIVE_INFINITY])],
    ['a BigInt64Array', new BigInt64Array([1n, -1n, 2n ** 63n - 1n])],
    ['a BigUint64Array', new BigUint64Array([1n, 2n ** 64n - 1n])],
    ['an ArrayBuffer', new Uint8Array([1, 2, 3]).buffer],
    ['an empty ArrayBuffer', new ArrayBuffer(0)],
    ['a Buffer', Buffer.from('hello')],
    ['an empty Buffer', Buffer.alloc(0)],
    [
      'bytes of each kind side by side',
      { buffer: Buffer.from([1]), bytes: new Uint8Array([1]), list: [1], raw: new Uint8Array([1]).buffer },
    ],
    ['a Uint8Array of 1 MB between odd values', [-0, new Uint8Array(1 << 20).fill(7), '\ud800']],
    ['typed arrays at odd places', ['x', new Float64Array([1]), 'xy', new Int16Array([1]), 'xyz', new BigInt64Array([1n])]],
  ]
}

class Point {
  x = 1
}

class Numbers extends Array<number> {}

function cyclicObject(): object {
  const object: Record<string, unknown> = { name: 'cycle' }
  object['self'] = { again: object }
  return object
}

function cyclicArray(): unknown[] {
  const array: unknown[] = []
  array.push(array)
  return array
}

/** A value the contract refuses, where in a record it is put, and the path that the error must name. */
export interface RefusedValue {
  readonly name: string
  readonly value: unknown
  /** Absent for values that have no one place. */
  readonly what?: string
}

export const REFUSED_VALUES: readonly RefusedValue[] = [
  { name: 'a function', value: () => 1, what: 'function' },
  { name: 'a class', value: Point, what: 'function' },
  { name: 'a symbol', value: Symbol('s'), what: 'symbol' },
  { name: 'an instance of a class', value: new Point(), what: 'Point' },
  { name: 'an instance of a class without a name', value: new (class {})(), what: 'instance' },
  { name: 'an object with another object as its prototype', value: Object.create({ inherited: 1 }), what: 'instance' },
  { name: 'an instance of a subclass of Array', value: Numbers.from([1]), what: 'Numbers' },
  { name: 'an instance of a subclass of Map', value: new (class Sub extends Map {})(), what: 'Sub' },
  { name: 'an instance of a subclass of Date', value: new (class Day extends Date {})(0), what: 'Day' },
  { name: 'an Error', value: new TypeError('x'), what: 'TypeError' },
  { name: 'a RegExp', value: /x/, what: 'RegExp' },
  { name: 'a Promise', value: Promise.resolve(1), what: 'Promise' },
  { name: 'a WeakMap', value: new WeakMap(), what: 'WeakMap' },
  { name: 'a URL', value: new URL('http://localhost'), what: 'URL' },
  { name: 'a boxed string', value: Object('x'), what: 'String' },
  { name: 'a boxed number', value: Object(1), what: 'Number' },
  { name: 'a DataView', value: new DataView(new ArrayBuffer(1)), what: 'DataView' },
  { name: 'shared memory', value: new SharedArrayBuffer(1), what: 'SharedArrayBuffer' },
  { name: 'a generator', value: [1].values(), what: 'instance' },
  { name: 'an object that contains itself', value: cyclicObject(), what: 'cyclic' },
  { name: 'an array that contains itself', value: cyclicArray(), what: 'cyclic' },
  { name: '100,000 arrays inside each other', value: nested(100_000, (inner) => [inner]), what: 'deeper' },
]

/** Any value of the contract. */
export function contractValue(): fc.Arbitrary<unknown> {
  const anyString = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: 'grapheme' }),
    fc.array(fc.nat(0xffff), { maxLength: 6 }).map((units) => String.fromCharCode(...units)),
  )
  const name = fc.oneof(anyString, fc.constantFrom('a', 'b', '__proto__', 'constructor', 'toJSON', 'length', '0', ''))
  const leaf = fc.oneof(
    fc.constantFrom<unknown>(undefined, null, true, false, -0, 0, Number.NaN),
    fc.double(),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.bigInt(),
    fc.bigInt({ min: -(2n ** 80n), max: 2n ** 80n }),
    anyString,
    fc.date({ noInvalidDate: false }),
    fc.uint8Array(),
    fc.float64Array(),
    fc.bigInt64Array(),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    fc.uint8Array().map((bytes) => bytes.slice().buffer),
  )
  return fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 5, withCrossShrink: true },
      leaf,
      fc.array(tie('value'), { maxLength: 6 }),
      fc.array(fc.tuple(name, tie('value')), { maxLength: 6 }).map((entries) => plainObject(entries, false)),
      fc.array(fc.tuple(name, tie('value')), { maxLength: 4 }).map((entries) => plainObject(entries, true)),
      fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 4 }).map((entries) => new Map(entries)),
      fc.array(tie('value'), { maxLength: 4 }).map((members) => new Set(members)),
    ),
  })).value
}

/** Records with the same names, each of whose fields holds values of one kind; now and then a field or a record is another one. */
export function batchOfRecords(): fc.Arbitrary<unknown[]> {
  const field: fc.Arbitrary<fc.Arbitrary<unknown>> = fc.constantFrom<fc.Arbitrary<unknown>>(
    fc.integer(),
    fc.double(),
    fc.boolean(),
    fc.string({ unit: 'binary', maxLength: 30 }),
    fc.array(fc.nat(0xffff), { maxLength: 14 }).map((units) => String.fromCharCode(...units)),
    fc.constantFrom('Aix', 'Bonn', 'Cádiz', ''),
    fc.bigInt({ min: -(2n ** 64n), max: 2n ** 63n - 1n }),
    fc.date({ noInvalidDate: false }),
    fc.constantFrom(null, undefined, 1, -0),
    fc.tuple(fc.integer(), fc.string()),
    fc.option(fc.record({ x: fc.double(), y: fc.option(fc.string()) })),
    contractValue(),
  )
  const name = fc.oneof(fc.constantFrom('id', 'name', 'a b', '日', '"', '0', '__proto__', 'constructor'), fc.string())
  return fc.uniqueArray(fc.tuple(name, field), { minLength: 1, maxLength: 5, selector: ([each]) => each }).chain((fields) => {
    const row = fc.tuple(...fields.map(([, value]) => value)).map((values) => {
      return plainObject(
        fields.map(([each], index) => [each, values[index]] as const),
        false,
      )
    })
    return fc.array(fc.oneof({ weight: 20, arbitrary: row }, { weight: 1, arbitrary: contractValue() }), { maxLength: 40 })
  })
}

function plainObject(entries: readonly (readonly [string, unknown])[], withoutPrototype: boolean): object {
  const object: object = withoutPrototype ? Object.create(null) : {}
  for (const [name, value] of entries) {
    Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true })
  }
  return object
}

/**
 * Where two values differ, as a path and a reason; `undefined` when they are the same. Stricter than a test library's equality: prototypes,
 * the order of names and keys, -0, own properties, and the kind of every buffer count.
 */
export function difference(expected: unknown, actual: unknown, path = 'value'): string | undefined {
  if (typeof expected !== 'object' || expected === null || typeof actual !== 'object' || actual === null) {
    return Object.is(expected, actual) ? undefined : `${path}: ${show(expected)} became ${show(actual)}`
  }
  if (Object.getPrototypeOf(expected) !== Object.getPrototypeOf(actual)) return `${path}: another prototype`
  if (expected instanceof Date) return difference(expected.getTime(), (actual as Date).getTime(), `${path}.getTime()`)
  if (expected instanceof ArrayBuffer)
    return bytesDifference(new Uint8Array(expected), new Uint8Array(actual as ArrayBuffer), path)
  if (ArrayBuffer.isView(expected)) return bytesDifference(bytesOf(expected), bytesOf(actual as ArrayBufferView), path)
  if (expected instanceof Map) return difference([...expected], [...(actual as Map<unknown, unknown>)], `${path}<entries>`)
  if (expected instanceof Set) return difference([...expected], [...(actual as Set<unknown>)], `${path}<members>`)
  const names = Reflect.ownKeys(expected)
  const actualNames = Reflect.ownKeys(actual)
  if (names.length !== actualNames.length || names.some((name, index) => name !== actualNames[index])) {
    return `${path}: the names ${show(names.slice(0, 20))} became ${show(actualNames.slice(0, 20))}`
  }
  for (const name of names) {
    const field = Object.getOwnPropertyDescriptor(actual, name)!.value as unknown
    const found = difference(Object.getOwnPropertyDescriptor(expected, name)!.value, field, `${path}.${String(name)}`)
    if (found !== undefined) return found
  }
  return undefined
}

function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
}

function bytesDifference(expected: Uint8Array, actual: Uint8Array, path: string): string | undefined {
  return Buffer.compare(expected, actual) === 0 ? undefined : `${path}: other bytes`
}

function show(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(show).join(', ')}]`
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 60)) : Object.is(value, -0) ? '-0' : String(value)
}
