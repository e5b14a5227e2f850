import { GENERATED_COLUMNS, literal } from './row-factory.ts'

/** Makes a row from its fields in the order of the columns. The array is the caller's, who may use it again. */
export type RowMaker = (fields: readonly unknown[]) => Record<string, unknown>

/** Makers by their columns: the readers of all splits share one, so that it is compiled and optimised once. */
const makers = new Map<string, RowMaker>()
const MAKERS_LIMIT = 1000

/**
 * A maker of rows with these columns, all of one shape: what `rowFactory` is for columns, for a source that reads row by row.
 *
 * @example
 * rowMaker(['id', 'name'])([1, 'a']) // { id: 1, name: 'a' }
 */
export function rowMaker(names: readonly string[]): RowMaker {
  const key = JSON.stringify(names)
  const known = makers.get(key)
  if (known) return known
  const made = makeMaker(names)
  if (makers.size < MAKERS_LIMIT) makers.set(key, made)
  return made
}

function makeMaker(names: readonly string[]): RowMaker {
  if (names.length > GENERATED_COLUMNS) return loopMaker(names)
  try {
    return new Function('fields', `return ${literal(names, (number) => `fields[${number}]`)}`) as RowMaker
  } catch {
    // Node can be told to refuse generated code (--disallow-code-generation-from-strings).
    return loopMaker(names)
  }
}

/** The same without generated code. */
export function loopMaker(names: readonly string[]): RowMaker {
  const empty: Record<string, unknown> = Object.fromEntries(names.map((name) => [name, null]))
  return (fields) => {
    const row = { ...empty }
    for (let column = 0; column < names.length; column++) row[names[column]!] = fields[column]
    return row
  }
}
