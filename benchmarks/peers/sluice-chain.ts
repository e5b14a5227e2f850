import { generate, job } from 'sluice'
import { committedTally } from './sluice-tally.ts'
import { outcomeOf } from './tally.ts'
import { chainTotals, eventAt, isNoFourth, isNoThird, mix, peerArguments, scale, widen, wrap } from './workload.ts'

// Six operators without state, chained into one task on one worker thread.

const settings = peerArguments()
const expected = chainTotals(settings)
const startAt = Math.floor((settings.warmUp / settings.records) * expected.results)
const tally = committedTally<{ total: number }>(startAt, (result) => result.total)

const chain = job('peers-chain', { parallelism: 1, checkpoint: { every: 'off' } })
chain
  .from(generate({ count: settings.records, at: eventAt }))
  .map(scale)
  .filter(isNoFourth)
  .map(mix)
  .map(widen)
  .filter(isNoThird)
  .map(wrap)
  .to(tally.sink)
const { recordsIn, checkpoints } = await chain.run()

const verified = recordsIn === settings.records
console.log(JSON.stringify(outcomeOf(tally.parts(), settings, expected, { verified, checkpoints })))
