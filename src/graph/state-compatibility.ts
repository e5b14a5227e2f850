import type { Json } from '../core/json.ts'

/*
 * Whether an operator can go on with the states that an earlier edition of it declared. Pure. What always holds:
 *
 * - Nothing that was stored is dropped or misread without a word: a state that is gone is told, one of another kind or of a version without a
 *   way to today's is incompatible.
 * - What changes nothing about the stored values (a state that is new, another length of life, a migration that is not needed) is no
 *   difference.
 */

/** What a node's settings say about one of its states. Older graphs say less. */
export interface DeclaredState {
  readonly name: string
  readonly kind: string
  readonly version?: number
  readonly migrates?: boolean
}

/** What becomes of one state when a job goes on with what is stored. */
export type StateVerdict = 'kept' | 'migrated' | 'new' | 'dropped' | 'incompatible'

/** A state of an operator, then and now. */
export interface StateComparison {
  readonly state: string
  readonly verdict: StateVerdict
  /** What differs, as the end of a sentence that begins with the state. */
  readonly detail?: string
  /** What to write instead. */
  readonly hint?: string
}

/** What becomes of each stored state, and which ones are new, by the settings of the operator then and now. */
export function compareStates(before: Json, after: Json): readonly StateComparison[] {
  const [stored, declared] = [statesOf(before), statesOf(after)]
  const now = new Map(declared.map((state) => [state.name, state]))
  const then = new Set(stored.map((state) => state.name))
  return [
    ...stored.map((state) => ({ state: state.name, ...outcomeOf(state, now.get(state.name)) })),
    ...declared.filter((state) => !then.has(state.name)).map(({ name }) => ({ state: name, verdict: 'new' as const })),
  ]
}

type Outcome = Omit<StateComparison, 'state'>

function outcomeOf(stored: DeclaredState, declared: DeclaredState | undefined): Outcome {
  if (declared === undefined) {
    const verb = stored.kind === 'operator-list' ? 'operatorList' : stored.kind
    return {
      verdict: 'dropped',
      detail: 'is no longer declared, and what it holds would be dropped',
      hint: `keep ${stored.name}: ${verb}State(...) declared, or forget the state with --fresh`,
    }
  }
  if (stored.kind !== declared.kind) {
    return {
      verdict: 'incompatible',
      detail: `was stored as ${stored.kind} state and is now declared as ${declared.kind} state`,
      hint: 'give the new one another name and keep the old one declared, or forget the state with --fresh',
    }
  }
  return outcomeOfVersions(stored.version ?? 1, declared.version ?? 1, declared.migrates === true)
}

function outcomeOfVersions(stored: number, declared: number, migrates: boolean): Outcome {
  if (declared === stored) return { verdict: 'kept' }
  if (declared < stored) {
    return {
      verdict: 'incompatible',
      detail: `was written by a newer version of the job: in version ${stored}, the job now declares version ${declared}`,
      hint: 'run the newer job again, or forget the state with --fresh',
    }
  }
  if (migrates) return { verdict: 'migrated', detail: `goes from version ${stored} to version ${declared} by migrate` }
  return {
    verdict: 'incompatible',
    detail: `was stored in version ${stored} and is now declared in version ${declared} without a migrate function`,
    hint: `add migrate: (old, version) => ..., which makes a value of version ${declared} from one of version ${stored}`,
  }
}

/** The states that an operator declares. */
export function statesOf(settings: Json): readonly DeclaredState[] {
  const states = isFields(settings) ? settings['states'] : undefined
  return Array.isArray(states) ? (states as unknown as readonly DeclaredState[]) : []
}

/** Whether settings have names, as those of nearly all nodes do. */
export function isFields(settings: Json): settings is { readonly [name: string]: Json | undefined } {
  return typeof settings === 'object' && settings !== null && !Array.isArray(settings)
}
