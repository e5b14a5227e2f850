import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LatencyCounts } from '../../benchmarks/jobs/parts/latency-counts.ts'

/** The sample that a share of all samples does not exceed. */
function quantileOf(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b)
  return sorted[Math.ceil(share * sorted.length) - 1]!
}

const latencies = fc.array(fc.double({ min: 0, max: 5000, noNaN: true }), { minLength: 1, maxLength: 200 })

test('quantiles are those of the samples, to the width of a cell', () => {
  fc.assert(
    fc.property(latencies, fc.constantFrom(0.5, 0.9, 0.99, 0.999), (samples, share) => {
      const counts = new LatencyCounts()
      for (const ms of samples) counts.record(ms)
      const exact = quantileOf(samples, share)
      const error = counts.quantile(share) - exact
      expect(error).toBeGreaterThanOrEqual(-1e-9)
      expect(error).toBeLessThanOrEqual(exact < 1000 ? 0.0100001 : 1)
      expect(counts.max).toBeGreaterThanOrEqual(Math.max(...samples) - 1e-9)
    }),
  )
})

test('what was taken in parts adds up to the whole', () => {
  fc.assert(
    fc.property(latencies, latencies, (first, second) => {
      const [whole, part, sum] = [new LatencyCounts(), new LatencyCounts(), new LatencyCounts()]
      for (const ms of [...first, ...second]) whole.record(ms)
      for (const samples of [first, second]) {
        for (const ms of samples) part.record(ms)
        sum.add(part.take())
      }
      expect(sum.total).toBe(first.length + second.length)
      expect(sum.take()).toEqual(whole.take())
    }),
    { numRuns: 30 },
  )
})

test('what is later than all cells is in the last one', () => {
  const counts = new LatencyCounts()
  counts.record(1e9, 3)
  expect(counts.total).toBe(3)
  expect(counts.quantile(0.5)).toBe(counts.max)
})
