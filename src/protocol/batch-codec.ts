import type { Element } from './element.ts'

/**
 * Elements as bytes, for channels between threads. Every implementation keeps the contract of `core/value-codec.ts`: what it takes
 * comes back equal, what it cannot take is refused with the path of the field. A frame can be read without any other.
 */
export interface BatchCodec {
  readonly name: string
  /** The element's bytes, in a buffer that the next call overwrites. */
  encode(element: Element): Uint8Array
  /** Nothing that is decoded looks at `bytes` afterwards. */
  decode(bytes: Uint8Array): Element
}
