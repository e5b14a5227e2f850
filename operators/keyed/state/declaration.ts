import { SluiceError } from '../../../src/core/errors.ts'
import type { KeyedContext } from '../../../src/core/keyed-state.ts'
import type { Duration } from '../../../src/core/time.ts'
import { durationMs } from '../../../src/core/time.ts'
import type { StateTime } from './state-time.ts'

/** What every keyed state may be given; `V` is a value, an element, the value of a map's entry, or an accumulator. */
export interface StateOptions<V> {
  /**
   * How long a value lives after it was last written; in lists and maps each entry has a life of its own. Reading does not prolong it. One that
   * is over is never returned, and is removed also when nobody asks for it. Default: for ever.
   */
  readonly ttl?: Duration
  /**
   * Whose time counts. `'event'`: a value bears the time of the record or timer that wrote it, and is over once the watermark, or the time of
   * an event-time timer that looks at it, has reached that and the ttl; what is over already when it is written is not kept. At the end of
   * the input everything is removed. `'processing'`: the clock's. Default: `'event'` when the records have timestamps, else `'processing'`.
   */
  readonly ttlTime?: 'event' | 'processing'
  /** Count it up when the shape of the values changes. Default: 1. */
  readonly version?: number
  /** Makes a value of this version from one that an earlier version stored. Runs for every value when the job resumes. */
  readonly migrate?: (old: unknown, version: number) => V
}

/** The options of a state, checked. */
export interface CheckedOptions<V> {
  readonly version: number
  readonly ttlMs: number | undefined
  readonly ttlTime: 'event' | 'processing' | undefined
  readonly migrate: ((old: unknown, version: number) => V) | undefined
}

/** What `state: { name: valueState<...>() }` declares: how the handle of that name is made. */
export interface StateDeclaration<Handle> {
  readonly kind: 'value' | 'list' | 'map' | 'reducing' | 'aggregating'
  readonly options: CheckedOptions<unknown>
  readonly open: (keyed: KeyedContext, name: string, time: StateTime) => Handle
}

/** State by name, as declared. */
export type StateDeclarations = Readonly<Record<string, StateDeclaration<unknown>>>

/** The handles that declarations stand for. */
export type StateHandles<S extends StateDeclarations> = {
  readonly [Name in keyof S]: S[Name] extends StateDeclaration<infer Handle> ? Handle : never
}

/** Checks the options of a state when it is declared. @throws SluiceError `INVALID_OPTION`, `INVALID_DURATION` */
export function checkedOptions<V>(options: StateOptions<V>): CheckedOptions<V> {
  const { ttl, ttlTime, version = 1, migrate } = options
  if (!Number.isSafeInteger(version) || version < 1) {
    throw new SluiceError('INVALID_OPTION', `the version of a state is ${String(version)}`, {
      hint: 'versions are whole numbers from 1',
    })
  }
  if (ttlTime !== undefined && ttlTime !== 'event' && ttlTime !== 'processing') {
    throw new SluiceError('INVALID_OPTION', `ttlTime is ${JSON.stringify(ttlTime)}`, { hint: "write 'event' or 'processing'" })
  }
  if (ttl === undefined && ttlTime !== undefined) {
    throw new SluiceError('INVALID_OPTION', 'a state has a ttlTime and no ttl', { hint: "add how long values live: ttl: '1h'" })
  }
  return { version, ttlTime, migrate, ttlMs: ttl === undefined ? undefined : lifeMs(ttl) }
}

function lifeMs(ttl: Duration): number {
  const ttlMs = durationMs(ttl, 'ttl')
  if (ttlMs > 0) return ttlMs
  throw new SluiceError('INVALID_DURATION', 'ttl is zero: nothing would ever be there', {
    hint: 'leave it out to keep values for ever',
  })
}

/** What the graph says about declared states: by this a restore compares them. */
export function stateSettings(declarations: StateDeclarations) {
  return Object.entries(declarations).map(([name, { kind, options }]) => ({
    name,
    kind,
    version: options.version,
    ttlMs: options.ttlMs ?? null,
    ttlTime: options.ttlTime ?? null,
    migrates: options.migrate !== undefined,
  }))
}

/** Whether a state asks for the time of records, so that a job whose records have none can be refused before it runs. */
export function asksForEventTime(declarations: StateDeclarations): boolean {
  return Object.values(declarations).some(({ options }) => options.ttlTime === 'event')
}
