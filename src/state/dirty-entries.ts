import { canonicalKey, compareKeys } from '../core/key-groups.ts'
import { ROWS_PER_LOOK } from './epochs.ts'

/** What has changed since the last barrier, by key group: each entry once. */
export class DirtyEntries<E> {
  #groups: (E[] | undefined)[] = []
  /** Entries of a group beyond which it is worth looking for those that are over. */
  #compactAt = COMPACT_AT

  add(group: number, entry: E): void {
    const entries = this.#groups[group]
    if (entries === undefined) this.#groups[group] = [entry]
    else entries.push(entry)
  }

  /**
   * Leaves out what needs no writing any more. To be called after `add` where entries come and go within one epoch: without checkpoints an
   * epoch lasts as long as the job.
   */
  compact(group: number, isOver: (entry: E) => boolean): void {
    const entries = this.#groups[group]!
    if (entries.length < this.#compactAt) return
    const kept = entries.filter((entry) => !isOver(entry))
    this.#groups[group] = kept
    this.#compactAt = Math.max(COMPACT_AT, 2 * kept.length)
  }

  /** Gives everything away, to be written in this namespace. */
  take(namespace: number): readonly FrozenGroup<E>[] {
    const groups: FrozenGroup<E>[] = []
    this.#groups.forEach((entries, group) => {
      if (entries !== undefined && entries.length > 0) groups.push({ group, namespace, entries })
    })
    this.#groups = []
    return groups
  }
}

const COMPACT_AT = 1024

/** Entries of one group and namespace that are to be written. */
export interface FrozenGroup<E> {
  readonly group: number
  readonly namespace: number
  readonly entries: E[]
}

/** The entries of a frozen epoch on their way into its snapshot, in the order of key group, namespace and key. */
export class FrozenEntries<E extends { readonly key: unknown }> {
  readonly #groups: readonly FrozenGroup<E>[]
  #group = 0
  #index = 0

  constructor(groups: readonly FrozenGroup<E>[]) {
    this.#groups = [...groups].sort((a, b) => a.group - b.group || a.namespace - b.namespace)
  }

  /** Writes entries until `expired` says stop. True when all are written. */
  write(write: (entry: E, group: number, namespace: number) => void, expired: () => boolean): boolean {
    for (; this.#group < this.#groups.length; this.#group++, this.#index = 0) {
      const { group, namespace, entries } = this.#groups[this.#group]!
      if (this.#index === 0) sortByKey(entries)
      while (this.#index < entries.length) {
        write(entries[this.#index]!, group, namespace)
        if (++this.#index % ROWS_PER_LOOK === 0 && expired()) return false
      }
    }
    return true
  }
}

function sortByKey<E extends { readonly key: unknown }>(entries: E[]): void {
  if (entries.every(({ key }) => typeof key === 'string')) {
    entries.sort((a, b) => ((a.key as string) < (b.key as string) ? -1 : a.key === b.key ? 0 : 1))
  } else if (entries.every(({ key }) => typeof key === 'number')) {
    entries.sort((a, b) => (a.key as number) - (b.key as number))
  } else entries.sort((a, b) => compareKeys(canonicalKey(a.key), canonicalKey(b.key)))
}
