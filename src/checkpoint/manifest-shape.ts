import { STATE_KINDS } from '../state/delta-chunk.ts'
import { isCount, isObject } from './savepoint-index.ts'

/*
 * Whether a decoded manifest is one. It may come from anywhere, and its checksum with it, and whoever restores it must not stumble over a field that is
 * missing or of another type.
 */

export type Check = (value: unknown) => boolean

const KEY_GROUPS_MAX = 1 << 15

export const isText: Check = (value) => typeof value === 'string'
export const isNumber: Check = (value) => typeof value === 'number'
export const isBoolean: Check = (value) => typeof value === 'boolean'
export const isBytes: Check = (value) => value instanceof Uint8Array

export function listOf(check: Check): Check {
  return (value) => Array.isArray(value) && value.every(check)
}

export function optional(check: Check): Check {
  return (value) => value === undefined || check(value)
}

/** An object with these fields, of these types; it may have others. */
export function fields(checks: Readonly<Record<string, Check>>): Check {
  const all = Object.entries(checks)
  return (value) => isObject(value) && all.every(([name, check]) => check(Object.hasOwn(value, name) ? value[name] : undefined))
}

const isNumberByName: Check = (value) => isObject(value) && Object.values(value).every(isNumber)

const isJson: Check = (value) => {
  if (value === null || value === undefined || isText(value) || isBoolean(value) || isNumber(value)) return true
  if (Array.isArray(value)) return value.every(isJson)
  return (
    isObject(value) &&
    [Object.prototype, null].includes(Object.getPrototypeOf(value) as object | null) &&
    Object.values(value).every(isJson)
  )
}

const isSettings: Check = (value) =>
  isJson(value) && (!isObject(value) || optional(listOf(fields({ name: isText, kind: isText })))(value['states']))

const isNode = fields({
  id: isText,
  kind: isText,
  settings: isSettings,
  inputs: listOf(fields({ from: isText, output: isText, partitioning: isText, side: optional(isText) })),
})

const isOperator = fields({
  operator: isText,
  watermark: isNumber,
  watermarkFloors: optional(listOf(fields({ first: isCount, last: isCount, watermark: isNumber }))),
  records: isNumber,
  badRecords: optional(isCount),
  state: optional(isBytes),
  holdsKeys: optional(isBoolean),
  pending: optional(isBoolean),
  splits: optional(
    listOf(
      fields({ index: isCount, split: isBytes, position: optional(isBytes), reading: optional(isBoolean), done: isBoolean }),
    ),
  ),
})

const isBatch = fields({
  values: isBytes,
  timestamps: listOf(isNumber),
  groups: optional(listOf(isCount)),
  watermarks: optional(fields({ after: listOf(isNumber), times: listOf(isNumber) })),
})

const isSubtask = fields({
  task: isText,
  subtask: isCount,
  parallelism: isCount,
  channelWatermarks: isNumberByName,
  operators: listOf(isOperator),
  inFlight: optional(listOf(fields({ channel: isText, batches: listOf(isBatch) }))),
})

const isKind: Check = (value) => (STATE_KINDS as readonly unknown[]).includes(value)

/** Whether this is a manifest. */
export const isManifest: Check = fields({
  checkpoint: isCount,
  initial: isBoolean,
  attempt: isCount,
  completedAtMs: isNumber,
  fingerprint: isText,
  graph: listOf(isNode),
  maxParallelism: (value) => isCount(value) && value >= 1 && value <= KEY_GROUPS_MAX,
  subtasks: listOf(isSubtask),
  committables: listOf(fields({ operator: isText, subtask: isCount, checkpoint: isCount, bytes: isBytes })),
  deltas: listOf(
    fields({
      operator: isText,
      checkpoint: isCount,
      sequence: isCount,
      firstGroup: isCount,
      lastGroup: isCount,
      rows: isCount,
      imageOf: optional(isText),
      length: isCount,
      crc32: isCount,
    }),
  ),
  dropped: listOf(fields({ operator: isText, kind: isKind, name: isText, through: isNumber })),
})
