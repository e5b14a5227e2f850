const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/
const NOT_WHOLE = /[.eE]/
const ZERO = 48
const NINE = 57
const MINUS = 45

/** Digits of a whole number that is surely kept exactly. */
const SAFE_DIGITS = 15

/**
 * The value that a field of a CSV file stands for.
 *
 * Only what is certainly a number becomes one: not `007` (a code), not `+7` (a phone number), and no whole number too large to be
 * kept exactly (an id).
 *
 * @example
 * castText('7') // 7
 * castText('007') // '007'
 * castText('true') // true
 */
export function castText(text: string): string | number | boolean {
  if (text === 'true') return true
  if (text === 'false') return false
  const code = text.charCodeAt(0)
  const mayBeNumber = (code >= ZERO && code <= NINE) || code === MINUS
  return mayBeNumber ? castNumber(text) : text
}

function castNumber(text: string): string | number {
  if (!NUMBER.test(text)) return text
  const number = Number(text)
  return (NOT_WHOLE.test(text) ? Number.isFinite(number) : Number.isSafeInteger(number)) ? number : text
}

/**
 * The same for the characters of a text from `from` up to, not including, `end`, when they are the digits of a whole number of ordinary size:
 * most fields that are numbers are, and no string has to be made of them. `undefined`: they are something else, or a longer number.
 *
 * @example
 * castRange('a,17,b', 2, 4) // 17
 */
export function castRange(text: string, from: number, end: number): number | undefined {
  const length = end - from
  if (length === 0 || length > SAFE_DIGITS) return undefined
  const first = text.charCodeAt(from)
  if (first === ZERO && length > 1) return undefined
  let number = 0
  for (let at = from; at < end; at++) {
    const digit = text.charCodeAt(at) - ZERO
    if (digit < 0 || digit > 9) return undefined
    number = number * 10 + digit
  }
  return number
}
