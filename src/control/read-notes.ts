import type { CheckpointStore } from '../checkpoint/checkpoint-store.ts'
import type { Timers } from '../core/time.ts'
import { taskOfSubtask } from '../graph/execution-plan.ts'
import type { SplitState } from '../protocol/messages.ts'

/** Notes that come within this time are written together. */
const TOGETHER_MS = 2

/** Writes down how far sources have read (`guarantee: 'at-most-once'`), many in one transaction, and then tells them that they may go on. */
export class ReadNotes {
  readonly #store: CheckpointStore
  readonly #noted: (subtask: string, sequence: number) => void
  readonly #fail: (error: unknown) => void
  #waiting: { readonly subtask: string; readonly sequence: number; readonly splits: readonly SplitState[] }[] = []
  readonly #timers: Timers
  #forgetTimer: (() => void) | undefined

  constructor(
    store: CheckpointStore,
    noted: (subtask: string, sequence: number) => void,
    fail: (error: unknown) => void,
    timers: Timers,
  ) {
    this.#store = store
    this.#noted = noted
    this.#fail = fail
    this.#timers = timers
  }

  add(subtask: string, sequence: number, splits: readonly SplitState[]): void {
    this.#waiting.push({ subtask, sequence, splits })
    this.#forgetTimer ??= this.#timers.set(() => this.#write(), TOGETHER_MS)
  }

  #write(): void {
    this.#forgetTimer = undefined
    const waiting = this.#waiting
    this.#waiting = []
    const reads = new Map<string, SplitState[]>()
    for (const { subtask, splits } of waiting) {
      const source = taskOfSubtask(subtask)
      reads.set(source, [...(reads.get(source) ?? []), ...splits])
    }
    try {
      this.#store.noteReads(reads)
    } catch (error) {
      return this.#fail(error)
    }
    for (const { subtask, sequence } of waiting) this.#noted(subtask, sequence)
  }

  stop(): void {
    this.#forgetTimer?.()
    this.#waiting = []
  }
}
