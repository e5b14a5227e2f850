import { job } from 'sluice'
import { argumentsOf } from './parts/arguments.ts'
import { runAndTell } from './parts/outcome.ts'
import { rounds, sumOfRounds } from './parts/rounds.ts'
import { tally } from './parts/tally.ts'

/* An account of about 100 bytes for each key, of which as many change as the file `--rounds` says. */

const { keys, parallelism, rounds: file } = argumentsOf({ keys: 200_000, parallelism: 2, rounds: '.' })

const seen = tally<number>((count) => count)
const state = job('changing-state', { parallelism })
state
  .from(rounds({ file, keys, at: (key) => key }))
  .keyBy((key) => key)
  .aggregate({
    create: () => ({ count: 0, total: 0, note: 'as much as a short comment on an order may well be, or an address, or a name' }),
    add: (account) => {
      account.count++
      account.total += account.count
      return account
    },
    result: (account) => account.count,
  })
  .to(seen.sink)

await runAndTell(
  () => state.run(),
  seen.totals,
  () => sumOfRounds(file, keys, parallelism),
)
