const frozen = new WeakSet<object>()

/**
 * Freezes a value through and through, so that an operator which changes a record that it was given fails where it does so. What cannot be
 * frozen (the contents of maps, sets, dates and buffers) stays as it is.
 */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || frozen.has(value)) return value
  // Noted first, so that a value which contains itself comes to an end; and noted by us, because somebody else may have frozen it only outside.
  frozen.add(value)
  Object.freeze(value)
  for (const item of Object.values(value)) deepFreeze(item)
  return value
}

/** What the language says when something frozen is changed. */
const CHANGE_OF_FROZEN = /read only property|not extensible|Cannot (delete|redefine) property/

/** Whether an error comes from changing a frozen value. */
export function isChangeOfFrozen(error: unknown): boolean {
  return error instanceof TypeError && CHANGE_OF_FROZEN.test(error.message)
}
