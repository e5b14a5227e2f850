/**
 * Looks into the state of jobs, also of running ones.
 *
 * ```ts
 * import { openState } from 'sluice/state'
 *
 * await using state = await openState({ job: 'word-count' })
 * for await (const { key, value } of state.entries<number>('count-1', 'count')) console.log(key, value)
 * ```
 *
 * An entry of its own, because a job needs none of it in its worker threads.
 */
export type { StateChange } from '../checkpoint/state-diff.ts'
export { diffStates } from '../checkpoint/state-diff.ts'
export { exportState } from '../checkpoint/state-export.ts'
export type { OpenStateOptions, StateReader } from '../checkpoint/state-reader.ts'
export { openState } from '../checkpoint/state-reader.ts'
