import { addExtension, Packr } from 'msgpackr/pack'
import { messageOf, SluiceError } from './errors.ts'

/*
 * Values as bytes, exactly. What always holds:
 *
 * - What comes back equals what went in, for these: undefined, null, booleans, numbers (-0 and NaN too), bigints, strings (also lone
 *   surrogates), dates, arrays, plain objects (own enumerable properties; also `__proto__` and null prototypes), Map, Set, ArrayBuffer
 *   and typed arrays, nested up to 200 deep. A hole in an array comes back as undefined.
 * - Everything else (functions, symbols, class instances, cyclic values) is refused with the path of the field: msgpackr on its own
 *   would turn some of them into something else without a word.
 * - Bytes may come from anywhere. What this codec never writes is refused, above all values that hold themselves, or the same one many times over, of
 *   which a few bytes can make more than anybody comes to the end of; and classes of which only the name was written.
 * - The bytes are self-contained: no structure is learnt on one side that the other would have to know.
 * - A decoded value pins no memory but its own. The pure JavaScript half of msgpackr is used on purpose: the native one returns strings
 *   that are slices of the whole block, and one such string kept in state keeps the block.
 */

const DEPTH_MAX = 200

/** Stand-ins for values that MessagePack cannot hold; each has an extension type of its own. */
class NegativeZero {}
class LoneSurrogates {
  readonly codeUnits: Uint8Array
  constructor(text: string) {
    const units = new Uint16Array(text.length)
    for (let index = 0; index < text.length; index++) units[index] = text.charCodeAt(index)
    this.codeUnits = new Uint8Array(units.buffer)
  }
}
class NodeBuffer {
  readonly bytes: Uint8Array
  constructor(buffer: Buffer) {
    this.bytes = new Uint8Array(buffer)
  }
}
class OddObject {
  readonly nullPrototype: boolean
  readonly entries: readonly unknown[]
  constructor(nullPrototype: boolean, entries: readonly unknown[]) {
    this.nullPrototype = nullPrototype
    this.entries = entries
  }
}

addExtension({ Class: NegativeZero, type: 0x51, write: () => 0, read: () => -0 })
addExtension({
  Class: LoneSurrogates,
  type: 0x52,
  write: (text: LoneSurrogates) => text.codeUnits,
  read: (bytes: Uint8Array) => {
    const units = new Uint16Array(bytes.slice().buffer)
    let text = ''
    for (const unit of units) text += String.fromCharCode(unit)
    return text
  },
})
addExtension({
  Class: NodeBuffer,
  type: 0x54,
  write: (buffer: NodeBuffer) => buffer.bytes,
  read: (bytes: Uint8Array) => Buffer.from(bytes),
})
addExtension({
  Class: OddObject,
  type: 0x53,
  write: (odd: OddObject) => [odd.nullPrototype, ...odd.entries],
  read: ([nullPrototype, ...entries]: unknown[]) => {
    const object: object = nullPrototype ? Object.create(null) : {}
    for (let index = 0; index < entries.length; index += 2) {
      const property = { value: entries[index + 1], enumerable: true, configurable: true, writable: true }
      Object.defineProperty(object, entries[index] as string, property)
    }
    return object
  },
})

/** Marks and uses of values that come more than once, errors, regular expressions: msgpackr reads them also where it does not write them. */
const NEVER_WRITTEN = [0x65, 0x69, 0x70, 0x78] as const
for (const type of NEVER_WRITTEN) {
  const unpack = (): never => {
    throw new Error(`bytes of the type ${type} are not those of a value`)
  }
  addExtension({ type, unpack } as unknown as Parameters<typeof addExtension>[0])
}

const packr = new Packr({ useRecords: true, moreTypes: true, copyBuffers: true } as object)
const RESET_BUFFER_MODE = 1024

/**
 * A value as bytes in a buffer that the next call overwrites: copy what is to stay.
 * @throws SluiceError `VALUE_NOT_ENCODABLE`, naming the field.
 */
export function encodeInPlace(value: unknown): Uint8Array {
  const packable = isPlain(value, 0) ? value : substitute(value, '', 0)
  try {
    return packr.pack(packable, RESET_BUFFER_MODE)
  } catch (error) {
    throw new SluiceError('VALUE_NOT_ENCODABLE', `a value cannot be encoded: ${messageOf(error)}`, { cause: error })
  }
}

/** A value as bytes of their own. @throws SluiceError `VALUE_NOT_ENCODABLE`, naming the field. */
export function encodeValue(value: unknown): Uint8Array<ArrayBuffer> {
  return new Uint8Array(encodeInPlace(value))
}

/** The value that `encodeValue` wrote. The bytes may be reused afterwards. */
export function decodeValue(bytes: Uint8Array): unknown {
  return packr.unpack(bytes)
}

const TYPED_ARRAYS: ReadonlySet<unknown> = new Set([
  ...[Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array].map((type) => type.prototype),
  ...[Float32Array, Float64Array, BigInt64Array, BigUint64Array].map((type) => type.prototype),
])

/** Whether msgpackr returns the value as it is. Runs for every value that crosses a thread, so it allocates nothing. */
function isPlain(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case 'number':
      return value !== 0 || 1 / value > 0
    case 'string':
      return value.isWellFormed()
    case 'boolean':
    case 'undefined':
    case 'bigint':
      return true
    case 'object':
      return value === null || isPlainObject(value, depth + 1)
    default:
      return false
  }
}

function isPlainObject(value: object, depth: number): boolean {
  if (depth > DEPTH_MAX) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype) {
    for (const name in value) {
      if (isOddName(name) || !isPlain((value as Record<string, unknown>)[name], depth)) return false
    }
    return true
  }
  if (prototype === Array.prototype) {
    for (const item of value as unknown[]) if (!isPlain(item, depth)) return false
    return true
  }
  return prototype === Date.prototype
}

/** Names that msgpackr does not take as they are: by `constructor` it guesses the class of an object. */
function isOddName(name: string): boolean {
  return name === '__proto__' || name === 'constructor' || !name.isWellFormed()
}

/** A copy of the value in which stand-ins replace what msgpackr would change. @throws what cannot be encoded, with its path. */
function substitute(value: unknown, path: string, depth: number): unknown {
  if (depth > DEPTH_MAX) throw notEncodable(path.slice(0, 60), `is nested deeper than ${DEPTH_MAX} levels or cyclic`)
  switch (typeof value) {
    case 'number':
      return Object.is(value, -0) ? new NegativeZero() : value
    case 'string':
      return value.isWellFormed() ? value : new LoneSurrogates(value)
    case 'function':
      throw notEncodable(path, 'is a function')
    case 'symbol':
      throw notEncodable(path, 'is a symbol')
    case 'object':
      return value === null ? null : substituteObject(value, path, depth + 1)
    default:
      return value
  }
}

function substituteObject(value: object, path: string, depth: number): unknown {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) return substituteFields(value, prototype === null, path, depth)
  if (prototype === Array.prototype)
    return (value as unknown[]).map((item, index) => substitute(item, `${path}[${index}]`, depth))
  if (prototype === Date.prototype || prototype === ArrayBuffer.prototype || TYPED_ARRAYS.has(prototype)) return value
  if (prototype === Buffer.prototype) return new NodeBuffer(value as Buffer)
  if (prototype === Map.prototype) {
    const copy = new Map<unknown, unknown>()
    for (const [key, item] of value as Map<unknown, unknown>) {
      copy.set(substitute(key, `${path}<key>`, depth), substitute(item, `${path}<value>`, depth))
    }
    return copy
  }
  if (prototype === Set.prototype) {
    return new Set([...(value as Set<unknown>)].map((item) => substitute(item, `${path}<member>`, depth)))
  }
  throw notEncodable(path, `is an instance of ${(value as { constructor?: { name?: string } }).constructor?.name ?? 'a class'}`)
}

function substituteFields(value: object, nullPrototype: boolean, path: string, depth: number): unknown {
  const entries: unknown[] = []
  let odd = nullPrototype
  for (const [name, item] of Object.entries(value)) {
    odd ||= isOddName(name)
    entries.push(
      name.isWellFormed() ? name : new LoneSurrogates(name),
      substitute(item, path === '' ? name : `${path}.${name}`, depth),
    )
  }
  if (odd) return new OddObject(nullPrototype, entries)
  const copy: Record<string, unknown> = {}
  for (let index = 0; index < entries.length; index += 2) copy[entries[index] as string] = entries[index + 1]
  return copy
}

function notEncodable(path: string, what: string): SluiceError {
  return new SluiceError('VALUE_NOT_ENCODABLE', `${path === '' ? 'a value' : `the field ${path}`} ${what}`, {
    hint: 'records that change threads and values kept in state are data: primitives, dates, arrays, plain objects, Map, Set, typed arrays',
  })
}
