import type { StateDeclaration } from '../../../operators/keyed/state/declaration.ts'
import { StateTime } from '../../../operators/keyed/state/state-time.ts'
import type { OperatorContext } from '../../../src/core/operator.ts'
import type { KeyedBackend } from '../../../src/state/keyed-backend.ts'
import { StoredState } from '../../state/stored-state.ts'

/** What a state sees of the world, set by hand. */
interface World {
  watermark: number
  now: number
  timestamp: number
  timed: boolean
}

/** One declared state on a real backend, with time in hand. */
export class StateBench<Handle> {
  readonly backend: KeyedBackend
  readonly #state: StoredState
  readonly handle: Handle
  readonly time: StateTime
  readonly #declaration: StateDeclaration<Handle>
  readonly #world: World

  constructor(declaration: StateDeclaration<Handle>, world: Partial<World> = {}, chunks: readonly Uint8Array[] = []) {
    this.#state = new StoredState({ first: 0, last: 127 }, 128, chunks)
    this.backend = this.#state.backend
    this.#declaration = declaration
    this.#world = { watermark: Number.NEGATIVE_INFINITY, now: 0, timestamp: Number.NaN, timed: true, ...world }
    const seen = this.#world
    const context = {
      operatorId: 'process-1',
      subtask: 0,
      timed: seen.timed,
      clock: { now: () => seen.now },
      cell: {
        split: -1,
        get timestamp() {
          return seen.timestamp
        },
      },
      get watermark() {
        return seen.watermark
      },
    } as unknown as OperatorContext
    this.time = new StateTime(context, this.backend)
    this.handle = declaration.open(this.backend, 'state', this.time)
    this.backend.settleForms()
  }

  key(key: unknown): this {
    this.backend.setKey(key)
    return this
  }

  /** A record of a key is being handled. */
  record(key: unknown, timestamp = Number.NaN): Handle {
    this.#world.timestamp = timestamp
    return this.key(key).handle
  }

  /** The watermark rises, without timers of the user. */
  watermark(watermark: number): void {
    this.#world.watermark = watermark
    this.time.beginWatermark()
    this.time.endWatermark(watermark)
  }

  clock(now: number): void {
    this.#world.now = now
    this.time.onProcessingTime(now)
  }

  /** A new bench, maybe with the state declared anew, that goes on from a snapshot of this one. */
  restored<Next = Handle>(declaration?: StateDeclaration<Next>, world: Partial<World> = {}): StateBench<Next> {
    const next = (declaration ?? this.#declaration) as StateDeclaration<Next>
    return new StateBench(next, { ...this.#world, ...world }, this.#state.save())
  }

  /** How many values and timers a snapshot holds: with a ttl two for each key, else one. */
  stored(): number {
    this.#state.save()
    return this.#state.base.count(false) + this.#state.base.count(true)
  }
}
