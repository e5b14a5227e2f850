import { describe, expect, test } from 'vitest'
import { explore } from './explore.ts'
import type { WorldSize } from './protocol-world.ts'

const PAIR = { sources: 2, tasks: 2, recordsPerSource: 1, timeouts: 0 } as const
const ROW = { sources: 1, tasks: 1, recordsPerSource: 1 } as const

describe('everything that can happen', () => {
  test.each<[string, WorldSize, number]>([
    ['2 sources, 2 tasks, 1 sink, 1 checkpoint, 1 crash', { ...PAIR, checkpoints: 1, crashes: 1 }, 20_000],
    ['2 sources, 2 tasks, 1 sink, 2 checkpoints, 1 crash', { ...PAIR, checkpoints: 2, crashes: 1 }, 250_000],
    ['1 source, 1 task, 1 sink, 1 checkpoint, 2 crashes', { ...ROW, checkpoints: 1, crashes: 2, timeouts: 0 }, 1_000],
    ['1 source, 1 task, 1 sink, a checkpoint that is given up', { ...ROW, checkpoints: 1, crashes: 0, timeouts: 1 }, 10_000],
  ])('is right: %s', (_, size, least) => {
    const { states, ends, violation } = explore(size)
    expect(violation).toBeUndefined()
    expect(ends).toBeGreaterThan(0)
    expect(states).toBeGreaterThan(least)
  })

  test('without alignment is not, and the steps that lead there are told', () => {
    const { violation } = explore({ ...PAIR, recordsPerSource: 2, checkpoints: 1, crashes: 1, alignment: 'at-least-once' })
    expect(violation?.what).toMatch(/^a record is visible twice|^a task has counted from a state that it did not have/)
    expect(violation?.path).toContain('crash')
  })
})
