import fc from 'fast-check'

/*
 * Bytes that were never written by the engine: those of a sound thing in which a few are wrong, and MessagePack that says what it likes.
 */

/** Sound bytes after some were changed, taken away or put in. */
export function changedBytes(sound: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  const change = fc.record({ kind: fc.nat(4), at: fc.nat(), value: fc.nat(255), length: fc.nat(12) })
  return fc.tuple(sound, fc.array(change, { maxLength: 4 })).map(([bytes, changes]) => {
    let changed: Buffer = Buffer.from(bytes)
    for (const each of changes) if (changed.length > 0) changed = changedOnce(changed, each)
    return new Uint8Array(changed)
  })
}

interface Change {
  readonly kind: number
  readonly at: number
  readonly value: number
  readonly length: number
}

function changedOnce(bytes: Buffer, { kind, at, value, length }: Change): Buffer {
  const place = at % bytes.length
  const [before, behind] = [bytes.subarray(0, place), bytes.subarray(place)]
  if (kind === 0) return before
  if (kind === 1) return Buffer.concat([before, behind.subarray(length)])
  if (kind === 2) return Buffer.concat([before, Buffer.alloc(length, value), behind])
  const copy = Buffer.from(bytes)
  if (kind === 3) copy[place]! ^= 1 << (value % 8)
  else copy.fill([0, 255, 127, 128][value % 4]!, place, Math.min(place + length, copy.length))
  return copy
}

const COUNTS = [0, 1, 2, 3, 200, 0xffff, 0x10000, 0x7fffffff, 0xffffffff]
const NAMES = ['__proto__', 'constructor', 'prototype', 'checkpoint', 'length', 'toString', 'a"];0//', '\n', 'x']

function ascii(text: string): Buffer {
  return Buffer.concat([Buffer.from([0xa0 | text.length]), Buffer.from(text)])
}

function counted(code: number, count: number): Buffer {
  const bytes = Buffer.alloc(5)
  bytes[0] = code
  bytes.writeUInt32BE(count, 1)
  return bytes
}

function extended(type: number, body: Buffer): Buffer {
  return Buffer.concat([counted(0xc9, body.length), Buffer.from([type]), body])
}

/** MessagePack, well nested for the most part, with counts, names and extensions as a hostile writer would choose them. */
export const hostileMessagePack: fc.Arbitrary<Uint8Array> = fc
  .letrec<{ value: Buffer }>((tie) => {
    const inner = tie('value')
    const several = fc.array(inner, { maxLength: 4 }).map((parts) => Buffer.concat(parts))
    const type = fc.oneof(
      fc.constantFrom(0x51, 0x52, 0x53, 0x54, 0x62, 0x65, 0x69, 0x70, 0x72, 0x73, 0x74, 0x78, 0x42, 0xff),
      fc.nat(255),
    )
    return {
      value: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        fc.nat(255).map((byte) => Buffer.from([byte])),
        fc.constantFrom(...NAMES).map(ascii),
        fc.tuple(fc.constantFrom(0xdd, 0xdf, 0xdb, 0xc6), fc.constantFrom(...COUNTS), several).map(([code, count, rest]) => {
          return Buffer.concat([counted(code, count), rest])
        }),
        fc.tuple(fc.constantFrom(0x90, 0x80), several).map(([code, rest]) => Buffer.concat([Buffer.from([code | 3]), rest])),
        fc.tuple(type, several).map(([each, body]) => extended(each, body)),
        fc.tuple(type, inner).map(([each, rest]) => Buffer.concat([Buffer.from([0xd4, each, 0]), rest])),
        // The names of a record, and one that has them.
        fc.tuple(fc.array(fc.constantFrom(...NAMES), { maxLength: 4 }), several).map(([names, rest]) => {
          const head = Buffer.from([0xd4, 0x72, 0x40, 0x90 | names.length])
          return Buffer.concat([head, ...names.map(ascii), rest, Buffer.from([0x40]), rest])
        }),
        fc.nat(100_000).map((depth) => Buffer.alloc(depth, 0x91)),
      ),
    }
  })
  .value.map((bytes) => new Uint8Array(bytes))

/** Bytes of any kind. */
export function hostileBytes(sound: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  return fc.oneof(
    { weight: 4, arbitrary: changedBytes(sound) },
    { weight: 2, arbitrary: hostileMessagePack },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
  )
}
