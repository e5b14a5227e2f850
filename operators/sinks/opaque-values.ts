import { types } from 'node:util'

/**
 * Whether an object keeps its content elsewhere than in its properties, so that a format that writes properties would write `{}`, or
 * something as far from it.
 *
 * ```ts
 * isOpaque(new Map([['a', 1]])) // true
 * ```
 */
export function isOpaque(value: object): boolean {
  // Nearly every record is of this kind, and the list is long.
  if (Object.getPrototypeOf(value) === Object.prototype) return false
  return OPAQUE.some((isOfType) => isOfType(value))
}

/** Such as `of type Map`, for messages. */
export function describeOpaque(value: object): string {
  return `of type ${Object.prototype.toString.call(value).slice(8, -1)}`
}

const OPAQUE: readonly ((value: unknown) => boolean)[] = [
  types.isMap,
  types.isSet,
  types.isWeakMap,
  types.isWeakSet,
  types.isArrayBufferView,
  types.isAnyArrayBuffer,
  types.isDate,
  types.isRegExp,
  types.isNativeError,
  types.isPromise,
  types.isBoxedPrimitive,
]
