import { generate, job } from 'sluice'
import { committedTally } from './sluice-tally.ts'
import { outcomeOf } from './tally.ts'
import { countSum, integerKeys, peerArguments, readings, stringKeys } from './workload.ts'

// A running count for each key, written as a user would. Parallelism, checkpoints and the state folder come with the engine's own flags.

const settings = peerArguments()
const { records, warmUp, keys, kind } = settings
const at = readings<string | number>(kind === 'string' ? stringKeys(keys) : integerKeys(keys))
const parallelism = Number(process.argv[process.argv.indexOf('--parallelism') + 1])
const tally = committedTally<{ count: number }>(Math.floor(warmUp / parallelism), (result) => result.count)

const count = job('peers-count')
count
  .from(generate({ count: records, at }))
  .keyBy((reading) => reading.key)
  .count()
  .to(tally.sink)
const { recordsIn, recordsOut, checkpoints } = await count.run()

const expected = { results: records, sum: countSum(settings) }
const verified = recordsIn === records && recordsOut === records
console.log(JSON.stringify(outcomeOf(tally.parts(), settings, expected, { verified, checkpoints })))
