import { columnOf, hasNames, widened } from './columnar-learning.ts'
import type { CodeMode } from './columnar-records.ts'
import { RecordColumns } from './columnar-records.ts'
import type { Column } from './columnar-schema.ts'
import { isColumnar } from './columnar-schema.ts'

/*
 * The shapes that a writer has seen. What always holds:
 *
 * - There are few. A new one takes the place of the one that was not used for longest.
 * - Learning costs far more than msgpackr does for a record, so it has a budget, which grows a little with every batch: a stream whose records never
 *   look alike goes to msgpackr.
 * - Nothing here decides what a reader gets: what a writer has seen changes the form of its frames alone.
 */

const SHAPES_MAX = 16
/** Shapes in one batch; records of others go to msgpackr. */
const GROUPS_MAX = 8
const BUDGET_MAX = 64
const BATCHES_FOR_LESSON = 16

/** Records of one batch that lie in one group of its frame. */
export interface Group {
  /** Absent for those that msgpackr writes. */
  readonly shape: Shape | undefined
  readonly number: number
  readonly values: unknown[]
}

/** A batch by shapes. */
export interface Grouped {
  readonly groups: readonly Group[]
  /** By record, the number of its group. */
  readonly groupOf: Uint8Array
}

/** What records of a kind look like, so far. */
export class Shape {
  columns: RecordColumns
  /** Whether it is of the batch that is being written, and so was not widened by all of its records yet. */
  isNew = true
  /** Whether it became too wide for columns: msgpackr writes its records. */
  isPacked = false

  constructor(columns: RecordColumns) {
    this.columns = columns
  }

  /** Whether a value belongs here, though its fields may be wider than they were so far. */
  holds(value: unknown): boolean {
    const { kind, names, children } = this.columns.column
    if (kind === 'object') return isOf(value, Object.prototype) && hasNames(value, names)
    if (kind === 'tuple') return isOf(value, Array.prototype) && (value as unknown as unknown[]).length === children.length
    return typeof value === TYPES[kind]
  }
}

const TYPES: { readonly [kind in Column['kind']]?: string } = {
  int32: 'number',
  float64: 'number',
  int64: 'bigint',
  boolean: 'boolean',
  text: 'string',
}

function isOf(value: unknown, prototype: unknown): value is object {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === prototype
}

export class Shapes {
  readonly #mode: CodeMode
  /** The one used last comes first. */
  readonly #shapes: Shape[] = []
  #budget = BUDGET_MAX
  #batches = 0

  constructor(mode: CodeMode) {
    this.#mode = mode
  }

  /** The shape used last. */
  get first(): Shape | undefined {
    return this.#shapes[0]
  }

  /** A batch is about to be written. */
  onBatch(): void {
    if (this.#budget < BUDGET_MAX && ++this.#batches % BATCHES_FOR_LESSON === 0) this.#budget++
  }

  /** Parts a batch by shapes, and learns those that are new. */
  group(values: readonly unknown[]): Grouped {
    const groups: Group[] = []
    const groupOf = new Uint8Array(values.length)
    let last: Group | undefined
    for (let index = 0; index < values.length; index++) {
      const value = values[index]
      if (last?.shape === undefined || !last.shape.holds(value)) last = this.#groupOf(value, groups)
      last.values.push(value)
      groupOf[index] = last.number
    }
    for (const group of groups) if (group.shape?.isNew) this.widen(group)
    return { groups, groupOf }
  }

  #groupOf(value: unknown, groups: Group[]): Group {
    for (const group of groups) if (group.shape?.holds(value)) return group
    const rest = groups.find(({ shape }) => shape === undefined)
    const isFull = groups.length >= GROUPS_MAX - (rest === undefined ? 1 : 0)
    const shape = isFull ? undefined : this.#shapeOf(value)
    if (shape === undefined && rest !== undefined) return rest
    const group: Group = { shape, number: groups.length, values: [] }
    groups.push(group)
    return group
  }

  #shapeOf(value: unknown): Shape | undefined {
    const known = this.#shapes.findIndex((shape) => shape.holds(value))
    if (known >= 0) {
      const [shape] = this.#shapes.splice(known, 1)
      this.#shapes.unshift(shape!)
      return shape
    }
    if (this.#budget === 0) return undefined
    this.#budget--
    const column = columnOf(value)
    if (!isColumnar(column) || !mayBeRoot(column)) return undefined
    const shape = new Shape(new RecordColumns(column, this.#mode))
    this.#shapes.unshift(shape)
    if (this.#shapes.length > SHAPES_MAX) this.#shapes.pop()
    return shape
  }

  /** Makes the shape of a group hold all of its records. False when it cannot, or did already. */
  widen(group: Group): boolean {
    const shape = group.shape!
    shape.isNew = false
    if (this.#budget === 0) return false
    this.#budget--
    const { column } = shape.columns
    const wider = group.values.reduce<Column>(widened, column)
    if (wider === column) return false
    shape.isPacked = !isColumnar(wider) || !mayBeRoot(wider)
    if (!shape.isPacked) shape.columns = new RecordColumns(wider, this.#mode)
    return !shape.isPacked
  }
}

/** Values without fields make a shape when they are known by their type alone. */
function mayBeRoot({ kind }: Column): boolean {
  return kind === 'object' || kind === 'tuple' || TYPES[kind] !== undefined
}
