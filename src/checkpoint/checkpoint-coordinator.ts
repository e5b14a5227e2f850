/** What the coordinator wants done. */
export type CoordinatorCommand =
  /** Ask the sources for the barrier of a new checkpoint. */
  | { readonly type: 'trigger'; readonly checkpoint: number }
  /** Everyone has acknowledged: write the manifest, then say `onStored`. */
  | { readonly type: 'store'; readonly checkpoint: number }
  /** Tell the tasks that a checkpoint is given up. */
  | { readonly type: 'abort'; readonly checkpoint: number; readonly reason: string }
  /** Too many checkpoints failed in a row: the job fails. */
  | { readonly type: 'fail'; readonly reason: string }
  /** The final checkpoint is complete: nothing of this job is left to do but to commit. */
  | { readonly type: 'finished'; readonly checkpoint: number }

export interface CoordinatorOptions {
  /** Milliseconds from trigger to trigger; `Infinity` when periodic checkpoints are off. */
  readonly intervalMs: number
  readonly timeoutMs: number
  /** From the completion of one checkpoint to the trigger of the next. */
  readonly minPauseMs: number
  /** Consecutive checkpoints that may fail before the job does. */
  readonly tolerableFailures: number
}

type Phase =
  | { readonly name: 'waiting'; readonly until: number }
  | {
      readonly name: 'pending'
      readonly checkpoint: number
      readonly since: number
      readonly missing: Set<string>
      readonly final: boolean
    }
  | { readonly name: 'storing'; readonly checkpoint: number; readonly since: number; readonly final: boolean }
  | { readonly name: 'finished' }

/**
 * Decides when a checkpoint begins, when it is complete and when it has failed. It has no hands: messages and the time go in, commands come
 * out. What always holds:
 *
 * 1. At most one checkpoint is in flight, and ids rise; an id is never used twice.
 * 2. `store` comes only after every subtask has acknowledged exactly that checkpoint; acknowledgements of others count for nothing.
 * 3. The next checkpoint begins only after the manifest of this one has been stored or the checkpoint was aborted.
 * 4. Once the job is ending, one more checkpoint is taken from the beginning; when it is stored the job is finished.
 */
export class CheckpointCoordinator {
  readonly #options: CoordinatorOptions
  readonly #subtasks: readonly string[]
  #phase: Phase
  #nextId: number
  #lastTriggerMs: number
  #lastCompletedMs = Number.NEGATIVE_INFINITY
  #failures = 0
  #ending = false

  /** @param lastCheckpoint the newest id that may have been used; @param nowMs the job starts now */
  constructor(options: CoordinatorOptions, subtasks: readonly string[], lastCheckpoint: number, nowMs: number) {
    this.#options = options
    this.#subtasks = subtasks
    this.#nextId = lastCheckpoint + 1
    this.#lastTriggerMs = nowMs
    this.#phase = { name: 'waiting', until: nowMs + options.intervalMs }
  }

  /** The checkpoint in flight, and who has not acknowledged it. */
  get pending(): { readonly checkpoint: number; readonly missing: readonly string[] } | undefined {
    return this.#phase.name === 'pending' ? { checkpoint: this.#phase.checkpoint, missing: [...this.#phase.missing] } : undefined
  }

  /** When `onTick` wants to be called; `Infinity` for never. */
  get deadlineMs(): number {
    if (this.#phase.name === 'waiting') return this.#phase.until
    return this.#phase.name === 'pending' ? this.#phase.since + this.#options.timeoutMs : Number.POSITIVE_INFINITY
  }

  onTick(nowMs: number): readonly CoordinatorCommand[] {
    const phase = this.#phase
    if (nowMs < this.deadlineMs) return []
    if (phase.name === 'waiting') return this.#trigger(nowMs)
    if (phase.name !== 'pending') return []
    const missing = [...phase.missing].sort()
    const named = missing.slice(0, 3).join(', ') + (missing.length > 3 ? ` and ${missing.length - 3} more` : '')
    return this.#giveUp(phase.checkpoint, `timed out after ${this.#options.timeoutMs} ms; not acknowledged by ${named}`, nowMs)
  }

  onAcknowledge(checkpoint: number, subtask: string, nowMs: number): readonly CoordinatorCommand[] {
    const phase = this.#phase
    if (phase.name !== 'pending' || phase.checkpoint !== checkpoint) return []
    phase.missing.delete(subtask)
    if (phase.missing.size > 0) return nowMs < this.deadlineMs ? [] : this.onTick(nowMs)
    this.#phase = { name: 'storing', checkpoint, since: phase.since, final: phase.final }
    return [{ type: 'store', checkpoint }]
  }

  /** A subtask could not take its snapshot. */
  onDecline(checkpoint: number, subtask: string, reason: string, nowMs: number): readonly CoordinatorCommand[] {
    const phase = this.#phase
    if (phase.name !== 'pending' || phase.checkpoint !== checkpoint) return []
    return this.#giveUp(checkpoint, `declined by ${subtask}: ${reason}`, nowMs)
  }

  /** The manifest is durable: the checkpoint is complete. */
  onStored(checkpoint: number, nowMs: number): readonly CoordinatorCommand[] {
    const phase = this.#phase
    if (phase.name !== 'storing' || phase.checkpoint !== checkpoint) return []
    this.#failures = 0
    this.#lastCompletedMs = nowMs
    if (phase.final) {
      this.#phase = { name: 'finished' }
      return [{ type: 'finished', checkpoint }]
    }
    return this.#wait(nowMs)
  }

  /** Every subtask has come to the end of its input, or the user wants the job to stop: one more checkpoint, then nothing. */
  onEnding(nowMs: number): readonly CoordinatorCommand[] {
    this.#ending = true
    // One that is under way may have begun before the end: it cannot be the last.
    return this.#phase.name === 'waiting' ? this.#trigger(nowMs) : []
  }

  #trigger(nowMs: number): readonly CoordinatorCommand[] {
    const checkpoint = this.#nextId++
    this.#lastTriggerMs = nowMs
    this.#phase = { name: 'pending', checkpoint, since: nowMs, missing: new Set(this.#subtasks), final: this.#ending }
    return [{ type: 'trigger', checkpoint }]
  }

  #giveUp(checkpoint: number, reason: string, nowMs: number): readonly CoordinatorCommand[] {
    const abort: CoordinatorCommand = { type: 'abort', checkpoint, reason }
    this.#failures++
    if (this.#failures > this.#options.tolerableFailures) {
      this.#phase = { name: 'finished' }
      return [abort, { type: 'fail', reason: `checkpoint ${checkpoint} ${reason}` }]
    }
    return [abort, ...this.#wait(nowMs)]
  }

  #wait(nowMs: number): readonly CoordinatorCommand[] {
    if (this.#ending) return this.#trigger(nowMs)
    const until = Math.max(
      this.#lastTriggerMs + this.#options.intervalMs,
      this.#lastCompletedMs + this.#options.minPauseMs,
      nowMs,
    )
    this.#phase = { name: 'waiting', until }
    return []
  }
}
