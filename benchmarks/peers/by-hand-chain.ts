import { outcomeOf, Tally } from './tally.ts'
import { chainTotals, eventAt, isNoFourth, isNoThird, mix, peerArguments, scale, widen, wrap } from './workload.ts'

// The limit of the chain: the same functions, called in a loop.

const settings = peerArguments()
const expected = chainTotals(settings)
const tally = new Tally(Math.floor((settings.warmUp / settings.records) * expected.results))

function run(records: number): void {
  for (let i = 0; i < records; i++) {
    const scaled = scale(eventAt(i))
    if (!isNoFourth(scaled)) continue
    const value = widen(mix(scaled))
    if (isNoThird(value)) tally.add(wrap(value).total)
  }
}

run(settings.records)
console.log(JSON.stringify(outcomeOf([tally.part()], settings, expected)))
