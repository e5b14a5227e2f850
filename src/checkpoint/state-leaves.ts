import { damagedStore, StoreFile } from './store-file.ts'
import type { StoreMeta } from './store-meta.ts'
import type { Pages, TableRecord } from './store-pages.ts'
import { checkBranch, checkLeaf, childFor, Page, PageProblem } from './store-pages.ts'
import { STATE_KIND, stateRecord } from './store-walk.ts'

/*
 * Looks at leaves of the table `state` before LMDB does. They are nearly all of a large file, so it is done when they are needed. What always holds:
 *
 * 1. LMDB reads no leaf of `state` that was not found to be sound, in the way of `store-pages.ts`, and to have the keys that belong there.
 * 2. LMDB writes no row of `state` before all leaves have been looked at: a write reads and changes others than the one of its row. So a page that was
 *    written since is sound, and when the table is another than it was, all of it is.
 * 3. The branches were looked at when the store was opened (`store-walk.ts`).
 *
 * A leaf is looked at once: as long as it is in use its page does not change.
 */

/** Branches in memory: each leads to a hundred leaves or so. */
const BRANCHES_MAX = 1_024
/** For those who write when nobody has given it time before. */
const CLOCK_EVERY = 64

/** Where a key lies, and where the keys of the next leaf begin; `undefined` for the last one. */
interface Place {
  readonly leaf: number
  readonly from: Buffer | undefined
  readonly next: Buffer | undefined
}

export class StateLeaves {
  readonly #path: string
  readonly #file: StoreFile
  readonly #pages: Pages
  readonly #record: TableRecord
  readonly #transaction: number
  readonly #branches = new Map<number, Page>()
  readonly #leaf: Page
  /** How many rows a leaf has that was looked at; 0 of others. */
  readonly #rows: Uint16Array
  /** The key from which on `checkSome` has not looked yet. */
  #from: Buffer | undefined = Buffer.alloc(0)
  #isSound = false
  #isOpen = true

  private constructor(path: string, file: StoreFile, pages: Pages, record: TableRecord, transaction: number) {
    this.#path = path
    this.#file = file
    this.#pages = pages
    this.#record = record
    this.#transaction = transaction
    this.#leaf = new Page(pages.pageBytes)
    this.#rows = new Uint16Array(pages.count)
  }

  /** Of a store that was looked at when it was opened; `undefined` when it has no rows. */
  static open(path: string): StateLeaves | undefined {
    const file = StoreFile.open(path)
    const meta = file === undefined || file.size === 0 ? undefined : file.meta()
    const pages = meta === undefined ? undefined : file!.pages(meta)
    const record = pages === undefined ? undefined : stateRecord(meta!, pages)
    if (record?.root !== undefined) return new StateLeaves(path, file!, pages!, record, meta!.transaction)
    file?.close()
    return undefined
  }

  /** Nothing is left to be looked at. */
  get isSound(): boolean {
    return this.#isSound
  }

  /** Before a row is read. @throws SluiceError `CHECKPOINT_UNREADABLE` */
  admit(key: Uint8Array): void {
    if (!this.#isSound) this.#guarded(() => this.#check(key))
  }

  /** Before so many rows are read. @throws SluiceError `CHECKPOINT_UNREADABLE` */
  admitRange(start: Uint8Array, end: Uint8Array | undefined, limit: number): void {
    if (!this.#isSound) this.#guarded(() => this.#checkRange(start, end, limit))
  }

  /** Looks on, for so many milliseconds. True when nothing is left. @throws SluiceError `CHECKPOINT_UNREADABLE` */
  checkSome(ms: number): boolean {
    if (!this.#isSound) this.#guarded(() => this.#checkOn(performance.now() + ms))
    return this.#isSound
  }

  /** Perhaps the table has been written, by whoever had looked at all of it: then nothing is left to be looked at here. */
  refresh(): void {
    if (!this.#isSound && this.#isOpen && this.#isRewritten()) this.#isSound = true
  }

  close(): void {
    if (this.#isOpen) this.#file.close()
    this.#isOpen = false
  }

  #checkOn(untilMs: number): void {
    for (let leaves = 1; this.#from !== undefined; leaves++) {
      this.#from = this.#check(this.#from)
      if (leaves % CLOCK_EVERY === 0 && performance.now() >= untilMs) return
    }
    this.#isSound = true
  }

  /** LMDB looks at one leaf more than it needs when it has come to the end of one. */
  #checkRange(start: Uint8Array, end: Uint8Array | undefined, limit: number): void {
    let from: Uint8Array | undefined = start
    // How many rows of the first leaf come before `start` is not known.
    for (let rows = -this.#pages.pageBytes; from !== undefined && rows <= limit; ) {
      const place = this.#placeOf(from)
      const found = this.#checkPlace(place)
      rows = rows < 0 ? 0 : rows + found
      from = place.next === undefined || (end !== undefined && place.next.compare(end) >= 0) ? undefined : place.next
    }
  }

  /** Returns where the next leaf begins. */
  #check(key: Uint8Array): Buffer | undefined {
    const place = this.#placeOf(key)
    this.#checkPlace(place)
    return place.next
  }

  #checkPlace({ leaf, from, next }: Place): number {
    const known = this.#rows[leaf]!
    if (known > 0) return known
    const page = this.#leaf
    if (!this.#pages.read(leaf, page)) throw new PageProblem(leaf, 'is missing, and a table needs it')
    checkLeaf(page, leaf, this.#pages, STATE_KIND)
    const isInPlace =
      (from === undefined || page.compare(from, 0) <= 0) && (next === undefined || page.compare(next, page.nodes - 1) > 0)
    if (!isInPlace) throw new PageProblem(leaf, 'has rows that belong elsewhere')
    this.#rows[leaf] = page.nodes
    return page.nodes
  }

  #placeOf(key: Uint8Array): Place {
    let [number, from, next] = [this.#record.root!, undefined as Buffer | undefined, undefined as Buffer | undefined]
    for (let height = this.#record.height; height > 1; height--) {
      const page = this.#branch(number)
      const node = childFor(page, key)
      if (node > 0) from = page.key(node)
      if (node + 1 < page.nodes) next = page.key(node + 1)
      number = page.child(node)
    }
    return { leaf: number, from, next }
  }

  #branch(number: number): Page {
    const known = this.#branches.get(number)
    if (known !== undefined) return known
    const page = new Page(this.#pages.pageBytes)
    if (!this.#pages.read(number, page)) throw new PageProblem(number, 'is missing, and a table needs it')
    checkBranch(page, number, this.#pages, STATE_KIND)
    if (this.#branches.size >= BRANCHES_MAX) this.#branches.clear()
    this.#branches.set(number, page)
    return page
  }

  /** What looks damaged is not, when the table has been written meanwhile: whoever did that had looked at all of it. */
  #guarded(action: () => void): void {
    try {
      action()
    } catch (error) {
      if (!(error instanceof PageProblem)) throw error
      if (!this.#isRewritten()) throw damagedStore(this.#path, error.message)
      this.#isSound = true
    }
  }

  /** The root of a table is written anew with each of its rows. */
  #isRewritten(): boolean {
    const meta = this.#file.meta()
    if (meta === undefined || meta.transaction === this.#transaction) return false
    const pages = this.#file.pages(meta)
    const root = rootOf(meta, pages)
    if (root === 'unknown') return false
    return root !== this.#record.root || (pages.read(root!, this.#leaf) && this.#leaf.transaction > this.#transaction)
  }
}

/** While somebody writes, pages may change under the hand. */
function rootOf(meta: StoreMeta, pages: Pages): number | undefined | 'unknown' {
  try {
    return stateRecord(meta, pages)?.root
  } catch (error) {
    if (error instanceof PageProblem) return 'unknown'
    throw error
  }
}
