import { existsSync } from 'node:fs'
import { open } from 'lmdb'
import { environmentPath, openForReading } from '../../src/checkpoint/environment.ts'
import { StoredCheckpoints } from '../../src/checkpoint/stored-checkpoints.ts'
import { decodeValue } from '../../src/core/value-codec.ts'

/** The parallelism at which the newest checkpoint was taken, when it holds records that were on their way. */
export async function parallelismWithRecordsOnTheirWay(stateFolder: string): Promise<number | undefined> {
  if (!existsSync(environmentPath(stateFolder))) return undefined
  const stored = StoredCheckpoints.openForReading(stateFolder)
  try {
    const { subtasks = [] } = stored.latest() ?? {}
    const isAligned = subtasks.every(({ inFlight = [] }) => inFlight.length === 0)
    return isAligned ? undefined : Math.max(...subtasks.map(({ parallelism }) => parallelism))
  } finally {
    await stored.close()
  }
}

/** What is wrong with the store of a job that has come to its end: chunks that belong to nothing, and whatever cannot be read. */
export async function storeTroubles(stateFolder: string): Promise<readonly string[]> {
  const stored = StoredCheckpoints.openForReading(stateFolder)
  const tables = openForReading(environmentPath(stateFolder))
  try {
    const named = new Set<string>()
    for (const id of stored.retained()) {
      for (const delta of stored.unfolded(stored.manifest(id))) {
        stored.readDelta(delta)
        named.add(`${delta.checkpoint}/${delta.sequence}`)
      }
    }
    for (const { value } of tables.meta.getRange()) decodeValue(value)
    for (const row of tables.state.getRange()) if (row.value.byteLength === 0) return ['a row of the base is empty']
    const orphans = [...tables.deltas.getKeys()].filter(([checkpoint, sequence]) => !named.has(`${checkpoint}/${sequence}`))
    return orphans.length === 0 ? [] : [`chunks belong to no checkpoint: ${orphans.map(String).join('; ')}`]
  } catch (error) {
    return [`the store cannot be read: ${String(error)}`]
  } finally {
    await tables.root.close()
    await stored.close()
  }
}

/** What was changed on the disk, and how to change it back. */
export interface Damage {
  readonly what: string
  repair(): Promise<void>
}

/** Flips a bit in what the next start must read: a chunk of the newest checkpoint or, when the base holds them all, its manifest. */
export async function damageNewestCheckpoint(stateFolder: string): Promise<Damage | undefined> {
  const place = await placeToDamage(stateFolder)
  if (place === undefined) return undefined
  const path = environmentPath(stateFolder)
  const { table, key } = place
  const whole = await exchange(path, table, key, (bytes) => {
    const flipped = Buffer.from(bytes)
    flipped[flipped.byteLength >>> 1]! ^= 0x55
    return flipped
  })
  return { what: `${table} ${String(key)}`, repair: async () => void (await exchange(path, table, key, () => whole)) }
}

interface StoredPlace {
  readonly table: 'deltas' | 'checkpoints'
  readonly key: number | [number, number]
}

async function placeToDamage(stateFolder: string): Promise<StoredPlace | undefined> {
  if (!existsSync(environmentPath(stateFolder))) return undefined
  const stored = StoredCheckpoints.openForReading(stateFolder)
  try {
    const manifest = stored.latest()
    if (manifest === undefined) return undefined
    const delta = stored.unfolded(manifest).at(-1)
    return delta === undefined
      ? { table: 'checkpoints', key: stored.latestCheckpoint! }
      : { table: 'deltas', key: [delta.checkpoint, delta.sequence] }
  } finally {
    await stored.close()
  }
}

/** Changes a row as it lies on the disk, past everything that the store protects; gives back what was there. */
async function exchange(
  path: string,
  name: StoredPlace['table'],
  key: StoredPlace['key'],
  change: (bytes: Buffer) => Buffer,
): Promise<Buffer> {
  const root = open({ path, noSubdir: true, maxDbs: 8, overlappingSync: false, encoding: 'binary' })
  const table = root.openDB<Buffer, StoredPlace['key']>({ name, encoding: 'binary' })
  try {
    const before = Buffer.from(table.get(key)!)
    root.transactionSync(() => table.putSync(key, change(before)))
    return before
  } finally {
    await root.close()
  }
}
