import { job, output, valueState } from 'sluice'
import { argumentsOf } from './parts/arguments.ts'
import type { Timed } from './parts/latency-sink.ts'
import { latencySink } from './parts/latency-sink.ts'
import { runAndTell } from './parts/outcome.ts'
import { paced } from './parts/paced.ts'

/*
 * A count for each of many keys behind one exchange, whose records come by a schedule. Each result bears the time at which its record was due, so the
 * sink knows how late it is.
 */

const { keys, count, rate, parallelism, warmup } = argumentsOf({
  keys: 10_000,
  count: 1_000_000,
  rate: 0,
  parallelism: 2,
  /** Milliseconds. */
  warmup: 0,
})

interface Reading {
  readonly key: number
  readonly dueMs: number
}

/** Prime: a whole round of record numbers has each key once, in an order that no cache foresees. */
const STRIDE = 7919

/** The keys of the records that do not make a whole round any more have one more than the others. */
function expectedSum(records: number): number {
  const rounds = Math.floor(records / keys)
  return (keys * rounds * (rounds + 1)) / 2 + (records % keys) * (rounds + 1)
}

const measured = latencySink(warmup)
const state = job('paced-state', { parallelism })
state
  .from(paced({ count, rate, at: (i, dueMs): Reading => ({ key: (i * STRIDE) % keys, dueMs }) }))
  .keyBy((reading) => reading.key)
  .process({
    state: { count: valueState<number>() },
    out: output<Timed>(),
    onRecord({ dueMs }, context) {
      const value = (context.state.count.get() ?? 0) + 1
      context.state.count.set(value)
      context.emit({ dueMs, value })
    },
  })
  .to(measured.sink)

await runAndTell(() => state.run(), measured.totals, expectedSum)
