import { checkOperator, end, processingTime, record, watermark } from 'sluice/testing'
import { describe, expect, test } from 'vitest'
import type { Stream } from '../../../src/dsl/stream.ts'

/* The verbs as a job writes them, on the engine's own tasks: saved and restored after any item, and with one slot for results. */

const ITEMS = [
  record('a1', 1),
  record('b1', 2),
  watermark(2),
  record('a2', 3),
  record('c1', 4),
  record('b2', 5),
  watermark(5),
  processingTime(1_000),
  record('a3', 6),
  end(),
]
const RESULTS = ["a1'", "b1'", "a2'", "c1'", "b2'", "a3'"]

async function later(value: string): Promise<string> {
  // Different numbers of turns, so that answers do not come in the order of the calls.
  for (let turn = 0; turn < value.charCodeAt(1) % 3; turn++) await Promise.resolve()
  return `${value}'`
}

describe('saved and restored after any item', () => {
  test.each([1, 2, 100])('asyncMap gives the same results in the same order, with %i under way', async (concurrency) => {
    const build = (input: Stream<string>) => input.asyncMap(later, { concurrency })
    const run = await checkOperator(build, ITEMS, { expected: RESULTS, emptyAtEnd: true })
    expect(run.outcomes).toContainEqual({ output: 'main', value: "a2'", timestamp: 3 })
  })

  test('unordered asyncMap gives the same results', async () => {
    const build = (input: Stream<string>) => input.asyncMap(later, { concurrency: 2, ordered: false })
    await checkOperator(build, ITEMS, { expected: RESULTS, ordered: false, emptyAtEnd: true })
  })

  test.each([1, 2, 100])('keyed asyncMap gives the same results, with %i under way', async (concurrency) => {
    const build = (input: Stream<string>) => input.keyBy((value) => value[0]!).asyncMap(later, { concurrency })
    await checkOperator(build, ITEMS, { expected: RESULTS, ordered: false, emptyAtEnd: true })
  })

  test('two in a row, with a retry and a timeout that never comes, do', async () => {
    const build = (input: Stream<string>) =>
      input
        .asyncMap(later, { timeout: '1h', retry: { attempts: 2 } })
        .map((value) => value.slice(0, 2))
        .asyncMap(later, { concurrency: 1 })
    await checkOperator(build, ITEMS, { expected: RESULTS, emptyAtEnd: true })
  })
})
