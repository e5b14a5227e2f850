/*
 * Rows as numbers. The digests of all rows are added up, so the sum says nothing about their order, and each row may be taken out again. They tell
 * wrong results from right ones, and nobody who means to deceive.
 */

/** Puts a number into a digest: whole ones by their lower 32 bits, others by those of a thousand times their value. */
export function withNumber(digest: number, value: number): number {
  const whole = Number.isInteger(value) ? value | 0 : Math.round(value * 1000) | 0
  const mixed = Math.imul(digest ^ whole, 0x9e3779b1)
  return mixed ^ (mixed >>> 15)
}

/** Puts a text into a digest: its length, and its characters at the ends and in the middle, so that long ones do not cost more. */
export function withText(digest: number, text: string): number {
  const { length } = text
  if (length === 0) return withNumber(digest, 0)
  const characters = text.charCodeAt(0) | (text.charCodeAt(length >> 1) << 7) | (text.charCodeAt(length - 1) << 14)
  return withNumber(digest, characters | (length << 21))
}
