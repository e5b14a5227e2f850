import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { decodeManifest, encodeManifest } from '../../src/checkpoint/manifest.ts'
import { encodeIndex } from '../../src/checkpoint/savepoint-index.ts'
import { SavepointWriter } from '../../src/checkpoint/savepoint-writer.ts'
import type { Key, StoredForm } from '../../src/core/keyed-state.ts'
import { baseRow, rowKey, rowValue } from '../../src/state/base-rows.ts'
import { CurrentKey } from '../../src/state/current-key.ts'
import type { StateIdentity } from '../../src/state/delta-chunk.ts'
import { readDelta } from '../../src/state/delta-reader.ts'
import { DeltaWriter } from '../../src/state/delta-writer.ts'
import { LIVE } from '../../src/state/epochs.ts'
import { GroupImage, imageInPlace } from '../../src/state/group-image.ts'
import { KeyEntries } from '../../src/state/key-entries.ts'
import { keyBytes, keyFromBytes } from '../../src/state/key-bytes.ts'
import { DEFAULT_FORM, emptyValueBytes, valueBytesInPlace, valueFromBytes } from '../../src/state/row-value.ts'

/*
 * The bytes of the frozen formats (docs/format.md). When a test fails here, what was stored before can no longer be read as it was meant: the
 * change needs a new version, and not new bytes in this file.
 */

const TABLE: StateIdentity = { kind: 'table', name: 't' }
const PANES: StateIdentity = { kind: 'pane', name: 'w' }
const STAMPED: StoredForm = { version: 2, stamps: 'event' }
const PROCESSING: StoredForm = { version: 1.5, stamps: 'processing' }

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

function bytesOf(text: string): Buffer {
  return Buffer.from(text, 'hex')
}

describe('keys', () => {
  const keys: readonly (readonly [Key, string])[] = [
    [false, '01'],
    [true, '02'],
    [0, '0380000000'],
    [-1, '037fffffff'],
    [2 ** 31 - 1, '03ffffffff'],
    [-(2 ** 31), '0300000000'],
    [2 ** 31, '04c1e0000000000000'],
    [1.5, '04bff8000000000000'],
    [-1.5, '044007ffffffffffff'],
    [Number.NaN, '04fff8000000000000'],
    [Number.POSITIVE_INFINITY, '04fff0000000000000'],
    ['', '05'],
    ['the', '05746865'],
    ['世界', '05e4b896e7958c'],
    ['\ud800a', '06d8000061'],
    [new Date(1_700_000_000_000), '07c278bcfe56800000'],
    [0n, '080130'],
    [-1234567890123456789n, '080031323334353637383930313233343536373839'],
    [['a', 1, [true]], '0900000002056100000005038000000100000006090000000102'],
    [[], '09'],
  ]
  test.each(keys)('%o', (key, bytes) => {
    expect(hex(keyBytes(key))).toBe(bytes)
    expect(keyFromBytes(bytesOf(bytes))).toEqual(key)
  })

  test('-0 is 0', () => expect(hex(keyBytes(-0))).toBe('0380000000'))
})

describe('values', () => {
  const values: readonly (readonly [unknown, StoredForm, string])[] = [
    [7, DEFAULT_FORM, '0107000000'],
    [-7, DEFAULT_FORM, '01f9ffffff'],
    [-0, DEFAULT_FORM, '020000000000000080'],
    [2 ** 40, DEFAULT_FORM, '020000000000007042'],
    [0.1, DEFAULT_FORM, '029a9999999999b93f'],
    ['text', DEFAULT_FORM, '03a474657874'],
    [undefined, DEFAULT_FORM, '03d40000'],
    [null, DEFAULT_FORM, '03c0'],
    [true, DEFAULT_FORM, '03c3'],
    [12n, DEFAULT_FORM, '03d3000000000000000c'],
    [new Date(0), DEFAULT_FORM, '03d6ff00000000'],
    [[1, -0], DEFAULT_FORM, '039201d4510000'],
    [{ a: 1, b: [2] }, DEFAULT_FORM, '03d4724092a161a162019102'],
    [new Map([[1, 'one']]), DEFAULT_FORM, '038101a36f6e65'],
    [new Set(['a']), DEFAULT_FORM, '03d4730091a161'],
    [new Uint8Array([1, 2]), DEFAULT_FORM, '03c70374010102'],
    [Buffer.from('ab'), DEFAULT_FORM, '03d45400c70374016162'],
    ['\udfff', DEFAULT_FORM, '03d45200c7037401ffdf'],
    [Object.fromEntries([['__proto__', 1]]), DEFAULT_FORM, '03d4530093c2a95f5f70726f746f5f5f01'],
    [7, STAMPED, '8100000000000000400107000000'],
    [[7, 5, 9], STAMPED, '8300000000000000400193070509'],
    [1.25, PROCESSING, '82000000000000f83f02000000000000f43f'],
  ]
  test.each(values)('%o, %o', (value, form, bytes) => {
    expect(hex(valueBytesInPlace(value, form))).toBe(bytes)
    expect(valueFromBytes(bytesOf(bytes))).toEqual({ value, form })
  })

  test('of a timer there is none', () => {
    expect(hex(emptyValueBytes())).toBe('04')
    expect(valueFromBytes(bytesOf('04')).value).toBeUndefined()
  })
})

describe('rows of the base', () => {
  const long = keyBytes('x'.repeat(1024))

  test('lie under number, key group, namespace and key', () => {
    expect(hex(rowKey(3, TABLE, 258, 0, keyBytes('a')))).toBe('000301020561')
    expect(hex(rowKey(3, PANES, 258, -60_000, keyBytes('a')))).toBe('000301023f12b3ffffffffff0561')
    expect(hex(rowKey(3, PANES, 258, Number.POSITIVE_INFINITY, keyBytes(1)))).toBe('00030102fff00000000000000380000001')
    expect(hex(rowKey(3, TABLE, 258, 0, keyBytes('x'.repeat(1023))))).toBe(`0003010205${'78'.repeat(1023)}`)
  })

  test('of a long key lie under its hash, and have it before their value', () => {
    const key = rowKey(3, TABLE, 258, 0, long)
    expect(hex(key)).toBe('00030102fe1db901ffc17281ce8d7c375bbd6713452f12fd67d1261e18b75faf9172799dd2')
    const value = Buffer.from(rowValue(long, new Uint8Array([1, 2])))
    expect(hex(value)).toBe(`fe0104000005${'78'.repeat(1024)}0102`)
    expect(hex(rowValue(keyBytes('a'), new Uint8Array([1, 2])))).toBe('0102')
    const row = baseRow(TABLE, { key, value })
    expect([hex(row.key), hex(row.value)]).toEqual([hex(long), '0102'])
  })
})

test('a chunk of changes', () => {
  const [eventTimers, processingTimers]: readonly StateIdentity[] = [
    { kind: 'event-timer', name: '' },
    { kind: 'processing-timer', name: 'ttl:ü' },
  ]
  const writer = new DeltaWriter()
  writer.drop(PANES, 1, 258, -60_000)
  writer.put(TABLE, 5, 0, 'a', 7, DEFAULT_FORM)
  writer.remove(TABLE, 5, 0, 'b')
  writer.put(PANES, 6, 60_000, 'c', 1, STAMPED)
  writer.putKey(eventTimers!, 6, 1.5, 1)
  writer.putKey(processingTimers!, 6, -1, true)
  writer.put(TABLE, 7, 0, 'y'.repeat(254), 'z'.repeat(254), DEFAULT_FORM)
  writer.cut()
  const [chunk] = writer.take()
  const sections = [
    ['02', '01', '0100', '77', '0100', '0201', '00000000004cedc0', '00000000'],
    ['01', '00', '0100', '74', '0500', '0500', '0000000000000000', '02000000'],
    ['02', '0561', '06', '0107000000'],
    ['02', '0562', '00'],
    ['01', '01', '0100', '77', '0600', '0600', '0000000000000000', '01000000'],
    ['00000000004ced40', '02', '0563', '0f', '8100000000000000400101000000'],
    ['01', '02', '0000', '', '0600', '0600', '0000000000000000', '01000000'],
    ['000000000000f83f', '05', '0380000001', '02', '04'],
    ['01', '03', '0600', '74746c3ac3bc', '0600', '0600', '0000000000000000', '01000000'],
    ['000000000000f0bf', '01', '02', '02', '04'],
    ['01', '00', '0100', '74', '0700', '0700', '0000000000000000', '01000000'],
    ['ffff000000', `05${'79'.repeat(254)}`, 'ff02010000', `03d9fe${'7a'.repeat(254)}`],
  ]
  const bytes = sections.flat().join('')
  expect(hex(chunk!.bytes)).toBe(bytes)
  expect(chunk).toMatchObject({ rows: 7, firstGroup: 1, lastGroup: 258 })
  const read: unknown[] = []
  readDelta(bytesOf(bytes), {
    row: ({ kind, name }, group, namespace, key, value) => {
      read.push([kind, name, group, namespace, keyFromBytes(key), value === undefined ? 'removed' : valueFromBytes(value).value])
    },
    drop: ({ kind, name }, first, last, namespace) => {
      read.push([kind, name, first, last, namespace])
    },
  })
  expect(read).toEqual([
    ['pane', 'w', 1, 258, -60_000],
    ['table', 't', 5, 0, 'a', 7],
    ['table', 't', 5, 0, 'b', 'removed'],
    ['pane', 'w', 6, 60_000, 'c', 1],
    ['event-timer', '', 6, 1.5, 1, undefined],
    ['processing-timer', 'ttl:ü', 6, -1, true, undefined],
    ['table', 't', 7, 0, 'y'.repeat(254), 'z'.repeat(254)],
  ])
})

test('an image of a group', () => {
  const images: readonly (readonly [readonly (readonly [string | number, number])[], readonly string[]])[] = [
    [
      [
        [1, -1],
        [-2, 7],
      ],
      ['02000000', '01', '01', '00', '00', '0ca70e05', '00000000', 'ffffffff', '07000000', '01000000', 'feffffff'],
    ],
    [
      [
        [1, -0],
        [0.5, 2],
      ],
      ['02000000', '02', '02', '00', '00', 'c8907920', '00000000', '0000000000000080', '0000000000000040', '000000000000f03f', '000000000000e03f'],
    ],
    [
      [
        ['\u00e9', 1],
        ['abcde', 2],
        ['', 3],
      ],
      ['03000000', '03', '01', '02', '00', '0964ed96', '00000000', '01000000', '02000000', '03000000', 'e900000000000000', '6162636465000000', '0000000000000000', '010500'],
    ],
  ]
  for (const [rows, parts] of images) {
    const entries = new KeyEntries<number>()
    const current = new CurrentKey()
    for (const [key, value] of rows) {
      current.resume(key, 0)
      entries.setValue(entries.add(current, LIVE), value)
    }
    const bytes = parts.join('')
    expect(hex(imageInPlace(entries))).toBe(bytes)
    const image = new GroupImage(bytesOf(bytes))
    expect(rows.map((_, row) => [image.key(row), image.value(row)])).toEqual(rows)
    const writer = new DeltaWriter()
    writer.image({ kind: 'table', name: 't' }, 5, bytesOf(bytes))
    writer.cut()
    const header = ['03', '00', '0100', '74', '0500', '0500', '0000000000000000', bytes.slice(0, 8)]
    expect(hex(writer.take()[0]!.bytes)).toBe(header.join('') + bytes)
  }
})

test('a manifest', () => {
  const manifest = {
    checkpoint: 3,
    initial: false,
    attempt: 1,
    completedAtMs: 5,
    fingerprint: 'f',
    graph: [],
    maxParallelism: 4,
    subtasks: [],
    committables: [],
    deltas: [],
    dropped: [],
  }
  const header = ['534c4d46', '0300', '0000', '8318022c', '7f000000']
  const headerOfVersion2 = ['534c4d46', '0200', '0000', '21e62e53', '7f000000']
  const body =
    'd472409baa636865636b706f696e74a7696e697469616ca7617474656d7074ad636f6d706c6574656441744d73ab66696e6765727072696e74a567726170' +
    '68ae6d6178506172616c6c656c69736da87375627461736b73ac636f6d6d69747461626c6573a664656c746173a764726f7070656403c20105a16690' +
    '0490909090'
  const bytes = header.join('') + body
  expect(hex(encodeManifest(manifest))).toBe(bytes)
  expect(decodeManifest(bytesOf(bytes), 3)).toEqual(manifest)
  expect(decodeManifest(bytesOf(headerOfVersion2.join('') + body), 3)).toEqual(manifest)
})

test('files of a savepoint', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-vectors-'))
  try {
    const writer = new SavepointWriter(folder)
    await writer.chunk({ layer: 'base', operator: 'ü', bytes: new Uint8Array([1, 2, 3]) })
    await writer.chunk({ layer: 'base', operator: '', bytes: new Uint8Array([4]) })
    await writer.chunk({ layer: 'changes', operator: 'a', bytes: new Uint8Array([5]) })
    await writer.finish()
    const files = writer.files.map(({ name }) => [name, readFileSync(join(folder, name)).toString('hex')])
    expect(files).toEqual([
      ['state-00001.chunk', '534c53430100010001000000000000000700000071f41f590200c3bc010203030000000b1d2cf8000004'],
      ['state-00002.chunk', '534c5343010002000200000000000000040000001016749501006105'],
    ])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('the index of a savepoint', () => {
  const what = { format: 1, job: 'words', run: 'r', checkpoint: 3, createdAtMs: 5, engine: '0.1.0', rows: 1, bytes: 9 }
  const index = { ...what, files: [{ name: 'manifest', length: 9, crc32: 7 }] }
  expect(JSON.parse(encodeIndex(index))).toEqual({ ...index, crc32: 1027046472 })
})
