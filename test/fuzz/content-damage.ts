import fc from 'fast-check'
import { open } from 'lmdb'
import type { Manifest } from '../../src/checkpoint/manifest.ts'
import { decodeManifest, encodeManifest } from '../../src/checkpoint/manifest.ts'
import { decodeValue, encodeValue } from '../../src/core/value-codec.ts'

/*
 * Content that is whole by every length and checksum, and says what no job has ever written.
 */

function nested(depth: number): unknown {
  let value: unknown = 'inside'
  for (let level = 0; level < depth; level++) value = [value]
  return value
}

function withOwnPrototype(): object {
  return JSON.parse('{ "__proto__": { "polluted": true }, "constructor": { "prototype": { "polluted": true } } }') as object
}

/** What stands in the place of something else. */
const INSTEAD: readonly (() => unknown)[] = [
  () => undefined,
  () => null,
  () => -1,
  () => 0,
  () => 0.5,
  () => 2 ** 32,
  () => Number.MAX_SAFE_INTEGER,
  () => Number.NaN,
  () => Number.POSITIVE_INFINITY,
  () => 10n ** 30n,
  () => '',
  () => '__proto__',
  () => '../../../../etc/passwd',
  () => '\0',
  () => 'long'.repeat(50_000),
  () => true,
  () => [],
  () => [[]],
  () => ({}),
  () => withOwnPrototype(),
  () => new Map([['__proto__', 1]]),
  () => new Set([1]),
  () => new Uint8Array(3),
  () => new Uint8Array(70_000).fill(0x91),
  () => new Date(Number.NaN),
  () => nested(150),
  () => Array.from({ length: 100_000 }, (_, index) => index),
]

/** Where, and what. */
export interface ContentDamage {
  readonly row: number
  readonly path: readonly number[]
  readonly instead: number
}

export const contentDamages: fc.Arbitrary<ContentDamage> = fc.record({
  row: fc.nat(),
  path: fc.array(fc.nat(), { minLength: 1, maxLength: 7 }),
  instead: fc.nat(),
})

/** A copy of a value in which something is another. A path that leads no further ends. */
export function changedContent(value: unknown, { path, instead }: Omit<ContentDamage, 'row'>): unknown {
  const [step, ...rest] = path
  if (step === undefined || typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || value instanceof Map) {
    return INSTEAD[instead % INSTEAD.length]!()
  }
  const names = Object.keys(value)
  if (names.length === 0) return INSTEAD[instead % INSTEAD.length]!()
  const name = names[step % names.length]!
  const copy: Record<string, unknown> = Array.isArray(value) ? ([...value] as never) : { ...value }
  copy[name] = changedContent(copy[name], { path: rest, instead })
  return copy
}

/** Changes one row of a state folder's file: a manifest, or what stands in `meta` or `history`. Returns what it was. */
export async function damageContent(file: string, damage: ContentDamage): Promise<string> {
  const root = open({ path: file, noSubdir: true, maxDbs: 8, overlappingSync: false, encoding: 'binary' })
  const table = (name: string) => root.openDB<Buffer, string>({ name, encoding: 'binary' })
  const rows = ['checkpoints', 'checkpoints', 'meta', 'meta', 'history'].flatMap((name) =>
    [...table(name).getKeys()].map((key) => ({ name, key })),
  )
  const { name, key } = rows[damage.row % rows.length]!
  const bytes = table(name).get(key)!
  root.transactionSync(() => table(name).putSync(key, Buffer.from(changedBytesOf(name, bytes, damage))))
  await root.close()
  return `${name} ${String(key)}`
}

function changedBytesOf(table: string, bytes: Buffer, damage: ContentDamage): Uint8Array {
  if (table !== 'checkpoints') return encodeValue(changedContent(decodeValue(bytes), damage))
  const manifest = decodeManifest(bytes, (decodeValue(bytes.subarray(16)) as Manifest).checkpoint)
  return encodeManifest(changedContent(manifest, damage) as Manifest)
}
