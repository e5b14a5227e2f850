import type { Json } from '../core/json.ts'
import type { NodeDescription } from './stream-graph.ts'

/*
 * Whether a job can go on with the state that an earlier edition of it stored. Pure. What always holds:
 *
 * - Nothing that was stored is dropped or misread without a word: a state that is gone, of another kind or of a version without a way to
 *   today's is refused.
 * - What changes nothing about the stored values (a state that is new, another length of life, a migration that is not needed) is no
 *   difference.
 */

/** What a node's settings say about one of its states. Older graphs say less. */
interface DeclaredState {
  readonly name: string
  readonly kind: string
  readonly version?: number
  readonly migrates?: boolean
}

/** Why the state of an operator cannot be used as it is. */
export interface StateProblem {
  readonly operator: string
  readonly state: string
  readonly problem: string
  /** What to write instead. */
  readonly hint: string
}

/** Everything that stands between the stored states and the declared ones of the operators that both graphs have. */
export function stateProblems(before: readonly NodeDescription[], after: readonly NodeDescription[]): readonly StateProblem[] {
  const now = new Map(after.map((node) => [node.id, node]))
  return before.flatMap((node) => {
    const other = now.get(node.id)
    return other === undefined ? [] : nodeProblems(node, other)
  })
}

/** The graph without what its nodes say about their states: what else must be equal to go on. */
export function withoutStates(graph: readonly NodeDescription[]): readonly NodeDescription[] {
  return graph.map((node) => ({ ...node, settings: settingsWithoutStates(node.settings) }))
}

function settingsWithoutStates(settings: Json): Json {
  if (!isFields(settings) || !Array.isArray(settings['states'])) return settings
  const { states: _, ...rest } = settings
  // An operator that declares its first state had no settings before.
  return Object.keys(rest).length === 0 ? null : rest
}

function nodeProblems(before: NodeDescription, after: NodeDescription): readonly StateProblem[] {
  const declared = new Map(statesOf(after.settings).map((state) => [state.name, state]))
  return statesOf(before.settings).flatMap((stored) => {
    const found = problemOf(stored, declared.get(stored.name))
    return found === undefined ? [] : [{ operator: after.id, state: stored.name, ...found }]
  })
}

function problemOf(stored: DeclaredState, declared: DeclaredState | undefined): { problem: string; hint: string } | undefined {
  if (declared === undefined) {
    return {
      problem: 'is no longer declared, and what it holds would be dropped',
      hint: `keep ${stored.name}: ${stored.kind === 'operator-list' ? 'operatorList' : stored.kind}State(...) declared, or forget the state with --fresh`,
    }
  }
  if (stored.kind !== declared.kind) {
    return {
      problem: `was stored as ${stored.kind} state and is now declared as ${declared.kind} state`,
      hint: 'give the new one another name and keep the old one declared, or forget the state with --fresh',
    }
  }
  return versionProblem(stored.version ?? 1, declared.version ?? 1, declared.migrates === true)
}

function versionProblem(stored: number, declared: number, migrates: boolean): { problem: string; hint: string } | undefined {
  if (declared > stored && !migrates) {
    return {
      problem: `was stored in version ${stored} and is now declared in version ${declared} without a migrate function`,
      hint: `add migrate: (old, version) => ..., which makes a value of version ${declared} from one of version ${stored}`,
    }
  }
  if (declared < stored) {
    return {
      problem: `was written by a newer version of the job: in version ${stored}, the job now declares version ${declared}`,
      hint: 'run the newer job again, or forget the state with --fresh',
    }
  }
  return undefined
}

function statesOf(settings: Json): readonly DeclaredState[] {
  const states = isFields(settings) ? settings['states'] : undefined
  return Array.isArray(states) ? (states as unknown as readonly DeclaredState[]) : []
}

function isFields(settings: Json): settings is { readonly [name: string]: Json | undefined } {
  return typeof settings === 'object' && settings !== null && !Array.isArray(settings)
}
