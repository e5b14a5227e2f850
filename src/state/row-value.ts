import type { StoredForm } from '../core/keyed-state.ts'
import { decodeValue, encodeInPlace } from '../core/value-codec.ts'

/*
 * Values of rows as bytes. Part of the on-disk format (docs/format.md): frozen. One byte for the type, and where its top bit is set the form
 * of the value (version as a double in 8 bytes, whose stamps in 1), then:
 *
 *   01 + 4        a whole number of 32 bits, little endian
 *   02 + 8        any other number, as a double, little endian
 *   03 + n        anything else, as the value codec writes it
 *   04            nothing: the row of a timer
 */
const INT = 1
const DOUBLE = 2
const ENCODED = 3
const EMPTY = 4
const HAS_FORM = 0x80
const FORM_BYTES = 9
const STAMPS = [undefined, 'event', 'processing'] as const

export const DEFAULT_FORM: StoredForm = { version: 1, stamps: undefined }

const EMPTY_VALUE = new Uint8Array([EMPTY])
let scratch = Buffer.alloc(1 << 12)

export function isDefaultForm({ version, stamps }: StoredForm): boolean {
  return version === 1 && stamps === undefined
}

/** A value as bytes, to be copied before the next call. @throws SluiceError `VALUE_NOT_ENCODABLE` */
export function valueBytesInPlace(value: unknown, form: StoredForm): Uint8Array {
  const length = valueInPlace(value, form)
  return scratch.subarray(0, length)
}

/** Copies what was written in place to another buffer. Returns the place behind it. */
export function copyValueTo(target: Buffer, at: number, length: number): number {
  // Short ones are quicker by hand than by a call out of the engine.
  if (length > 32) target.set(scratch.subarray(0, length), at)
  else for (let index = 0; index < length; index++) target[at + index] = scratch[index]!
  return at + length
}

/** Writes the bytes of a value where `copyValueTo` finds them. Returns their number. @throws SluiceError `VALUE_NOT_ENCODABLE` */
export function valueInPlace(value: unknown, form: StoredForm): number {
  const at = isDefaultForm(form) ? 1 : 1 + FORM_BYTES
  const flag = at === 1 ? 0 : HAS_FORM
  const length = writeValue(value, at, flag)
  if (flag !== 0) {
    scratch.writeDoubleLE(form.version, 1)
    scratch[9] = STAMPS.indexOf(form.stamps)
  }
  return length
}

export function emptyValueBytes(): Uint8Array {
  return EMPTY_VALUE
}

function writeValue(value: unknown, at: number, flag: number): number {
  if (typeof value === 'number') {
    const int = value | 0
    if (int === value && (int !== 0 || 1 / value > 0)) {
      scratch[0] = INT | flag
      scratch.writeInt32LE(int, at)
      return at + 4
    }
    scratch[0] = DOUBLE | flag
    scratch.writeDoubleLE(value, at)
    return at + 8
  }
  const encoded = encodeInPlace(value)
  const length = at + encoded.byteLength
  if (scratch.byteLength < length) scratch = Buffer.alloc(2 ** Math.ceil(Math.log2(length)))
  scratch[0] = ENCODED | flag
  scratch.set(encoded, at)
  return length
}

/** Whether a value was stored as a number in the default form. */
export function isPlainNumber(bytes: Uint8Array): boolean {
  return bytes[0] === INT || bytes[0] === DOUBLE
}

/** The form in which a value was stored. */
export function formOfBytes(bytes: Uint8Array): StoredForm {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return (view[0]! & HAS_FORM) === 0 ? DEFAULT_FORM : { version: view.readDoubleLE(1), stamps: STAMPS[view[9]!] }
}

/** A value, and the form in which it was stored. @throws Error when the bytes are none */
export function valueFromBytes(bytes: Uint8Array): { readonly value: unknown; readonly form: StoredForm } {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const form = formOfBytes(bytes)
  const at = (view[0]! & HAS_FORM) === 0 ? 1 : 1 + FORM_BYTES
  switch (view[0]! & ~HAS_FORM) {
    case INT:
      return { value: view.readInt32LE(at), form }
    case DOUBLE:
      return { value: view.readDoubleLE(at), form }
    case ENCODED:
      return { value: decodeValue(view.subarray(at)), form }
    case EMPTY:
      return { value: undefined, form }
    default:
      throw new Error(`no value begins with the byte ${view[0]}`)
  }
}
