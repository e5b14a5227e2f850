/**
 * Freezes a value through and through, so that an operator which changes a record that it was given fails where it does so. What cannot be
 * frozen (maps, sets, dates, buffers) is left as it is.
 */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value) || ArrayBuffer.isView(value)) return value
  Object.freeze(value)
  for (const item of Object.values(value)) deepFreeze(item)
  return value
}
