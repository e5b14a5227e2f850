import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { CheckpointStore } from '../../src/checkpoint/checkpoint-store.ts'
import type { Tables } from '../../src/checkpoint/environment.ts'
import { openState } from '../../src/checkpoint/state-reader.ts'
import { verifyStore } from '../../src/checkpoint/verification.ts'
import { keyGroupOf } from '../../src/core/key-groups.ts'
import { GroupImage } from '../../src/state/group-image.ts'
import { chunksSaying, rowsOf } from './deltas.ts'
import { sampleManifest } from './manifests.ts'

/** Keys of four groups, or of one of them. */
function keysOf(count: number, group?: number): readonly number[] {
  const keys: number[] = []
  for (let key = 0; keys.length < count; key++) if (group === undefined || keyGroupOf(key, 4) === group) keys.push(key)
  return keys
}

const OPERATOR = 'first'

describe('images in a store', () => {
  let folder: string
  let store: CheckpointStore

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-images-'))
    store = CheckpointStore.open(folder, 'job')
    store.claim(() => 'run')
  })

  afterEach(async () => {
    await store.close()
    rmSync(folder, { recursive: true, force: true })
  })

  /** A folded checkpoint for each. */
  function hold(...changes: readonly Parameters<typeof chunksSaying>[0][]): void {
    for (const each of changes) {
      const checkpoint = (store.latestCheckpoint ?? 0) + 1
      const deltas = store.addDeltas(checkpoint, OPERATOR, chunksSaying(each))
      store.complete(sampleManifest(checkpoint, { deltas: [...deltas], maxParallelism: 4 }))
      store.committed(checkpoint, 1)
      while (store.foldStep()) {}
    }
  }

  const imageOf = (keys: readonly number[]) => ({ image: keys.map((key) => ({ key, value: key })) })
  const tables = (): Tables => (store as unknown as { readonly tables: Tables }).tables

  async function keysRead(): Promise<readonly number[]> {
    const reader = await openState(store.directory)
    const keys: number[] = []
    for await (const { key } of reader.entries(OPERATOR, 't')) keys.push(key as number)
    await reader.close()
    return keys.sort((a, b) => a - b)
  }

  test('are read page by page, each of them once', async () => {
    const keys = keysOf(10_000)
    hold([imageOf(keys)])
    expect(store.sizes().baseEntries).toBe(4)
    const decoded = vi.spyOn(GroupImage, 'proved')
    expect(await keysRead()).toEqual(keys)
    expect(decoded).toHaveBeenCalledTimes(4)
    decoded.mockRestore()
    expect((await verifyStore(store.directory)).damage).toEqual([])
  })

  test('of any size are read', async () => {
    const keys = keysOf(131_072, 1)
    hold([imageOf(keys)])
    expect((await verifyStore(store.directory)).damage).toEqual([])
    expect((await keysRead()).length).toBe(keys.length)
  })

  test('stand beside groups of rows', async () => {
    const rows = keysOf(300, 2)
    const images = [...keysOf(700, 1), ...keysOf(700, 3)]
    hold(
      [imageOf(images)],
      rows.map((key) => ({ key, value: 'text' })),
    )
    expect(store.sizes().baseEntries).toBe(302)
    expect(await keysRead()).toEqual([...rows, ...images].sort((a, b) => a - b))
  })

  test('become rows when too many come to them', () => {
    const keys = keysOf(70_000, 1)
    hold(
      [imageOf(keys.slice(0, 60_000))],
      keys.slice(60_000).map((key) => ({ key, value: key })),
    )
    expect(store.sizes().baseEntries).toBe(70_000)
    expect(rowsOf(store.base(OPERATOR)).length).toBe(70_000)
  })

  test('that are damaged are told as such, whoever reads them', async () => {
    hold([imageOf(keysOf(100, 1))])
    const [{ key, value }] = [...tables().state.getRange()] as [{ readonly key: Buffer; readonly value: Buffer }]
    const damaged = Buffer.from(value)
    damaged[40]! ^= 1
    tables().root.transactionSync(() => tables().state.putSync(key, damaged))
    const code = expect.objectContaining({ code: 'CHECKPOINT_UNREADABLE' })
    await expect(keysRead()).rejects.toThrow(code)
    const reader = await openState(store.directory)
    await expect(reader.get(OPERATOR, 't', keysOf(1, 1)[0]!)).rejects.toThrow(code)
    await reader.close()
    expect(() => store.base(OPERATOR).page({ kind: 'table', name: 't' }, 1, Number.NEGATIVE_INFINITY, undefined, 9)).toThrow(code)
    expect((await verifyStore(store.directory)).damage).toHaveLength(1)
    expect(() => hold([{ key: keysOf(1, 1)[0]!, value: 5 }])).toThrow(code)
  })
})
