import { Stream } from 'most'
import { installedVersion } from './installed-version.ts'
import { outcomeOf, Tally } from './tally.ts'
import type { Event } from './workload.ts'
import { chainTotals, eventAt, isNoFourth, isNoThird, mix, peerArguments, scale, widen, wrap } from './workload.ts'

// The older `most`, with the numbers for which it is known. `@most/core` is its successor.

const settings = peerArguments()
const { records, warmUp } = settings
const expected = chainTotals(settings)
const tally = new Tally(Math.floor((warmUp / records) * expected.results))

const events = new Stream<Event>({
  run: (sink, scheduler) =>
    scheduler.asap({
      run(time) {
        for (let i = 0; i < records; i++) sink.event(time, eventAt(i))
        sink.end(time)
      },
      error: (time, failure) => sink.error(time, failure),
      dispose() {},
    }),
})
await events
  .map(scale)
  .filter(isNoFourth)
  .map(mix)
  .map(widen)
  .filter(isNoThird)
  .map(wrap)
  .observe((result) => tally.add(result.total))
console.log(JSON.stringify(outcomeOf([tally.part()], settings, expected, { versions: installedVersion('most') })))
