/** Any value in a message. What is no text at all, such as an object without a prototype, is shown by its type. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  try {
    return String(value)
  } catch {
    return typeof value
  }
}
