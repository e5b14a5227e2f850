import { items, job, type Stream, tumblingWindow, valueState } from 'sluice'
import { describe, expect, test } from 'vitest'
import type { Operator, OperatorContext } from '../../src/core/operator.ts'
import { Stream as StreamHandle } from '../../src/dsl/stream.ts'
import type { CheckOptions, Fragment, Item } from '../../src/testing/index.ts'
import {
  checkOperator,
  end,
  operatorHarness,
  processingTime,
  record,
  second,
  testDriver,
  watermark,
} from '../../src/testing/index.ts'

/* The harness itself: what it shows, and that it finds the mistakes that it is there for. */

const count = operatorHarness((input: Stream<number>) => input.keyBy((n) => n % 2).count())

describe('a run', () => {
  test('gives results and watermarks in their order, with timestamps', async () => {
    const { outcomes, state } = await count.run([record(1, 10), record(2), watermark(10), record(3, 11), end()])
    expect(outcomes).toEqual([
      { output: 'main', value: { key: 1, count: 1 }, timestamp: 10 },
      { output: 'main', value: { key: 0, count: 1 }, timestamp: undefined },
      { watermark: 10 },
      { output: 'main', value: { key: 1, count: 2 }, timestamp: 11 },
      { watermark: Number.POSITIVE_INFINITY },
    ])
    expect(state).toEqual({ entries: 2, timers: 0 })
  })

  test('begins anew each time', async () => {
    const values = [record(1), record(1)]
    expect(await count.run(values)).toEqual(await count.run(values))
  })

  test('takes two inputs, whose watermarks meet', async () => {
    const both = operatorHarness((first: Stream<number>, other: Stream<number>) => first.union(other))
    const { outcomes } = await both.run([record(1, 1), watermark(9, 0), second(2, 2), watermark(5, 1), watermark(7)])
    expect(outcomes).toEqual([
      { output: 'main', value: 1, timestamp: 1 },
      { output: 'main', value: 2, timestamp: 2 },
      { watermark: 5 },
      { watermark: 7 },
    ])
  })

  test('names outputs, and moves the clock', async () => {
    const windows = operatorHarness((input: Stream<number>) => {
      const counts = input.keyBy(() => 'all').window(tumblingWindow(10, { time: 'processing' }))
      return { counts: counts.count().map((result) => result.count), lists: counts.process((all) => [all.join()]) }
    })
    const { outcomes } = await windows.run([record(1), record(2), processingTime(20)])
    expect(outcomes).toEqual([
      { output: 'counts', value: 2, timestamp: 9 },
      { output: 'lists', value: '1,2', timestamp: 9 },
    ])
  })

  test('goes on after each restore as if nothing had been', async () => {
    const values = [record(1, 1), record(3, 2), watermark(3), record(5, 4), end()]
    const plain = await count.run(values)
    for (const restoreAfter of ['all', [0], [2], [4], [0, 1, 3]] as const) {
      expect(await count.run(values, { restoreAfter })).toEqual(plain)
    }
  })
})

/** A stream behind an operator that is no good. */
function behind(create: (context: OperatorContext) => Operator): (input: Stream<number>) => Stream<unknown> {
  return (input) => {
    const { builder, outputs } = StreamHandle.input(input)
    return new StreamHandle<unknown>(builder, [
      builder.add({ kind: 'mistake', body: { type: 'operator', create } }, [{ outputs }]),
    ])
  }
}

/** Keeps records, and emits them when the watermark rises. */
function keeping(
  change: (kept: unknown[], context: OperatorContext) => Partial<Operator>,
): (context: OperatorContext) => Operator {
  return (context) => {
    const kept: unknown[] = []
    return {
      onRecord: (value) => {
        kept.push(value)
      },
      onWatermark: () => {
        while (kept.length > 0) {
          if (!context.hasRoom) return false
          context.output.onRecord(kept.shift())
        }
        return true
      },
      snapshot: () => [...kept],
      restore: ([former]) => {
        kept.push(...(former as unknown[]))
      },
      ...change(kept, context),
    }
  }
}

const ITEMS: readonly Item[] = [record(1, 1), record(2, 2), record(3, 3), watermark(3), record(4, 4), end()]

describe('a check', () => {
  const check = (build: Fragment<number>, options?: CheckOptions): Promise<unknown> => checkOperator(build, ITEMS, options)

  test('passes an operator that is right', async () => {
    await check(behind(keeping(() => ({}))), { expected: [1, 2, 3, 4], emptyAtEnd: true })
  })

  test('finds state that is not in the checkpoint', async () => {
    const forgetful = keeping(() => ({ snapshot: () => undefined }))
    await expect(check(behind(forgetful))).rejects.toThrow(/restored after each item: outcome 0 differs/)
  })

  test('finds state that a restore has twice', async () => {
    const twice = keeping((kept) => ({
      restore: ([former]) => {
        kept.push(...(former as unknown[]), ...(former as unknown[]))
      },
    }))
    await expect(check(behind(twice))).rejects.toThrow('restored after each item')
  })

  test('finds a snapshot that shares what goes on changing', async () => {
    const closure: unknown[] = []
    const shared = keeping((kept) => ({
      snapshot: () => closure.splice(0, closure.length, ...kept) && [],
      restore: () => undefined,
    }))
    await expect(check(behind(shared))).rejects.toThrow('restored after')
  })

  test('finds an operator that begins again when it had to wait for room', async () => {
    const repeating = keeping((kept, context) => ({
      onWatermark: () => {
        for (const value of kept) {
          if (!context.hasRoom) return false
          context.output.onRecord(value)
          if (value === kept.at(-1)) kept.length = 0
        }
        return true
      },
    }))
    await expect(check(behind(repeating))).rejects.toThrow('the job does not come to rest')
  })

  test('finds an operator that gives up what had to wait for room', async () => {
    const losing = keeping((kept, context) => ({
      onWatermark: () => {
        while (kept.length > 0 && context.hasRoom) context.output.onRecord(kept.shift())
        return true
      },
    }))
    await expect(check(behind(losing))).rejects.toThrow(
      /with one slot for results: outcome 1 differs[\s\S]*> .*value: 2[\s\S]*> \{ watermark: 3 \}/,
    )
  })

  test('finds what is left in state', async () => {
    const leaking = (input: Stream<number>) =>
      input
        .keyBy((n) => n)
        .process({
          state: { seen: valueState<number>() },
          onRecord(n, { state, timers }) {
            state.seen.set(n)
            timers.processingTime(1_000)
          },
        })
    await expect(check(leaking, { emptyAtEnd: true })).rejects.toThrow('4 entries and 4 timers are left in state')
  })

  test('says what was expected and what came', async () => {
    const double = (input: Stream<number>) => input.map((n) => n * 2)
    await expect(check(double, { expected: [2, 4, 7, 8] })).rejects.toThrow(
      'the results: outcome 2 differs\nexpected 4 outcomes:\n  2\n  4\n> 7\n  8\nbut got  4 outcomes:\n  2\n  4\n> 6\n  8',
    )
    await expect(check(double, { expected: [2, 4, 6, 8, 10] })).rejects.toThrow('> nothing more')
  })

  test('compares sets only between watermarks where no order is promised', async () => {
    await check(behind(keeping(() => ({}))), { expected: [4, 3, 2, 1], ordered: false })
    const { outcomes } = await checkOperator(behind(keeping(() => ({}))), ITEMS, { ordered: false })
    expect(outcomes).toContainEqual({ watermark: 3 })
  })
})

describe('the driver and the harness', () => {
  test('are not a source of warnings: what was closed stays closed', async () => {
    let [opened, closed] = [0, 0]
    const counted = job('counted')
    counted.from(items<number>([])).process({ open: () => void opened++, onRecord: () => undefined, close: () => void closed++ })
    const driver = testDriver(counted, { parallelism: 2 })
    driver.crashAndRestore({ parallelism: 3 })
    expect([opened, closed]).toEqual([5, 2])
    driver.close()
    driver.close()
    expect([opened, closed]).toEqual([5, 5])
  })
})
