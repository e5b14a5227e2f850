import { runEffects, scan, skip, tap } from '@most/core'
import { newDefaultScheduler } from '@most/scheduler'
import type { KeyCount } from './count-reading.ts'
import { countReading } from './count-reading.ts'
import { installedVersion } from './installed-version.ts'
import { generated } from './most-core-source.ts'
import { outcomeOf, Tally } from './tally.ts'
import { countSum, integerKeys, peerArguments, readings, stringKeys } from './workload.ts'

const settings = peerArguments()
const { records, warmUp, keys, kind } = settings
const at = readings<string | number>(kind === 'string' ? stringKeys(keys) : integerKeys(keys))
const tally = new Tally(warmUp)

const none: KeyCount = { key: '', count: 0 }
// Its `scan` emits what it begins with.
const counts = skip(1, scan(countReading(), none, generated(records, at)))
await runEffects(
  tap((result) => tally.add(result.count), counts),
  newDefaultScheduler(),
)
const expected = { results: records, sum: countSum(settings) }
console.log(JSON.stringify(outcomeOf([tally.part()], settings, expected, { versions: installedVersion('@most/core') })))
