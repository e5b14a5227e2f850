import { describe, expect, test } from 'vitest'
import { planExecution } from '../../src/graph/execution-plan.ts'
import { regionsOf } from '../../src/graph/regions.ts'
import type { NodeSketch } from './graphs.ts'
import { graphOf } from './graphs.ts'

/** The tasks of each region. */
function regions(sketches: readonly NodeSketch[], parallelism = 2): readonly (readonly string[])[] {
  const plan = planExecution(graphOf(sketches), { module: 'job.ts', parallelism, maxParallelism: 128, workers: 2 })
  return regionsOf(plan).map(({ tasks }) => [...tasks])
}

const key = (value: unknown): unknown => value

describe('the regions of a job', () => {
  test('are one when everything is connected', () => {
    const joined = [
      { kind: 'a' },
      { kind: 'b' },
      {
        kind: 'join',
        from: [
          [0, 'hash'],
          [1, 'hash'],
        ] as const,
        keyOf: key,
      },
    ]
    expect(regions(joined)).toEqual([['a-1', 'b-1', 'join-1']])
  })

  test('are the parts that no exchange connects, each with all of its tasks', () => {
    const parts: readonly NodeSketch[] = [
      { kind: 'a' },
      { kind: 'b' },
      { kind: 'count', from: [[0, 'hash']], keyOf: key },
      { kind: 'map', from: [1] },
      { kind: 'sum', from: [[2, 'rebalance']] },
    ]
    expect(regions(parts)).toEqual([['a-1', 'count-1', 'sum-1'], ['b-1']])
  })

  test('are one when one source feeds two branches', () => {
    const branches: readonly NodeSketch[] = [
      { kind: 'a' },
      { kind: 'left', from: [[0, 'hash']], keyOf: key },
      { kind: 'right', from: [[0, 'rebalance']] },
    ]
    expect(regions(branches)).toEqual([['a-1', 'left-1', 'right-1']])
  })

  test('are one when their sources keep in step', () => {
    const aligned: readonly NodeSketch[] = [
      { kind: 'a' },
      { kind: 'withTimestamps', from: [0], assignsTimestamps: true, alignmentGroup: 'orders' },
      { kind: 'b' },
      { kind: 'c' },
      { kind: 'withTimestamps', from: [3], assignsTimestamps: true, alignmentGroup: 'orders' },
    ]
    expect(regions(aligned)).toEqual([['a-1', 'c-1'], ['b-1']])
  })

  test('name their operators, also those that are chained', () => {
    const plan = planExecution(graphOf([{ kind: 'a' }, { kind: 'map', from: [0] }, { kind: 'b' }]), {
      module: 'job.ts',
      parallelism: 1,
      maxParallelism: 128,
      workers: 0,
    })
    expect(regionsOf(plan).map(({ operators }) => [...operators])).toEqual([['a-1', 'map-1'], ['b-1']])
  })
})
