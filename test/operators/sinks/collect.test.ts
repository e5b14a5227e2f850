import { expect, test } from 'vitest'
import { collect } from '../../../operators/sinks/index.ts'
import { committerOf, FIRST_START, stage, writerOf } from './folder-harness.ts'

test('appends in the order of the commits', async () => {
  const numbers: number[] = [0]
  const sink = collect(numbers)
  const committer = committerOf(sink)
  await committer.open(FIRST_START)
  const [left, right] = [writerOf(sink, { subtask: 0 }), writerOf(sink, { subtask: 1 })]
  const first = [...(await stage(left, [1, 2], 1)), ...(await stage(right, [3], 1))]
  const second = [...(await stage(left, [4], 2)), ...(await stage(right, [], 2))]
  expect(numbers).toEqual([0])
  await committer.commit(first)
  expect(numbers).toEqual([0, 1, 2, 3])
  await committer.commit(second)
  expect(numbers).toEqual([0, 1, 2, 3, 4])
})

test('has nothing to commit without records', async () => {
  expect(await writerOf(collect([])).prepareCommit(1)).toEqual([])
})

test('appends once what is committed twice, by the same committer or its successor', async () => {
  const texts: string[] = []
  const sink = collect(texts)
  const committables = await stage(writerOf(sink), ['a', 'b'], 1)
  await committerOf(sink).commit(committables)
  await committerOf(sink).commit(structuredClone(committables))
  const successor = committerOf(sink)
  await successor.commit([...committables, ...(await stage(writerOf(sink, { attempt: 2 }), ['c'], 2))])
  expect(texts).toEqual(['a', 'b', 'c'])
})

test('a new run starts to count anew', async () => {
  const texts: string[] = []
  const sink = collect(texts)
  await committerOf(sink).commit(await stage(writerOf(sink), ['a'], 1))
  const start = { run: 'run-b' }
  await committerOf(sink, start).commit(await stage(writerOf(sink, start), ['b'], 1))
  expect(texts).toEqual(['a', 'b'])
})

test('commits the checkpoints of one subtask oldest first', async () => {
  const texts: string[] = []
  const sink = collect(texts)
  const writer = writerOf(sink)
  const [one, two] = [await stage(writer, ['a'], 1), await stage(writer, ['b'], 2)]
  await committerOf(sink).commit([...two, ...one])
  expect(texts).toEqual(['a', 'b'])
})

test('takes more records than a call can have arguments', async () => {
  const numbers: number[] = []
  const sink = collect(numbers)
  const many = Array.from({ length: 300_000 }, (_, index) => index)
  await committerOf(sink).commit(await stage(writerOf(sink), many, 1))
  expect(numbers).toEqual(many)
})

test('drops what was not prepared', async () => {
  const writer = writerOf(collect<string>([]))
  writer.write('a')
  writer.close()
  expect(await writer.prepareCommit(1)).toEqual([])
})
