import { filter, map, Observable } from 'rxjs'
import { installedVersion } from './installed-version.ts'
import { outcomeOf, Tally } from './tally.ts'
import { chainTotals, eventAt, isNoFourth, isNoThird, mix, peerArguments, scale, widen, wrap } from './workload.ts'

const settings = peerArguments()
const { records, warmUp } = settings
const expected = chainTotals(settings)
const tally = new Tally(Math.floor((warmUp / records) * expected.results))

const events = new Observable<ReturnType<typeof eventAt>>((subscriber) => {
  for (let i = 0; i < records; i++) subscriber.next(eventAt(i))
  subscriber.complete()
})
events
  .pipe(map(scale), filter(isNoFourth), map(mix), map(widen), filter(isNoThird), map(wrap))
  .subscribe((result) => tally.add(result.total))
console.log(JSON.stringify(outcomeOf([tally.part()], settings, expected, { versions: installedVersion('rxjs') })))
