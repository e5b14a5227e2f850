/** Stops the program when an invariant of the engine itself is broken. A user's mistake is a `SluiceError` instead. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`broken invariant: ${message}`)
}

/** Marks the branch of an exhaustive switch that no value reaches; the compiler checks the type, this checks the value. */
export function unreachable(value: never): never {
  throw new Error(`broken invariant: unexpected ${JSON.stringify(value)}`)
}
