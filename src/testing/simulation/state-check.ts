import type { Manifest } from '../../checkpoint/manifest.ts'
import { decodeManifest } from '../../checkpoint/manifest.ts'
import { decodeValue } from '../../core/value-codec.ts'
import { keyFromBytes } from '../../state/key-bytes.ts'
import { valueFromBytes } from '../../state/row-value.ts'
import type { CheckpointView } from './checkpoint-view.ts'
import type { SimulatedDisk } from './simulated-tables.ts'
import type { StateEntries } from './stored-state.ts'
import { applyDelta, stateOf } from './stored-state.ts'
import type { Violation } from './violation.ts'

/**
 * Compares what a restore of each complete checkpoint would find with everything that complete checkpoints have said since the beginning, put together here
 * once more. What was folded into the base too early, too late, twice or by a dead attempt makes a difference.
 */
export class StateCheck {
  readonly #disk: SimulatedDisk
  readonly #report: (invariant: Violation['invariant'], message: string) => void
  readonly #expected: StateEntries = new Map()
  readonly #applied = new Set<string>()

  constructor(disk: SimulatedDisk, report: (invariant: Violation['invariant'], message: string) => void) {
    this.#disk = disk
    this.#report = report
  }

  /** @param isReadable false: something that is stored is damaged */
  onManifest(manifest: Manifest, isReadable: boolean): StateEntries | undefined {
    for (const delta of manifest.deltas) {
      const place = `${delta.checkpoint}/${delta.sequence}`
      if (this.#applied.has(place)) continue
      this.#applied.add(place)
      applyDelta(this.#expected, this.#disk, delta)
    }
    if (!isReadable) return undefined
    const stored = stateOf(this.#disk, manifest)
    const wrong = differenceOf(this.#expected, stored)
    if (wrong !== undefined) {
      const where = `in checkpoint ${manifest.checkpoint}`
      this.#report('state is the fold of what was written', `${where} ${wrong}`)
    }
    return stored
  }
}

function differenceOf(expected: StateEntries, stored: StateEntries): string | undefined {
  for (const [id, { value, operator, state }] of expected) {
    const own = stored.get(id)
    const name = `'${state.name}' of '${operator}'`
    if (own === undefined) return `${name} lacks a row`
    if (Buffer.compare(own.value, value) !== 0) return `${name} has another value in a row`
  }
  for (const [id, { operator, state }] of stored) {
    if (!expected.has(id)) return `'${state.name}' of '${operator}' has a row too many`
  }
  return undefined
}

/** Shows a checkpoint to the check of a job. */
export function viewOf(manifest: Manifest, entries: StateEntries): CheckpointView {
  return {
    checkpoint: manifest.checkpoint,
    splits: (source) =>
      manifest.subtasks
        .flatMap(({ operators }) => operators)
        .filter(({ operator }) => operator === source)
        .flatMap(({ splits = [] }) => splits)
        .map(({ split, position, done }) => ({
          split: decodeValue(split),
          position: position === undefined ? undefined : decodeValue(position),
          done,
        })),
    state: (operator, name) =>
      new Map(
        [...entries.values()]
          .filter((entry) => entry.operator === operator && entry.state.kind === 'table' && entry.state.name === name)
          .map(({ key, value }) => [keyFromBytes(key), valueFromBytes(value).value]),
      ),
    inFlight: manifest.subtasks
      .flatMap(({ inFlight = [] }) => inFlight)
      .flatMap(({ batches }) => batches)
      .flatMap(({ values }) => decodeValue(values) as unknown[]),
  }
}

/** Which rows a restore of a checkpoint would find. */
export function rowsOf(disk: SimulatedDisk, checkpoint: number): ReadonlySet<string> {
  return new Set(stateOf(disk, decodeManifest(disk.checkpoints.get(checkpoint)!, checkpoint)).keys())
}

/** `undefined` when they are the same. */
export function differenceOfRows(expected: ReadonlySet<string>, rows: ReadonlySet<string>): string | undefined {
  const left = rows.difference(expected)
  const lost = expected.difference(rows)
  if (left.size + lost.size === 0) return undefined
  const [first] = [...left, ...lost]
  return `${left.size} rows are left that should not be, and ${lost.size} are missing, such as ${JSON.stringify(first)}`
}
