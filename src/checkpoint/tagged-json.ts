/*
 * Any value that state can hold, as JSON. What JSON has is as it is; the rest is an object with one name that begins with `$`:
 *
 *   {"$bigint":"1"}                          a bigint
 *   {"$number":"NaN"}                        `NaN`, `Infinity`, `-Infinity`, `-0`
 *   {"$undefined":true}                      `undefined`
 *   {"$date":"2026-11-23T10:00:00.000Z"}     a date; `null` for an invalid one
 *   {"$map":[[key,value], ...]}              a `Map`
 *   {"$set":[member, ...]}                   a `Set`
 *   {"$bytes":"AQI=","type":"Uint8Array"}    a typed array, `Buffer` or `ArrayBuffer`: its bytes, in base64
 *   {"$object":[[name,value], ...]}          an object of which a name begins with `$`
 */

/** A value for `JSON.stringify`. */
export function taggedJson(value: unknown): unknown {
  switch (typeof value) {
    case 'bigint':
      return { $bigint: String(value) }
    case 'undefined':
      return { $undefined: true }
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0) ? value : { $number: Object.is(value, -0) ? '-0' : String(value) }
    case 'object':
      return value === null ? null : taggedObject(value)
    default:
      return value
  }
}

function taggedObject(value: object): unknown {
  if (Array.isArray(value)) return value.map(taggedJson)
  if (value instanceof Date) return { $date: Number.isNaN(value.getTime()) ? null : value.toISOString() }
  if (value instanceof Map) return { $map: [...value].map(([key, item]) => [taggedJson(key), taggedJson(item)]) }
  if (value instanceof Set) return { $set: [...value].map(taggedJson) }
  if (value instanceof ArrayBuffer) return { $bytes: Buffer.from(value).toString('base64'), type: 'ArrayBuffer' }
  if (ArrayBuffer.isView(value)) return bytesOf(value)
  const entries = Object.entries(value).map(([name, item]) => [name, taggedJson(item)] as const)
  if (entries.some(([name]) => name.startsWith('$'))) return { $object: entries }
  // Without a prototype `__proto__` is a name like any other.
  const tagged = Object.create(null) as Record<string, unknown>
  for (const [name, item] of entries) tagged[name] = item
  return tagged
}

function bytesOf(view: ArrayBufferView): unknown {
  const base64 = Buffer.from(view.buffer, view.byteOffset, view.byteLength).toString('base64')
  return { $bytes: base64, type: view.constructor.name }
}
