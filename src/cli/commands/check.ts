import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { SluiceError } from '../../core/errors.ts'
import type { RestoreReport } from '../../graph/restore-compatibility.ts'
import { compareForRestore, droppedStates, incompatibleStates } from '../../graph/restore-compatibility.ts'
import type { Arguments, Usage } from '../arguments.ts'
import type { DescribedJob } from '../check-worker.ts'
import { commandOf } from '../command.ts'
import { describeJob } from '../describe-job.ts'
import { EXIT, UsageError } from '../exit-codes.ts'
import { checkJobFile } from '../files.ts'
import { STATE_DIRECTORY_FLAG } from '../job-folder.ts'
import { table } from '../output.ts'
import type { StoredGraph, StoredSource } from '../stored.ts'
import { readStoredGraph } from '../stored.ts'

const TIMEOUT_MS = 60_000

const USAGE: Usage = {
  command: 'check',
  positionals: '<job file> [-- arguments of the job]',
  minimum: 1,
  maximum: Number.POSITIVE_INFINITY,
  summary: 'Builds a job without running it, and says what would become of each stored state if it went on with what is stored.',
  explanation:
    'Ends with 5 when the job cannot go on with it, and when state would be dropped without --allow-dropped-state. Nothing is changed.',
  flags: {
    against: {
      value: 'checkpoint or savepoint',
      help: 'the number of a checkpoint, or the folder of a savepoint; default: the newest checkpoint',
    },
    'allow-dropped-state': { help: 'state that the job no longer has may be dropped' },
    'state-directory': STATE_DIRECTORY_FLAG,
    timeout: { value: 'duration', help: 'how long the module may take to come to run(); default: 1m' },
  },
}

export const checkCommand = commandOf({
  usage: USAGE,
  async run(own, output) {
    const [file, ...rest] = own.positionals as readonly [string, ...string[]]
    checkJobFile(file)
    const stateDirectory = own.text('state-directory')
    const jobArgs = stateDirectory === undefined ? rest : ['--state-directory', resolve(stateDirectory), ...rest]
    const described = await describeJob(file, jobArgs, own.number('timeout') ?? TIMEOUT_MS)
    const stored = await storedOf(sourceOf(own, described), own.text('against'))
    const verdict = verdictOf(described, stored, own.has('allow-dropped-state'))
    output.result(documentOf(described, stored, verdict), () => textOf(described, stored, verdict))
    return verdict.fits ? EXIT.ok : EXIT.unfit
  },
})

function sourceOf(own: Arguments, { job, settings }: DescribedJob): StoredSource {
  const against = own.text('against')
  const stateFolder = join(settings.stateDirectory, job)
  if (against === undefined) return { stateFolder }
  if (/^\d{1,15}$/.test(against)) return { stateFolder, checkpoint: Number(against) }
  if (existsSync(against)) return { savepoint: resolve(against) }
  throw new UsageError(`check: there is no folder ${against}`, 'give the number of a checkpoint, or the folder of a savepoint')
}

/** What was asked for by name must be there. */
async function storedOf(source: StoredSource, against: string | undefined): Promise<StoredGraph | undefined> {
  const stored = await readStoredGraph(source)
  if (stored !== undefined || against === undefined) return stored
  const hint = 'leave --against out to compare with the newest checkpoint, or give the right --state-directory'
  throw new SluiceError('JOB_UNKNOWN', `nothing is stored under ${against}`, { hint })
}

interface Verdict {
  readonly report: RestoreReport
  readonly incompatible: readonly string[]
  readonly dropped: readonly string[]
  /** Sinks that are gone while output of theirs waits to be committed. */
  readonly orphanedSinks: readonly string[]
  readonly fits: boolean
}

function verdictOf({ graph, settings }: DescribedJob, stored: StoredGraph | undefined, allowDropped: boolean): Verdict {
  const { maxParallelism } = settings
  const report = compareForRestore(stored?.graph ?? [], graph, stored?.maxParallelism ?? maxParallelism, maxParallelism)
  const [incompatible, dropped] = [incompatibleStates(report), droppedStates(report)]
  const orphanedSinks = (stored?.uncommittedSinks ?? []).filter((id) => !graph.some((node) => node.id === id))
  const loses = dropped.length > 0 || orphanedSinks.length > 0
  return { report, incompatible, dropped, orphanedSinks, fits: incompatible.length === 0 && (allowDropped || !loses) }
}

function documentOf({ job }: DescribedJob, stored: StoredGraph | undefined, verdict: Verdict): unknown {
  const { fits, report, incompatible, dropped, orphanedSinks } = verdict
  return { job, checkpoint: stored?.checkpoint ?? null, fits, incompatible, dropped, orphanedSinks, ...report }
}

function textOf({ job }: DescribedJob, stored: StoredGraph | undefined, verdict: Verdict): string {
  const { report } = verdict
  const heading =
    stored === undefined ? `'${job}' has nothing stored: it would begin anew` : `'${job}' against checkpoint ${stored.checkpoint}`
  const notes = [...new Set(report.operators.flatMap((each) => [...notesOf(each.operator, each), ...stateNotes(each)]))]
  if (report.maxParallelism !== undefined) {
    const { stored: before, job: now, hint } = report.maxParallelism
    notes.push(`maxParallelism was ${before} and is now ${now}`, `  hint: ${hint}`)
  }
  const rows = report.operators.flatMap((each) => [
    [each.operator, each.kind, each.verdict, ''],
    ...each.states.map((state) => ['', '', state.verdict, state.state]),
  ])
  const parts = [heading, '', table(['operator', 'kind', 'verdict', 'state'], rows)]
  if (notes.length > 0) parts.push('', ...notes)
  return [...parts, '', conclusion(verdict, stored !== undefined)].join('\n')
}

function stateNotes({ operator, states }: RestoreReport['operators'][number]): readonly string[] {
  return states.flatMap((state) => notesOf(`${operator}.${state.state}`, state))
}

function notesOf(name: string, { detail, hint }: { readonly detail?: string; readonly hint?: string }): readonly string[] {
  return [
    ...(detail === undefined ? [] : [`${name}: ${detail}`]),
    ...(hint === undefined ? [] : [`${detail === undefined ? `${name}: ` : '  hint: '}${hint}`]),
  ]
}

function conclusion({ incompatible, dropped, orphanedSinks, fits }: Verdict, isStored: boolean): string {
  if (incompatible.length > 0) return `the job cannot go on with this: ${incompatible.join(', ')}`
  const lost = [...dropped, ...orphanedSinks.map((sink) => `uncommitted output of ${sink}`)]
  if (!fits) return `the job would drop ${lost.join(', ')}; allow it with --allow-dropped-state`
  if (lost.length > 0) return `the job can go on, without ${lost.join(', ')}`
  return isStored ? 'the job can go on' : 'the job is sound'
}
