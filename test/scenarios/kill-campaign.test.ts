import { describe, expect, test } from 'vitest'
import type { RoundOptions } from '../campaigns/torture-campaign.ts'
import { Round } from '../campaigns/torture-campaign.ts'

/** A share of the campaign (`test/campaigns/kill-campaign.ts`) that is small enough for every day. */
const ROUNDS: readonly RoundOptions[] = [
  { seed: 11, mode: 'kill', bound: 'tight', records: 3_000, kills: 4, barriers: 'aligned-then-unaligned' },
  { seed: 12, mode: 'savepoint', bound: 'exact', records: 3_000, kills: 4, barriers: 'unaligned' },
  { seed: 13, mode: 'faults', bound: 'tight', records: 3_000, kills: 4, barriers: 'aligned' },
]

describe('a job with all kinds of state', () => {
  test.each(ROUNDS)(
    'gives the output of an undisturbed run: $mode, $barriers, bound $bound, seed $seed',
    async (options) => {
      const result = await new Round(options).run()
      expect(result.differences, `${result.folder}\n${result.history.join('\n')}`).toEqual([])
      expect(result.starts).toBeGreaterThan(1)
    },
    180_000,
  )
})
