import { randomUUID } from 'node:crypto'
import { basename, dirname } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { CheckpointStore } from '../../checkpoint/checkpoint-store.ts'
import type { Arguments, Usage } from '../arguments.ts'
import { jobOf, ONE_JOB } from '../asked-job.ts'
import { EXIT } from '../exit-codes.ts'
import { STATE_DIRECTORY_FLAG } from '../job-folder.ts'
import type { Output } from '../output.ts'
import { bytes, table } from '../output.ts'

export const GC_USAGE: Usage = {
  command: 'checkpoints gc',
  ...ONE_JOB,
  summary: 'Tidies the state of a job at rest: folds the changes into the base, and removes what nothing names any more.',
  explanation: [
    'What a start of the job would do piece by piece is done at once; what the job goes on from stays the same. Refuses while a process has the job.',
    'The file does not become smaller: it keeps the pages that are freed, and the next writes use them.',
  ].join('\n'),
  flags: { 'state-directory': STATE_DIRECTORY_FLAG },
}

type Sizes = ReturnType<CheckpointStore['sizes']>

export async function tidyCheckpoints(args: Arguments, output: Output): Promise<number> {
  const { job, path } = jobOf(args)
  const { before, after } = await tidied(path)
  output.result({ job, before, after }, () => textOf(job, before, after))
  return EXIT.ok
}

async function tidied(path: string): Promise<{ readonly before: Sizes; readonly after: Sizes }> {
  const { CheckpointStore: Store } = await import('../../checkpoint/checkpoint-store.ts')
  const { checkStorePages } = await import('../../checkpoint/page-check.ts')
  checkStorePages(path)
  const store = Store.open(dirname(path), basename(path))
  try {
    store.claim(randomUUID)
  } catch (error) {
    // The state is another's: nothing of it is given back.
    await store.close()
    throw error
  }
  try {
    const before = store.sizes()
    await tidy(store)
    return { before, after: store.sizes() }
  } finally {
    // That it has finished, if it has, is noted already and stays noted.
    await store.release(false)
  }
}

/** A signal ends it between two transactions, and whoever comes next finds the state in one of its sound conditions. */
async function tidy(store: CheckpointStore): Promise<void> {
  // With a manifest that cannot be read nobody knows what is still needed: that is to be said, and not that all is tidy.
  for (const checkpoint of store.retained()) store.manifest(checkpoint)
  store.sweep()
  while (store.foldStep()) await nextTurn()
  while (store.purgeStep()) await nextTurn()
}

function textOf(job: string, before: Sizes, after: Sizes): string {
  const row = (name: string, size: keyof Sizes): readonly string[] => [name, bytes(before[size]), bytes(after[size])]
  const rows = [row('changes', 'deltaBytes'), row('base', 'baseBytes'), row('file', 'fileBytes')]
  return [
    `'${job}' is tidied`,
    '',
    table(['', 'before', 'after'], rows, ['before', 'after']),
    '',
    'freed pages stay in the file, and the next writes use them',
  ].join('\n')
}
