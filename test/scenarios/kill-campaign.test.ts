import { describe, expect, test } from 'vitest'
import type { FaultKind } from '../campaigns/plan.ts'
import type { Bound } from '../campaigns/records.ts'
import { Round, type RoundOptions } from '../campaigns/round.ts'

/** A share of the campaign (`npm run chaos`) that is small enough for every day, with what any machine lets happen. */
const ROUNDS: readonly RoundOptions[] = [
  { ...round(11, 'tight', ['kill', 'damage']), barriers: 'aligned-then-unaligned' },
  { ...round(12, 'exact', ['kill', 'savepoint', 'pause', 'rival']), barriers: 'unaligned' },
  { ...round(13, 'tight', ['kill', 'throw', 'exit']), barriers: 'aligned' },
]

function round(seed: number, bound: Bound, kinds: readonly FaultKind[]): RoundOptions {
  return { seed, kinds, onSmallDisk: false, input: { seed, bound, records: 2_500, weight: 1 }, kills: 3 }
}

describe('a job with all kinds of state', () => {
  test.each(ROUNDS)(
    'shows nothing that vanishes, comes twice or is torn, and ends as if undisturbed: $kinds, $barriers, seed $seed',
    async (options) => {
      const result = await new Round(options).run()
      expect(result.differences, `${result.folder}\n${result.history.join('\n')}`).toEqual([])
      expect(result.starts).toBeGreaterThan(1)
      expect(result.lines).toBeGreaterThan(10_000)
    },
    180_000,
  )
})
