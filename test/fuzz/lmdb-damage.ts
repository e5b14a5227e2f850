import fc from 'fast-check'

/*
 * Damage to a file of LMDB: of whole pages, of bytes anywhere, and of those that say where something is. See `src/checkpoint/store-pages.ts` for
 * how such a file is laid out.
 */

export const PAGE_BYTES = 4096

/** What a piece of damage does to a file. Places are numbers of any size, which it brings into the range of what there is. */
export interface Damage {
  readonly name: string
  readonly numbers: readonly number[]
}

type Inflict = (file: Buffer, numbers: readonly [number, number, number, number]) => Buffer

const BRANCH = 1
const LEAF = 2
const EXTREMES = [0, 1, 2, 3, 7, 8, 24, 25, 0x7f, 0xff, 0x7fff, 0x8000, 0xfff0, 0xffff, 0x7fffffff, 0xffffffff]

function pageAt(file: Buffer, page: number): Buffer {
  return file.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES)
}

function pageCount(file: Buffer): number {
  return Math.floor(file.length / PAGE_BYTES)
}

/** A page behind the two that say where everything begins. */
function anyPage(file: Buffer, number: number): Buffer {
  return pageAt(file, 2 + (number % Math.max(1, pageCount(file) - 2)))
}

/** A page of a tree that says what its nodes are. */
function treePage(file: Buffer, number: number, flag: number): Buffer {
  const all: Buffer[] = []
  for (let page = 2; page < pageCount(file); page++) {
    const bytes = pageAt(file, page)
    if (bytes.readUInt16LE(18) === flag && bytes.readBigUInt64LE(0) === BigInt(page)) all.push(bytes)
  }
  return all.length === 0 ? anyPage(file, number) : all[number % all.length]!
}

function nodeAt(page: Buffer, number: number): number {
  const nodes = Math.max(1, page.readUInt16LE(20) >>> 1)
  return Math.min(PAGE_BYTES - 16, 24 + page.readUInt16LE(24 + 2 * Math.min(number % nodes, 2_000)))
}

function extreme(number: number): number {
  return number % 3 === 0 ? number >>> 8 : EXTREMES[(number >>> 4) % EXTREMES.length]!
}

function noise(bytes: Buffer, seed: number): void {
  let state = seed | 1
  for (let at = 0; at < bytes.length; at++) {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + at
    bytes[at] = state >>> 11
  }
}

function changing(change: (file: Buffer, numbers: readonly [number, number, number, number]) => void): Inflict {
  return (file, numbers) => {
    change(file, numbers)
    return file
  }
}

const META_FIELDS = [
  0, 8, 16, 18, 24, 28, 32, 40, 48, 52, 54, 56, 64, 72, 80, 88, 96, 100, 102, 104, 112, 120, 128, 136, 144, 152,
]

const KINDS: Readonly<Record<string, Inflict>> = {
  'a bit': changing((file, [a, b]) => {
    file[a % file.length]! ^= 1 << (b % 8)
  }),
  'a bit of a head': changing((file, [a, b, c]) => {
    anyPage(file, a)[b % 64]! ^= 1 << (c % 8)
  }),
  'a bit of a leaf': changing((file, [a, b, c]) => {
    treePage(file, a, LEAF)[b % PAGE_BYTES]! ^= 1 << (c % 8)
  }),
  'bytes of a head': changing((file, [a, b, c, d]) => noise(anyPage(file, a).subarray(b % 60, (b % 60) + 1 + (c % 8)), d)),
  'a page of noise': changing((file, [a, b]) => noise(anyPage(file, a), b)),
  'a leaf of noise': changing((file, [a, b]) => noise(treePage(file, a, LEAF).subarray(24), b)),
  'an empty page': changing((file, [a]) => anyPage(file, a).fill(0)),
  'pages that changed places': changing((file, [a, b]) => {
    const [one, other] = [anyPage(file, a), anyPage(file, b)]
    const copy = Buffer.from(one)
    other.copy(one)
    copy.copy(other)
  }),
  'a page in the place of another': changing((file, [a, b, c]) => {
    const target = anyPage(file, b)
    const number = Buffer.from(target.subarray(0, 8))
    anyPage(file, a).copy(target)
    if (c % 2 === 0) number.copy(target)
  }),
  'a shorter file': (file, [a]) => file.subarray(0, a % file.length),
  'a file with fewer pages': (file, [a]) => file.subarray(0, PAGE_BYTES * (1 + (a % pageCount(file)))),
  'a longer file': (file, [a, b]) => {
    const more = Buffer.alloc(a % 20_000)
    noise(more, b)
    return Buffer.concat([file, more])
  },
  'a number at the beginning': changing((file, [a, b, c, d]) => {
    const at = META_FIELDS[a % META_FIELDS.length]! + (b % 2) * PAGE_BYTES
    if (c % 2 === 0) file.writeUInt32LE(extreme(d) >>> 0, at)
    else file.writeBigUInt64LE(BigInt(extreme(d)) << BigInt((c >>> 1) % 32), at)
    // The same in both, or the other one may take its place.
    if (c % 3 === 0) file.copy(file, PAGE_BYTES * ((b + 1) % 2) + at - (b % 2) * PAGE_BYTES, at, at + 8)
  }),
  'a page of a transaction to come': changing((file, [a, b, c]) => {
    const page = c % 2 === 0 ? treePage(file, a, c % 4 === 0 ? LEAF : BRANCH) : anyPage(file, a)
    page.writeBigUInt64LE(BigInt(extreme(b)) << BigInt(c % 30), 8)
  }),
  'a branch that leads elsewhere': changing((file, [a, b, c]) => {
    const page = treePage(file, a, BRANCH)
    page.writeUInt32LE(c % 5 === 0 ? extreme(c) >>> 0 : c % (pageCount(file) + 3), nodeAt(page, b))
  }),
  'a node that is elsewhere': changing((file, [a, b, c, d]) => {
    const page = treePage(file, a, d % 2 === 0 ? BRANCH : LEAF)
    const nodes = Math.max(1, page.readUInt16LE(20) >>> 1)
    page.writeUInt16LE(extreme(c) & 0xffff, 24 + 2 * Math.min(b % nodes, 2_000))
  }),
  'a node of another size': changing((file, [a, b, c, d]) => {
    const page = treePage(file, a, LEAF)
    page.writeUInt32LE(extreme(c) >>> 0, nodeAt(page, b))
    if (d % 2 === 0) page.writeUInt16LE(extreme(d) & 0xffff, nodeAt(page, b) + 6)
  }),
  'a node of another kind': changing((file, [a, b, c]) => {
    const page = treePage(file, a, LEAF)
    page.writeUInt16LE(c % 2 === 0 ? c % 8 : extreme(c) & 0xffff, nodeAt(page, b) + 4)
  }),
  'a key of another length': changing((file, [a, b, c, d]) => {
    const page = treePage(file, a, d % 3 === 0 ? BRANCH : LEAF)
    page.writeUInt16LE(extreme(c) & 0xffff, nodeAt(page, b) + 6)
  }),
  'a number in a node': changing((file, [a, b, c, d]) => {
    const page = treePage(file, a, LEAF)
    const at = nodeAt(page, b) + 8 + (c % 64)
    if (at + 8 <= PAGE_BYTES) page.writeBigUInt64LE(BigInt(extreme(d)), at)
  }),
}

/** What has once ended a process. */
export const KNOWN_DAMAGES: readonly (readonly Damage[])[] = [
  [{ name: 'a number at the beginning', numbers: [5, 0, 3, 32] }],
  [{ name: 'a page of a transaction to come', numbers: [0, 241, 60, 0] }],
  [{ name: 'a page of a transaction to come', numbers: [7, 241, 60, 0] }],
  [{ name: 'a key of another length', numbers: [3, 0, 225, 0] }],
  [{ name: 'a leaf of noise', numbers: [0, 1, 0, 0] }],
]

/** Some damage, rarely much. */
export const damages: fc.Arbitrary<readonly Damage[]> = fc.array(
  fc.record({
    name: fc.constantFrom(...Object.keys(KINDS)),
    numbers: fc.array(fc.nat(), { minLength: 4, maxLength: 4 }),
  }),
  { minLength: 1, maxLength: 3, size: 'small' },
)

/** A damaged copy of a file. */
export function damaged(whole: Buffer, all: readonly Damage[]): Buffer {
  let file = Buffer.from(whole)
  for (const { name, numbers } of all) {
    if (file.length < 3 * PAGE_BYTES) break
    file = Buffer.from(KINDS[name]!(file, numbers as [number, number, number, number]))
  }
  return file
}
