import { SluiceError } from '../../src/core/errors.ts'
import type { Source, SplitReader } from '../../src/core/source.ts'
import { changed, readable } from './files.ts'
import type { ColumnCursor } from './parquet-column.ts'
import type { ParquetFile } from './parquet-file.ts'
import { checkPaths, expandPaths, type Paths } from './paths.ts'
import { type RowFactory, rowFactory } from './row-factory.ts'

export interface ParquetOptions {
  /** Columns to read, in this order; by default all. What is not read costs nothing. */
  readonly columns?: readonly string[]
  /** Read 64-bit integers as bigints. By default they are numbers, and one that is too large for that is an error. */
  readonly bigints?: boolean
}

/** One row group of a file: its rows `rowStart` up to, not including, `rowEnd`. */
export interface ParquetSplit {
  readonly path: string
  readonly rowGroup: number
  readonly rowStart: number
  readonly rowEnd: number
}

/**
 * A source of the rows of Parquet files, as objects with the columns' names. Timestamps and dates are `Date`s, missing values `null`.
 * The type is taken on trust.
 *
 * @example
 * interface Flight { date: Date; delay: number; origin: string }
 * job('late').from(readParquet<Flight>('flights.parquet', { columns: ['date', 'delay', 'origin'] })).filter((f) => f.delay > 60)
 */
export function readParquet<T = Record<string, unknown>>(
  paths: Paths,
  options: ParquetOptions = {},
): Source<T, ParquetSplit, number> {
  const { columns, bigints = false } = options
  const checked = checkPaths('readParquet', paths)
  if (columns !== undefined && new Set(columns).size !== Math.max(1, columns.length)) {
    throw new SluiceError('INVALID_OPTION', 'readParquet: columns must name at least one column, and each once')
  }
  return {
    kind: 'readParquet',
    settings: { paths: checked, bigints, ...(columns === undefined ? {} : { columns }) },
    async enumerate() {
      const splits: ParquetSplit[] = []
      for (const path of await expandPaths(checked)) splits.push(...(await rowGroupsOf(path, columns)))
      return splits
    },
    async open(split, position = split.rowStart) {
      const file = await openFile(split.path)
      try {
        checkUnchanged(file, split)
        return new ParquetReader<T>(file, split, position, columns ?? file.columns, bigints)
      } catch (error) {
        file.close()
        throw error
      }
    },
  }
}

async function rowGroupsOf(path: string, columns: readonly string[] | undefined): Promise<ParquetSplit[]> {
  const file = await openFile(path)
  const missing = columns?.find((name) => !file.columns.includes(name))
  file.close()
  if (missing !== undefined) {
    throw new SluiceError('INVALID_OPTION', `${path} has no column '${missing}', but: ${file.columns.join(', ')}`)
  }
  return splitsOf(file).filter((split) => split.rowEnd > split.rowStart)
}

function splitsOf({ path, groups }: ParquetFile): ParquetSplit[] {
  let rowStart = 0
  return groups.map((rows, rowGroup) => {
    const split = { path, rowGroup, rowStart, rowEnd: rowStart + rows }
    rowStart = split.rowEnd
    return split
  })
}

/** The library takes longer to load than many a job to start, so only jobs that read such files load it. */
async function openFile(path: string): Promise<ParquetFile> {
  const { ParquetFile } = await import('./parquet-file.ts')
  return ParquetFile.open(path)
}

function checkUnchanged(file: ParquetFile, split: ParquetSplit): void {
  const now = splitsOf(file)[split.rowGroup]
  if (now?.rowStart === split.rowStart && now.rowEnd === split.rowEnd) return
  throw changed(split.path, `row group ${split.rowGroup} no longer has the rows ${split.rowStart} to ${split.rowEnd}`)
}

class ParquetReader<T> implements SplitReader<T, number> {
  readonly #file: ParquetFile
  readonly #split: ParquetSplit
  readonly #names: readonly string[]
  readonly #bigints: boolean
  readonly #makeRows: RowFactory
  /** The next values of each column, used again for each answer. */
  readonly #values: unknown[][]
  #columns: readonly ColumnCursor[] | undefined
  #next: number

  constructor(file: ParquetFile, split: ParquetSplit, next: number, names: readonly string[], bigints: boolean) {
    this.#file = file
    this.#split = split
    this.#next = next
    this.#names = names
    this.#bigints = bigints
    this.#makeRows = rowFactory(names)
    this.#values = names.map(() => [])
  }

  poll(max: number): readonly T[] | null | Promise<readonly T[]> {
    const count = Math.min(max, this.#split.rowEnd - this.#next)
    if (count <= 0) return null
    return this.#columns ? this.#read(this.#columns, count) : this.#openColumns().then((columns) => this.#read(columns, count))
  }

  position(): number {
    return this.#next
  }

  close(): void {
    this.#file.close()
  }

  async #openColumns(): Promise<readonly ColumnCursor[]> {
    const { rowGroup, rowStart } = this.#split
    const columns: ColumnCursor[] = []
    for (const name of this.#names) columns.push(await this.#file.column(name, rowGroup, this.#bigints))
    this.#attempt(() => {
      for (const column of columns) column.skip(this.#next - rowStart)
    })
    this.#columns = columns
    return columns
  }

  #read(columns: readonly ColumnCursor[], count: number): T[] {
    this.#attempt(() => {
      for (let index = 0; index < columns.length; index++) columns[index]!.fill(this.#values[index]!, count)
    })
    this.#next += count
    return this.#makeRows(this.#values, count) as T[]
  }

  #attempt(action: () => void): void {
    try {
      action()
    } catch (error) {
      throw readable(error, this.#file.path)
    }
  }
}
