import type { CheckpointRecord } from '../../checkpoint/checkpoint-history.ts'
import type { Manifest, StoredDelta } from '../../checkpoint/manifest.ts'
import type { StoredCheckpoints } from '../../checkpoint/stored-checkpoints.ts'
import { SluiceError } from '../../core/errors.ts'
import type { Arguments, Usage } from '../arguments.ts'
import { EXIT } from '../exit-codes.ts'
import { STATE_DIRECTORY_FLAG } from '../job-folder.ts'
import type { Output } from '../output.ts'
import { bytes, count, instant, table } from '../output.ts'
import { withCheckpoints } from '../stored.ts'
import { completionOf, failureText } from './checkpoints-ls.ts'
import { CHECKPOINT_EXPLANATION, checkpointSource } from './checkpoints-source.ts'

export const SHOW_USAGE: Usage = {
  command: 'checkpoints show',
  positionals: '[<checkpoint>] [<job>]',
  minimum: 0,
  maximum: 2,
  summary: 'One checkpoint, by default the newest: how it went in each subtask, and what it holds.',
  explanation: [
    CHECKPOINT_EXPLANATION,
    'How it went is known of the last 100 checkpoints, failed ones too; what it holds, of those that are kept.',
  ].join('\n'),
  flags: { 'state-directory': STATE_DIRECTORY_FLAG },
}

/** Milliseconds since 1970, `null` before the first one, `'end'` after the last: JSON has no infinity. */
type Watermark = number | 'end' | null

interface OperatorShare {
  readonly operator: string
  readonly kind: string
  readonly subtasks: number
  /** That it took in, or of a source, that it read; over the whole run. */
  readonly records: number
  /** The smallest of its subtasks. */
  readonly watermark: Watermark
  readonly splits: number
  readonly splitsDone: number
  /** What it keeps beside keyed state. */
  readonly stateBytes: number
}

/** Some things together. */
interface Amount {
  readonly count: number
  readonly bytes: number
}

/** What the manifest says. */
interface Content {
  readonly initial: boolean
  readonly attempt: number
  readonly fingerprint: string
  readonly maxParallelism: number
  readonly manifestBytes: number
  readonly operators: readonly OperatorShare[]
  readonly committables: readonly (Amount & { readonly operator: string })[]
  /** All that the manifest names, and those of them that the base does not hold yet. */
  readonly deltas: Amount & { readonly unfolded: Amount }
  readonly dropped: Manifest['dropped']
  readonly inFlightRecords: number
}

interface ShownCheckpoint {
  readonly checkpoint: number
  readonly completedAtMs: number | null
  readonly retained: boolean
  readonly committed: boolean
  /** How it went; `null` when that is no longer known. */
  readonly record: CheckpointRecord | null
  /** What it holds; `null` when it is not kept. */
  readonly content: Content | null
  /** Of the whole store. */
  readonly sizes: ReturnType<StoredCheckpoints['sizes']>
}

export async function showCheckpoint(args: Arguments, output: Output): Promise<number> {
  const { job, path, checkpoint } = checkpointSource(args)
  const shown = await withCheckpoints(path, (store) => shownOf(store, checkpoint))
  output.result({ job, ...shown }, () => textOf(shown))
  return EXIT.ok
}

function shownOf(store: StoredCheckpoints, given: number | undefined): ShownCheckpoint {
  const history = store.history()
  const checkpoint = given ?? store.latestCheckpoint ?? history.at(-1)?.checkpoint
  const record = history.find((each) => each.checkpoint === checkpoint) ?? null
  const retained = store.retained()
  if (checkpoint === undefined || (record === null && !retained.includes(checkpoint))) throw unknown(checkpoint, retained)
  const manifest = retained.includes(checkpoint) ? store.manifest(checkpoint) : undefined
  const isComplete = manifest !== undefined || record?.status === 'completed'
  return {
    checkpoint,
    completedAtMs: manifest?.completedAtMs ?? completionOf(record!),
    retained: manifest !== undefined,
    committed: isComplete && checkpoint <= store.committedThrough,
    record,
    content: manifest === undefined ? null : contentOf(store, manifest),
    sizes: store.sizes(),
  }
}

function unknown(checkpoint: number | undefined, retained: readonly number[]): SluiceError {
  const what = checkpoint === undefined ? 'the job has taken no checkpoint' : `nothing is known of a checkpoint ${checkpoint}`
  return new SluiceError('INVALID_OPTION', what, {
    hint:
      retained.length === 0 ? 'none is kept' : `kept are: ${retained.join(', ')}; sluice checkpoints ls has the failed ones too`,
  })
}

function contentOf(store: StoredCheckpoints, manifest: Manifest): Content {
  const { initial, attempt, fingerprint, maxParallelism, checkpoint, deltas, dropped } = manifest
  return {
    initial,
    attempt,
    fingerprint,
    maxParallelism,
    manifestBytes: store.manifestBytes(checkpoint),
    operators: operatorsOf(manifest),
    committables: committablesOf(manifest),
    deltas: { ...amountOf(deltas), unfolded: amountOf(store.unfolded(manifest)) },
    dropped,
    inFlightRecords: manifest.subtasks.reduce((sum, subtask) => sum + inFlightOf(subtask), 0),
  }
}

function inFlightOf({ inFlight = [] }: Manifest['subtasks'][number]): number {
  return inFlight.flatMap(({ batches }) => batches).reduce((sum, { timestamps }) => sum + timestamps.length, 0)
}

/** In the order of the graph. */
function operatorsOf({ graph, subtasks }: Manifest): readonly OperatorShare[] {
  return graph.map(({ id, kind }) => {
    const shares = subtasks.flatMap(({ operators }) => operators.filter(({ operator }) => operator === id))
    const splits = shares.flatMap((share) => share.splits ?? [])
    return {
      operator: id,
      kind,
      subtasks: shares.length,
      records: shares.reduce((sum, { records }) => sum + records, 0),
      watermark: watermarkOf(Math.min(...shares.map(({ watermark }) => watermark))),
      splits: splits.length,
      splitsDone: splits.filter(({ done }) => done).length,
      stateBytes: shares.reduce((sum, { state }) => sum + (state?.byteLength ?? 0), 0),
    }
  })
}

function watermarkOf(watermark: number): Watermark {
  if (watermark === Number.POSITIVE_INFINITY) return 'end'
  return Number.isFinite(watermark) ? watermark : null
}

function committablesOf({ committables }: Manifest): Content['committables'] {
  return [...new Set(committables.map(({ operator }) => operator))].map((operator) => {
    const own = committables.filter((each) => each.operator === operator)
    return { operator, count: own.length, bytes: own.reduce((sum, each) => sum + each.bytes.byteLength, 0) }
  })
}

function amountOf(deltas: readonly StoredDelta[]): Amount {
  return { count: deltas.length, bytes: deltas.reduce((sum, { length }) => sum + length, 0) }
}

function textOf(shown: ShownCheckpoint): string {
  const { record, content, sizes } = shown
  return [
    ...headingOf(shown),
    ...(record === null ? [] : timingsOf(record)),
    ...(content === null ? [] : contentText(content)),
    '',
    `store: base ${bytes(sizes.baseBytes)} in ${count(sizes.baseEntries)} entries, changes ${bytes(sizes.deltaBytes)}, file ${bytes(sizes.fileBytes)}`,
  ].join('\n')
}

function headingOf({ checkpoint, completedAtMs, retained, committed, record }: ShownCheckpoint): readonly string[] {
  if (record?.status === 'failed') {
    const reason = record.failure === undefined ? 'failed' : failureText(record.failure)
    return [`checkpoint ${checkpoint}, triggered at ${instant(record.triggeredAtMs)}, ${reason}`]
  }
  const took = record === null ? '' : `, took ${count(record.durationMs)} ms, ${bytes(record.bytes)} of changed state`
  const purpose = record?.purpose === undefined ? '' : ` (${record.purpose})`
  return [
    `checkpoint ${checkpoint}${purpose}, completed at ${instant(completedAtMs!)}${took}`,
    `${retained ? 'kept' : 'no longer kept'}, ${committed ? 'committed' : 'not known to be committed'}`,
  ]
}

function timingsOf({ subtasks }: CheckpointRecord): readonly string[] {
  const rows = Object.entries(subtasks).map(([subtask, timing]) => [
    subtask,
    `${count(timing.alignmentMs)} ms`,
    `${timing.pauseMs.toFixed(1)} ms`,
    `${count(timing.writingMs)} ms`,
    bytes(timing.bytes),
    count(timing.inFlightRecords),
  ])
  if (rows.length === 0) return []
  const titles = ['subtask', 'alignment', 'pause', 'writing', 'size', 'in flight'] as const
  return ['', table(titles, rows, titles.slice(1))]
}

function contentText(content: Content): readonly string[] {
  const { operators, committables, deltas, dropped, inFlightRecords } = content
  const rows = operators.map((each) => [
    each.operator,
    each.kind,
    String(each.subtasks),
    count(each.records),
    each.watermark === null ? '-' : each.watermark === 'end' ? 'end' : instant(each.watermark),
    each.splits === 0 ? '' : `${each.splitsDone} of ${each.splits} done`,
    each.stateBytes === 0 ? '' : bytes(each.stateBytes),
  ])
  const titles = ['operator', 'kind', 'subtasks', 'records', 'watermark', 'splits', 'own state']
  return [
    '',
    table(titles, rows, ['subtasks', 'records', 'own state']),
    '',
    `manifest: ${bytes(content.manifestBytes)}, of attempt ${content.attempt}${content.initial ? ', before the first record' : ''}`,
    `changes: ${amountText(deltas)}, not in the base yet: ${amountText(deltas.unfolded)}`,
    ...(inFlightRecords === 0 ? [] : [`on their way: ${count(inFlightRecords)} records`]),
    ...committables.map((each) => `to be committed by ${each.operator}: ${each.count}, ${bytes(each.bytes)}`),
    ...dropped.map(
      ({ operator, kind, name, through }) => `dropped: ${kind} '${name}' of ${operator}, up to checkpoint ${through}`,
    ),
  ]
}

function amountText(amount: Amount): string {
  return `${count(amount.count)} chunks, ${bytes(amount.bytes)}`
}
