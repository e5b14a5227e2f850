import type { StoreMeta } from './store-meta.ts'
import type { Pages, TableKind, TableRecord } from './store-pages.ts'
import { checkBranch, checkLeaf, longValueBytes, Page, PageProblem, pagesFor, recordProblem, tableRecord } from './store-pages.ts'

/*
 * A walk over the tables of a store's file, without the library. What holds when it comes to its end:
 *
 * 1. Each branch, and each leaf of all tables but `state`, is sound as `store-pages.ts` says; trees are as high everywhere as their tables say.
 * 2. No page is referred to twice, neither by trees and long values nor by a tree and the list of free pages. So the walk ends whatever the pages refer
 *    to, and LMDB, which writes to free pages, does not write to one that is in use.
 * 3. The keys of `state` by which its pages are found are in one order through the whole tree.
 * 4. Leaves of `state`, nearly all of a large file, have not been looked at: `state-leaves.ts` does that when they are needed. Only with `isWhole` have
 *    they, too, and each row lies where it is looked for.
 */

/** Tables are named as in C. */
const STATE_TABLE = 'state\0'

export const STATE_KIND: TableKind = { isSorted: true }

export interface WalkOptions {
  /** Leaves of `state` too. */
  readonly isWhole?: boolean
}

/** @throws PageProblem */
export function walkTables(meta: StoreMeta, pages: Pages, { isWhole = false }: WalkOptions = {}): void {
  const used = new PageSet(pages.count)
  const walk = new TableWalk(pages, used)
  for (const [name, record] of recordsOf(meta, walk)) {
    if (record.flags !== 0) throw new PageProblem(0, `is not as sluice leaves it: a table has the flags ${record.flags}`)
    const isState = name === STATE_TABLE
    walk.table(record, isState ? { ...STATE_KIND, skipsLeaves: !isWhole } : {})
  }
  const free = new FreeLists(pages)
  walk.table(meta.freePages, { isFree: true }, (page, node) => free.add(page, node))
  free.checkAgainst(used)
}

/** Of the table `state`; `undefined` when there is none. @throws PageProblem */
export function stateRecord(meta: StoreMeta, pages: Pages): TableRecord | undefined {
  return recordsOf(meta, new TableWalk(pages, new PageSet(pages.count))).get(STATE_TABLE)
}

function recordsOf({ tables }: StoreMeta, walk: TableWalk): ReadonlyMap<string, TableRecord> {
  const records = new Map<string, TableRecord>()
  walk.table(tables, { holdsTables: true }, (page, node) => {
    records.set(page.key(node).toString('latin1'), tableRecord(page.bytes, page.dataAt(node)))
  })
  return records
}

interface WalkedKind extends TableKind {
  readonly skipsLeaves?: boolean
}

type OnRow = (page: Page, node: number) => void

class TableWalk {
  readonly #pages: Pages
  readonly #used: PageSet
  readonly #pagesAt: Page[] = []
  readonly #order = new KeyOrder()

  constructor(pages: Pages, used: PageSet) {
    this.#pages = pages
    this.#used = used
  }

  table(record: TableRecord, kind: WalkedKind, onRow?: OnRow): void {
    const problem = recordProblem(record)
    if (problem !== undefined) throw new PageProblem(0, `is damaged: ${problem}`)
    this.#order.reset()
    if (record.root !== undefined) this.#page(record.root, record.height, kind, onRow)
  }

  #page(number: number, height: number, kind: WalkedKind, onRow: OnRow | undefined): void {
    this.#used.add(number)
    if (height === 1 && kind.skipsLeaves === true) return
    // One for each height: what is above is still looked at.
    const page = (this.#pagesAt[height] ??= new Page(this.#pages.pageBytes))
    if (!this.#pages.read(number, page)) throw new PageProblem(number, 'is missing, and a table needs it')
    if (height === 1) return this.#leaf(page, number, kind, onRow)
    checkBranch(page, number, this.#pages, kind)
    for (let node = 0; node < page.nodes; node++) {
      // The first key of a branch is not looked at, and is often empty.
      if (kind.isSorted === true && node > 0) this.#order.separator(page, node, number)
      this.#page(page.child(node), height - 1, kind, onRow)
    }
  }

  #leaf(page: Page, number: number, kind: WalkedKind, onRow: OnRow | undefined): void {
    checkLeaf(page, number, this.#pages, kind)
    if (kind.isSorted === true) this.#order.leaf(page, number)
    for (let node = 0; node < page.nodes; node++) {
      const first = page.longValue(node)
      if (first !== undefined) this.#used.addRun(first, page.longPages(node))
      onRow?.(page, node)
    }
  }
}

/** The keys of a sorted table, as a walk comes to them: those between pages, and those in leaves. */
class KeyOrder {
  readonly #last = Buffer.alloc(1 << 16)
  #length = -1

  reset(): void {
    this.#length = -1
  }

  /** What lies before it is smaller. */
  separator(page: Page, node: number, number: number): void {
    if (this.#compare(page, node) >= 0) throw new PageProblem(number, 'leads to rows that belong elsewhere')
    this.#keep(page, node)
  }

  /** What separates it from those before may be its first key. */
  leaf(page: Page, number: number): void {
    if (this.#compare(page, 0) > 0) throw new PageProblem(number, 'has rows that belong elsewhere')
    this.#keep(page, page.nodes - 1)
  }

  #compare(page: Page, node: number): number {
    return this.#length < 0 ? -1 : page.compare(this.#last, node, this.#length)
  }

  #keep(page: Page, node: number): void {
    this.#length = page.keyBytes(node)
    const at = page.nodeAt(node) + 8
    page.bytes.copy(this.#last, 0, at, at + this.#length)
  }
}

/** Pages that something refers to. */
class PageSet {
  readonly #bits: Uint8Array
  readonly #count: number

  constructor(count: number) {
    this.#bits = new Uint8Array((count + 7) >>> 3)
    this.#count = count
  }

  add(page: number): void {
    if (page < 2 || page >= this.#count) throw new PageProblem(page, 'is missing, and a table needs it')
    if (this.has(page)) throw new PageProblem(page, 'is in use in two places')
    this.#bits[page >>> 3]! |= 1 << (page & 7)
  }

  addRun(first: number, pages: number): void {
    for (let page = first; page < first + pages; page++) this.add(page)
  }

  has(page: number): boolean {
    return (this.#bits[page >>> 3]! & (1 << (page & 7))) !== 0
  }
}

/**
 * The pages that LMDB may write to. A row of their table has the transaction that freed them as its key, and as its value their number and so many
 * entries of 8 bytes: a page, 0 for none, or how many pages lie side by side, below zero, and then the first of them.
 */
class FreeLists {
  readonly #pages: Pages
  readonly #runs: { readonly first: number; readonly pages: number }[] = []

  constructor(pages: Pages) {
    this.#pages = pages
  }

  add(page: Page, node: number): void {
    const key = page.key(node)
    const bytes = this.#listOf(page, node)
    if (key.length !== 8 || key.readBigUInt64LE() === 0n || bytes.length < 8) throw this.#problem()
    const entries = Number(bytes.readBigInt64LE())
    if (entries < 0 || entries > bytes.length / 8 - 1) throw this.#problem()
    for (let entry = 1; entry <= entries; entry++) {
      const value = Number(bytes.readBigInt64LE(8 * entry))
      if (value > 0) this.#addRun(value, 1)
      else if (value < 0 && ++entry <= entries) this.#addRun(Number(bytes.readBigInt64LE(8 * entry)), -value)
      else if (value < 0) throw this.#problem()
    }
  }

  #listOf(page: Page, node: number): Buffer {
    const first = page.longValue(node)
    const [at, length] = [page.dataAt(node), page.dataBytes(node)]
    if (first === undefined) return page.bytes.subarray(at, at + length)
    const { pageBytes } = this.#pages
    const part = new Page(pageBytes)
    const whole = Buffer.alloc(pagesFor(length, pageBytes) * pageBytes)
    for (let number = 0; number * pageBytes < whole.length; number++) {
      if (!this.#pages.read(first + number, part)) throw this.#problem()
      part.bytes.copy(whole, number * pageBytes)
    }
    return longValueBytes(whole, length)
  }

  /** Pages that were taken at the end of the file and given back were perhaps never written. */
  #addRun(first: number, pages: number): void {
    if (first < 2 || !Number.isSafeInteger(first + pages) || first + pages > this.#pages.lastPage + 1) throw this.#problem()
    this.#runs.push({ first, pages })
  }

  checkAgainst(used: PageSet): void {
    for (const { first, pages } of this.#runs) {
      const end = Math.min(first + pages, this.#pages.count)
      for (let page = first; page < end; page++) if (used.has(page)) throw new PageProblem(page, 'is in use and said to be free')
    }
  }

  #problem(): PageProblem {
    return new PageProblem(0, 'is damaged: the list of free pages is not one')
  }
}
