import type { Json } from '../core/json.ts'
import type { StateComparison, StateVerdict } from './state-compatibility.ts'
import { compareStates, isFields, statesOf } from './state-compatibility.ts'
import type { NodeDescription } from './stream-graph.ts'

/*
 * Whether a job can go on with what another edition of it stored, operator by operator. Pure, and by descriptions alone. What always holds:
 *
 * - Operators are matched by id. What held no state may come, go and change; so may edges, as long as an operator with keys keeps them.
 * - Nothing that was stored disappears without a word: each stored state is kept, migrated, dropped or incompatible, and has a line of its own.
 * - What would be misread is incompatible.
 */

/**
 * What becomes of an operator. `removed` is gone and held nothing, so that nobody has to agree; `dropped` is gone or has lost a state, and what
 * it held goes with it.
 */
export type OperatorVerdict = 'kept' | 'migrated' | 'new' | 'removed' | 'dropped' | 'incompatible'

export interface StateReport extends StateComparison {}

export interface OperatorReport {
  readonly operator: string
  /** The verb: the job's, or that of the stored graph when the operator is gone. */
  readonly kind: string
  readonly verdict: OperatorVerdict
  readonly states: readonly StateReport[]
  /** What differs. */
  readonly detail?: string
  /** What the reader can do about it. */
  readonly hint?: string
}

export interface RestoreReport {
  /** Those of the job in its order, then those that are gone. */
  readonly operators: readonly OperatorReport[]
  /** Only when the number of key groups differs, which no state survives. */
  readonly maxParallelism?: { readonly stored: number; readonly job: number; readonly hint: string }
}

/** What becomes of what is stored when `job` goes on with it. */
export function compareForRestore(
  stored: readonly NodeDescription[],
  job: readonly NodeDescription[],
  storedMaxParallelism: number,
  maxParallelism: number,
): RestoreReport {
  const before = new Map(stored.map((node) => [node.id, node]))
  const now = new Map(job.map((node) => [node.id, node]))
  const compared = [
    ...job.map((node) => reportOf(before.get(node.id), node)),
    ...stored.filter((node) => !now.has(node.id)).map((node) => reportOfMissing(node)),
  ]
  const operators = withNameHints(compared, before, now)
  if (storedMaxParallelism === maxParallelism) return { operators }
  const hint = `maxParallelism is fixed for the life of the state: put it back to ${storedMaxParallelism}, or forget the state with --fresh`
  return { operators, maxParallelism: { stored: storedMaxParallelism, job: maxParallelism, hint } }
}

/** What the job would have to do without, as `operator` or `operator.state`: needs the consent of whoever starts it. */
export function droppedStates(report: RestoreReport): readonly string[] {
  return namesOf(report, 'dropped')
}

/** What makes the restore impossible, as `operator` or `operator.state`; `maxParallelism` among them. */
export function incompatibleStates(report: RestoreReport): readonly string[] {
  return [...(report.maxParallelism === undefined ? [] : ['maxParallelism']), ...namesOf(report, 'incompatible')]
}

function namesOf(report: RestoreReport, verdict: 'dropped' | 'incompatible'): readonly string[] {
  return report.operators.flatMap((each) => {
    const states = each.states.filter((state) => state.verdict === verdict).map(({ state }) => `${each.operator}.${state}`)
    return states.length === 0 && each.verdict === verdict ? [each.operator] : states
  })
}

// What operators hold

/**
 * What each verb keeps beside what it declares; every verb is here (a test looks). What has another kind is a sink, and those keep nothing: what
 * they staged is in the manifest.
 */
export const STATES_OF_VERBS: Readonly<Record<string, readonly string[]>> = {
  map: [],
  filter: [],
  'flat-map': [],
  split: [],
  process: [],
  connect: [],
  'connect-broadcast': [],
  distinct: [],
  'with-timestamps': ['time'],
  'async-map': ['calls under way'],
  count: ['count'],
  reduce: ['value'],
  aggregate: ['accumulator'],
  'window-count': ['windows'],
  'window-reduce': ['windows'],
  'window-aggregate': ['windows'],
  'window-process': ['windows'],
  'window-join': ['windows'],
  'interval-join': ['records of both sides'],
}

/** Handlers of these may set timers, which no description tells. */
const KINDS_WITH_TIMERS = ['process', 'connect', 'connect-broadcast']

/** The names of everything that an operator may have in a checkpoint. */
export function statesHeldBy(node: NodeDescription): readonly string[] {
  return [...statesOf(node.settings).map((state) => state.name), ...undeclaredStates(node)]
}

function undeclaredStates(node: NodeDescription): readonly string[] {
  if (isSource(node)) return ['positions']
  const timers = isKeyed(node) && KINDS_WITH_TIMERS.includes(node.kind) ? ['timers'] : []
  const kept = Object.hasOwn(STATES_OF_VERBS, node.kind) ? STATES_OF_VERBS[node.kind]! : []
  return [...kept, ...timers]
}

/** Every verb reads something, and no source does. */
function isSource(node: NodeDescription): boolean {
  return node.inputs.length === 0
}

/** Records reach their key's subtask by its hash, and nothing else does. */
function isKeyed(node: NodeDescription): boolean {
  return node.inputs.some((input) => input.partitioning === 'hash')
}

// One operator

function reportOf(stored: NodeDescription | undefined, node: NodeDescription): OperatorReport {
  if (stored === undefined) return reportOfNew(node)
  if (stored.kind !== node.kind || isSource(stored) !== isSource(node)) return reportOfOtherKind(stored, node)
  const problem = keyednessProblem(stored, node) ?? windowProblem(stored, node) ?? joinProblem(stored, node)
  if (problem !== undefined) return reportOfProblem(stored, node, problem)
  const states = [
    ...compareStates(stored.settings, node.settings),
    ...undeclaredStates(node).map((state) => ({ state, verdict: 'kept' as const })),
  ]
  const detail = changeOfSettings(stored, node)
  return {
    operator: node.id,
    kind: node.kind,
    verdict: worstOf(states),
    states,
    ...(detail === undefined ? {} : { detail }),
  }
}

const SEVERITY: readonly StateVerdict[] = ['kept', 'new', 'migrated', 'dropped', 'incompatible']

/** A state that is new in an operator that was there before changes nothing about the operator. */
function worstOf(states: readonly StateReport[]): OperatorVerdict {
  const worst = Math.max(0, ...states.map((state) => SEVERITY.indexOf(state.verdict)))
  const verdict = SEVERITY[worst]!
  return verdict === 'new' ? 'kept' : verdict
}

function reportOfNew(node: NodeDescription): OperatorReport {
  const states = statesHeldBy(node).map((state) => ({ state, verdict: 'new' as const }))
  const detail = isSource(node) ? { detail: 'begins at the start of its input' } : {}
  return { operator: node.id, kind: node.kind, verdict: 'new', states, ...detail }
}

function reportOfMissing(stored: NodeDescription): OperatorReport {
  const held = statesHeldBy(stored)
  const verdict = held.length === 0 ? 'removed' : 'dropped'
  const states = held.map((state) => ({ state, verdict: 'dropped' as const }))
  return { operator: stored.id, kind: stored.kind, verdict, states }
}

function reportOfOtherKind(stored: NodeDescription, node: NodeDescription): OperatorReport {
  const held = statesHeldBy(stored)
  const detail = `was ${described(stored)} and is now ${described(node)}`
  if (held.length > 0) {
    return reportOfProblem(stored, node, {
      detail,
      hint: 'give the new one another name with named(...), or put the old one back',
    })
  }
  return { ...reportOfNew(node), detail: `${detail}; there was no state` }
}

function described(node: NodeDescription): string {
  return isSource(node) ? `the source ${node.kind}` : node.kind
}

interface Problem {
  readonly detail: string
  readonly hint: string
}

/** Nothing of the operator can be read: what it holds is as incompatible as itself. */
function reportOfProblem(stored: NodeDescription, node: NodeDescription, { detail, hint }: Problem): OperatorReport {
  const states = statesHeldBy(stored).map((state) => ({ state, verdict: 'incompatible' as const }))
  return { operator: node.id, kind: node.kind, verdict: 'incompatible', states, detail, hint }
}

function keyednessProblem(stored: NodeDescription, node: NodeDescription): Problem | undefined {
  const [before, after] = [isKeyed(stored), isKeyed(node)]
  if (before === after || statesHeldBy(stored).length === 0) return undefined
  const said = (keyed: boolean): string => (keyed ? 'behind keyBy' : 'without a key')
  return {
    detail: `was ${said(before)} and is now ${said(after)}: state of keys and state of subtasks are stored in different ways`,
    hint: `put it back ${said(before)}, or give it another name with named(...)`,
  }
}

function windowProblem(stored: NodeDescription, node: NodeDescription): Problem | undefined {
  const [before, after] = [fieldsOf(stored.settings), fieldsOf(node.settings)]
  if (!isFields(before['window'] ?? null) || !isFields(after['window'] ?? null)) return undefined
  const hint =
    'put the windows back as they were, or give the operator another name with named(...), which begins with empty windows'
  if (!equal(before['window'], after['window'])) {
    const detail = `was stored with ${windowName(before['window']!)} and now has ${windowName(after['window']!)}`
    return { detail, hint }
  }
  const [firedBefore, firesNow] = [firesWindowByWindow(before), firesWindowByWindow(after)]
  if (firedBefore === firesNow) return undefined
  const said = (together: boolean): string => (together ? 'window by window' : 'key by key')
  const triggers = `with the trigger ${shown(before['trigger'])} windows were stored ${said(firedBefore)}, with ${shown(after['trigger'])}`
  return { detail: `${triggers} they are kept ${said(firesNow)}`, hint }
}

/** As `windowOperator` chooses: windows of time that all keys share and that fire once, at their end, are stored in another form than others. */
function firesWindowByWindow(settings: Fields): boolean {
  const [window, trigger] = [fieldsOf(settings['window'] ?? null), fieldsOf(settings['trigger'] ?? null)]
  const aligned = window['kind'] === 'tumbling' || window['kind'] === 'sliding'
  return aligned && trigger['kind'] === 'watermark' && trigger['purge'] !== true
}

/** `tumbling windows (event time, sizeMs 3600000, offsetMs 0)`. */
function windowName(window: Json): string {
  const { kind, time, ...lengths } = fieldsOf(window)
  const parts = Object.entries(lengths).map(([name, value]) => `${name} ${shown(value)}`)
  const all = [...(time === undefined ? [] : [`${String(time)} time`]), ...parts]
  return `${String(kind)} windows${all.length === 0 ? '' : ` (${all.join(', ')})`}`
}

/** How long a record waits for its pairs is in the timers that are set already. */
function joinProblem(stored: NodeDescription, node: NodeDescription): Problem | undefined {
  if (node.kind !== 'interval-join' || equal(stored.settings, node.settings)) return undefined
  return {
    detail: `was stored with the bounds ${shown(stored.settings)} and now has ${shown(node.settings)}`,
    hint: 'put the bounds back, or give the join another name with named(...), which begins without records',
  }
}

/** A difference that changes nothing about the meaning of what is stored, but that the reader should know of. */
function changeOfSettings(stored: NodeDescription, node: NodeDescription): string | undefined {
  const [{ states: _, ...before }, { states: __, ...after }] = [fieldsOf(stored.settings), fieldsOf(node.settings)]
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter((name) => !equal(before[name], after[name]))
  if (names.length === 0) return undefined
  const changes = names.map((name) => `${name} was ${shown(before[name])} and is now ${shown(after[name])}`).join('; ')
  return isSource(node) ? `${changes}; it goes on with the splits and positions that are stored` : changes
}

type Fields = { readonly [name: string]: Json | undefined }

function fieldsOf(settings: Json): Fields {
  return isFields(settings) ? settings : {}
}

function equal(one: Json | undefined, other: Json | undefined): boolean {
  return shown(one) === shown(other)
}

/** With the names in order, because a manifest may give them back in another one. */
function shown(value: Json | undefined): string {
  if (value === undefined) return 'absent'
  return JSON.stringify(value, (_, part: Json) =>
    isFields(part) ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1))) : part,
  )
}

// Names

/**
 * A generated id counts its likes, so it moves when one is put in before it. Where an operator is missing and another one of its kind is new,
 * the two may be the same.
 */
function withNameHints(
  reports: readonly OperatorReport[],
  before: ReadonlyMap<string, NodeDescription>,
  now: ReadonlyMap<string, NodeDescription>,
): readonly OperatorReport[] {
  const news = reports.filter((each) => each.verdict === 'new' && !before.has(each.operator))
  const lost = reports.filter((each) => each.verdict === 'dropped' && !now.has(each.operator))
  return reports.map((report) => {
    const { operator } = report
    if (lost.includes(report))
      return hinted(
        report,
        renameHint(
          news.filter((each) => isLike(each, report)),
          operator,
        ),
      )
    if (news.includes(report)) {
      const same = lost.find((each) => isLike(each, report))
      return hinted(report, same && `if it is what was stored as '${same.operator}', write .named('${same.operator}') behind it`)
    }
    return hinted(report, shiftHint(report, news, before, now))
  })
}

function isLike(one: OperatorReport, other: OperatorReport): boolean {
  return one.kind === other.kind
}

function hinted(report: OperatorReport, hint: string | undefined): OperatorReport {
  return hint === undefined || report.hint !== undefined ? report : { ...report, hint }
}

function renameHint(candidates: readonly OperatorReport[], id: string): string | undefined {
  if (candidates.length === 0) return undefined
  const names = candidates.map(({ operator }) => `'${operator}'`).join(' or ')
  return `if ${names} is the same operator, write .named('${id}') behind it`
}

/** An operator that took over a generated id from another one, which is told by who reads now what it read then. */
function shiftHint(
  { operator, kind, states }: OperatorReport,
  news: readonly OperatorReport[],
  before: ReadonlyMap<string, NodeDescription>,
  now: ReadonlyMap<string, NodeDescription>,
): string | undefined {
  const [stored, node] = [before.get(operator), now.get(operator)]
  if (stored === undefined || node === undefined || states.length === 0 || isSource(node)) return undefined
  const read = JSON.stringify(stored.inputs)
  if (operator.replace(/\d+$/, '') !== `${kind}-` || JSON.stringify(node.inputs) === read) return undefined
  const heir = news.find((each) => each.kind === kind && JSON.stringify(now.get(each.operator)!.inputs) === read)
  return (
    heir &&
    `'${heir.operator}' reads what '${operator}' read when it was stored: if ids have moved, write .named('${operator}') behind that one and give this one a name of its own`
  )
}
