import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BaseRowWriter } from '../../src/checkpoint/base-row-writer.ts'
import type { Tables } from '../../src/checkpoint/environment.ts'
import type { RowTarget } from '../../src/checkpoint/fold-batch.ts'
import { FoldBatch } from '../../src/checkpoint/fold-batch.ts'
import { baseRow, isImageKey } from '../../src/state/base-rows.ts'
import type { DeltaChunk, StateIdentity } from '../../src/state/delta-chunk.ts'
import { DeltaWriter } from '../../src/state/delta-writer.ts'
import { GroupImage } from '../../src/state/group-image.ts'
import { MemoryOperatorBase } from '../../src/state/state-base.ts'
import type { Change } from './deltas.ts'
import { deltaOf, rowsOf } from './deltas.ts'

const OPERATOR = 'count-1'

function imageRow<K extends string | number>(key: fc.Arbitrary<K>): fc.Arbitrary<{ key: K; value: number }> {
  return fc.record({ key, value: fc.oneof(fc.integer(), fc.double()) })
}

const change: fc.Arbitrary<Change> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ key: fc.oneof(fc.nat(20), fc.constant('k'.repeat(2_000)), fc.string()), value: fc.nat(99) }),
  },
  { weight: 2, arbitrary: fc.record({ key: fc.nat(20) }) },
  { weight: 4, arbitrary: fc.record({ key: fc.nat(4), window: fc.integer({ min: -2, max: 2 }), value: fc.nat(99) }) },
  { weight: 2, arbitrary: fc.record({ key: fc.nat(4), window: fc.integer({ min: -2, max: 2 }) }) },
  { weight: 1, arbitrary: fc.record({ drop: fc.integer({ min: -2, max: 2 }) }) },
  { weight: 2, arbitrary: fc.record({ key: fc.nat(4), timer: fc.double(), value: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ image: fc.array(imageRow(fc.nat(20)), { maxLength: 30 }) }) },
  { weight: 1, arbitrary: fc.record({ image: fc.array(imageRow(fc.string({ maxLength: 5, unit: 'binary-ascii' }))) }) },
  { weight: 1, arbitrary: fc.constant({ clear: true }) },
)

/** The table of the base, as far as a fold needs it. */
class MemoryTable {
  readonly rows = new Map<string, { readonly key: Buffer; readonly value: Buffer }>()
  /** Keys in the order in which they were written. */
  readonly written: Buffer[] = []

  putSync(key: Buffer, value: Buffer & { readonly start?: number; readonly end?: number }): boolean {
    const bytes = value.start === undefined ? value : Buffer.from(value.buffer).subarray(value.start, value.end)
    this.rows.set(key.toString('latin1'), { key: Buffer.from(key), value: Buffer.from(bytes) })
    this.written.push(Buffer.from(key))
    return true
  }

  getBinary(key: Buffer): Buffer | undefined {
    return this.rows.get(key.toString('latin1'))?.value
  }

  getKeys({ start, end }: { readonly start: Buffer; readonly end: Buffer }): readonly Buffer[] {
    return [...this.rows.values()].map(({ key }) => key).filter((key) => start.compare(key) <= 0 && key.compare(end) < 0)
  }

  removeSync(key: Buffer): boolean {
    this.written.push(Buffer.from(key))
    return this.rows.delete(key.toString('latin1'))
  }
}

class Fold {
  readonly table = new MemoryTable()
  readonly #states: StateIdentity[] = []
  readonly #numberOf = (_: string, { kind, name }: StateIdentity): number => {
    const number = this.#states.findIndex((state) => state.kind === kind && state.name === name)
    return number < 0 ? this.#states.push({ kind, name }) - 1 : number
  }

  batch(chunks: readonly DeltaChunk[]): FoldBatch {
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.bytes.byteLength, 0)
    const batch = new FoldBatch(bytes, this.#numberOf)
    for (const chunk of chunks) batch.add(OPERATOR, chunk.bytes, () => false)
    return batch
  }

  /** @param rows how many are written at once */
  write(batch: FoldBatch, expired: () => boolean): void {
    for (const { number, firstGroup, lastGroup, namespace } of batch.drops) {
      for (const [id, { key, value }] of this.table.rows) {
        const [own, group] = [key.readUInt16BE(0), key.readUInt16BE(2)]
        if (own !== number || group < firstGroup || group > lastGroup) continue
        if (baseRow(this.#states[own]!, { key, value }).namespace === namespace) this.table.rows.delete(id)
      }
    }
    const target = new BaseRowWriter(this.table as unknown as Tables['state'])
    target.beginTransaction(Number.POSITIVE_INFINITY)
    for (let steps = 0; !batch.writeTo(target, expired); steps++) expect(steps).toBeLessThan(10_000)
  }

  content(): readonly string[] {
    const base = new MemoryOperatorBase()
    const writer = new DeltaWriter()
    for (const { key, value } of this.table.rows.values()) {
      const state = this.#states[key.readUInt16BE(0)]!
      const rows = isImageKey(key, state) ? new GroupImage(value).sortedRows() : [baseRow(state, { key, value })]
      for (const row of rows) writer.putBytes(state, key.readUInt16BE(2), row.namespace, row.key, row.value)
    }
    this.#checkEachGroupLiesOneWay()
    writer.cut()
    for (const chunk of writer.take()) base.apply(chunk.bytes)
    return rowsOf(base)
  }

  #checkEachGroupLiesOneWay(): void {
    const keys = [...this.table.rows.values()].map(({ key }) => key)
    for (const image of keys.filter((key) => isImageKey(key, this.#states[key.readUInt16BE(0)]!))) {
      expect(keys.filter((key) => key.subarray(0, 4).equals(image))).toHaveLength(1)
    }
  }
}

function oneByOne(chunks: readonly DeltaChunk[]): readonly string[] {
  const base = new MemoryOperatorBase()
  for (const { bytes } of chunks) base.apply(bytes)
  return rowsOf(base)
}

function takingRows(row: () => void, takesMore: () => boolean = () => true): RowTarget {
  return {
    begin: () => undefined,
    row,
    group: () => false,
    get takesMore() {
      return takesMore()
    },
  }
}

describe('a batch of chunks', () => {
  test('says the same as its chunks in their order, however they are divided among batches', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(change, { maxLength: 20 }), { maxLength: 8 }),
        fc.nat(8),
        fc.boolean(),
        (changes, divided, inSteps) => {
          const chunks = changes.map(deltaOf)
          const fold = new Fold()
          for (const part of [chunks.slice(0, divided), chunks.slice(divided)]) fold.write(fold.batch(part), () => inSteps)
          expect(fold.content()).toEqual(oneByOne(chunks))
        },
      ),
      { numRuns: 300 },
    )
  })

  test('writes each row once, in the order of the base', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.record({ key: fc.nat(300), value: fc.nat(9) }), { maxLength: 100 }), { maxLength: 12 }),
        (all) => {
          const fold = new Fold()
          fold.write(fold.batch(all.map(deltaOf)), () => false)
          const { written } = fold.table
          expect(written).toHaveLength(new Set(all.flat().map(({ key }) => key)).size)
          for (const [index, key] of written.entries()) {
            if (index > 0) expect(written[index - 1]!.compare(key)).toBeLessThan(0)
          }
        },
      ),
    )
  })

  test('asks often whether its time is over, when it merges too', () => {
    const part = (from: number) => deltaOf(Array.from({ length: 400 }, (_, index) => ({ key: from + index, value: 'x' })))
    const fold = new Fold()
    const batch = fold.batch([0, 200, 100, 300].map(part))
    let [asked, rows] = [0, 0]
    const target = takingRows(() => void rows++)
    const expired = (): boolean => asked++ % 2 === 1
    while (!batch.writeTo(target, expired)) {}
    expect(rows).toBe(700)
    expect(asked).toBeGreaterThan(700 / 32)
  })

  test('goes on later when enough was taken at once', () => {
    const all = Array.from({ length: 40 }, (_, key) => ({ key, value: key }))
    const batch = new Fold().batch([deltaOf(all)])
    let [rows, calls] = [0, 0]
    const target = takingRows(
      () => void rows++,
      () => rows % 3 !== 0,
    )
    do calls++
    while (!batch.writeTo(target, () => false))
    expect([rows, calls]).toEqual([40, 14])
  })

  test('passes over states that the job no longer has', () => {
    const batch = new FoldBatch(1 << 16, () => 0)
    const chunk = deltaOf([{ key: 1, value: 1, table: 'old' }, { drop: 7 }])
    batch.add(OPERATOR, chunk.bytes, () => true)
    const target = takingRows(() => expect.unreachable())
    expect(batch.writeTo(target, () => false)).toBe(true)
    expect(batch.drops).toEqual([])
  })

  test('takes nothing more when rows of it are written', () => {
    const batch = new FoldBatch(1 << 16, () => 0)
    batch.writeTo(
      takingRows(() => undefined),
      () => false,
    )
    expect(() => batch.add(OPERATOR, deltaOf([{ key: 1, value: 1 }]).bytes, () => false)).toThrow('takes no more')
  })
})
