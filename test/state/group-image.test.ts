import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { TableForm } from '../../src/core/keyed-state.ts'
import { CurrentKey } from '../../src/state/current-key.ts'
import { readDelta } from '../../src/state/delta-reader.ts'
import { LIVE } from '../../src/state/epochs.ts'
import { canBeImage, GroupImage, imageInPlace } from '../../src/state/group-image.ts'
import { KeyEntries } from '../../src/state/key-entries.ts'
import type { KeyedBackend } from '../../src/state/keyed-backend.ts'
import { MemoryOperatorBase } from '../../src/state/state-base.ts'
import { baseOf, chunksOf, fold, restored, snapshot, wholeBackend } from './backends.ts'

type Row = readonly [key: string | number, value: number]

function entriesOf(rows: readonly Row[]): KeyEntries<number> {
  const entries = new KeyEntries<number>()
  const current = new CurrentKey()
  for (const [key, value] of rows) {
    current.resume(key, 0)
    const known = entries.find(current)
    entries.setValue(known < 0 ? entries.add(current, LIVE) : known, value)
  }
  return entries
}

function imageOf(rows: readonly Row[]): Uint8Array {
  return Uint8Array.from(imageInPlace(entriesOf(rows)))
}

function rowsOf(image: GroupImage): readonly Row[] {
  return Array.from({ length: image.rows }, (_, row) => [image.key(row), image.value(row)] as const)
}

const ints = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
const values = fc.oneof(ints, fc.double())
const latin = fc.string({ maxLength: 16, unit: fc.nat(255).map((code) => String.fromCharCode(code)) })

describe('the image of a group', () => {
  test('holds keys and values exactly', () => {
    const keys = [fc.array(fc.tuple(ints, values)), fc.array(fc.tuple(fc.double(), values)), fc.array(fc.tuple(latin, values))]
    fc.assert(
      fc.property(fc.oneof(...keys), fc.nat(9), (rows, before) => {
        const expected = new Map(rows.map(([key, value]) => [key, value]))
        const image = imageOf(rows)
        const bytes = Buffer.concat([Buffer.alloc(before), image, Buffer.from('more')])
        const read = new GroupImage(bytes, before)
        expect(read.byteLength).toBe(image.byteLength)
        expect(read.bytes.equals(image)).toBe(true)
        expect(new Map(rowsOf(read))).toEqual(expected)
      }),
    )
  })

  test('is not for other keys and values', () => {
    const [texts, numbers] = [entriesOf([['a', 1]]), entriesOf([[1, 1]])]
    expect([texts, numbers].map(canBeImage)).toEqual([true, true])
    const current = new CurrentKey()
    current.resume(1, 0)
    texts.setValue(texts.add(current, LIVE), 2)
    current.resume('a text of more than sixteen', 0)
    numbers.setValue(numbers.add(current, LIVE), 2)
    const boxed = entriesOf([['a', 1]]) as KeyEntries<unknown>
    boxed.setValue(0, 'one')
    expect([texts, numbers, boxed].map(canBeImage)).toEqual([false, false, false])
  })

  test('that is none is refused', () => {
    const images = [imageOf([[1, 2]]), imageOf([['some', 0.5]]), imageOf([[0.5, 1]])]
    for (const image of images) {
      for (let end = 0; end < image.length; end++) expect(() => new GroupImage(image.subarray(0, end))).toThrow('image')
      for (const at of [4, 5, 6, 7]) {
        const changed = Uint8Array.from(image)
        changed[at] = 9
        expect(() => new GroupImage(changed)).toThrow('image')
      }
    }
    const longer = Uint8Array.from(images[1]!)
    longer[longer.length - 1] = 5
    expect(() => new GroupImage(longer)).toThrow('longer than its place')
    for (const image of images) {
      expect(rowsOf(GroupImage.proved(image))).toEqual(rowsOf(new GroupImage(image)))
      expect(() => GroupImage.proved(Buffer.concat([image, Buffer.alloc(1)]))).toThrow('followed by something')
      for (let at = 0; at < image.length; at++) {
        const changed = Uint8Array.from(image)
        changed[at]! ^= 1
        expect(() => GroupImage.proved(changed), `byte ${at}`).toThrow('image')
      }
    }
  })
})

/** What a snapshot says: `image 8`, `row`, `drop`. */
function said(chunks: readonly { readonly bytes: Uint8Array }[]): readonly string[] {
  const all: string[] = []
  for (const { bytes } of chunks) {
    readDelta(bytes, {
      row: (_state, _group, _namespace, _key, value) => all.push(value === undefined ? 'removal' : 'row'),
      drop: () => all.push('drop'),
      image: (_state, _group, image) => all.push(`image ${image.rows}`),
    })
  }
  return all
}

function put(backend: KeyedBackend, key: number, value: number): void {
  backend.setKey(key)
  backend.table<number>('t').set(value)
}

function readOf(backend: KeyedBackend, key: number): number | undefined {
  backend.setKey(key)
  return backend.table<number>('t').get()
}

function remove(backend: KeyedBackend, key: number): void {
  backend.setKey(key)
  backend.table<number>('t').delete()
}

/** Keys from 0 on, in one group. */
function filled(keys: number, base?: MemoryOperatorBase): KeyedBackend {
  const backend = wholeBackend(1, base)
  for (let key = 0; key < keys; key++) put(backend, key, key)
  return backend
}

function contentOf(backend: KeyedBackend): ReadonlyMap<number, number | undefined> {
  const keys: number[] = []
  backend.table('t')
  backend.forEachKey('t', (key) => keys.push(key as number))
  return new Map(keys.map((key) => [key, readOf(backend, key)]))
}

const eight = new Map(Array.from({ length: 8 }, (_, key) => [key, key]))

describe('a snapshot', () => {
  test('takes an image of a group of which an eighth has changed, and rows of another', () => {
    const backend = filled(64)
    expect(said(snapshot(backend))).toEqual(['image 64'])
    for (let key = 0; key < 8; key++) put(backend, key, -1)
    expect(said(snapshot(backend))).toEqual(['image 64'])
    for (let key = 0; key < 7; key++) put(backend, key, -2)
    expect(said(snapshot(backend))).toEqual(Array.from({ length: 7 }, () => 'row'))
    expect(contentOf(restored(backend)).size).toBe(64)
  })

  test('takes rows of a group that is not whole in memory', () => {
    const first = filled(3)
    snapshot(first)
    const second = wholeBackend(1, baseOf(first))
    for (let key = 3; key < 8; key++) put(second, key, key)
    expect(said(snapshot(second))).toEqual(['row', 'row', 'row', 'row', 'row'])
  })

  test.each([
    ['changes', (backend: KeyedBackend) => put(backend, 3, 99)],
    ['comes', (backend: KeyedBackend) => put(backend, 8, 99)],
    ['goes', (backend: KeyedBackend) => remove(backend, 3)],
  ])('holds nothing of what %s behind the barrier, and the next one does', (_, change) => {
    const backend = filled(8)
    backend.freeze(1_000_000)
    change(backend)
    backend.encode(() => false)
    const base = new MemoryOperatorBase()
    for (const { bytes } of backend.takeChunks()) base.apply(bytes)
    const chunks = snapshot(backend)
    expect(contentOf(wholeBackend(1, base))).toEqual(eight)
    for (const { bytes } of chunks) base.apply(bytes)
    expect(contentOf(wholeBackend(1, base))).toEqual(contentOf(backend))
  })

  test('is written early for a key that has not changed before the barrier too', () => {
    const backend = filled(8)
    snapshot(backend)
    put(backend, 0, -1)
    backend.freeze(1_000_000)
    put(backend, 7, 99)
    backend.encode(() => false)
    const base = baseOf(backend)
    for (const { bytes } of backend.takeChunks()) base.apply(bytes)
    expect(contentOf(wholeBackend(1, base))).toEqual(new Map(eight).set(0, -1))
  })
})

describe('a group that lies in the base as an image', () => {
  test('comes into memory as a whole with the first key that is missed', () => {
    const backend = restored(filled(8), 'base', 1)
    expect(backend.size).toBe(0)
    expect(readOf(backend, 3)).toBe(3)
    expect(backend.size).toBe(8)
    expect(readOf(restored(filled(8), 'base', 1), 99)).toBeUndefined()
    expect(contentOf(restored(filled(8), 'base', 1))).toEqual(eight)
  })

  test('is known when a key is written or deleted that was not looked for', () => {
    const written = restored(filled(8), 'base', 1)
    put(written, 3, 33)
    expect(contentOf(written)).toEqual(new Map(eight).set(3, 33))
    const deleted = restored(filled(8), 'base', 1)
    remove(deleted, 3)
    expect(contentOf(deleted).has(3)).toBe(false)
    expect(contentOf(restored(deleted, 'base', 1)).has(3)).toBe(false)
  })

  test('says nothing any more of what a newer snapshot says as a whole', () => {
    for (const how of ['image', 'rows'] as const) {
      const base = new MemoryOperatorBase()
      const backend = filled(8, base)
      snapshot(backend)
      fold(backend)
      remove(backend, 3)
      if (how === 'rows') backend.evict(100)
      const chunks = snapshot(backend)
      expect(said(chunks)[0]).toBe(how === 'image' ? 'image 7' : 'drop')
      const next = wholeBackend(1, base)
      for (const { bytes } of chunks) next.apply(bytes)
      expect(readOf(next, 3)).toBeUndefined()
      expect(contentOf(next).size).toBe(7)
    }
  })

  test('is evicted after a snapshot has brought it there as rows', () => {
    const backend = filled(8, new MemoryOperatorBase())
    snapshot(backend)
    fold(backend)
    expect(backend.evict(100)).toBe(0)
    expect(said(snapshot(backend))).toEqual(['drop', ...Array.from({ length: 8 }, () => 'row')])
    expect(backend.evict(100)).toBe(0)
    fold(backend)
    expect(backend.evict(100)).toBe(8)
    expect(contentOf(backend)).toEqual(eight)
    for (let key = 0; key < 8; key++) put(backend, key, key + 1)
    expect(said(snapshot(backend))).toEqual(Array.from({ length: 8 }, () => 'row'))
  })

  test('is brought there as rows also when it came from there as an image', () => {
    const backend = restored(filled(8), 'base', 1)
    expect(readOf(backend, 3)).toBe(3)
    expect(backend.evict(100)).toBe(0)
    expect(said(snapshot(backend))).toEqual(['drop', ...Array.from({ length: 8 }, () => 'row')])
  })

  test('is brought there as it was, also what nobody has looked at since it was restored', () => {
    const form: TableForm<number> = { version: 1, stamps: undefined, store: (n) => n, restore: (stored) => stored as number }
    const declared = (backend: KeyedBackend) => backend.table<number>('t', form)
    const first = wholeBackend(1)
    for (let key = 0; key < 64; key++) {
      first.setKey(key)
      declared(first).set(key)
    }
    snapshot(first)
    first.setKey(7)
    declared(first).set(77)
    expect(said(snapshot(first))).toEqual(['row'])
    const second = wholeBackend(1, new MemoryOperatorBase())
    declared(second)
    for (const chunk of chunksOf(first)) second.apply(chunk)
    second.evict(100)
    snapshot(second)
    const third = wholeBackend(1, baseOf(second))
    declared(third)
    third.setKey(7)
    expect(declared(third).get()).toBe(77)
  })

  test.each(['deltas', 'base'] as const)('is migrated when its state has a new version, from %s', (how) => {
    const formOf = (version: number, factor: number): TableForm<number> => ({
      version,
      stamps: undefined,
      store: (n) => n,
      restore: (stored, from) => (stored as number) * (from.version === version ? 1 : factor),
    })
    const first = wholeBackend(1)
    for (let key = 0; key < 64; key++) {
      first.setKey(key)
      first.table<number>('t', formOf(1, 1)).set(key)
    }
    snapshot(first)
    const second = wholeBackend(1, how === 'base' ? baseOf(first) : new MemoryOperatorBase())
    const table = second.table<number>('t', formOf(2, 100))
    if (how === 'deltas') for (const chunk of chunksOf(first)) second.apply(chunk)
    second.settleForms()
    second.setKey(7)
    expect(table.get()).toBe(700)
  })

  test('loses nothing of what comes and goes in masses before the image is written', () => {
    const backend = filled(20_000)
    backend.freeze(1_000_000)
    for (let key = 100_000; key < 102_000; key++) put(backend, key, key)
    for (let key = 100_000; key < 102_000; key++) remove(backend, key)
    for (let key = 200_000; key < 202_000; key++) put(backend, key, key)
    backend.encode(() => false)
    expect(said(backend.takeChunks())).toEqual(['image 20000'])
    expect(contentOf(backend).size).toBe(22_000)
  })

  test('stays whole when memory runs short between a barrier and its image', () => {
    const from = filled(8, new MemoryOperatorBase())
    snapshot(from)
    from.evict(100)
    snapshot(from)
    const backend = wholeBackend(1, new MemoryOperatorBase())
    for (const chunk of chunksOf(from)) backend.apply(chunk)
    backend.onFolded(Number.MAX_SAFE_INTEGER)
    for (let key = 0; key < 4; key++) put(backend, key, -1)
    backend.freeze(Number.MAX_SAFE_INTEGER)
    backend.evict(100)
    backend.encode(() => false)
    expect(said(backend.takeChunks())).toEqual(['image 8'])
  })
})
