const NUMBER = /^-?(?:0|[1-9]\d*)(?<fraction>\.\d+)?(?<exponent>[eE][+-]?\d+)?$/

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
  const mayBeNumber = (code >= 48 && code <= 57) || code === 45
  return mayBeNumber ? castNumber(text) : text
}

function castNumber(text: string): string | number {
  const groups = NUMBER.exec(text)?.groups
  if (!groups) return text
  const number = Number(text)
  const isWhole = groups.fraction === undefined && groups.exponent === undefined
  return (isWhole ? Number.isSafeInteger(number) : Number.isFinite(number)) ? number : text
}
