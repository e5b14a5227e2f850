/*
 * What a page of an LMDB file must be like before LMDB may see it: LMDB believes every number in it, and a wrong one leads it behind the end of the page or of
 * the file, which ends the process by a signal. A page that is sound here has, whatever its bytes mean:
 *
 * 1. its own number, a transaction that is over, and the kind that it is looked for as;
 * 2. as many nodes as it says, none without its place, which together fill it from `upper` to its end without a gap;
 * 3. in a branch: pages behind the two first ones and before the end of the file as children, and at least two of them where LMDB takes that for granted;
 * 4. in a leaf: keys that LMDB-js has room for, and values of the length that is said. Of a long value the pages are in the file, and begin with a head
 *    that says the same number of them as the leaf does, and no fewer than it takes.
 *
 * Layout, as LMDB 0.9.90 writes it on a 64-bit machine. A page: number and transaction (8 bytes each), padding, flags, end of the offsets (`lower`),
 * beginning of the nodes (`upper`; 2 bytes each), at 24 the offsets of its nodes; all of them counted from there. A node: 32 bits of size or page number,
 * 16 of flags (the top of a page number in a branch), 16 of the key's length, key, value. Of a long value there are page, transaction and count (8 bytes each).
 * Pages of a long value begin with the same head, with their number (4 bytes) at 20. The record of a table (48 bytes): at 4 its flags, at 6 its
 * height, at 24 the number of its pages of long values, at 40 its root.
 */

const PAGE_HEADER_BYTES = 24
const PAGE_HEADER_WORDS = PAGE_HEADER_BYTES / 2
const NODE_HEADER_BYTES = 8
const KINDS_MASK = 0x6f
const BRANCH = 0x01
const LEAF = 0x02
const OVERFLOW = 0x04
const BIG_DATA = 0x01
const SUB_TABLE = 0x02
const BIG_DATA_BYTES = 24
const TABLE_RECORD_BYTES = 48
/** Longer keys do not fit into the buffer that LMDB-js copies them to. */
const KEY_BYTES_MAX = 1978
/** Deeper trees do not fit into a cursor. */
const HEIGHT_MAX = 32
const NO_ROOT = 0xffff_ffff_ffff_ffffn

/** What a table of a file is. */
export interface TableRecord {
  readonly flags: number
  /** 0 of a table that is empty. */
  readonly height: number
  readonly overflowPages: number
  /** `undefined` of a table that is empty. */
  readonly root: number | undefined
}

export function tableRecord(bytes: Buffer, at: number): TableRecord {
  const root = bytes.readBigUInt64LE(at + 40)
  return {
    flags: bytes.readUInt16LE(at + 4),
    height: bytes.readUInt16LE(at + 6),
    overflowPages: Number(bytes.readBigUInt64LE(at + 24)),
    root: root === NO_ROOT ? undefined : Number(root),
  }
}

/** Why the record of a table cannot be one. */
export function recordProblem({ height, root }: TableRecord): string | undefined {
  if (root === undefined) return height === 0 ? undefined : 'a table without a root has a height'
  return height >= 1 && height <= HEIGHT_MAX ? undefined : `a table is ${height} pages high`
}

/** One page in memory. All but keys and values are at even places, so they are looked at by words of two bytes, which is quicker than by calls. */
export class Page {
  readonly bytes: Buffer
  readonly words: Uint16Array

  constructor(length: number) {
    this.bytes = Buffer.alloc(length)
    this.words = new Uint16Array(this.bytes.buffer, this.bytes.byteOffset, length >>> 1)
  }

  get number(): number {
    return this.wide(0)
  }

  get transaction(): number {
    return this.wide(8)
  }

  get kind(): number {
    return this.words[9]! & KINDS_MASK
  }

  get nodes(): number {
    return this.words[10]! >>> 1
  }

  /** Pages that the long value takes which begins here. */
  get taken(): number {
    return this.long(20)
  }

  /** 32 bits. */
  long(at: number): number {
    return this.words[at >>> 1]! + this.words[(at >>> 1) + 1]! * 0x1_0000
  }

  /** 64 bits; what is larger than any page or transaction is only large. */
  wide(at: number): number {
    return this.long(at) + this.long(at + 4) * 0x1_0000_0000
  }

  /** Where a node begins. */
  nodeAt(node: number): number {
    return PAGE_HEADER_BYTES + this.words[PAGE_HEADER_WORDS + node]!
  }

  child(node: number): number {
    const at = this.nodeAt(node)
    return this.long(at) + this.words[(at >>> 1) + 2]! * 0x1_0000_0000
  }

  flags(node: number): number {
    return this.words[(this.nodeAt(node) >>> 1) + 2]!
  }

  keyBytes(node: number): number {
    return this.words[(this.nodeAt(node) >>> 1) + 3]!
  }

  key(node: number): Buffer {
    const at = this.nodeAt(node) + NODE_HEADER_BYTES
    return this.bytes.subarray(at, at + this.keyBytes(node))
  }

  /** Of the value that lies in a leaf itself, or of what says where it lies. */
  dataAt(node: number): number {
    return this.nodeAt(node) + NODE_HEADER_BYTES + this.keyBytes(node)
  }

  /** The length of a value, wherever it lies. */
  dataBytes(node: number): number {
    return this.long(this.nodeAt(node))
  }

  /** The first page of a long value; `undefined` when the value lies in the leaf. */
  longValue(node: number): number | undefined {
    return (this.flags(node) & BIG_DATA) === 0 ? undefined : Number(this.bytes.readBigUInt64LE(this.dataAt(node)))
  }

  /** How many pages it has, as its leaf says. */
  longPages(node: number): number {
    return Number(this.bytes.readBigUInt64LE(this.dataAt(node) + 16))
  }

  /** Below, at or above zero, as a key comes before, with or behind that of a node. */
  compare(key: Uint8Array, node: number, keyLength: number = key.length): number {
    const at = this.nodeAt(node) + NODE_HEADER_BYTES
    const length = this.keyBytes(node)
    const common = Math.min(length, keyLength)
    for (let index = 0; index < common; index++) {
      const difference = key[index]! - this.bytes[at + index]!
      if (difference !== 0) return difference
    }
    return keyLength - length
  }

  /** The same of two nodes. */
  compareNodes(node: number, other: number): number {
    const [at, otherAt] = [this.nodeAt(node) + NODE_HEADER_BYTES, this.nodeAt(other) + NODE_HEADER_BYTES]
    const [length, otherLength] = [this.keyBytes(node), this.keyBytes(other)]
    const common = Math.min(length, otherLength)
    for (let index = 0; index < common; index++) {
      const difference = this.bytes[at + index]! - this.bytes[otherAt + index]!
      if (difference !== 0) return difference
    }
    return length - otherLength
  }
}

/** The child of a branch under which a key lies, if it lies anywhere. */
export function childFor(page: Page, key: Uint8Array): number {
  let [low, high] = [1, page.nodes]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (page.compare(key, middle) < 0) high = middle
    else low = middle + 1
  }
  return low - 1
}

/** The pages of a file, as they can be looked at. */
export interface Pages {
  readonly pageBytes: number
  /** How many there are, by the length of the file and by what it says itself. */
  readonly count: number
  /** The last one, as the file says itself. */
  readonly lastPage: number
  /** The transaction that has left them so. LMDB takes pages of later ones for its own, and writes to them where they lie. */
  readonly transaction: number
  /** Reads one page. False when it is not there. */
  read(page: number, into: Page): boolean
}

/** What the pages of a table may be. */
export interface TableKind {
  /** Its values are records of tables. */
  readonly holdsTables?: boolean
  /** It is that of free pages, which LMDB takes for granted less of. */
  readonly isFree?: boolean
  /** Its keys are in the order of their bytes. */
  readonly isSorted?: boolean
}

/** What is wrong with a file, and the page where it is. */
export class PageProblem extends Error {
  readonly page: number
  constructor(page: number, problem: string) {
    super(`page ${page} ${problem}`)
    this.page = page
  }
}

/** How many pages LMDB takes for a value. */
export function pagesFor(bytes: number, pageBytes: number): number {
  return Math.floor((PAGE_HEADER_BYTES - 1 + bytes) / pageBytes) + 1
}

/** The value itself, of the pages that hold it. */
export function longValueBytes(pages: Buffer, bytes: number): Buffer {
  return pages.subarray(PAGE_HEADER_BYTES, PAGE_HEADER_BYTES + bytes)
}

/** @throws PageProblem when this is not a branch that LMDB may see */
export function checkBranch(page: Page, number: number, { count, transaction }: Pages, kind: TableKind): void {
  checkHead(page, number, BRANCH, transaction)
  if (page.nodes < (kind.isFree ? 1 : 2)) throw new PageProblem(number, `is a branch with ${page.nodes} children`)
  checkNodes(page, number, false)
  for (let node = 0; node < page.nodes; node++) {
    const child = page.child(node)
    if (child < 2 || child >= count || child === number) throw new PageProblem(child, 'is missing, and a page refers to it')
  }
}

/** @throws PageProblem when this is not a leaf that LMDB may see */
export function checkLeaf(page: Page, number: number, pages: Pages, kind: TableKind): void {
  checkHead(page, number, LEAF, pages.transaction)
  if (page.nodes === 0) throw new PageProblem(number, 'is a leaf without rows')
  checkNodes(page, number, true)
  for (let node = 0; node < page.nodes; node++) checkRow(page, number, node, pages, kind)
}

function checkHead(page: Page, number: number, kind: number, transaction: number): void {
  const [lower, upper] = [page.words[10]!, page.words[11]!]
  if (page.number !== number || page.kind !== kind || page.transaction > transaction)
    throw new PageProblem(number, `is not the ${kind === LEAF ? 'leaf' : 'branch'} that it should be`)
  if ((lower & 1) !== 0 || lower > upper || upper > page.bytes.length - PAGE_HEADER_BYTES)
    throw new PageProblem(number, 'has a head that cannot be')
}

/** Where each node of the page at hand ends, by where it begins; 0 where none does. */
const nodeEnds = new Int32Array(1 << 16)

/** The nodes lie side by side, each once: LMDB moves what is between them and `upper` when one goes, and counts on that. */
function checkNodes(page: Page, number: number, isLeaf: boolean): void {
  const end = page.bytes.length - PAGE_HEADER_BYTES
  const upper = page.words[11]!
  const misplaced = noteNodes(page, upper, end, isLeaf)
  let at = upper
  let found = 0
  while (at < end && nodeEnds[at]! > at) {
    at = nodeEnds[at]!
    found++
  }
  for (let node = 0; node < page.nodes; node++) nodeEnds[page.words[PAGE_HEADER_WORDS + node]!] = 0
  if (misplaced !== undefined) throw new PageProblem(number, `has its node ${misplaced} where none can be`)
  if (found !== page.nodes || at !== end) throw new PageProblem(number, 'has nodes that do not fill it')
}

/** Returns a node that is where none can be. */
function noteNodes(page: Page, upper: number, end: number, isLeaf: boolean): number | undefined {
  for (let node = 0; node < page.nodes; node++) {
    const offset = page.words[PAGE_HEADER_WORDS + node]!
    if (offset < upper || offset + NODE_HEADER_BYTES > end || (offset & 1) !== 0 || nodeEnds[offset] !== 0) return node
    nodeEnds[offset] = endOfNode(page, offset, isLeaf)
  }
  return undefined
}

/** Nodes begin at even places. */
function endOfNode(page: Page, offset: number, isLeaf: boolean): number {
  const at = PAGE_HEADER_BYTES + offset
  const key = page.words[(at >>> 1) + 3]!
  if (!isLeaf) return offset + ((NODE_HEADER_BYTES + key + 1) & ~1)
  const isLong = (page.words[(at >>> 1) + 2]! & BIG_DATA) !== 0
  const data = isLong ? BIG_DATA_BYTES : page.long(at)
  return data > 0xffff ? 0x10000 : offset + ((NODE_HEADER_BYTES + key + data + 1) & ~1)
}

function checkRow(
  page: Page,
  number: number,
  node: number,
  pages: Pages,
  { holdsTables = false, isSorted = false }: TableKind,
): void {
  const flags = page.flags(node)
  const keyBytes = page.keyBytes(node)
  const isOfItsKind = holdsTables
    ? flags === SUB_TABLE && page.dataBytes(node) === TABLE_RECORD_BYTES
    : flags === 0 || flags === BIG_DATA
  if (!isOfItsKind || keyBytes === 0 || keyBytes > KEY_BYTES_MAX)
    throw new PageProblem(number, `has a row ${node} that cannot be`)
  if (isSorted && node > 0 && page.compareNodes(node - 1, node) >= 0) throw new PageProblem(number, 'has rows out of their order')
  if (flags === BIG_DATA) checkLongValue(page.longValue(node)!, page.dataBytes(node), page.longPages(node), pages)
}

/** For the first of the pages that hold a long value. */
const heads = new Map<number, Page>()

function checkLongValue(first: number, bytes: number, pagesSaid: number, pages: Pages): void {
  const wanted = pagesFor(bytes, pages.pageBytes)
  if (!(first >= 2 && pagesSaid >= wanted && first + pagesSaid <= pages.count))
    throw new PageProblem(first + wanted - 1, 'is missing, and a long value needs it')
  let head = heads.get(pages.pageBytes)
  if (head === undefined) heads.set(pages.pageBytes, (head = new Page(pages.pageBytes)))
  const isHead = pages.read(first, head) && head.number === first && head.kind === OVERFLOW
  if (!isHead || head.taken !== pagesSaid || head.transaction > pages.transaction)
    throw new PageProblem(first, 'is not the beginning of a long value')
}
