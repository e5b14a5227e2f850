/*
 * How an entry lies in the memory of `key-entries.ts`: eight words in a row, half a line of the processor's cache.
 */
export const ENTRY_WORDS = 8
export const EPOCH = 0
/** Flags, form of the key, key group: 8, 8 and 16 bits. */
export const META = 1
/** In doubles, where an entry is four of them. */
export const VALUE = 1
export const KEY = 4
export const FLAGS = 0xff
export const FORM_SHIFT = 8
export const GROUP_SHIFT = 16

/** In which form the key is held: see `current-key.ts`. */
export function formIn(meta: number): number {
  return (meta >>> FORM_SHIFT) & 0xff
}
