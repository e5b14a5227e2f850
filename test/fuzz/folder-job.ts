import { rmSync } from 'node:fs'
import type { JobResult } from 'sluice'
import { generate, job, mapState, tumblingWindow, valueState, writeJsonLines } from 'sluice'
import { CheckpointStore } from '../../src/checkpoint/checkpoint-store.ts'

/*
 * The job whose state folder and savepoint are damaged. It has a row of each kind in its base: tables and panes, both timers, values beside a page of
 * the tree, keys that are replaced by their hashes; and changes of several checkpoints that the base does not hold.
 */

const RECORDS = 9_000
/** So many records come before the folder is taken. */
const RECORDS_BEFORE = 7_000
const KEYS = 3_500

export interface FolderJobOptions {
  /** The state is in `state` of it, and the output in `out`. */
  readonly folder: string
  readonly workers?: number
  readonly failsInTheMiddle?: boolean
  /** A savepoint. */
  readonly from?: string
  /** Records. */
  readonly perSecond?: number
  /** What worker threads import. */
  readonly module?: string
}

interface Entry {
  readonly key: string
  readonly n: number
}

/** A few long keys and long values among many short ones. */
function entryOf(n: number): Entry {
  const key = `key-${(n * 7919) % KEYS}`
  return { key: n % 199 === 0 ? `${key}-${'long'.repeat(400)}` : key, n }
}

/** Runs the job to its end, or to the record at which it fails. */
export async function runFolderJob({
  folder,
  workers = 0,
  failsInTheMiddle = false,
  from,
  perSecond,
  module,
}: FolderJobOptions): Promise<JobResult> {
  const hostile = job('hostile', { parallelism: 2, maxParallelism: 8, workers, stateDirectory: `${folder}/state` })
  const entries = hostile
    .from(generate({ count: RECORDS, at: entryOf, ...(perSecond === undefined ? {} : { rate: perSecond }) }))
    .withTimestamps(({ n }) => n * 10, { maxOutOfOrderness: 100 })
  const keyed = entries.keyBy(({ key }) => key)
  const seen = keyed.process({
    state: { sum: valueState<number>(), names: mapState<string, string>() },
    *onRecord({ key, n }, { state, timers }) {
      if (failsInTheMiddle && n === RECORDS_BEFORE) throw new Error('the middle')
      state.sum.set((state.sum.get() ?? 0) + n)
      state.names.set(`n${n % 5}`, n % 97 === 0 ? 'value'.repeat(900) : String(n))
      if (n % 50 === 0) timers.eventTime(n * 10 + 1_000_000)
      if (n % 7 === 0) yield { key: key.slice(0, 20), sum: state.sum.get() ?? 0 }
    },
    *onTimer(time, { key }) {
      yield { key: key.slice(0, 20), sum: time }
    },
  })
  seen.to(writeJsonLines(`${folder}/out/sums`))
  keyed
    .window(tumblingWindow('10s'))
    .count()
    .to(writeJsonLines(`${folder}/out/counts`))
  const options = { quiet: true, checkpoint: { every: 15, retain: 2 }, restart: { strategy: 'none' } } as const
  return await hostile.run({
    ...options,
    ...(from === undefined ? {} : { from }),
    ...(module === undefined ? {} : { module }),
  })
}

/** Makes the folder: the job fails in its middle, and what may go into the base is brought there. Slower where the machine has much to do. */
export async function makeFolder(folder: string): Promise<void> {
  for (let perSecond = 14_000; ; perSecond /= 2) {
    rmSync(folder, { recursive: true, force: true })
    if (await isMade(folder, perSecond)) return
    if (perSecond < 500) throw new Error('the job takes no checkpoints')
  }
}

/** Whether it has come to hold a base of several pages, and changes to it. */
async function isMade(folder: string, perSecond: number): Promise<boolean> {
  await runFolderJob({ folder, failsInTheMiddle: true, perSecond }).catch(() => undefined)
  const store = CheckpointStore.open(`${folder}/state`, 'hostile')
  store.claim(() => 'run')
  while (store.foldStep()) {}
  const made = store.sizes().baseEntries > 4_000 && store.retained().length >= 2
  await store.release(false)
  return made
}
