import type { CheckpointRecord } from '../../checkpoint/checkpoint-history.ts'
import type { StoredCheckpoints } from '../../checkpoint/stored-checkpoints.ts'
import type { Arguments, Usage } from '../arguments.ts'
import { jobOf, ONE_JOB } from '../asked-job.ts'
import { EXIT } from '../exit-codes.ts'
import { STATE_DIRECTORY_FLAG } from '../job-folder.ts'
import type { Output } from '../output.ts'
import { bytes, count, instant, table } from '../output.ts'
import { checkpointOf, withCheckpoints } from '../stored.ts'

export const LS_USAGE: Usage = {
  command: 'checkpoints ls',
  ...ONE_JOB,
  summary: 'The checkpoints of a job, oldest first: those that are kept, and how the last 100 went, failed ones too.',
  explanation: [
    'A job can go on from what is kept; of the rest there is only its record. The size is what a checkpoint added to the store: changed state, and',
    'its manifest as long as that is kept.',
  ].join('\n'),
  flags: { 'state-directory': STATE_DIRECTORY_FLAG },
}

/** A checkpoint, from what is kept of it. What nobody knows any more is `null`. */
interface ListedCheckpoint {
  readonly id: number
  readonly status: 'completed' | 'failed'
  readonly completedAtMs: number | null
  readonly durationMs: number | null
  readonly bytes: number
  /** Whether the job, or a reader, can go back to it. */
  readonly retained: boolean
  /** Whether everything that sinks had prepared for it is known to be committed. */
  readonly committed: boolean
  readonly purpose: CheckpointRecord['purpose'] | 'periodic' | null
  readonly failure: CheckpointRecord['failure'] | null
}

export async function listCheckpoints(args: Arguments, output: Output): Promise<number> {
  const { job, path } = jobOf(args)
  const checkpoints = await withCheckpoints(path, listed)
  output.result({ job, checkpoints }, () => textOf(checkpoints))
  return EXIT.ok
}

function listed(store: StoredCheckpoints): readonly ListedCheckpoint[] {
  const records = new Map(store.history().map((record) => [record.checkpoint, record]))
  const retained = new Set(store.retained())
  const ids = [...new Set([...records.keys(), ...retained])].sort((a, b) => a - b)
  return ids.map((id) => {
    const record = records.get(id)
    const kept = retained.has(id) ? checkpointOf(store.manifest(id), store.manifestBytes(id)) : undefined
    const status = kept === undefined ? record!.status : 'completed'
    return {
      id,
      status,
      completedAtMs: kept?.completedAtMs ?? completionOf(record!),
      durationMs: record?.durationMs ?? null,
      bytes: kept?.bytes ?? record!.bytes,
      retained: kept !== undefined,
      committed: status === 'completed' && id <= store.committedThrough,
      purpose: record === undefined ? null : (record.purpose ?? 'periodic'),
      failure: record?.failure ?? null,
    }
  })
}

export function completionOf({ status, triggeredAtMs, durationMs }: CheckpointRecord): number | null {
  return status === 'completed' ? triggeredAtMs + durationMs : null
}

function textOf(checkpoints: readonly ListedCheckpoint[]): string {
  const rows = checkpoints.map((each) => [
    String(each.id),
    each.completedAtMs === null ? 'failed' : instant(each.completedAtMs),
    each.durationMs === null ? '' : `${count(each.durationMs)} ms`,
    bytes(each.bytes),
    each.retained ? 'yes' : 'no',
    each.committed ? 'yes' : 'no',
    each.purpose ?? '',
  ])
  const failures = checkpoints.flatMap(({ id, failure }) => (failure == null ? [] : [`checkpoint ${id} ${failureText(failure)}`]))
  const titles = ['checkpoint', 'completed', 'took', 'size', 'kept', 'committed', 'purpose']
  return [table(titles, rows, ['checkpoint', 'took', 'size']), ...(failures.length > 0 ? ['', ...failures] : [])].join('\n')
}

export function failureText({ phase, operator, subtask, message }: NonNullable<CheckpointRecord['failure']>): string {
  const place = subtask ?? operator
  return `failed in its phase '${phase}'${place === undefined ? '' : `, at ${place}`}: ${message}`
}
