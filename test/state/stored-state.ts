import { KeyedBackend } from '../../src/state/keyed-backend.ts'
import { MemoryOperatorBase } from '../../src/state/state-base.ts'

/** The keyed state of an operator with a base that it is saved to and restored from, as the engine does it with a disk. */
export class StoredState {
  readonly base = new MemoryOperatorBase()
  readonly backend: KeyedBackend
  /** Everything that was ever saved, in order. */
  readonly #chunks: Uint8Array[]
  #checkpoint = 0

  /** @param chunks what it begins with, in the base */
  constructor(groups = { first: 0, last: 127 }, maxParallelism = 128, chunks: readonly Uint8Array[] = []) {
    this.#chunks = [...chunks]
    for (const chunk of chunks) this.base.apply(chunk)
    this.backend = new KeyedBackend({ groups, maxParallelism, base: this.base })
    this.backend.onFolded(0)
  }

  /** Whether no value and no timer is left. */
  get isEmpty(): boolean {
    this.save()
    return this.base.count(false) + this.base.count(true) === 0
  }

  /** Takes a snapshot and folds it. Returns all chunks that make up the state; none when nothing is left. */
  save(): readonly Uint8Array[] {
    this.backend.freeze(++this.#checkpoint)
    this.backend.encode(() => false)
    for (const { bytes } of this.backend.takeChunks()) {
      this.base.apply(bytes)
      this.#chunks.push(bytes)
    }
    this.backend.onFolded(this.#checkpoint)
    return this.base.count(false) + this.base.count(true) === 0 ? [] : [...this.#chunks]
  }
}
