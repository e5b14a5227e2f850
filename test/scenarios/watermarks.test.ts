import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { generate } from '../../operators/sources/generate.ts'
import { items } from '../../operators/sources/items.ts'
import { tumblingWindow } from '../../operators/windows/assigners.ts'
import type { Source } from '../../src/core/source.ts'
import { WATERMARK_END } from '../../src/core/time.ts'
import type { StreamGraph } from '../../src/graph/stream-graph.ts'
import { committed, InlineEngine, InlineJob } from '../runtime/inline-engine.ts'

interface Tick {
  readonly key: string
  readonly time: number
}

/** Splits of given records, as files would be. */
function splitsOf(splits: readonly (readonly Tick[])[], inTurn: boolean): Source<Tick, { readonly split: number }, number> {
  return {
    kind: 'splits',
    inTurn,
    enumerate: () => splits.map((_, split) => ({ split })),
    open({ split }, position = 0) {
      let next = position
      return {
        // Small answers, so that there is something between any two records.
        poll(max) {
          if (next >= splits[split]!.length) return null
          const records = splits[split]!.slice(next, next + Math.min(max, 3))
          next += records.length
          return records
        },
        position: () => next,
      }
    },
  }
}

/** Counts in windows of 10 ms, and beside them what was late. */
function windowJob(source: Source<Tick, { readonly split: number }, number>): StreamGraph {
  const job = new InlineJob()
  const counts = job
    .from(source)
    .withTimestamps((tick) => tick.time)
    .keyBy((tick) => tick.key)
    .window(tumblingWindow(10))
    .count()
  counts.map(({ key, window, count }) => `${key} ${window.start} ${count}`).to(committed())
  counts.late.map((tick) => `late ${tick.time}`).to(committed())
  return job.graph
}

function expectedCounts(ticks: readonly Tick[]): readonly string[] {
  const counts = new Map<string, number>()
  for (const { key, time } of ticks) {
    const name = `${key} ${Math.floor(time / 10) * 10}`
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return [...counts].map(([name, count]) => `${name} ${count}`).sort()
}

/** How many of these, read in this order, come after the watermark has passed their window of 10 ms. */
function lateOf(ticks: readonly Tick[]): number {
  let [late, latest] = [0, Number.NEGATIVE_INFINITY]
  for (const { time } of ticks) {
    if (Math.floor(time / 10) * 10 + 9 <= latest - 1) late++
    latest = Math.max(latest, time)
  }
  return late
}

/** Cuts the job where `cuts` say, each time going on with the next parallelism. */
async function runCut(
  graph: StreamGraph,
  shapes: readonly number[],
  cuts: readonly (readonly number[])[],
): Promise<readonly unknown[]> {
  let engine = new InlineEngine(graph, shapes[0]!)
  for (const [index, parallelism] of shapes.slice(1).entries()) {
    for (const choice of cuts[index] ?? []) engine.tasks[choice % engine.tasks.length]!.step()
    const checkpoint = await engine.checkpoint()
    engine.close()
    engine = new InlineEngine(graph, parallelism, checkpoint)
  }
  const output = await engine.finish()
  engine.close()
  return output.toSorted()
}

/** Ticks in order, `count` of them from `start` on. */
function ordered(split: number, start: number, steps: readonly number[]): readonly Tick[] {
  let time = start
  return steps.map((step, index) => ({ key: `k${(split + index) % 3}`, time: (time += step) }))
}

const steps = fc.array(fc.nat(7), { minLength: 0, maxLength: 40 })
const cut = fc.array(fc.nat(100), { maxLength: 120 })
const shapes = fc.constantFrom([2, 1, 3], [2, 1], [3, 2, 1], [1, 3, 2], [2, 2, 2], [3, 1, 2])

describe('what is late', () => {
  test('is nothing when each split is in order and all are read in turn, wherever the parallelism changes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { minLength: 1, maxLength: 5 }), shapes, cut, cut, async (all, parallelisms, a, b) => {
        // All splits cover the same stretch of time, at different speeds.
        const splits = all.map((each, split) => ordered(split, 0, each))
        const output = await runCut(windowJob(splitsOf(splits, true)), parallelisms, [a, b])
        expect(output).toEqual(expectedCounts(splits.flat()))
      }),
      { numRuns: 60 },
    )
  })

  test('is nothing when splits follow each other in time and are read one after the other, wherever the parallelism changes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { minLength: 1, maxLength: 6 }), shapes, cut, cut, async (all, parallelisms, a, b) => {
        const splits = all.map((each, split) => ordered(split, split * 1_000, each))
        const output = await runCut(windowJob(splitsOf(splits, false)), parallelisms, [a, b])
        expect(output).toEqual(expectedCounts(splits.flat()))
      }),
      { numRuns: 60 },
    )
  })

  test('is the same after any restart at one parallelism, also where much of it is late', async () => {
    const disorder = fc.array(fc.integer({ min: -60, max: 60 }), { minLength: 1, maxLength: 60 })
    await fc.assert(
      fc.asyncProperty(fc.array(disorder, { minLength: 1, maxLength: 4 }), cut, cut, async (all, a, b) => {
        const splits = all.map((each, split) =>
          each.map((jitter, index): Tick => ({ key: `k${(split + index) % 3}`, time: index * 5 + jitter })),
        )
        const graph = windowJob(splitsOf(splits, false))
        const whole = await runCut(graph, [1], [])
        expect(await runCut(graph, [1, 1, 1], [a, b])).toEqual(whole)
        expect(whole.filter((line) => String(line).startsWith('late'))).toHaveLength(lateOf(splits.flat()))
      }),
      { numRuns: 60 },
    )
  })

  test('is nothing in two splits of different speed that one subtask reads in turn', async () => {
    const slow = ordered(0, 0, new Array<number>(50).fill(1))
    const fast = ordered(1, 0, new Array<number>(50).fill(100))
    const output = await runCut(windowJob(splitsOf([fast, slow], true)), [1], [])
    expect(output).toEqual(expectedCounts([...fast, ...slow]))
  })

  test('is nothing when two half-read files come together in one subtask', async () => {
    const [first, second] = [ordered(0, 0, new Array<number>(60).fill(3)), ordered(1, 0, new Array<number>(60).fill(3))]
    const graph = windowJob(splitsOf([first, second], false))
    const engine = new InlineEngine(graph, 2)
    for (let round = 0; round < 8; round++) engine.round()
    const checkpoint = await engine.checkpoint()
    const read = checkpoint.subtasks.flatMap(({ operators }) => operators[0]!.splits ?? [])
    expect(read.every((split) => split.position !== undefined && !split.done)).toBe(true)
    const rest = new InlineEngine(graph, 1, checkpoint)
    expect((await rest.finish()).toSorted()).toEqual(expectedCounts([...first, ...second]))
  })

  test('is nothing from generate and items, whose numbers are in order', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, cut, cut, async (parallelisms, a, b) => {
        const ticks = Array.from({ length: 400 }, (_, i): Tick => ({ key: `k${i % 3}`, time: i }))
        for (const source of [generate({ count: 400, at: (i) => ticks[i]! }), items(ticks)]) {
          const graph = windowJob(source as unknown as Source<Tick, { readonly split: number }, number>)
          expect(await runCut(graph, parallelisms, [a, b])).toEqual(expectedCounts(ticks))
        }
      }),
      { numRuns: 15 },
    )
  })
})

describe('alignment', () => {
  const COUNT = 4_000
  const FAST_STEP = 100

  function twoSpeeds(aligned: boolean, idleTimeout?: number): StreamGraph {
    const job = new InlineJob()
    const options = {
      ...(aligned ? { alignment: { maxDrift: 1_000 } } : {}),
      ...(idleTimeout === undefined ? {} : { idleTimeout }),
    }
    const slow = job.from(generate({ count: COUNT, at: (i): Tick => ({ key: 'slow', time: i }) }))
    const fast = job.from(generate({ count: COUNT, at: (i): Tick => ({ key: 'fast', time: i * FAST_STEP }) }))
    slow
      .withTimestamps((tick) => tick.time, options)
      .union(fast.withTimestamps((tick) => tick.time, options))
      .keyBy((tick) => tick.key)
      .window(tumblingWindow(500))
      .count()
      .map(({ key, window, count }) => `${key} ${window.start} ${count}`)
      .to(committed())
    return job.graph
  }

  /** The largest distance between the watermarks of the two sources, and how often it was looked at. */
  function watchDrift(engine: InlineEngine, parallelism: number): { readonly max: number; readonly rounds: number } {
    let [max, rounds] = [0, 0]
    for (; !engine.ended; rounds++) {
      if (rounds > 100_000) throw new Error('the sources wait for each other for ever')
      if (!engine.round()) engine.now += 5
      for (const task of engine.tasks) task.publishCounters(0)
      max = Math.max(max, driftOf(engine, parallelism))
    }
    return { max, rounds }
  }

  function driftOf(engine: InlineEngine, parallelism: number): number {
    const of = (source: number): readonly number[] =>
      Array.from({ length: parallelism }, (_, subtask) => engine.counters(`generate-${source}/${subtask}`).get('watermark'))
    const [slow, fast] = [Math.min(...of(1)), Math.max(...of(2))]
    return Number.isFinite(slow) && Number.isFinite(fast) ? fast - slow : 0
  }

  // One batch of the fast source beyond the limit, and one of the slow one that is on its way.
  const LIMIT = 1_000 + 512 * FAST_STEP * 2

  test.each([1, 2])('keeps sources of different speed together, and changes no result: parallelism %i', async (parallelism) => {
    const [free, aligned] = [new InlineEngine(twoSpeeds(false), parallelism), new InlineEngine(twoSpeeds(true), parallelism)]
    expect(watchDrift(free, parallelism).max).toBeGreaterThan(2 * LIMIT)
    expect(watchDrift(aligned, parallelism).max).toBeLessThanOrEqual(LIMIT)
    const [one, other] = [await free.finish(), await aligned.finish()]
    expect(other.toSorted()).toEqual(one.toSorted())
    expect(one.length).toBeGreaterThan(COUNT / 6)
  })

  test('goes on after a kill, at another parallelism too, with the same results', async () => {
    const graph = twoSpeeds(true)
    const whole = await new InlineEngine(graph, 2).finish()
    for (const rounds of [0, 3, 10, 40]) {
      const engine = new InlineEngine(graph, 2)
      for (let round = 0; round < rounds; round++) if (!engine.round()) engine.now += 5
      const checkpoint = await engine.checkpoint()
      const next = new InlineEngine(graph, 1, checkpoint)
      expect(watchDrift(next, 1).max).toBeLessThanOrEqual(LIMIT)
      expect((await next.finish()).toSorted()).toEqual(whole.toSorted())
    }
  })

  test('lets barriers through a source that waits', async () => {
    const engine = new InlineEngine(twoSpeeds(true), 1)
    const [slow] = engine.tasks
    // Everybody but the slow source works, until nobody has anything to do.
    const others = engine.tasks.filter((task) => task !== slow)
    slow!.step()
    for (let quiet = 0; quiet < 5; engine.now += 5) quiet = others.map((task) => task.step()).some(Boolean) ? 0 : quiet + 1
    expect(engine.tasks[1]!.state).toBe('running')
    const before = await engine.checkpoint()
    expect(before.subtasks).toHaveLength(engine.tasks.length)
  })

  test('sleeps while it waits, and looks again within milliseconds', () => {
    const engine = new InlineEngine(twoSpeeds(true), 1)
    const [slow, fast] = engine.tasks
    slow!.step()
    for (let steps = 0; fast!.step() && steps < 1_000; steps++) for (const task of engine.tasks.slice(2)) task.step()
    expect(fast!.step()).toBe(false)
    expect(fast!.ready).toBe(false)
    expect(fast!.nextWakeup() - engine.now).toBeLessThanOrEqual(5)
    expect(fast!.nextWakeup()).toBeGreaterThan(engine.now)
  })

  test('holds nobody back for a source that is finished, and none is held for ever', async () => {
    const job = new InlineJob()
    const options = { alignment: { maxDrift: 10 } }
    const short = job.from(items([1, 2, 3])).withTimestamps((time) => time, options)
    const long = job.from(items(Array.from({ length: 2_000 }, (_, i) => i * 50))).withTimestamps((time) => time, options)
    const none = job.from(items<number>([])).withTimestamps((time) => time, options)
    short.union(long, none).to(committed())
    for (const parallelism of [1, 2]) {
      const engine = new InlineEngine(job.graph, parallelism)
      watchDrift(engine, 0)
      expect(await engine.finish()).toHaveLength(2_003)
    }
  })

  test('holds nobody back for a source that is idle, and everybody for one without a record that may not be idle', async () => {
    for (const idleTimeout of [undefined, 1_000]) {
      const job = new InlineJob()
      const options = { alignment: { maxDrift: 10 }, ...(idleTimeout === undefined ? {} : { idleTimeout }) }
      const silent: Source<number> = {
        kind: 'silent',
        enumerate: () => [0],
        open: () => ({ poll: () => [], position: () => 0 }),
      }
      const all = Array.from({ length: 5_000 }, (_, i) => i * 50)
      job
        .from(items(all))
        .withTimestamps((time) => time, options)
        .to(committed())
      job
        .from(silent)
        .withTimestamps((time) => time, options)
        .to(committed())
      const engine = new InlineEngine(job.graph, 1)
      for (let round = 0; round < 2_000; round++) if (!engine.round()) engine.now += 5
      const { output } = await engine.checkpoint()
      expect(output.length === all.length).toBe(idleTimeout !== undefined)
    }
  })

  test('in several groups is a matter of each group', async () => {
    const job = new InlineJob()
    const times = Array.from({ length: 3_000 }, (_, i) => i * 1_000)
    const silent: Source<number> = { kind: 'silent', enumerate: () => [0], open: () => ({ poll: () => [], position: () => 0 }) }
    job
      .from(items(times))
      .withTimestamps((time) => time, { alignment: { group: 'a', maxDrift: 0 } })
      .to(committed())
    job
      .from(silent)
      .withTimestamps((time) => time, { alignment: { group: 'b', maxDrift: 0 } })
      .to(committed())
    const engine = new InlineEngine(job.graph, 1)
    for (let round = 0; round < 200; round++) if (!engine.round()) engine.now += 5
    expect((await engine.checkpoint()).output).toHaveLength(times.length)
  })

  test('holds single splits of one subtask back', async () => {
    const splits = [ordered(0, 0, new Array<number>(900).fill(1)), ordered(1, 0, new Array<number>(900).fill(100))]
    const job = new InlineJob()
    const seen: Tick[] = []
    job
      .from(splitsOf(splits, true))
      .withTimestamps((tick) => tick.time, { alignment: { maxDrift: 500 } })
      .map((tick) => {
        const slow = seen.findLast((each) => each.time % 100 !== 0)?.time ?? 0
        if (tick.time % 100 === 0 && slow < 800) expect(tick.time - slow).toBeLessThanOrEqual(500 + 3 * 100 + 3)
        seen.push(tick)
        return tick
      })
      .to(committed())
    const engine = new InlineEngine(job.graph, 1)
    expect(await engine.finish()).toHaveLength(1_800)
    expect(engine.counters('splits-1/0').get('aligned')).toBe(WATERMARK_END)
  })

  test('is refused where an exchange lies between the source and withTimestamps, at any parallelism', () => {
    const options = { alignment: { maxDrift: '1s' } } as const
    const jobs: readonly ((job: InlineJob) => void)[] = [
      (job) =>
        job
          .from(items([1]))
          .rebalance()
          .withTimestamps((time) => time, options)
          .to(committed()),
      (job) =>
        job
          .from(items([1]))
          .union(job.from(items([2])))
          .withTimestamps((time) => time, options)
          .to(committed()),
      (job) =>
        job
          .from(items([1]))
          .keyBy((n) => n)
          .count()
          .withTimestamps(({ count }) => count, options)
          .to(committed()),
    ]
    for (const build of jobs) {
      for (const parallelism of [1, 2]) {
        const job = new InlineJob()
        build(job)
        expect(() => new InlineEngine(job.graph, parallelism)).toThrow(
          expect.objectContaining({
            code: 'INVALID_OPTION',
            operator: 'with-timestamps-1',
            hint: expect.stringContaining('alignment needs withTimestamps directly behind the source'),
          }),
        )
      }
    }
  })

  test('of one source twice is refused', () => {
    const job = new InlineJob()
    const source = job.from(items([1]))
    for (const group of ['a', 'b']) source.withTimestamps((time) => time, { alignment: { group, maxDrift: 1 } }).to(committed())
    expect(() => new InlineEngine(job.graph, 1)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
  })

  test('passes functions between the source and withTimestamps', async () => {
    const job = new InlineJob()
    const options = { alignment: { maxDrift: '1s' } } as const
    const times = Array.from({ length: 100 }, (_, i) => i)
    const stream = job
      .from(items(times))
      .map((n) => n * 100)
      .filter((n) => n % 200 === 0)
    stream.withTimestamps((time) => time, options).to(committed())
    expect(await new InlineEngine(job.graph, 2).finish()).toHaveLength(50)
  })
})
