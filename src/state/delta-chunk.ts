/**
 * A piece of what changed in the keyed state of one operator since the checkpoint before: about 64 KiB, self-contained. Tasks hand chunks
 * to the main thread. Those of one operator and subtask apply in the order in which they were cut: later ones win.
 */
export interface DeltaChunk {
  readonly firstGroup: number
  readonly lastGroup: number
  readonly rows: number
  /** The chunk is the image of one group of this table and nothing else. */
  readonly imageOf?: string
  readonly bytes: Uint8Array<ArrayBuffer>
}

export const STATE_KINDS = ['table', 'pane', 'event-timer', 'processing-timer'] as const
export type StateKind = (typeof STATE_KINDS)[number]

/** One state of an operator. */
export interface StateIdentity {
  readonly kind: StateKind
  /** Name of the state, or of a row of timers. */
  readonly name: string
}

/** Whether rows of a state have a number beside their key: the window of a pane, the time of a timer. */
export function hasNamespace(kind: StateKind): boolean {
  return kind !== 'table'
}

/*
 * Part of the on-disk format (docs/format.md): frozen. A chunk is a row of sections, each
 *
 *   type (1 byte), kind of state (1), length of its name (2), name, first group (2), last group (2), namespace (8), rows (4), rows ...
 *
 * of type 1, rows of one state and group, in the order in which they were written:
 *   [namespace (8) where the kind has one], length of the key, key, length of the value plus one (0: the row is removed), value
 * or of type 2, without rows: everything of that state and namespace in these groups is removed; applies to rows of earlier sections and chunks;
 * or of type 3, of a table: an image (`group-image.ts`) of that group, which holds all rows of it: what was there before is removed.
 *
 * Lengths are one byte, or 255 and four bytes. Numbers are little endian.
 */
export const ROWS = 1
export const DROP = 2
export const IMAGE = 3
export const LONG = 255
export const LENGTH_BYTES_MAX = 5
/** Before the key of a row whose kind has one. */
export const NAMESPACE_BYTES = 8
