/** A row of a table takes the place of another one. */
export interface Change<T> {
  /** `undefined` for a row that is new. */
  readonly before: T | undefined
  readonly after: T
}
