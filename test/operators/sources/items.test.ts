import { expect, expectTypeOf, test } from 'vitest'
import { items } from '../../../operators/sources/index.ts'
import { checkSource, readAll } from './conformance.ts'

test.each([0, 1, 10])('gives the values of an array of %i', async (length) => {
  const array = Array.from({ length }, (_, i) => `value ${i}`)
  await checkSource(items(array), array)
})

test('copies an iterable that can be read only once', async () => {
  function* letters() {
    yield* 'abc'
  }
  await checkSource(items(letters()), ['a', 'b', 'c'])
  await checkSource(items(new Set([1, 2])), [1, 2])
})

test('reads nothing before it is opened', async () => {
  let isRead = false
  const source = items({
    *[Symbol.iterator]() {
      isRead = true
      yield 1
    },
  })
  expect(await source.enumerate({ parallelism: 4 })).toEqual([{}])
  expect(isRead).toBe(false)
  expect(await readAll(source)).toEqual([1])
})

test('has the type of the values', async () => {
  expectTypeOf(await readAll(items([1, 2]))).toEqualTypeOf<number[]>()
  expectTypeOf(await readAll(items(new Map([['a', 1]])))).toEqualTypeOf<[string, number][]>()
})
