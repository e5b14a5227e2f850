import { getHeapStatistics } from 'node:v8'
import type { KeyedBackend } from '../state/keyed-backend.ts'

/** Of the heap of a thread, when the user has not said less: the rest is for records, code and garbage. */
const SHARE_OF_HEAP = 0.4
/** At the limit so much is evicted that it does not come back at once. */
const EVICT_TO = 0.85
/** Above this share of the limit the input has to wait. */
const SEVERE = 1.25
const LOOK_MS = 50
const COMPLAIN_MS = 100

/** What keyed state may take in the memory of this thread. */
export function stateMemoryLimit(givenBytes: number): number {
  return Math.min(givenBytes, SHARE_OF_HEAP * getHeapStatistics().heap_size_limit)
}

/**
 * Keeps the keyed state of a worker within its limit, by about: what the base holds is evicted and read again when it is needed. What the base
 * does not hold yet cannot be evicted; then the main thread is asked for a checkpoint, which brings it there.
 */
export class StateMemory {
  readonly #backends: () => readonly KeyedBackend[]
  readonly #limitBytes: number
  /** Asks for a checkpoint; when it is `severe`, the input waits for it. */
  readonly complain: (severe: boolean) => void
  readonly #now: () => number
  #lookedAtMs = 0
  #complainedAtMs = Number.NEGATIVE_INFINITY

  /** @param backends those of now: tasks come and go */
  constructor(
    backends: () => readonly KeyedBackend[],
    limitBytes: number,
    complain: (severe: boolean) => void,
    now: () => number = () => performance.now(),
  ) {
    this.#backends = backends
    this.#limitBytes = limitBytes
    this.complain = complain
    this.#now = now
  }

  /** To be called often, between steps. */
  keep(): void {
    if (this.#limitBytes === Number.POSITIVE_INFINITY) return
    const nowMs = this.#now()
    if (nowMs - this.#lookedAtMs < LOOK_MS) return
    this.#lookedAtMs = nowMs
    const bytes = this.bytes
    if (bytes <= this.#limitBytes) return
    this.#evict(1 - (EVICT_TO * this.#limitBytes) / bytes)
    const left = this.bytes
    if (left <= this.#limitBytes || nowMs - this.#complainedAtMs < COMPLAIN_MS) return
    this.#complainedAtMs = nowMs
    this.complain(left > SEVERE * this.#limitBytes)
  }

  /** Of keyed state in memory, by estimate. */
  get bytes(): number {
    return this.#backends().reduce((sum, backend) => sum + backend.memoryBytes, 0)
  }

  #evict(share: number): void {
    for (const backend of this.#backends()) backend.evict(Math.ceil(backend.size * share))
  }
}
