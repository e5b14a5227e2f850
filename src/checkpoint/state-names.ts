import { SluiceError } from '../core/errors.ts'
import { statesOf } from '../graph/state-compatibility.ts'
import type { NodeDescription } from '../graph/stream-graph.ts'
import type { StateKind } from '../state/delta-chunk.ts'
import { idOf } from './state-overlay.ts'
import type { RegisteredState } from './stored-base.ts'

/** Kinds of states that jobs declare. */
const DECLARED_KINDS = ['value', 'list', 'map', 'reducing', 'aggregating'] as const

/** How a state is used, as far as the job says; else how it is stored. */
export type StateUse = (typeof DECLARED_KINDS)[number] | StateKind

/** A state of an operator. */
export interface StateListing {
  /** Its id. */
  readonly operator: string
  /**
   * Its name. Rows of timers have names of their own, which may be the empty one: they are listed as `event-timer:<name>` and
   * `processing-timer:<name>`.
   */
  readonly state: string
  readonly kind: StateUse
}

/** A state under the name that users know. */
export interface NamedState extends StateListing {
  readonly stored: RegisteredState
}

/** Under which names users find the states of a checkpoint: those of which anything is stored, and those that the job declares. In order. */
export function namedStates(stored: readonly RegisteredState[], graph: readonly NodeDescription[]): readonly NamedState[] {
  const declared = graph.flatMap(declaredBy)
  const uses = new Map(declared.map((each) => [idOf(each.stored.operator, each.stored), each.use]))
  const all = new Map([...declared.map((each) => each.stored), ...stored].map((state) => [idOf(state.operator, state), state]))
  const named = [...all].map(([id, state]) => ({
    operator: state.operator,
    state: nameOf(state),
    kind: uses.get(id) ?? state.kind,
    stored: state,
  }))
  return named.sort((a, b) => compare(a.operator, b.operator) || compare(a.state, b.state))
}

/** The keyed states that a node says it has. */
function declaredBy({ id, settings }: NodeDescription): readonly { readonly stored: RegisteredState; readonly use: StateUse }[] {
  return statesOf(settings).flatMap(({ name, kind }) => {
    const use = DECLARED_KINDS.find((each) => each === kind)
    // A copy of what is broadcast belongs to a subtask and not to a key.
    if (use === undefined || name.startsWith('broadcast:')) return []
    return [{ stored: { operator: id, kind: 'table', name }, use }]
  })
}

function nameOf({ kind, name }: RegisteredState): string {
  return kind === 'table' || kind === 'pane' ? name : `${kind}:${name}`
}

/** By code units, so that it is the same everywhere. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}

/** @throws SluiceError `INVALID_OPTION`, saying which there are */
export function findState(states: readonly NamedState[], operator: string, state: string): NamedState {
  const found = states.find((each) => each.operator === operator && each.state === state)
  if (found !== undefined) return found
  const own = states.filter((each) => each.operator === operator)
  if (own.length > 0)
    throw unknown(
      `'${operator}' has no state '${state}'`,
      own.map((each) => each.state),
    )
  throw unknown(`no operator '${operator}' has keyed state`, [...new Set(states.map((each) => each.operator))])
}

function unknown(what: string, known: readonly string[]): SluiceError {
  return new SluiceError('INVALID_OPTION', what, {
    hint: known.length === 0 ? 'there is none' : `there are: ${known.join(', ')}`,
  })
}
