import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { job, output, valueState } from 'sluice'
import { argumentsOf } from './parts/arguments.ts'
import { mark } from './parts/marks.ts'
import { runAndTell } from './parts/outcome.ts'
import { paced } from './parts/paced.ts'
import { storedSums } from './parts/stored-sums.ts'

/*
 * State of a kilobyte for each key, brought into being by a first record of each and then changed by a schedule. `--folder` holds what outlives the
 * process: marks, the schedule, the committed sums. At record `--throw-at` the operator throws, once.
 */

const {
  keys,
  count,
  rate,
  parallelism,
  folder,
  'throw-at': throwAt,
} = argumentsOf({ keys: 10_000, count: 100_000, rate: 20_000, parallelism: 2, folder: '.', 'throw-at': -1 })
const marks = join(folder, 'marks')
const thrown = join(folder, 'thrown')
mark(marks, 'module')

interface Reading {
  readonly key: number
  readonly i: number
}

const STRIDE = 7919
const KILOBYTE = 'as much text as an order with its lines may have. '.repeat(20)
/** A source that is not further behind than this has caught up. */
const BEHIND_MS = 50

function expectedSum(records: number): number {
  const rounds = Math.floor(records / keys)
  return (keys * rounds * (rounds + 1)) / 2 + (records % keys) * (rounds + 1)
}

/** Once for each opening of a split. */
function opened(): (behindMs: number) => void {
  mark(marks, 'opened')
  let caughtUp = false
  return (behindMs) => {
    if (caughtUp || behindMs > BEHIND_MS) return
    caughtUp = true
    mark(marks, 'caught-up')
  }
}

function throwOnce(i: number): void {
  if (i !== throwAt || existsSync(thrown)) return
  writeFileSync(thrown, '')
  mark(marks, 'throws')
  throw new Error('on purpose')
}

const sums = storedSums(join(folder, 'sums'))
const state = job('recovering-state', { parallelism, restart: { strategy: 'fixed', delay: 0, attempts: 3 } })
let isFirst = true
const at = (i: number): Reading => ({ key: (i * STRIDE) % keys, i })
state
  .from(paced({ count, rate, burst: keys, scheduleFile: join(folder, 'schedule'), at, opened }))
  .keyBy((reading) => reading.key)
  .process({
    state: { account: valueState<{ readonly count: number; readonly text: string }>() },
    out: output<number>(),
    open() {
      isFirst = true
    },
    onRecord({ i }, context) {
      if (isFirst) {
        isFirst = false
        mark(marks, 'first-record')
      }
      if (i === throwAt) throwOnce(i)
      const value = (context.state.account.get()?.count ?? 0) + 1
      context.state.account.set({ count: value, text: KILOBYTE })
      context.emit(value)
    },
  })
  .to(sums.sink)

await runAndTell(() => state.run(), sums.totals, expectedSum)
