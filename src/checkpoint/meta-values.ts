import { messageOf, SluiceError } from '../core/errors.ts'
import { decodeValue } from '../core/value-codec.ts'
import { STATE_KINDS } from '../state/delta-chunk.ts'
import type { CheckpointRecord } from './checkpoint-history.ts'
import type { Check } from './manifest-shape.ts'
import { fields, isBoolean, isBytes, isNumber, isText, listOf, optional } from './manifest-shape.ts'
import { isCount, isObject } from './savepoint-index.ts'

/*
 * What stands in the tables `meta` and `history` (docs/format.md), as far as who reads it counts on. The file may be damaged, or from anywhere: what is of
 * another type is refused by its name, before anybody calculates with it.
 */

/** Numbers go on from what is stored, by far fewer than are left above this. */
const NUMBER_MAX = 2 ** 48
const STATES_MAX = 1 << 16

const isId: Check = (value) => Number.isSafeInteger(value) && (value as number) >= -1 && (value as number) < NUMBER_MAX
const isStateNumber: Check = (value) => isCount(value) && value < STATES_MAX
const isRegistered = optional(
  fields({ operator: isText, name: isText, kind: (value) => (STATE_KINDS as readonly unknown[]).includes(value) }),
)

const VALUES: Readonly<Record<string, Check>> = {
  owner: fields({
    pid: (value) => isCount(value) && value > 0 && value < 2 ** 31,
    host: isText,
    startedTicks: optional(isText),
    boot: optional(isText),
  }),
  run: isText,
  attempt: isId,
  reserved: isId,
  latest: isId,
  committed: isId,
  finished: isBoolean,
  folded: isId,
  folding: (value) => Array.isArray(value) && value.length === 2 && value.every(isId),
  states: (value) => Array.isArray(value) && value.length <= STATES_MAX && [...value].every(isRegistered),
  purge: listOf(isStateNumber),
  importing: isText,
}

const isSplit = fields({ index: isCount, split: isBytes, position: optional(isBytes), done: isBoolean })
const isReads: Check = (value) => value instanceof Map && [...value].every(([index, split]) => isCount(index) && isSplit(split))

const isRecord = fields({
  checkpoint: isId,
  status: (value) => value === 'completed' || value === 'failed',
  triggeredAtMs: isNumber,
  durationMs: isNumber,
  bytes: isNumber,
  attempt: isNumber,
  purpose: optional(isText),
  failure: optional(isObject),
  subtasks: (value) => isObject(value) && Object.values(value).every(isObject),
})

/** What stands in `meta` under a name. @throws SluiceError `CHECKPOINT_UNREADABLE` when it cannot be that */
export function metaValue(name: string, bytes: Uint8Array): unknown {
  const check = name.startsWith('read ') ? isReads : Object.hasOwn(VALUES, name) ? VALUES[name]! : () => true
  return checked(`'${name}'`, bytes, check)
}

/** How a checkpoint went. @throws SluiceError `CHECKPOINT_UNREADABLE` when the bytes do not say that */
export function historyRecord(bytes: Uint8Array): CheckpointRecord {
  return checked('how a checkpoint went', bytes, isRecord) as CheckpointRecord
}

/** The keys of a table, which are ids. @throws SluiceError `CHECKPOINT_UNREADABLE` */
export function checkpointIds(keys: Iterable<unknown>): readonly number[] {
  const ids = [...keys]
  if (ids.every((id) => isCount(id) && isId(id))) return ids as number[]
  throw unusable('which checkpoints there are', 'they have other keys than numbers')
}

/** The keys of chunks. @throws SluiceError `CHECKPOINT_UNREADABLE` */
export function chunkKeys(keys: Iterable<unknown>): readonly [number, number][] {
  const places = [...keys]
  if (places.every((place) => Array.isArray(place) && place.length === 2 && place.every(isId)))
    return places as [number, number][]
  throw unusable('which chunks there are', 'they have other keys than pairs of numbers')
}

function checked(what: string, bytes: Uint8Array, check: Check): unknown {
  let value: unknown
  try {
    value = decodeValue(bytes)
  } catch (error) {
    throw unusable(what, messageOf(error))
  }
  if (isSound(value, check)) return value
  throw unusable(what, 'it is something else')
}

/** What is nested without end is nothing that stands there. */
function isSound(value: unknown, check: Check): boolean {
  try {
    return check(value)
  } catch {
    return false
  }
}

function unusable(what: string, problem: string): SluiceError {
  return new SluiceError('CHECKPOINT_UNREADABLE', `the state file is damaged: of ${what} it cannot be said: ${problem}`, {
    hint: 'nothing was changed; restore the state folder from a copy, or remove it to begin anew',
  })
}
