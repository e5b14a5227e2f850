import { messageOf, SluiceError } from '../../../src/core/errors.ts'
import type { StoredForm, TableForm } from '../../../src/core/keyed-state.ts'
import type { CheckedOptions } from './declaration.ts'
import type { Expiry } from './expiry.ts'
import { deleteTimer } from './expiry.ts'
import type { StateTime } from './state-time.ts'

/** A state that is being opened. */
export interface Opening<V> {
  readonly name: string
  readonly options: CheckedOptions<V>
  readonly time: StateTime
  readonly expiry: Expiry | undefined
}

/** How a state puts its values into snapshots and takes them out again. */
export interface Packing<V, Stored> {
  /** What bears stamps is packed into a tuple, in which the time of the key's clean-up timer stands last. */
  store(value: Stored): unknown
  restore(stored: unknown, former: Former<V>): Stored
}

/** What a stored value was, and how it becomes one of today. */
export interface Former<V> {
  /** Whether it was packed with stamps. */
  readonly stamped: boolean
  /** Brings one value to the version of today. */
  readonly migrate: (old: unknown) => V
  /** The stamp of today in place of a stored one. */
  readonly stampOf: (stamp: number) => number
  /** The time of the key's clean-up timer, for which it is seen to; the first thing to be over bears this stamp. */
  readonly timerFor: (stamp: number) => number
}

/** The form of a state's table: its version, its stamps, and how earlier ones become those of today. */
export function stateForm<V, Stored>(opening: Opening<V>, { store, restore }: Packing<V, Stored>): TableForm<Stored> {
  const { expiry, options, name, time } = opening
  // Stamps of another clock say nothing about this one: what bears them, or none, counts as written at the restore.
  const restamped = (): number => expiry?.now ?? Number.NaN
  const newTimer = (stamp: number): number => expiry?.arm(stamp) ?? Number.NaN
  return {
    version: options.version,
    stamps: expiry?.kind,
    store,
    restore(stored, from) {
      const { stamps } = from
      const migrate = migrationFrom(from, opening)
      if (stamps === undefined) return restore(stored, { stamped: false, migrate, stampOf: restamped, timerFor: newTimer })
      const timer = timerOf(stored)
      if (expiry?.kind === stamps) {
        return restore(stored, { stamped: true, migrate, stampOf: kept, timerFor: (stamp) => expiry.armEarlier(timer, stamp) })
      }
      // Nobody waits for a timer of that clock any more: it would be stored for ever.
      deleteTimer(time.cleanUpTimers(name), stamps, timer)
      return restore(stored, { stamped: true, migrate, stampOf: restamped, timerFor: newTimer })
    },
  }
}

/** The time of the clean-up timer in a value that was stored with stamps. */
function timerOf(stored: unknown): number {
  return (stored as readonly unknown[]).at(-1) as number
}

function kept<T>(value: T): T {
  return value
}

function migrationFrom<V>({ version }: StoredForm, { name, options, time }: Opening<V>): (old: unknown) => V {
  if (version === options.version) return kept as (old: unknown) => V
  const { migrate } = options
  const place = `the state '${name}' of '${time.place.operator}'`
  if (migrate === undefined || version > options.version) {
    throw new SluiceError(
      'STATE_INCOMPATIBLE',
      `${place} was stored in version ${version}, the job has version ${options.version}`,
      time.place,
    )
  }
  return (old) => {
    try {
      return migrate(old, version)
    } catch (error) {
      const what = `migrate from version ${version} to ${options.version} failed: ${messageOf(error)}`
      throw new SluiceError('STATE_INCOMPATIBLE', `${place}: ${what}`, {
        ...time.place,
        cause: error,
        hint: 'the value is stored as it was: mend the migrate function and start the job again',
      })
    }
  }
}
