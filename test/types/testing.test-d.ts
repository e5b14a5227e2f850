import type { Stream } from 'sluice'
import { collect, items, job, writeJsonLines } from 'sluice'
import type { HarnessRun, TestDriver, TimestampedResult } from 'sluice/testing'
import { checkOperator, operatorHarness, record, runOperator, second, testDriver } from 'sluice/testing'
import { type Equal, expectType, type Flight, type Payment, streamOf } from './expect.ts'

const source = items<Flight>([])
const out = writeJsonLines<{ readonly origin: string }>('out')
const payments = collect<Payment>([])
const built = job('types')
built.from(source).to(out)

const driver = testDriver(built, { parallelism: 2, startTime: 0, watermarks: 'manual', freeze: false })
expectType<Equal<typeof driver, TestDriver>>()

/* Options are checked. */
// @ts-expect-error there is no such way to make watermarks
testDriver(built, { watermarks: 'sometimes' })
// @ts-expect-error a stream is not a job
testDriver(streamOf<Flight>())

/* Records are of the source's type where the source is named by its object. */
declare const flight: Flight
driver.send(flight, { to: source, timestamp: 5, subtask: 0 })
driver.sendAll([flight], { to: source })
driver.send('anything')
driver.send('anything', { to: 'items-1' })
// @ts-expect-error a payment is not a flight
driver.send({ card: 'a' }, { to: source })
// @ts-expect-error nor is any of several
driver.sendAll([1, 2], { to: source })

/* Results are of the sink's type where the sink is named by its object. */
expectType<Equal<ReturnType<typeof driver.output<Payment>>, readonly Payment[]>>()
{
  const results = driver.output(out)
  expectType<Equal<typeof results, readonly { readonly origin: string }[]>>()
  const paid = driver.committed(payments)
  expectType<Equal<typeof paid, readonly Payment[]>>()
  const stamped = driver.outputWithTimestamps(payments)
  expectType<Equal<typeof stamped, readonly TimestampedResult<Payment>[]>>()
  const unknown = driver.output()
  expectType<Equal<typeof unknown, readonly unknown[]>>()
  const named = driver.output<Flight>('write-json-lines-1')
  expectType<Equal<typeof named, readonly Flight[]>>()
}

/* Time is of either kind. */
driver.advanceProcessingTime('5m')
driver.advanceProcessingTime(5)
driver.advanceWatermark(5, { to: source })
// @ts-expect-error not a duration
driver.advanceProcessingTime('5 minutes')
// @ts-expect-error a watermark is an instant, not a duration
driver.advanceWatermark('5m')
driver.crashAndRestore({ parallelism: 4 })

/* The harness takes any piece of a job. */
const harness = operatorHarness((input: Stream<number>) => input.map((n) => n + 1))
expectType<Equal<ReturnType<typeof harness.run>, Promise<HarnessRun>>>()
await harness.check([record(1)], { emptyAtEnd: true, ordered: false, inFlight: true, expected: [2] })
await checkOperator((left: Stream<number>, right: Stream<number>) => ({ both: left.union(right) }), [second(1, 5)])
// @ts-expect-error a piece of a job gives streams
await runOperator((input: Stream<number>) => input.keyBy((n) => n), [])
