import { CurrentKey, REFERENCE } from './current-key.ts'
import type { StateIdentity } from './delta-chunk.ts'
import { IMAGE_ROWS_MAX, LIVE } from './epochs.ts'
import type { GroupImage } from './group-image.ts'
import { canBeImage, imageInPlace } from './group-image.ts'
import { KeyEntries } from './key-entries.ts'
import { isPlainNumber } from './row-value.ts'
import { storedKey, storedValue } from './stored-row.ts'

/** The rows of an image, to change some of them. */
export class ImageRows {
  readonly #entries = new KeyEntries<number>()
  readonly #key = new CurrentKey()
  readonly #state: StateIdentity

  constructor(state: StateIdentity, image: GroupImage) {
    this.#state = state
    for (let row = 0; row < image.rows; row++) {
      this.#key.resume(image.key(row), 0)
      this.#entries.setValue(this.#entries.add(this.#key, LIVE), image.value(row))
    }
  }

  /** @param value `undefined`: the row is removed. Returns false when no image can have the row; then the image is as before. */
  put(key: Uint8Array, value: Uint8Array | undefined): boolean {
    this.#key.resume(storedKey(this.#state, key), 0)
    const known = this.#entries.find(this.#key)
    if (value === undefined) {
      if (known >= 0) this.#entries.remove(known)
      return true
    }
    if (this.#key.form === REFERENCE || !isPlainNumber(value)) return false
    const number = known < 0 ? this.#entries.add(this.#key, LIVE) : known
    this.#entries.setValue(number, storedValue(this.#state, value).value as number)
    return canBeImage(this.#entries) && this.#entries.size <= IMAGE_ROWS_MAX
  }

  /** As it is now, to be copied before anyone makes another; `undefined` when no row is left. */
  inPlace(): Uint8Array | undefined {
    return this.#entries.size === 0 ? undefined : imageInPlace(this.#entries)
  }
}
