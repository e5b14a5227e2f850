/** How many lines a report names. */
const NAMED = 3

/** Compares the lines of an output with a multiset, as they become visible and at the end. */
export class LineCheck {
  readonly #left = new Map<string, number>()
  /** Where each line was seen last. */
  readonly #places = new Map<string, string>()

  constructor(expected: readonly string[]) {
    for (const line of expected) this.#left.set(line, (this.#left.get(line) ?? 0) + 1)
  }

  /** What is wrong with a line of this file, if anything is. */
  take(line: string, file: string): string | undefined {
    const left = this.#left.get(line)
    const earlier = this.#places.get(line)
    this.#left.set(line, (left ?? 0) - 1)
    this.#places.set(line, file)
    if (left === undefined) return `a line that no undisturbed run writes: ${line}`
    return left > 0 ? undefined : `a line is there once too often, before in ${earlier}: ${line}`
  }

  missing(): string | undefined {
    const missing = [...this.#left].filter(([, left]) => left > 0).map(([line]) => line)
    return missing.length === 0 ? undefined : `${missing.length} lines are missing: ${missing.slice(0, NAMED).join(' | ')}`
  }
}
