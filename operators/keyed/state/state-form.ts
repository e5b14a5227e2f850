import { messageOf, SluiceError } from '../../../src/core/errors.ts'
import type { StoredForm, TableForm } from '../../../src/core/keyed-state.ts'
import type { CheckedOptions } from './declaration.ts'
import type { Expiry } from './expiry.ts'
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
  store(value: Stored): unknown
  /** `stamped`: whether the stored value was packed with stamps. `migrate` brings one value to the version of today. */
  restore(stored: unknown, stamped: boolean, stampOf: (stamp: number) => number, migrate: (old: unknown) => V): Stored
}

/** The form of a state's table: its version, its stamps, and how earlier ones become those of today. */
export function stateForm<V, Stored>(opening: Opening<V>, { store, restore }: Packing<V, Stored>): TableForm<Stored> {
  const { expiry, options } = opening
  // Stamps of another clock say nothing about this one: what bears them, or none, counts as written at the restore.
  const restamped = (): number => expiry?.now ?? Number.NaN
  return {
    version: options.version,
    stamps: expiry?.kind,
    store,
    restore: (stored, from) =>
      restore(stored, from.stamps !== undefined, isStampedBy(from, expiry) ? kept : restamped, migrationFrom(from, opening)),
  }
}

function isStampedBy({ stamps }: StoredForm, expiry: Expiry | undefined): boolean {
  return stamps !== undefined && stamps === expiry?.kind
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
        hint: 'nothing was changed: mend the migrate function and start the job again',
      })
    }
  }
}
