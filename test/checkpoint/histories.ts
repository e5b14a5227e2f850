import fc from 'fast-check'
import type { CheckpointStore } from '../../src/checkpoint/checkpoint-store.ts'
import type { DroppedState, Manifest } from '../../src/checkpoint/manifest.ts'
import type { StateReader } from '../../src/checkpoint/state-reader.ts'
import type { Change } from './deltas.ts'
import { deltaOf } from './deltas.ts'
import { sampleManifest } from './manifests.ts'

/** As many key groups as the changes are dealt to. */
export const GROUPS = 4
export const OPERATORS = ['first', 'second'] as const
const TABLES = ['t', 'other'] as const

/** Keys that are short, numbers, and longer than a row key may be. */
const KEYS: readonly (string | number)[] = [1, 2, -7, 3.5, 'a', 'b', 'x'.repeat(1024), 'y'.repeat(1100), `${'y'.repeat(1100)}z`]

const key = fc.constantFrom(...KEYS)
const value = fc.oneof(fc.integer(), fc.string({ maxLength: 8 }), fc.constant(undefined))

const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ key, value, table: fc.constantFrom(...TABLES) }),
  fc.record({ key, value, window: fc.constantFrom(-10, 0, 10) }),
  fc.record({ key, value: fc.boolean(), timer: fc.constantFrom(5, 7.5) }),
  fc.record({ drop: fc.constantFrom(-10, 0, 10) }),
)

export type Step =
  | { readonly type: 'checkpoint'; readonly changes: Readonly<Record<string, readonly Change[]>> }
  | { readonly type: 'fold'; readonly steps: number }
  | { readonly type: 'commit'; readonly retain: number }
  | { readonly type: 'lose a state'; readonly operator: string; readonly table: string }

const changes = fc.array(change, { maxLength: 12 })

export const history: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ type: fc.constant('checkpoint' as const), changes: fc.record({ first: changes, second: changes }) }),
    },
    { weight: 2, arbitrary: fc.record({ type: fc.constant('fold' as const), steps: fc.integer({ min: 1, max: 6 }) }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant('commit' as const), retain: fc.integer({ min: 1, max: 3 }) }) },
    {
      weight: 1,
      arbitrary: fc.record({
        type: fc.constant('lose a state' as const),
        operator: fc.constantFrom(...OPERATORS),
        table: fc.constantFrom(...TABLES),
      }),
    },
  ),
  { minLength: 1, maxLength: 14 },
)

/** All entries, by operator, state, window or time, and key. */
export type Content = ReadonlyMap<string, unknown>

function idOf(operator: string, state: string, place: number | undefined, keyOf: unknown): string {
  return JSON.stringify([operator, state, place ?? 0, keyOf])
}

/** A store, and beside it what each of its checkpoints must hold. */
export class Told {
  readonly store: CheckpointStore
  readonly contents = new Map<number, Content>()
  readonly #rows = new Map<string, unknown>()
  /** What the edition of the job that runs no longer has. */
  #dropped: readonly DroppedState[] = []
  #checkpoint = 0

  constructor(store: CheckpointStore) {
    this.store = store
  }

  follow(step: Step): void {
    switch (step.type) {
      case 'checkpoint':
        return this.checkpoint(step.changes)
      case 'fold':
        for (let count = 0; count < step.steps && this.store.foldStep(); count++) {}
        return
      case 'commit':
        if (this.#checkpoint > 0) this.store.committed(this.#checkpoint, step.retain)
        return
      case 'lose a state':
        return this.#lose(step.operator, step.table)
    }
  }

  checkpoint(all: Readonly<Record<string, readonly Change[]>>, more: Partial<Manifest> = {}): void {
    if (Object.entries(all).some(([operator, own]) => own.some((each) => this.#lacks(operator, each)))) this.#dropped = []
    this.#checkpoint++
    const latest = this.store.latest()
    const earlier = latest === undefined ? [] : this.store.unfolded(latest)
    const deltas = Object.entries(all).flatMap(([operator, own]) => {
      for (const each of own) this.#change(operator, each)
      return own.length === 0 ? [] : this.store.addDeltas(this.#checkpoint, operator, [deltaOf(own)])
    })
    const manifest = { maxParallelism: GROUPS, dropped: this.#dropped, deltas: [...earlier, ...deltas], committables: [] }
    this.store.complete(sampleManifest(this.#checkpoint, { ...manifest, ...more }))
    this.contents.set(this.#checkpoint, new Map(this.#rows))
  }

  /** Only an edition that has a state again writes to it. */
  #lacks(operator: string, { table = 't' }: Change): boolean {
    return this.#dropped.some((state) => state.operator === operator && state.name === table)
  }

  #change(operator: string, { key: keyOf, value: to, table = 't', window, timer, drop }: Change): void {
    if (drop !== undefined) {
      for (const id of this.#rows.keys())
        if (id.startsWith(`${JSON.stringify([operator, 'w', drop]).slice(0, -1)},`)) this.#rows.delete(id)
      return
    }
    const state = window !== undefined ? 'w' : timer !== undefined ? 'event-timer:' : table
    const id = idOf(operator, state, window ?? timer, keyOf)
    if (to === undefined || to === false) this.#rows.delete(id)
    else this.#rows.set(id, timer === undefined ? to : undefined)
  }

  /**
   * The job no longer has a state; the checkpoint after that is the first one that does not know it. As every start does that drops state, this one
   * lets older checkpoints go and folds before.
   */
  #lose(operator: string, table: string): void {
    if (this.#checkpoint > 0) this.store.committed(this.#checkpoint, 1)
    while (this.store.foldStep()) {}
    this.lose(operator, table)
  }

  lose(operator: string, table: string): void {
    for (const id of this.#rows.keys()) if (id.startsWith(`["${operator}","${table}",`)) this.#rows.delete(id)
    this.#dropped = [{ operator, kind: 'table', name: table, through: this.#checkpoint }]
    this.checkpoint({})
  }
}

export async function contentOf(reader: StateReader): Promise<Content> {
  const content = new Map<string, unknown>()
  for (const { operator, state } of reader.states()) {
    let before: Buffer | undefined
    for await (const { key: keyOf, window, time, value: held, position } of reader.placedEntries(operator, state)) {
      if (before !== undefined && before.compare(position) >= 0) throw new Error('entries are out of their order')
      before = position
      content.set(idOf(operator, state, window ?? time, keyOf), held)
    }
  }
  return content
}
