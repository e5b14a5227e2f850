import { tumblingWindow } from '../../operators/windows/assigners.ts'
import { onWatermark } from '../../operators/windows/triggers.ts'
import type { WindowFunction } from '../../operators/windows/window-function.ts'
import { windowOperator } from '../../operators/windows/window-operator.ts'
import type { Operator } from '../../src/core/operator.ts'
import { keyOf, START_MS } from '../support/sample-batches.ts'
import type { NamedContest, Way } from './contest.ts'
import { backend, operatorContext } from './parts.ts'

/* A turn is a window: its records come, and then its result for each key. The yardstick folds into a table, and reads and clears it at the end. */

const KEYS = 1000
const RECORDS = 16_384
const SIZE_MS = 60_000
const names = Array.from({ length: KEYS }, (_, i) => keyOf(i))

export const windows: readonly NamedContest[] = [
  { name: 'tumbling window, 1,000 keys', yardstick: 'a keyed fold', make: () => ({ engine: windowed(), yardstick: folded() }) },
]

const SUM: WindowFunction = {
  create: () => 0,
  add: (sum, value) => (sum as number) + (value as number),
  divisible: true,
  results: (sum) => [sum],
}

/** Adds records to the window that begins at `cell.timestamp`, and fires it by `onWatermark`. */
export function summingWindow(onResult: (value: unknown) => void) {
  const keyed = backend()
  const cell = { timestamp: START_MS, split: -1 }
  const context = operatorContext({ onRecord: onResult }, keyed, cell)
  const operator: Operator = windowOperator(tumblingWindow('1m'), onWatermark(), 0, SUM)(context)
  operator.open?.()
  return { keyed, cell, context, operator }
}

function windowed(): Way {
  let [start, total, results] = [START_MS, 0, 0]
  const { keyed, cell, context, operator } = summingWindow((value) => {
    total += value as number
    results++
  })
  return {
    turn() {
      for (let i = 0; i < RECORDS; i++) {
        cell.timestamp = start + i
        keyed.setKey(names[(i * 619) % KEYS])
        operator.onRecord(i)
      }
      start += SIZE_MS
      context.watermark = start - 1
      operator.onWatermark?.(start - 1)
    },
    result: () => ({ total, results }),
  }
}

function folded(): Way {
  let [total, results] = [0, 0]
  const keyed = backend()
  const sums = keyed.table<number>('sum')
  return {
    turn() {
      for (let i = 0; i < RECORDS; i++) {
        keyed.setKey(names[(i * 619) % KEYS])
        sums.set((sums.get() ?? 0) + i)
      }
      for (const name of names) {
        keyed.setKey(name)
        total += sums.get()!
        results++
        sums.delete()
      }
    },
    result: () => ({ total, results }),
  }
}
