import { Observable, scan } from 'rxjs'
import { countReading } from './count-reading.ts'
import { installedVersion } from './installed-version.ts'
import { outcomeOf, Tally } from './tally.ts'
import type { Reading } from './workload.ts'
import { countSum, integerKeys, peerArguments, readings, stringKeys } from './workload.ts'

const settings = peerArguments()
const { records, warmUp, keys, kind } = settings
const at = readings<string | number>(kind === 'string' ? stringKeys(keys) : integerKeys(keys))
const tally = new Tally(warmUp)

const source = new Observable<Reading>((subscriber) => {
  for (let i = 0; i < records; i++) subscriber.next(at(i))
  subscriber.complete()
})
source.pipe(scan(countReading(), { key: '' as string | number, count: 0 })).subscribe((result) => tally.add(result.count))
const expected = { results: records, sum: countSum(settings) }
console.log(JSON.stringify(outcomeOf([tally.part()], settings, expected, { versions: installedVersion('rxjs') })))
