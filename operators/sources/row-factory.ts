/** Makes `count` rows from columns: row `i` has the value `i` of each column, under the column's name. */
export type RowFactory = (columns: readonly ArrayLike<unknown>[], count: number) => Record<string, unknown>[]

/** Columns up to which rows are made by generated code; a wider row costs its width rather than its shape. */
export const GENERATED_COLUMNS = 64

/** Makers by their columns: the readers of all splits share one, so that it is compiled and optimised once. */
const factories = new Map<string, RowFactory>()
const FACTORIES_LIMIT = 1000

/**
 * A maker of rows with these columns, all of one shape.
 *
 * Written as a loop over the columns, giving each row its fields one by one costs several times what the rest of a columnar source
 * costs. An object literal has its shape from the start, so a function with one is generated.
 *
 * @example
 * rowFactory(['id', 'name'])([[1, 2], ['a', 'b']], 2) // [{ id: 1, name: 'a' }, { id: 2, name: 'b' }]
 */
export function rowFactory(names: readonly string[]): RowFactory {
  const key = JSON.stringify(names)
  const known = factories.get(key)
  if (known) return known
  const made = makeFactory(names)
  if (factories.size < FACTORIES_LIMIT) factories.set(key, made)
  return made
}

function makeFactory(names: readonly string[]): RowFactory {
  if (names.length > GENERATED_COLUMNS) return loopFactory(names)
  try {
    return generatedFactory(names)
  } catch {
    // Node can be told to refuse generated code (--disallow-code-generation-from-strings).
    return loopFactory(names)
  }
}

function generatedFactory(names: readonly string[]): RowFactory {
  const columns = names.map((_, number) => `column${number}`)
  return new Function(
    'columns',
    'count',
    `const [${columns}] = columns
    const rows = []
    for (let i = 0; i < count; i++) rows.push(${literal(names, (number) => `column${number}[i]`)})
    return rows`,
  ) as RowFactory
}

/** An object literal with these properties, each of which has the value that the expression for its number says. */
export function literal(names: readonly string[], expressionOf: (number: number) => string): string {
  // A JSON string is also a JavaScript string, whatever is in it. In brackets, the name `__proto__` is an ordinary one.
  const fields = names.map(
    (name, number) => `${name === '__proto__' ? '["__proto__"]' : JSON.stringify(name)}: ${expressionOf(number)}`,
  )
  return `{ ${fields} }`
}

/** The same without generated code. */
export function loopFactory(names: readonly string[]): RowFactory {
  // Copying a row with all columns gives each row the shape at once, and makes a column named `__proto__` an ordinary field.
  const empty: Record<string, unknown> = Object.fromEntries(names.map((name) => [name, null]))
  return (columns, count) => {
    const rows: Record<string, unknown>[] = []
    for (let row = 0; row < count; row++) {
      const fields = { ...empty }
      for (let column = 0; column < names.length; column++) fields[names[column]!] = columns[column]![row]
      rows.push(fields)
    }
    return rows
  }
}
