import { join } from 'node:path'
import { open } from 'lmdb'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CheckpointStore } from '../../src/checkpoint/checkpoint-store.ts'
import { FaultFolder } from './fault-folder.ts'

let folder: FaultFolder

beforeEach(() => {
  folder = new FaultFolder()
})

afterEach(() => {
  folder.remove()
})

type Table = ReturnType<typeof tableOf>

function tableOf(root: ReturnType<typeof open>, name: string) {
  return root.openDB<Buffer, number | number[] | Buffer>({
    name,
    encoding: 'binary',
    ...(name === 'state' ? { keyEncoding: 'binary' as const } : {}),
  })
}

/** A table as it lies on disk, past everything that the store protects. */
async function underneath(name: string, action: (table: Table) => void): Promise<void> {
  const path = join(folder.path, 'state/stumbling/checkpoints.mdb')
  const root = open({ path, noSubdir: true, maxDbs: 8, overlappingSync: false, encoding: 'binary' })
  root.transactionSync(() => action(tableOf(root, name)))
  await root.close()
}

/** Changes the last row of a table. */
function damageLast(change: (stored: Buffer) => Buffer): (table: Table) => void {
  return (table) => {
    const key = [...table.getKeys()].at(-1)!
    table.putSync(key, change(Buffer.from(table.get(key)!)))
  }
}

function flipped(stored: Buffer): Buffer {
  stored[stored.byteLength >>> 1]! ^= 0x55
  return stored
}

const STOPS = { restart: { strategy: 'none' }, checkpoint: { every: 20, retain: 3 } } as const

describe('the newest checkpoint, with', () => {
  test.each([
    ['a chunk that was cut off', 'deltas', (stored: Buffer) => stored.subarray(0, -1), /its chunk \d+ is corrupt/],
    ['a flipped bit in its manifest', 'checkpoints', flipped, /its manifest is wrong/],
  ])('%s is refused by its number, and an older one that is whole is offered', async (_, table, change, why) => {
    expect(await folder.run({ map: 'throw@3000' }, STOPS)).toMatchObject({ code: 'OPERATOR_FAILED' })
    await underneath(table, damageLast(change))
    const refused = await folder.run({}, STOPS)
    expect(refused).toMatchObject({ code: 'CHECKPOINT_UNREADABLE', message: expect.stringMatching(/^checkpoint \d+ cannot/) })
    expect(refused['message']).toMatch(why)
    // The oldest that is kept may be the one before the first record.
    const [, flags] = /(--from \d+(?: --overwrite)?) goes back/.exec(String(refused['hint']))!
    expect(await folder.run({}, STOPS, {}, flags!.split(' '))).toMatchObject({ status: 'finished', recordsIn: 20_000 })
  })
})

test('a damaged row of the base is refused with the operator and the state that it belongs to', async () => {
  const options = { ...STOPS, checkpoint: { every: 20 } } as const
  expect(await folder.run({ map: 'throw@3000' }, options)).toMatchObject({ code: 'OPERATOR_FAILED' })
  // A start commits what is complete, and so lets older checkpoints go; nothing is changed after that.
  expect(await folder.run({ map: 'throw!' }, options)).toMatchObject({ code: 'OPERATOR_FAILED' })
  const store = CheckpointStore.open(join(folder.path, 'state'), 'stumbling')
  store.claim(() => 'the run that there is')
  while (store.foldStep()) {}
  await store.release(false)
  await underneath('deltas', (table) => expect(table.getKeysCount()).toBe(0))
  await underneath('state', (table) => {
    for (const key of [...table.getKeys()]) table.putSync(key, Buffer.from([0x7f]))
  })
  const refused = await folder.run({}, options)
  expect(refused).toMatchObject({ code: 'CHECKPOINT_UNREADABLE', operator: 'process-2', hint: expect.stringContaining('--from') })
  expect(refused['message']).toMatch(/^a stored row of the state 'sum' is damaged/)
})
