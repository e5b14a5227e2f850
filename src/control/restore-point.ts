import { randomUUID } from 'node:crypto'
import type { CheckpointStore, Claim } from '../checkpoint/checkpoint-store.ts'
import type { DroppedState, Manifest } from '../checkpoint/manifest.ts'
import type { Savepoint } from '../checkpoint/savepoint.ts'
import { importSavepoint, openSavepoint } from '../checkpoint/savepoint.ts'
import type { ErrorCode } from '../core/errors.ts'
import { SluiceError } from '../core/errors.ts'
import type { OperatorReport, RestoreReport } from '../graph/restore-compatibility.ts'
import { compareForRestore, droppedStates, incompatibleStates } from '../graph/restore-compatibility.ts'
import type { NodeDescription } from '../graph/stream-graph.ts'
import type { JobSettings } from './settings.ts'

/** What is stored and what the job now is. */
export interface RestoreContext {
  readonly store: CheckpointStore
  readonly graph: readonly NodeDescription[]
  readonly maxParallelism: number
  readonly settings: JobSettings
  readonly note: (message: string) => void
}

/**
 * Judges whether the job can go on with a checkpoint, before anything is changed. Returns what of it will be dropped.
 * @throws SluiceError `STATE_OF_ANOTHER_GRAPH`, `STATE_INCOMPATIBLE`, `STATE_DROPPED`
 */
export function judgeRestore(manifest: Manifest, source: string, context: RestoreContext): RestoreReport {
  const { graph, maxParallelism, settings, note } = context
  const report = compareForRestore(manifest.graph, graph, manifest.maxParallelism, maxParallelism)
  if (report.maxParallelism !== undefined) {
    const { stored, job, hint } = report.maxParallelism
    throw new SluiceError('STATE_OF_ANOTHER_GRAPH', `${source} has ${stored} key groups, the job now asks for ${job}`, { hint })
  }
  if (incompatibleStates(report).length > 0) throw refusal(report, source, 'incompatible')
  const dropped = droppedStates(report)
  if (dropped.length > 0 && !settings.allowDroppedState) throw refusal(report, source, 'dropped')
  if (dropped.length > 0) note(`--allow-dropped-state: letting go of ${dropped.join(', ')}`)
  return report
}

function refusal(report: RestoreReport, source: string, verdict: 'incompatible' | 'dropped'): SluiceError {
  const all = report.operators.filter(
    (each) => each.verdict === verdict || each.states.some((state) => state.verdict === verdict),
  )
  const first = all[0]!
  const code: ErrorCode =
    verdict === 'dropped'
      ? 'STATE_DROPPED'
      : all.some((each) => each.states.length > 0)
        ? 'STATE_INCOMPATIBLE'
        : 'STATE_OF_ANOTHER_GRAPH'
  const what = verdict === 'dropped' ? 'holds what the job no longer has' : 'does not fit the job'
  const hint = first.hint ?? first.states.find((state) => state.verdict === verdict)?.hint
  return new SluiceError(code, `${source} ${what}: ${all.map((each) => described(each, verdict)).join('; ')}`, {
    operator: first.operator,
    hint:
      verdict === 'dropped'
        ? `${hint === undefined ? '' : `${hint}; or `}--allow-dropped-state lets go of it`
        : (hint ?? 'put the job back as it was, or forget the state with --fresh'),
  })
}

function described({ operator, detail, states }: OperatorReport, verdict: string): string {
  const own = states.filter((state) => state.verdict === verdict)
  if (own.length === 0) return `'${operator}' ${detail ?? verdict}`
  return own.map((state) => `the state '${state.state}' of '${operator}' ${state.detail ?? verdict}`).join('; ')
}

/**
 * The states of the base that a report says will be dropped. Everything that the checkpoint holds must be in the base by then: what is still in
 * chunks has no names that could be looked up.
 */
export function droppedFromBase(report: RestoreReport, store: CheckpointStore, through: number): readonly DroppedState[] {
  const gone = new Set<string>()
  for (const { operator, verdict, states } of report.operators) {
    const dropped = states.filter((state) => state.verdict === 'dropped')
    if (dropped.length === 0 && verdict === 'dropped') gone.add(operator)
    for (const { state } of dropped) gone.add(`${operator} ${state}`)
  }
  const missing = new Set(report.operators.filter(({ verdict }) => verdict === 'dropped').map(({ operator }) => operator))
  const lost = (operator: string): boolean => missing.has(operator) && isGoneAltogether(report, operator)
  return store.registry().flatMap((state) => {
    if (state === undefined) return []
    const name = state.name.replace(/^ttl:/, '')
    return lost(state.operator) || gone.has(`${state.operator} ${name}`) ? [{ ...state, through }] : []
  })
}

/** Whether every state of an operator goes, and with them the timers that have no name of a state. */
function isGoneAltogether(report: RestoreReport, operator: string): boolean {
  const found = report.operators.find((each) => each.operator === operator)!
  return found.states.every((state) => state.verdict === 'dropped')
}

/** Where a run that is told to (`--from`) begins: an older checkpoint of its own state, or a savepoint. */
export class ExplicitStart {
  readonly #context: RestoreContext
  readonly #from: string
  readonly #checkFresh: () => Promise<void>

  /** @param checkFresh asks every sink whether it would refuse a fresh start */
  constructor(from: string, context: RestoreContext, checkFresh: () => Promise<void>) {
    this.#from = from
    this.#context = context
    this.#checkFresh = checkFresh
  }

  /** Brings the store to where the run is to begin. Nothing is changed when the job cannot go on from there. */
  async begin(): Promise<Claim | undefined> {
    if (/^\d+$/.test(this.#from)) {
      await this.#goBack(Number(this.#from))
      return undefined
    }
    return await this.#import(openSavepoint(this.#from))
  }

  async #goBack(checkpoint: number): Promise<void> {
    const { store, note } = this.#context
    const latest = store.latestCheckpoint
    if (!store.retained().includes(checkpoint)) {
      const kept = store.retained().join(', ') || 'none'
      throw new SluiceError('INVALID_OPTION', `--from ${checkpoint}: there is no such checkpoint in ${store.directory}`, {
        hint: `kept are: ${kept}; see checkpoint.retain`,
      })
    }
    const manifest = store.manifest(checkpoint)
    judgeRestore(manifest, `checkpoint ${checkpoint}`, this.#context)
    // Before anything was committed: whatever is visible counts as somebody else's, as it does for a fresh start.
    if (manifest.initial) await this.#checkFresh()
    store.goBackTo(checkpoint)
    if (latest !== undefined && latest > checkpoint) {
      note(
        `--from ${checkpoint}: going back from checkpoint ${latest}; output that was committed since then will be written again`,
      )
    }
  }

  async #import(savepoint: Savepoint): Promise<Claim> {
    const { store, note, settings } = this.#context
    const { manifest } = savepoint
    judgeRestore(manifest, `the savepoint ${savepoint.path}`, this.#context)
    const latest = store.latestCheckpoint
    if (latest !== undefined) {
      const output = 'what output folders hold since the savepoint stays, and may be written again'
      note(`--from: replacing checkpoint ${latest} in ${store.directory} by the savepoint; ${output}`)
    }
    if (settings.overwrite) note('--overwrite is for a fresh start: nothing is removed when a savepoint goes on')
    note(`restoring ${savepoint.path}, which is checkpoint ${manifest.checkpoint}`)
    // The same run goes on, so that the output it has committed is known to be its own.
    const claim = store.forget(savepoint.run ?? randomUUID(), savepoint.path)
    await importSavepoint(store, savepoint)
    return claim
  }
}
