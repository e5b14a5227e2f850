/** How far a split of a source had been read. */
export interface SplitPosition {
  readonly split: unknown
  /** `undefined` before the first record. */
  readonly position: unknown
  readonly done: boolean
}

/** What a complete checkpoint holds, for whoever knows what it should. */
export interface CheckpointView {
  readonly checkpoint: number
  /** Splits of a source, by the id of its operator. */
  splits(source: string): readonly SplitPosition[]
  /** A keyed state of an operator that has a value for each key. */
  state(operator: string, name: string): ReadonlyMap<unknown, unknown>
  /** Records that were on their way between two tasks. */
  readonly inFlight: readonly unknown[]
}
