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
}

export const thisMachine: Surroundings = {
  nowMs: () => performance.now(),
  isRoomLeft,
  identity: thisProcess,
  isAlive,
}
