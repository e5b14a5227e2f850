import type { Manifest, StoredDelta } from '../../checkpoint/manifest.ts'
import { unfoldedOf } from '../../checkpoint/manifest.ts'
import { idOf } from '../../checkpoint/state-overlay.ts'
import type { StateRegistry } from '../../checkpoint/stored-base.ts'
import { decodeValue } from '../../core/value-codec.ts'
import { baseRow, groupOfRow, isImageKey } from '../../state/base-rows.ts'
import type { StateIdentity } from '../../state/delta-chunk.ts'
import { readDelta } from '../../state/delta-reader.ts'
import { GroupImage } from '../../state/group-image.ts'
import type { SimulatedDisk } from './simulated-tables.ts'

/** A row of keyed state. */
export interface StateEntry {
  readonly operator: string
  readonly state: StateIdentity
  readonly group: number
  readonly namespace: number
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** Rows by what tells them apart. */
export type StateEntries = Map<string, StateEntry>

/** What a restore of a checkpoint would find: the base, and over it what is not folded yet. */
export function stateOf(disk: SimulatedDisk, manifest: Manifest): StateEntries {
  const entries = rowsOfBase(disk)
  const folded = decoded<number>(disk, 'folded') ?? -1
  for (const delta of unfoldedOf(manifest, folded, decoded(disk, 'folding'))) applyDelta(entries, disk, delta)
  return entries
}

/** Changes entries as a chunk says. */
export function applyDelta(entries: StateEntries, disk: SimulatedDisk, { operator, checkpoint, sequence }: StoredDelta): void {
  readDelta(disk.deltas.get([checkpoint, sequence])!, {
    row: (state, group, namespace, key, value) => {
      const id = identityOf(operator, state, group, namespace, key)
      if (value === undefined) entries.delete(id)
      else entries.set(id, { operator, state, group, namespace, key: Buffer.from(key), value: Buffer.from(value) })
    },
    drop: (state, first, last, namespace) => {
      for (const [id, entry] of entries) {
        const isOfState = idOf(entry.operator, entry.state) === idOf(operator, state) && entry.namespace === namespace
        if (isOfState && entry.group >= first && entry.group <= last) entries.delete(id)
      }
    },
  })
}

function rowsOfBase(disk: SimulatedDisk): StateEntries {
  const registry = decoded<StateRegistry>(disk, 'states') ?? []
  const entries: StateEntries = new Map()
  for (const row of disk.state.getRange()) {
    const state = registry[Buffer.from(row.key).readUInt16BE(0)]
    if (state === undefined) continue
    const position = Buffer.from(row.key)
    const group = groupOfRow(position)
    const rows = isImageKey(position, state)
      ? GroupImage.proved(row.value).sortedRows()
      : [baseRow(state, { key: position, value: row.value })]
    for (const { namespace, key, value } of rows) {
      const entry = { operator: state.operator, state, group, namespace, key: Buffer.from(key), value: Buffer.from(value) }
      entries.set(identityOf(state.operator, state, group, namespace, key), entry)
    }
  }
  return entries
}

function identityOf(operator: string, state: StateIdentity, group: number, namespace: number, key: Uint8Array): string {
  return `${idOf(operator, state)} ${group} ${namespace} ${Buffer.from(key).toString('latin1')}`
}

function decoded<V>(disk: SimulatedDisk, name: string): V | undefined {
  const bytes = disk.meta.get(name)
  return bytes === undefined ? undefined : (decodeValue(bytes) as V)
}
