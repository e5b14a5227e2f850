import { describe, expect, test } from 'vitest'
import { explore } from './explore.ts'
import type { WorldSize } from './protocol-world.ts'

const SMALL: WorldSize = { sources: 2, tasks: 2, recordsPerSource: 1, checkpoints: 1, crashes: 1, timeouts: 0 }

describe('everything that can happen', () => {
  test('small', () => {
    const { states, violation } = explore(SMALL)
    console.log(states)
    expect(violation).toBeUndefined()
  })
})
