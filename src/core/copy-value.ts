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

function copyFields(value: object, prototype: object | null): object {
  const copy = (prototype === null ? Object.create(null) : {}) as Record<string, unknown>
  for (const name of Object.keys(value)) {
    const item = copyValue((value as Record<string, unknown>)[name])
    // Assigning to `__proto__` would change the prototype instead of making a field.
    if (name === '__proto__')
      Object.defineProperty(copy, name, { value: item, enumerable: true, configurable: true, writable: true })
    else copy[name] = item
  }
  return copy
}
