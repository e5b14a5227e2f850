import { filter, map, runEffects, tap } from '@most/core'
import { newDefaultScheduler } from '@most/scheduler'
import { installedVersion } from './installed-version.ts'
import { generated } from './most-core-source.ts'
import { outcomeOf, Tally } from './tally.ts'
import { chainTotals, eventAt, isNoFourth, isNoThird, mix, peerArguments, scale, widen, wrap } from './workload.ts'

const settings = peerArguments()
const expected = chainTotals(settings)
const tally = new Tally(Math.floor((settings.warmUp / settings.records) * expected.results))

const events = generated(settings.records, eventAt)
const values = map(widen, map(mix, filter(isNoFourth, map(scale, events))))
const results = map(wrap, filter(isNoThird, values))
await runEffects(
  tap((result) => tally.add(result.total), results),
  newDefaultScheduler(),
)
console.log(JSON.stringify(outcomeOf([tally.part()], settings, expected, { versions: installedVersion('@most/core') })))
