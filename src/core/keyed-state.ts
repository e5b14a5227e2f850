/** A key of a stream: identified by value, so that `1` and `'1'` differ and `-0` equals `0`. */
export type Key = string | number | bigint | boolean | Date | readonly Key[]

/** Walks over the values of a window, key by key. Stands before the first one at the beginning. */
export interface PaneCursor<V> {
  /** Goes on to the next one. False: there is none. */
  next(): boolean
  readonly key: unknown
  readonly group: number
  /** Whoever takes it may change it: the window is over. */
  readonly value: V
}

/** State and timers of the current key. The task sets the key before each record and before each timer. */
export interface KeyedContext {
  /** The key of the record or timer being handled. */
  readonly key: unknown
  /** Makes another key of this subtask the current one, for work that no record and no timer has brought. */
  setKey(key: unknown): void
  /** One value for each key. Asking twice for a name gives the same table; the first to ask says in which form snapshots hold it. */
  table<V>(name: string, form?: TableForm<V>): KeyedTable<V>
  /** One value for each window and key. */
  panes<V>(name: string): PaneTable<V>
  /**
   * Event-time and processing-time timers; those of different names know nothing of each other. Default: the name `''`.
   */
  timers(name?: string): KeyedTimers
  /**
   * The watermark that the current key's group had seen when it was last stored, when that is ahead of the operator's own: after a change
   * of parallelism subtasks that stood at different watermarks are merged, and what had happened to a group must not happen again.
   * `-Infinity` otherwise.
   */
  readonly watermarkFloor: number
  /** The same for any group. */
  watermarkFloorOf(group: number): number
  /**
   * Makes each key of this subtask that has a value in the table of that name the current one, and visits it. A visit may change or delete
   * the value of its key; a key that another visit has meanwhile deleted is left out. Order: key group, then key.
   */
  forEachKey(table: string, visit: (key: unknown) => void): void
}

/** In which form a snapshot holds the values of a table. */
export interface StoredForm {
  /** Of the values; who changes their shape counts it up. */
  readonly version: number
  /** Whose time each value bears: it was written at that instant. */
  readonly stamps: 'event' | 'processing' | undefined
}

/** What the owner of a table says about its values in snapshots. */
export interface TableForm<V> extends StoredForm {
  /** A value as it goes into a snapshot, which is written at once. */
  store(value: V): unknown
  /** The value of something that `store` made, now or in an earlier form of its owner. Runs with the value's key as the current one. */
  restore(stored: unknown, from: StoredForm): V
}

/**
 * A value for each key; every call speaks of the current key. Snapshots hold what has changed since the last one, and are written beside the
 * next records: so a table must know of each change before it happens.
 */
export interface KeyedTable<V> {
  /** The value, to be looked at only. */
  get(): V | undefined
  /** The value, for whoever is about to change it in place: from this call on it counts as changed. */
  edit(): V | undefined
  /** Tells a value of `undefined` from none. */
  has(): boolean
  set(value: V): void
  delete(): void
}

/**
 * A value for each (window, key), kept window by window, so that firing walks one map and dropping forgets it at once.
 * A window is named by its start in milliseconds.
 */
export interface PaneTable<V> {
  /** The current key's value in a window, to be looked at only. */
  get(window: number): V | undefined
  /** The same, for whoever is about to change it in place: from this call on it counts as changed. */
  edit(window: number): V | undefined
  has(window: number): boolean
  set(window: number, value: V): void
  /** The windows that hold anything, in no particular order. */
  windows(): Iterable<number>
  /** All keys of a window. The cursor stays valid while the window is not written to. */
  entries(window: number): PaneCursor<V>
  /** Forgets a window. */
  drop(window: number): void
}

/** Timers are identified by (time, key) within their kind: setting one twice is one timer, deleting a missing one does nothing. */
export interface KeyedTimers {
  setEventTime(time: number): void
  deleteEventTime(time: number): void
  setProcessingTime(time: number): void
  deleteProcessingTime(time: number): void
  /**
   * Fires due event-time timers in the order of (time, key group, key), whenever and in whatever order they were set; each runs with its
   * key set. False: `proceed` said stop. A timer that is set while firing and is already due fires in the same call, in its place.
   * @throws SluiceError `TIMER_LOOP`, from setting a timer, when those that are set while firing never come to an end
   */
  fireEventTime(watermark: number, fire: (time: number) => void, proceed: () => boolean): boolean
  fireProcessingTime(nowMs: number, fire: (time: number) => void, proceed: () => boolean): boolean
  /** The earliest event-time timer, `Infinity` when there is none. */
  nextEventTime(): number
  /** The earliest processing-time timer, `Infinity` when there is none. */
  nextProcessingTime(): number
}

/** Key groups from `first` to `last` have seen this watermark, which is ahead of that of their operator. */
export interface WatermarkFloor {
  readonly first: number
  readonly last: number
  readonly watermark: number
}
