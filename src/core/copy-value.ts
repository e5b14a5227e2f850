/**
 * A copy of plain data that shares nothing with it that can change: arrays, plain objects, `Map`, `Set`, dates, buffers and typed arrays, however
 * deep. Everything else, primitives first of all, is returned as it is. A value that was handed out is copied because whoever holds it may
 * change it later, and state must only change by `set`.
 */
export function copyValue<T>(value: T): T {
  return typeof value === 'object' && value !== null ? (copyObject(value) as T) : value
}

function copyObject(value: object): object {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) return copyFields(value, prototype as object | null)
  if (Array.isArray(value)) return value.map(copyValue)
  if (prototype === Date.prototype) return new Date((value as Date).getTime())
  if (prototype === Map.prototype) {
    const copy = new Map<unknown, unknown>()
    for (const [key, item] of value as Map<unknown, unknown>) copy.set(copyValue(key), copyValue(item))
    return copy
  }
  if (prototype === Set.prototype) return new Set([...(value as Set<unknown>)].map(copyValue))
  if (Buffer.isBuffer(value)) return Buffer.from(value)
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return (value as Uint8Array).slice()
  if (value instanceof ArrayBuffer) return value.slice(0)
  return value
}

/** A spread is one step for an object of a known shape; only what can change in it has to be copied then. */
function copyFields(value: object, prototype: object | null): object {
  const copy = (prototype === null ? Object.assign(Object.create(null), value) : { ...value }) as Record<string, unknown>
  for (const name in copy) {
    const item = copy[name]
    if (typeof item !== 'object' || item === null || !Object.hasOwn(copy, name)) continue
    // Assigning to `__proto__` would change the prototype instead of the field.
    if (name !== '__proto__' || prototype === null) copy[name] = copyObject(item)
    else Object.defineProperty(copy, name, { value: copyObject(item), enumerable: true, configurable: true, writable: true })
  }
  return copy
}
