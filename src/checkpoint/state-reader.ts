import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { messageOf, SluiceError } from '../core/errors.ts'
import { keyGroupOf } from '../core/key-groups.ts'
import { plainValue } from '../core/plain-value.ts'
import { decodeValue } from '../core/value-codec.ts'
import { rowKey } from '../state/base-rows.ts'
import { hasNamespace } from '../state/delta-chunk.ts'
import { keyBytes, keyFromBytes } from '../state/key-bytes.ts'
import { valueFromBytes } from '../state/row-value.ts'
import type { Manifest } from './manifest.ts'
import { openSavepoint } from './savepoint.ts'
import { INDEX_FILE } from './savepoint-index.ts'
import { SavepointRows } from './savepoint-rows.ts'
import type { NamedState, StateListing } from './state-names.ts'
import { findState, namedStates } from './state-names.ts'
import type { StateOverlay } from './state-overlay.ts'
import type { RowLayer, RowRange, StateRow } from './state-rows.ts'
import { groupRange, mergedRows, namespaceRange, rowRange, wholeRange } from './state-rows.ts'
import { StoredInstant } from './stored-rows.ts'

/*
 * The state of a job as data, from its store or from a savepoint. What always holds:
 *
 * 1. Everything that one reader gives is of one checkpoint, also while the job runs and writes.
 * 2. Entries come in the order of key group, window or time, and key; so two readers can be compared side by side.
 * 3. Nothing is changed.
 */

/** The state of one key, or a timer of it. */
export interface StateEntry<V = unknown> {
  readonly key: unknown
  /** Start of the window, of states that have a value for each window and key. */
  readonly window?: number
  /** When the timer fires. */
  readonly time?: number
  /** `undefined` of a timer. */
  readonly value: V
}

/** An entry, the state that it is of, and where it stands among the others of that state. */
export interface PlacedEntry extends StateEntry {
  readonly position: Buffer
  /** The value as bytes: when they are the same, so are the values. */
  readonly bytes: Uint8Array
}

export interface EntriesOptions {
  /** At most so many. Default: all. */
  readonly limit?: number
  /** Only those of this window, or timers of this time. */
  readonly window?: number
  /** Only those of this key group. */
  readonly keyGroup?: number
  /** Values as they are stored: with the stamps of a ttl beside them. */
  readonly raw?: boolean
}

/** The checkpoint that is read, without what lies elsewhere. */
export interface CheckpointSummary {
  readonly checkpoint: number
  readonly completedAtMs: number
  /** Written before the first record. */
  readonly initial: boolean
  readonly attempt: number
  readonly fingerprint: string
  readonly maxParallelism: number
  readonly operators: readonly { readonly id: string; readonly kind: string }[]
}

/** What one subtask of an operator keeps beside keyed state. */
export interface OperatorStateEntry<V = unknown> {
  readonly task: string
  readonly subtask: number
  readonly state: V
}

/** How far a source has read a split. */
export interface SourceSplit {
  readonly operator: string
  readonly subtask: number
  /** Its place among the source's splits. */
  readonly index: number
  readonly split: unknown
  /** `undefined` before the first record. */
  readonly position: unknown
  readonly reading: boolean
  readonly done: boolean
}

interface StateView {
  /** For messages. */
  readonly name: string
  readonly manifest: Manifest
  readonly layer: RowLayer
  readonly overlay: StateOverlay
  readonly unreadable: 'SAVEPOINT_UNREADABLE' | 'CHECKPOINT_UNREADABLE'
  readonly close: () => Promise<void>
}

export interface OpenStateOptions {
  /** A checkpoint that the job has kept. Default: the newest. */
  readonly checkpoint?: number
}

/**
 * Opens the state of a job for reading: from the folder of a savepoint, from the state folder of a job, or by the job's name. The job may run meanwhile,
 * in this process or another; as long as the reader is open, the job's store keeps what the reader sees, so its file grows with what the job
 * writes. Close it soon.
 *
 * ```ts
 * const reader = await openState({ job: 'word-count' })
 * await reader.get('count-1', 'count', 'the') // -> 1024
 * for await (const { key, value } of reader.entries<number>('count-1', 'count')) console.log(key, value)
 * await reader.close()
 * ```
 *
 * @throws SluiceError `JOB_UNKNOWN`, `INVALID_OPTION`, `CHECKPOINT_UNREADABLE`, `SAVEPOINT_UNREADABLE`, `FORMAT_UNKNOWN`, `STORE_FAILED`
 */
export async function openState(
  source: string | { readonly job: string; readonly stateDirectory?: string },
  options: OpenStateOptions = {},
): Promise<StateReader> {
  const folder = typeof source === 'string' ? resolve(source) : resolve(source.stateDirectory ?? '.sluice', source.job)
  return new StateReader(
    existsSync(join(folder, INDEX_FILE)) ? await savepointView(folder, options) : await storeView(folder, options),
  )
}

async function savepointView(folder: string, { checkpoint }: OpenStateOptions): Promise<StateView> {
  const savepoint = openSavepoint(folder)
  const { manifest } = savepoint
  if (checkpoint !== undefined && checkpoint !== manifest.checkpoint) {
    throw new SluiceError('INVALID_OPTION', `the savepoint ${folder} has no checkpoint ${checkpoint}`, {
      hint: `it is checkpoint ${manifest.checkpoint}: leave the number out`,
    })
  }
  const layer = await SavepointRows.open(savepoint)
  const close = async (): Promise<void> => undefined
  return { name: `the savepoint ${folder}`, manifest, layer, overlay: layer.overlay, unreadable: 'SAVEPOINT_UNREADABLE', close }
}

async function storeView(folder: string, { checkpoint }: OpenStateOptions): Promise<StateView> {
  const layer = StoredInstant.open(folder)
  try {
    const manifest = layer.manifest(checkpoint)
    const overlay = await layer.overlay(manifest)
    const name = `checkpoint ${manifest.checkpoint} in ${folder}`
    return { name, manifest, layer, overlay, unreadable: 'CHECKPOINT_UNREADABLE', close: () => layer.close() }
  } catch (error) {
    await layer.close()
    throw error
  }
}

/** Reads the state of a job at one checkpoint. Made by `openState`. */
export class StateReader {
  readonly #view: StateView
  readonly #states: readonly NamedState[]

  constructor(view: StateView) {
    this.#view = view
    this.#states = namedStates([...view.layer.states(), ...view.overlay.states()], view.manifest.graph)
  }

  get checkpoint(): number {
    return this.#view.manifest.checkpoint
  }

  get summary(): CheckpointSummary {
    const { checkpoint, completedAtMs, initial, attempt, fingerprint, maxParallelism, graph } = this.#view.manifest
    const operators = graph.map(({ id, kind }) => ({ id, kind }))
    return { checkpoint, completedAtMs, initial, attempt, fingerprint, maxParallelism, operators }
  }

  /** All keyed states, in the order of their operators' ids and their names. One that is declared and holds nothing is among them. */
  states(): readonly StateListing[] {
    return this.#states.map(({ operator, state, kind }) => ({ operator, state, kind }))
  }

  /** How many entries a state has; all are read to be counted. @throws SluiceError as `entries` does */
  async count(operator: string, state: string): Promise<number> {
    let rows = 0
    for await (const _ of this.#rows(findState(this.#states, operator, state), {})) rows++
    return rows
  }

  /**
   * The value of a key, `undefined` when it has none. A state that has a value for each window and key needs the window. A list is an array, a map a
   * `Map`, of what reduces and aggregates it is the accumulator; values that are over by their ttl and not removed yet are among them.
   * @throws SluiceError `INVALID_OPTION` when there is no such state, `INVALID_KEY`
   */
  async get<V = unknown>(operator: string, state: string, key: unknown, window?: number): Promise<V | undefined> {
    const found = findState(this.#states, operator, state)
    const named = hasNamespace(found.stored.kind)
    if (named !== (window !== undefined)) throw wrongWindow(found, named)
    const group = keyGroupOf(key, this.#view.manifest.maxParallelism)
    const position = rowKey(0, found.stored, group, window ?? 0, keyBytes(key))
    const { layer, overlay } = this.#view
    for await (const row of mergedRows(layer, overlay, found.stored, rowRange(position))) {
      return this.#entry(found, row, false).value as V
    }
    return undefined
  }

  /**
   * The entries of a state, in the order of key group, window or time, and key.
   * @throws SluiceError `INVALID_OPTION` when there is no such state
   */
  async *entries<V = unknown>(operator: string, state: string, options: EntriesOptions = {}): AsyncGenerator<StateEntry<V>> {
    for await (const { position: _, bytes: __, ...entry } of this.placedEntries(operator, state, options)) {
      yield entry as StateEntry<V>
    }
  }

  /** The same, each with its place, for whoever compares. */
  async *placedEntries(operator: string, state: string, options: EntriesOptions = {}): AsyncGenerator<PlacedEntry> {
    const found = findState(this.#states, operator, state)
    const { limit = Number.POSITIVE_INFINITY, raw = false } = options
    let given = 0
    if (limit <= 0) return
    for await (const row of this.#rows(found, options)) {
      yield { ...this.#entry(found, row, raw), position: row.position, bytes: row.value }
      if (++given >= limit) return
    }
  }

  async *#rows(state: NamedState, { window, keyGroup }: EntriesOptions): AsyncGenerator<StateRow> {
    if (window !== undefined && !hasNamespace(state.stored.kind)) throw wrongWindow(state, false)
    const { layer, overlay, manifest } = this.#view
    for (const range of rangesOf(state, window, keyGroup, manifest.maxParallelism)) {
      yield* mergedRows(layer, overlay, state.stored, range)
    }
  }

  #entry({ operator, state, stored }: NamedState, row: StateRow, raw: boolean): StateEntry {
    const place = !hasNamespace(stored.kind) ? {} : stored.kind === 'pane' ? { window: row.namespace } : { time: row.namespace }
    return this.#decoded(`a row of '${state}' of '${operator}'`, () => {
      const { value, form } = valueFromBytes(row.value)
      return { key: keyFromBytes(row.key), ...place, value: raw ? value : plainValue(value, form.stamps) }
    })
  }

  /** What the subtasks of an operator keep beside keyed state, such as an `operatorListState`; as the operator stores it. */
  operatorState<V = unknown>(operator: string): readonly OperatorStateEntry<V>[] {
    return this.#view.manifest.subtasks.flatMap(({ task, subtask, operators }) =>
      operators.flatMap(({ operator: id, state }) =>
        id !== operator || state === undefined ? [] : [{ task, subtask, state: this.#value(`the state of '${id}'`, state) as V }],
      ),
    )
  }

  /** The splits of all sources, and how far they have been read. */
  sources(): readonly SourceSplit[] {
    return this.#view.manifest.subtasks.flatMap(({ subtask, operators }) =>
      operators.flatMap(({ operator, splits = [] }) =>
        splits.map(({ index, split, position, reading = false, done }) => {
          const what = `split ${index} of '${operator}'`
          const at = position === undefined ? undefined : this.#value(what, position)
          return { operator, subtask, index, split: this.#value(what, split), position: at, reading, done }
        }),
      ),
    )
  }

  #value(what: string, bytes: Uint8Array): unknown {
    return this.#decoded(what, () => decodeValue(bytes))
  }

  #decoded<R>(what: string, decode: () => R): R {
    try {
      return decode()
    } catch (error) {
      const { name, unreadable } = this.#view
      throw new SluiceError(unreadable, `${name} cannot be read: ${what} cannot be decoded: ${messageOf(error)}`, {
        cause: error,
      })
    }
  }

  /** Lets go of the store. Nothing can be read after that. */
  async close(): Promise<void> {
    await this.#view.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

function* rangesOf(
  { stored }: NamedState,
  window: number | undefined,
  keyGroup: number | undefined,
  maxParallelism: number,
): Generator<RowRange> {
  if (window === undefined) {
    yield keyGroup === undefined ? wholeRange(stored) : groupRange(stored, keyGroup)
    return
  }
  const [first, last] = keyGroup === undefined ? [0, maxParallelism - 1] : [keyGroup, keyGroup]
  for (let group = first; group <= last; group++) yield namespaceRange(stored, group, window)
}

function wrongWindow({ operator, state, stored }: NamedState, needed: boolean): SluiceError {
  const what = stored.kind === 'pane' ? 'window' : 'time'
  return needed
    ? new SluiceError('INVALID_OPTION', `'${state}' of '${operator}' has a value for each ${what} and key`, {
        hint: `say which ${what} is meant, in milliseconds`,
      })
    : new SluiceError('INVALID_OPTION', `'${state}' of '${operator}' has no windows`, { hint: 'leave the window out' })
}
