import { job } from 'sluice'
import { argumentsOf } from './parts/arguments.ts'
import { cycles, roundsOf } from './parts/cycles.ts'
import { runAndTell } from './parts/outcome.ts'
import { tally } from './parts/tally.ts'

/*
 * An aggregate for each of many keys behind one exchange, with as much state as is asked for. `--width fixed` keeps a number for each key, 16 bytes
 * with the key; `--width wide` an object of about 100 bytes. Of `--keys` all get a value, and from then on the first `--hot` change. Keys are of
 * `--kind integer`, or `string` with 11 characters.
 */

const { keys, hot, end, parallelism, mode, width, kind, exchange } = argumentsOf({
  keys: 1_000_000,
  hot: 0,
  end: '.',
  parallelism: 2,
  mode: 'aligned',
  width: 'fixed',
  kind: 'integer',
  exchange: 'elided',
})
const changing = hot === 0 ? keys : hot

interface Reading {
  readonly key: number | string
  readonly value: number
}

/** With the count, the total and the key it comes to about 100 bytes. */
const NOTE = 'as much as a short comment on an order may well be, or an address, or a name'

/** Every key has had the counts 1, 2, 3, ... once each. */
function expectedSum(records: number): number {
  const rounds = roundsOf(records, parallelism, keys, changing)
  const sumUpTo = (count: number): number => (count * (count + 1)) / 2
  return (keys - changing) * sumUpTo(rounds.cold) + changing * sumUpTo(rounds.hot)
}

const names = kind === 'string' ? Array.from({ length: keys }, (_, key) => `user-${String(key).padStart(6, '0')}`) : []
const at =
  kind === 'string' ? (key: number): Reading => ({ key: names[key]!, value: 1 }) : (key: number): Reading => ({ key, value: 1 })

const seen = tally<number>((count) => count)
const state = job('keyed-state', { parallelism, checkpoint: { mode: mode as 'aligned' }, exchange: exchange as 'elided' })
const byKey = state.from(cycles({ keys, hot: changing, endFile: end, at })).keyBy((reading) => reading.key)
const counts =
  width === 'wide'
    ? byKey.aggregate({
        create: () => ({ count: 0, total: 0, note: NOTE }),
        add: (account, reading) => {
          account.count += reading.value
          account.total += account.count
          return account
        },
        result: (account) => account.count,
      })
    : byKey.aggregate({ create: () => 0, add: (count, reading) => count + reading.value })
counts.to(seen.sink)

await runAndTell(() => state.run(), seen.totals, expectedSum)
