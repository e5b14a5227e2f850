import type { EntriesOptions, StateEntry, StateReader } from './state-reader.ts'
import { taggedJson } from './tagged-json.ts'

/** Which part of a state is exported. */
export interface ExportOptions extends EntriesOptions {
  readonly operator?: string
  readonly state?: string
}

/**
 * Gives keyed state as lines of JSON, one entry to a line: `{"operator","state","key","value"}`, and `"window"` or `"time"` where there is one. What
 * JSON does not have is written as objects such as `{"$bigint":"1"}`, `{"$date":...}`, `{"$map":[[key,value]]}`: see docs/format.md.
 * The next line comes when `write` has settled. Returns how many there were.
 */
export async function exportState(
  reader: StateReader,
  write: (line: string) => void | Promise<void>,
  { operator, state, ...options }: ExportOptions = {},
): Promise<number> {
  let lines = 0
  for (const each of reader.states()) {
    if ((operator !== undefined && each.operator !== operator) || (state !== undefined && each.state !== state)) continue
    for await (const entry of reader.entries(each.operator, each.state, options)) {
      await write(JSON.stringify({ operator: each.operator, state: each.state, ...entryDocument(entry) }))
      lines++
    }
  }
  return lines
}

/** An entry as JSON. */
export function entryDocument({ key, window, time, value }: StateEntry): Readonly<Record<string, unknown>> {
  return {
    key: taggedJson(key),
    ...(window === undefined ? {} : { window: taggedJson(window) }),
    // Of a timer there is no value.
    ...(time === undefined ? { value: taggedJson(value) } : { time: taggedJson(time) }),
  }
}
