import { taskOfSubtask } from '../graph/execution-plan.ts'

/** What the coordinator wants done. */
export type CoordinatorCommand =
  /** Ask the sources for the barrier of a new checkpoint. */
  | {
      readonly type: 'trigger'
      readonly checkpoint: number
      /** The requests that it serves; empty for one that only its time has come for. */
      readonly requests: readonly string[]
      /** It is the last one of the job, unless it fails and is tried again. */
      readonly final: boolean
    }
  /** Tell the tasks to wait for no further barrier of this checkpoint, and to store what is on its way instead. */
  | { readonly type: 'unalign'; readonly checkpoint: number }
  /**
   * Everyone has acknowledged: write the manifest, then say `onStored` or `onStoreFailed`. Once it is stored it has served all `requests`:
   * its own, and those of older checkpoints that it leaves behind.
   */
  | { readonly type: 'store'; readonly checkpoint: number; readonly requests: readonly string[] }
  /** Tell the tasks that a checkpoint is given up. */
  | {
      readonly type: 'abort'
      readonly checkpoint: number
      readonly reason: string
      /** What went wrong; `undefined` when nothing did: it was subsumed, or nobody wants it any more. */
      readonly failure: CheckpointFailure | undefined
      /** Whether it counts against the failures that are tolerated. */
      readonly counts: boolean
      /** The requests that fail with it. They are not tried again by themselves. */
      readonly requests: readonly string[]
    }
  /** Too many checkpoints failed in a row: the job fails. Nothing is said after that. */
  | { readonly type: 'fail'; readonly reason: string }
  /**
   * The final checkpoint is complete: nothing of this job is left to do but to commit. It serves `requests` too, which came while it was
   * being stored. Nothing is said after that.
   */
  | { readonly type: 'finished'; readonly checkpoint: number; readonly requests: readonly string[] }

/** How far a subtask has come with a checkpoint that it has not acknowledged. */
export type SubtaskPhase = 'trigger' | 'alignment' | 'snapshot'

/** Where a checkpoint broke. */
export type FailurePhase = SubtaskPhase | 'prepare' | 'store' | 'timeout'

/** Why a checkpoint failed, for its history. `operator` and `subtask` are absent when there is no single one to name. */
export interface CheckpointFailure {
  readonly operator?: string
  /** Its name, such as `map-1/0`. */
  readonly subtask?: string
  readonly phase: FailurePhase
  readonly message: string
}

export interface CoordinatorOptions {
  /** Milliseconds from trigger to trigger; `Infinity` when periodic checkpoints are off. */
  readonly intervalMs: number
  readonly timeoutMs: number
  /** From the completion of one checkpoint to the trigger of the next. More than 0 implies that at most one is in flight. */
  readonly minPauseMs: number
  /** Consecutive checkpoints that may fail before the job does. */
  readonly tolerableFailures: number
  /** Checkpoints that may be in flight at a time. */
  readonly maxConcurrent: number
  /** A checkpoint that is pending so long after its trigger is told to be unaligned; `Infinity` for never. */
  readonly alignmentTimeoutMs: number
}

/** A checkpoint that was triggered and is neither stored nor given up. */
export interface CheckpointInFlight {
  readonly checkpoint: number
  readonly triggeredMs: number
  readonly final: boolean
  readonly requests: readonly string[]
  /** Subtasks that have not acknowledged, in the order of the plan; empty while it is stored, or waits for its turn to be. */
  readonly missing: readonly string[]
  /** How far each of them has come. */
  readonly phases: ReadonlyMap<string, SubtaskPhase>
  readonly storing: boolean
}

interface Flight {
  readonly checkpoint: number
  readonly triggeredMs: number
  readonly final: boolean
  /** Taken also if nobody had requested anything. */
  readonly due: boolean
  readonly requests: Set<string>
  readonly missing: Map<string, SubtaskPhase>
  storing: boolean
  unaligned: boolean
}

/** Missing subtasks that the message of a timeout names. */
const NAMED_MISSING = 3

const PHASE_ORDER: readonly SubtaskPhase[] = ['trigger', 'alignment', 'snapshot']

const PHASE_WORDS: Readonly<Record<SubtaskPhase, string>> = {
  trigger: 'waiting for its barrier',
  alignment: 'waiting for the barriers of its other inputs',
  snapshot: 'writing its snapshot',
}

/**
 * Decides when a checkpoint begins, when it is complete and when it has failed. It has no hands: messages and the time go in, commands come
 * out. What always holds:
 *
 * 1. At most `maxConcurrent` checkpoints are in flight, and ids rise; an id is never used twice.
 * 2. The subtasks that must acknowledge a checkpoint are fixed when it is triggered. `store` comes only after every one of them has
 *    acknowledged exactly that checkpoint; acknowledgements of others count for nothing.
 * 3. One checkpoint is stored at a time, and completed ids rise: when one is stored, all older ones in flight are given up, without blame.
 * 4. A checkpoint is given up at most once, and counts at most once as a failure. A completed one forgives all failures before it.
 * 5. While a region of the job is away nothing is triggered. What was in flight when it was lost is given up without blame, and its requests wait.
 * 6. Once the job is ending, one more checkpoint is taken from the beginning; when it is stored the job is finished.
 */
export class CheckpointCoordinator {
  readonly #options: CoordinatorOptions
  readonly #subtasks: readonly string[]
  readonly #maxInFlight: number
  /** By id, oldest first. */
  readonly #inFlight = new Map<number, Flight>()
  /** Requests that no checkpoint serves yet. */
  readonly #waiting = new Set<string>()
  #nextId: number
  #lastTriggerMs: number
  #lastCompletedMs = Number.NEGATIVE_INFINITY
  #failures = 0
  #ending = false
  #away = false
  #over = false

  /** @param lastCheckpoint the newest id that may have been used; @param nowMs the job starts now */
  constructor(options: CoordinatorOptions, subtasks: readonly string[], lastCheckpoint: number, nowMs: number) {
    this.#options = options
    this.#subtasks = subtasks
    this.#maxInFlight = options.minPauseMs > 0 ? 1 : options.maxConcurrent
    this.#nextId = lastCheckpoint + 1
    this.#lastTriggerMs = nowMs
  }

  /** The newest id that was used. */
  get lastCheckpoint(): number {
    return this.#nextId - 1
  }

  /** The oldest checkpoint that somebody has not acknowledged, and who has not. */
  get pending(): { readonly checkpoint: number; readonly missing: readonly string[] } | undefined {
    return this.inFlight.find((flight) => flight.missing.length > 0)
  }

  /** All checkpoints in flight, oldest first. */
  get inFlight(): readonly CheckpointInFlight[] {
    return [...this.#inFlight.values()].map(({ checkpoint, triggeredMs, final, requests, missing, storing }) => ({
      checkpoint,
      triggeredMs,
      final,
      requests: [...requests],
      missing: [...missing.keys()],
      phases: new Map(missing),
      storing,
    }))
  }

  /** Requests that no checkpoint has been triggered for yet. */
  get waitingRequests(): readonly string[] {
    return [...this.#waiting]
  }

  /** Whether the acknowledgement of this subtask is still wanted: what comes with any other needs no keeping. */
  awaits(checkpoint: number, subtask: string): boolean {
    return this.#inFlight.get(checkpoint)?.missing.has(subtask) ?? false
  }

  /** When `onTick` wants to be called, possibly in the past; `Infinity` for never. */
  get deadlineMs(): number {
    const deadlines = [...this.#inFlight.values()].map((flight) => Math.min(this.#expiryMs(flight), this.#unalignMs(flight)))
    return Math.min(this.#dueMs, ...deadlines)
  }

  onTick(nowMs: number): readonly CoordinatorCommand[] {
    const commands: CoordinatorCommand[] = []
    for (const flight of [...this.#inFlight.values()]) {
      if (nowMs >= this.#expiryMs(flight)) {
        commands.push(...this.#giveUp(flight, timeoutOf(flight, this.#options.timeoutMs)))
        if (this.#over) return commands
      } else if (nowMs >= this.#unalignMs(flight)) {
        flight.unaligned = true
        commands.push({ type: 'unalign', checkpoint: flight.checkpoint })
      }
    }
    commands.push(...this.#proceed(nowMs))
    if (nowMs >= this.#dueMs) commands.push(this.#trigger(nowMs))
    return commands
  }

  /**
   * Somebody wants a checkpoint now: it is taken as soon as there is room for one, whatever interval and pause say. An id that waits or is
   * being served already changes nothing. A request that comes when the job is ending is served by the final checkpoint; one that comes
   * after the end is not answered at all.
   */
  onRequest(request: string, nowMs: number): readonly CoordinatorCommand[] {
    const flights = [...this.#inFlight.values()]
    if (this.#over || flights.some((flight) => flight.requests.has(request))) return []
    const final = flights.find((flight) => flight.final && !flight.storing)
    if (final !== undefined) final.requests.add(request)
    else this.#waiting.add(request)
    return this.#proceed(nowMs)
  }

  /** Nobody waits for the request any more. A checkpoint that is taken for it alone, and not complete, is given up. */
  onCancelRequest(request: string, nowMs: number): readonly CoordinatorCommand[] {
    this.#waiting.delete(request)
    const flight = [...this.#inFlight.values()].find(({ requests }) => requests.delete(request))
    if (flight === undefined || flight.due || flight.requests.size > 0 || flight.missing.size === 0) return []
    this.#inFlight.delete(flight.checkpoint)
    return [withoutBlame(flight.checkpoint, `its request '${request}' was cancelled`, [request]), ...this.#proceed(nowMs)]
  }

  /** A subtask has come so far with a checkpoint. Only needed to say in which phase somebody is who is late. */
  onProgress(checkpoint: number, subtask: string, phase: 'alignment' | 'snapshot', nowMs: number): readonly CoordinatorCommand[] {
    const missing = this.#inFlight.get(checkpoint)?.missing
    const known = missing?.get(subtask)
    if (missing === undefined || known === undefined) return []
    if (PHASE_ORDER.indexOf(phase) > PHASE_ORDER.indexOf(known)) missing.set(subtask, phase)
    return nowMs < this.deadlineMs ? [] : this.onTick(nowMs)
  }

  onAcknowledge(checkpoint: number, subtask: string, nowMs: number): readonly CoordinatorCommand[] {
    const missing = this.#inFlight.get(checkpoint)?.missing
    if (missing === undefined || !missing.delete(subtask)) return []
    if (missing.size === 0) return this.#storeNext()
    return nowMs < this.deadlineMs ? [] : this.onTick(nowMs)
  }

  /**
   * A subtask could not take its snapshot.
   * @param operator the one of its operators in which it happened; otherwise the whole task is named
   */
  onDecline(
    checkpoint: number,
    subtask: string,
    phase: SubtaskPhase | 'prepare',
    reason: string,
    nowMs: number,
    operator: string = taskOfSubtask(subtask),
  ): readonly CoordinatorCommand[] {
    const flight = this.#inFlight.get(checkpoint)
    if (flight === undefined || !flight.missing.has(subtask)) return []
    const failure = { operator, subtask, phase, message: `declined by ${subtask}: ${reason}` }
    return this.#failed(flight, failure, nowMs)
  }

  /** The manifest is durable: the checkpoint is complete. */
  onStored(checkpoint: number, nowMs: number): readonly CoordinatorCommand[] {
    const flight = this.#inFlight.get(checkpoint)
    if (flight?.storing !== true) return []
    this.#inFlight.delete(checkpoint)
    this.#failures = 0
    this.#lastCompletedMs = nowMs
    const subsumed = this.#subsume(checkpoint)
    if (!flight.final) return [...subsumed, ...this.#proceed(nowMs)]
    this.#over = true
    return [...subsumed, { type: 'finished', checkpoint, requests: this.#takeWaiting() }]
  }

  /** The manifest could not be written, and it is certain that it was not: the disk is full, for example. */
  onStoreFailed(checkpoint: number, reason: string, nowMs: number): readonly CoordinatorCommand[] {
    const flight = this.#inFlight.get(checkpoint)
    if (flight?.storing !== true) return []
    return this.#failed(flight, { phase: 'store', message: `could not be stored: ${reason}` }, nowMs)
  }

  /** Every subtask has come to the end of its input, or the user wants the job to stop: one more checkpoint, then nothing. */
  onEnding(nowMs: number): readonly CoordinatorCommand[] {
    this.#ending = true
    // One that is under way may have begun before the end: it cannot be the last.
    return this.#proceed(nowMs)
  }

  /** A region of the job is lost and will start again from the last complete checkpoint; if the job was ending, it is no longer. */
  onRegionLost(): readonly CoordinatorCommand[] {
    this.#away = true
    this.#ending = false
    // Of one that is being stored everybody has done everything.
    const flights = [...this.#inFlight.values()].filter(({ storing }) => !storing)
    for (const { checkpoint, requests } of flights) {
      this.#inFlight.delete(checkpoint)
      for (const request of requests) this.#waiting.add(request)
    }
    return flights.map(({ checkpoint }) => withoutBlame(checkpoint, 'a region of the job starts again', []))
  }

  /** All regions of the job run. */
  onRegionsBack(nowMs: number): readonly CoordinatorCommand[] {
    this.#away = false
    return this.#proceed(nowMs)
  }

  // When

  get #hasRoom(): boolean {
    return !this.#over && !this.#away && this.#inFlight.size < this.#maxInFlight
  }

  /** When the next periodic checkpoint is triggered. */
  get #dueMs(): number {
    if (!this.#hasRoom || this.#ending) return Number.POSITIVE_INFINITY
    return Math.max(this.#lastTriggerMs + this.#options.intervalMs, this.#lastCompletedMs + this.#options.minPauseMs)
  }

  #expiryMs(flight: Flight): number {
    return flight.missing.size === 0 ? Number.POSITIVE_INFINITY : flight.triggeredMs + this.#options.timeoutMs
  }

  #unalignMs(flight: Flight): number {
    if (flight.missing.size === 0 || flight.unaligned) return Number.POSITIVE_INFINITY
    return flight.triggeredMs + this.#options.alignmentTimeoutMs
  }

  // What

  /** What does not wait for its time: a complete checkpoint is stored, and what the end of the job or a request wants is triggered. */
  #proceed(nowMs: number): readonly CoordinatorCommand[] {
    if (this.#over) return []
    const wanted = this.#ending ? ![...this.#inFlight.values()].some((flight) => flight.final) : this.#waiting.size > 0
    return [...this.#storeNext(), ...(wanted && this.#hasRoom ? [this.#trigger(nowMs)] : [])]
  }

  /** The oldest complete one, because a newer one would leave it behind. */
  #storeNext(): readonly CoordinatorCommand[] {
    const flights = [...this.#inFlight.values()]
    if (flights.some((flight) => flight.storing)) return []
    const index = flights.findIndex((flight) => flight.missing.size === 0)
    if (index < 0) return []
    const flight = flights[index]!
    flight.storing = true
    const requests = flights.slice(0, index + 1).flatMap((served) => [...served.requests])
    return [{ type: 'store', checkpoint: flight.checkpoint, requests }]
  }

  #trigger(nowMs: number): CoordinatorCommand {
    const due = this.#ending || nowMs >= this.#dueMs
    const checkpoint = this.#nextId++
    const requests = this.#takeWaiting()
    this.#lastTriggerMs = nowMs
    this.#inFlight.set(checkpoint, {
      checkpoint,
      triggeredMs: nowMs,
      final: this.#ending,
      due,
      requests: new Set(requests),
      missing: new Map(this.#subtasks.map((subtask) => [subtask, 'trigger'])),
      storing: false,
      unaligned: false,
    })
    return { type: 'trigger', checkpoint, requests, final: this.#ending }
  }

  #takeWaiting(): readonly string[] {
    const requests = [...this.#waiting]
    this.#waiting.clear()
    return requests
  }

  /** Older ones have nothing to add to a complete checkpoint, which has served their requests. */
  #subsume(completed: number): readonly CoordinatorCommand[] {
    const older = [...this.#inFlight.keys()].filter((checkpoint) => checkpoint < completed)
    for (const checkpoint of older) this.#inFlight.delete(checkpoint)
    return older.map((checkpoint) => withoutBlame(checkpoint, `subsumed by checkpoint ${completed}`, []))
  }

  #failed(flight: Flight, failure: CheckpointFailure, nowMs: number): readonly CoordinatorCommand[] {
    const commands = this.#giveUp(flight, failure)
    return [...commands, ...this.#proceed(nowMs)]
  }

  #giveUp({ checkpoint, requests }: Flight, failure: CheckpointFailure): readonly CoordinatorCommand[] {
    this.#inFlight.delete(checkpoint)
    const reason = failure.message
    const abort = { type: 'abort', checkpoint, reason, failure, counts: true, requests: [...requests] } as const
    this.#failures++
    if (this.#failures <= this.#options.tolerableFailures) return [abort]
    this.#over = true
    this.#inFlight.clear()
    return [abort, { type: 'fail', reason: `checkpoint ${checkpoint} ${reason}` }]
  }
}

function withoutBlame(checkpoint: number, reason: string, requests: readonly string[]): CoordinatorCommand {
  return { type: 'abort', checkpoint, reason, failure: undefined, counts: false, requests }
}

/** In the order of the plan, so that the first one named is the first that the barrier has not got through. */
function timeoutOf({ missing }: Flight, timeoutMs: number): CheckpointFailure {
  const named = [...missing].slice(0, NAMED_MISSING).map(([subtask, phase]) => `${subtask} (${PHASE_WORDS[phase]})`)
  const more = missing.size > NAMED_MISSING ? ` and ${missing.size - NAMED_MISSING} more` : ''
  const verb = missing.size === 1 ? 'has' : 'have'
  const message = `timed out after ${timeoutMs} ms; ${named.join(', ')}${more} ${verb} not acknowledged`
  const [only] = missing.keys()
  if (missing.size > 1 || only === undefined) return { phase: 'timeout', message }
  return { operator: taskOfSubtask(only), subtask: only, phase: 'timeout', message }
}
