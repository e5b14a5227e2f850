import fc from 'fast-check'
import type { Stream, TimeWindow, WindowAssigner } from 'sluice'
import { items, job, sessionWindow, slidingWindow, tumblingWindow, writeJsonLines } from 'sluice'
import { testDriver } from 'sluice/testing'
import { expect, test } from 'vitest'

/*
 * Whole jobs with windows against a model that knows nothing of panes, timers, key groups or checkpoints: one list of windows, looked through for
 * each record. The watermark rises with each record, so the model says exactly which records are late and how often each window fires.
 */

interface Reading {
  readonly key: string
  readonly at: number
}

interface Open extends TimeWindow {
  readonly key: string
  readonly ids: number[]
}

interface Outcome {
  readonly results: readonly string[]
  readonly late: readonly number[]
}

type WindowsOf = (at: number) => readonly TimeWindow[]

const aligned =
  (size: number, slide: number, offset: number): WindowsOf =>
  (at) => {
    const windows: TimeWindow[] = []
    for (let n = Math.floor((at - offset - size) / slide); n <= Math.ceil((at - offset) / slide); n++) {
      const start = n * slide + offset
      if (start <= at && at < start + size) windows.push({ start: start + 0, end: start + size })
    }
    return windows
  }

function model(readings: readonly Reading[], windowsOf: WindowsOf, merges: boolean, bound: number, lateness: number): Outcome {
  let watermark = Number.NEGATIVE_INFINITY
  let open: Open[] = []
  const results: string[] = []
  const late: number[] = []
  const emit = ({ key, start, end, ids }: Open): unknown =>
    results.push(JSON.stringify({ key, start, end, ids: [...ids].sort((a, b) => a - b) }))
  const isGone = (window: TimeWindow): boolean => window.end - 1 + lateness <= watermark
  const rise = (to: number): void => {
    if (to <= watermark) return
    const due = open.filter((window) => watermark < window.end - 1 && window.end - 1 <= to)
    watermark = to
    due.forEach(emit)
    open = open.filter((window) => !isGone(window))
  }
  readings.forEach(({ key, at }, id) => {
    let taken = false
    for (const window of windowsOf(at)) {
      const touches = (other: Open): boolean => {
        if (other.key !== key) return false
        return merges ? other.start <= window.end && window.start <= other.end : other.start === window.start
      }
      const met = open.filter(touches)
      const merged: Open = {
        key,
        start: Math.min(window.start, ...met.map((other) => other.start)),
        end: Math.max(window.end, ...met.map((other) => other.end)),
        ids: [...met.flatMap((other) => other.ids), id],
      }
      if (isGone(merged)) continue
      taken = true
      open = [...open.filter((other) => !met.includes(other)), merged]
      if (merged.end - 1 <= watermark) emit(merged)
    }
    if (!taken) late.push(id)
    rise(at - bound - 1)
  })
  rise(Number.POSITIVE_INFINITY)
  return { results: results.sort(), late }
}

interface Script {
  readonly readings: readonly Reading[]
  /** After which records a checkpoint is taken, and after which the job is killed and started with so many subtasks. */
  readonly checkpoints: ReadonlySet<number>
  readonly crashes: ReadonlyMap<number, number>
  readonly bound: number
  readonly lateness: number
}

async function engine(script: Script, assigner: WindowAssigner, shape: 'process' | 'aggregate'): Promise<Outcome> {
  const windowed = job('windows')
  const [results, late] = [writeJsonLines<object>('results'), writeJsonLines<{ id: number }>('late')]
  const windows = windowed
    .from(items<Reading & { id: number }>([]))
    // One reader, so that the records come in one order.
    .withParallelism(1)
    .withTimestamps((reading) => reading.at, { maxOutOfOrderness: script.bound })
    .withParallelism(1)
    .keyBy((reading) => reading.key)
    .window(assigner, { allowedLateness: script.lateness })
  const folded =
    shape === 'process'
      ? windows.process((all, { key, window }) => [{ key, ...window, ids: all.map(({ id }) => id) }])
      : windows.aggregate({
          create: (): number[] => [],
          add: (ids, { id }) => [...ids, id],
          merge: (a, b) => [...a, ...b],
          result: (ids, { key, window }) => ({ key, ...window, ids }),
        })
  folded.map((result) => ({ ...result, ids: result.ids.toSorted((a, b) => a - b) })).to(results)
  ;(folded.late as Stream<{ id: number }>).to(late)
  const driver = testDriver(windowed, { parallelism: 2 })
  for (const [id, reading] of script.readings.entries()) {
    driver.send({ ...reading, id })
    if (script.checkpoints.has(id)) await driver.checkpoint()
    const parallelism = script.crashes.get(id)
    if (parallelism !== undefined) driver.crashAndRestore({ parallelism })
  }
  driver.finish()
  await driver.checkpoint()
  expect(await driver.stateSize()).toEqual({ entries: 0, timers: 0 })
  return {
    results: driver
      .output(results)
      .map((result) => JSON.stringify(result))
      .sort(),
    late: driver
      .output(late)
      .map(({ id }) => id)
      .sort((a, b) => a - b),
  }
}

const scripts: fc.Arbitrary<Script> = fc.record({
  readings: fc.array(fc.record({ key: fc.constantFrom('a', 'b', 'ü'), at: fc.integer({ min: -60, max: 60 }) }), {
    maxLength: 40,
  }),
  checkpoints: fc.array(fc.nat(40), { maxLength: 4 }).map((at) => new Set(at)),
  crashes: fc.array(fc.tuple(fc.nat(40), fc.integer({ min: 1, max: 3 })), { maxLength: 3 }).map((crashes) => new Map(crashes)),
  bound: fc.constantFrom(0, 5, 30),
  lateness: fc.constantFrom(0, 3, 20),
})

const kinds: fc.Arbitrary<{ assigner: WindowAssigner; windowsOf: WindowsOf; merges: boolean }> = fc.oneof(
  fc.tuple(fc.integer({ min: 1, max: 25 }), fc.integer({ min: -24, max: 24 })).map(([size, turn]) => {
    const offset = turn % size
    return { assigner: tumblingWindow(size, { offset }), windowsOf: aligned(size, size, offset), merges: false }
  }),
  fc.tuple(fc.integer({ min: 1, max: 12 }), fc.nat(20), fc.integer({ min: -12, max: 12 })).map(([slide, more, turn]) => {
    const [size, offset] = [slide + more, turn % slide]
    return { assigner: slidingWindow(size, slide, { offset }), windowsOf: aligned(size, slide, offset), merges: false }
  }),
  fc.integer({ min: 1, max: 15 }).map((gap) => ({
    assigner: sessionWindow(gap),
    windowsOf: (at: number) => [{ start: at, end: at + gap }],
    merges: true,
  })),
)

test('windows of a whole job, killed and restarted at any parallelism, are those of the model', async () => {
  await fc.assert(
    fc.asyncProperty(scripts, kinds, fc.constantFrom('process' as const, 'aggregate' as const), async (script, kind, shape) => {
      const expected = model(script.readings, kind.windowsOf, kind.merges, script.bound, script.lateness)
      expect(await engine(script, kind.assigner, shape)).toEqual(expected)
    }),
    { numRuns: 300 },
  )
})
