import { isRoomLeft } from './disk-space.ts'
import type { ProcessIdentity } from './process-identity.ts'
import { isAlive, thisProcess } from './process-identity.ts'

/** What the store asks of the machine that it runs on, so that a simulation can answer. */
export interface Surroundings {
  /** Milliseconds on a clock that never goes back. */
  nowMs(): number
  isRoomLeft(folder: string, wantedBytes: number): boolean
  identity(): ProcessIdentity
  isAlive(identity: ProcessIdentity): boolean
  readonly sizes: StoreSizes
}

/** How much the store does at once. A simulation makes do with little, so that what happens between two pieces happens. */
export interface StoreSizes {
  /** Chunks in memory, until they are written without waiting for their manifest. */
  readonly chunkFlushBytes: number
  /** The memory of smaller chunks is not worth a way back to the thread that they came from. */
  readonly reusedBytesMin: number
  /** Chunks that one transaction removes. */
  readonly removeAtOnce: number
  /** Chunks that a fold merges in memory. */
  readonly foldBytes: number
  /** Rows that one transaction removes from the base. */
  readonly rowsAtOnce: number
}

export const USUAL_SIZES: StoreSizes = {
  chunkFlushBytes: 4 << 20,
  reusedBytesMin: 1 << 12,
  removeAtOnce: 256,
  foldBytes: 48 << 20,
  rowsAtOnce: 4096,
}

export const thisMachine: Surroundings = {
  nowMs: () => performance.now(),
  isRoomLeft,
  identity: thisProcess,
  isAlive,
  sizes: USUAL_SIZES,
}
