import type { Stream } from 'sluice'
import { sessionWindow, slidingWindow } from 'sluice'
import { end, record, runOperator } from 'sluice/testing'
import { expect, test } from 'vitest'

interface Amount {
  cents: number
}

const values = async (build: (input: Stream<Amount>) => Stream<{ value: Amount }>): Promise<readonly unknown[]> => {
  const items = [record({ cents: 1 }, 1), record({ cents: 10 }, 7), record({ cents: 100 }, 8), end()]
  const { outcomes } = await runOperator(build, items)
  return outcomes.flatMap((outcome) => ('value' in outcome ? [(outcome.value as { value: Amount }).value.cents] : []))
}

/** Changes its first argument, which is a record at first. */
const addInPlace = (sum: Amount, next: Amount): Amount => {
  sum.cents += next.cents
  return sum
}

test('a reduce that changes its first argument changes no record, though windows share them', async () => {
  expect(
    await values((input) =>
      input
        .keyBy(() => 0)
        .window(slidingWindow(10, 5))
        .reduce(addInPlace),
    ),
  ).toEqual([1, 111, 110])
  expect(
    await values((input) =>
      input
        .keyBy(() => 0)
        .window(sessionWindow(3))
        .reduce(addInPlace),
    ),
  ).toEqual([1, 110])
})

test('nor does one that gives its second argument back, to change it the next time', async () => {
  const addToLater = (sum: Amount, next: Amount): Amount =>
    next.cents > sum.cents && sum.cents > 1 ? next : addInPlace(sum, next)
  expect(
    await values((input) =>
      input
        .keyBy(() => 0)
        .window(slidingWindow(20, 10))
        .reduce(addToLater),
    ),
  ).toEqual([100, 100])
})
