import type { Stream } from 'sluice'
import { job } from 'sluice'
import { argumentsOf } from './parts/arguments.ts'
import { cycles, roundsOf } from './parts/cycles.ts'
import { runAndTell } from './parts/outcome.ts'
import { tally } from './parts/tally.ts'

/*
 * The topology of Carbone et al., "Lightweight Asynchronous Snapshots for Distributed Dataflows" (2015): six operators that are not chained, so
 * that parallelism 2 gives twelve tasks; three full shuffles between them, aggregates by key in the operators behind these, offsets in the sources.
 *
 *   source -> map => aggregate => aggregate => aggregate -> sink        => is a shuffle, everyone to everyone
 *
 * The state is small, and each barrier is aligned three times over all channels. With `--idle 1` the sources have nothing more to read after their
 * first round.
 */

const { keys, end, parallelism, mode, idle } = argumentsOf({
  keys: 10_000,
  end: '.',
  parallelism: 2,
  mode: 'aligned',
  idle: 0,
})

interface Reading {
  readonly key: number
  readonly value: number
}

/** Sums stay below this, so that they are exact however long a run lasts. */
const MODULUS = 1_000_003
const STEP = 7919

/** Every key has another one behind the next shuffle, and each of these comes from one. */
function next(key: number): number {
  return (key * STEP + 1) % keys
}

/** Forward to a task of its own: a stream that is split and brought together again is not chained. */
function unchained(stream: Stream<Reading>): Stream<Reading> {
  const { even, rest } = stream.split({ even: (reading) => reading.key % 2 === 0 })
  return even.union(rest)
}

function shuffled(stream: Stream<Reading>): Stream<Reading> {
  return stream
    .keyBy((reading) => reading.key)
    .aggregate({
      create: () => 0,
      add: (sum, reading) => (sum + reading.value) % MODULUS,
      result: (sum, key) => ({ key: next(key), value: sum }),
    })
}

/** What a key's records add up to behind three running sums, counted by hand. */
function expectedSum(records: number): number {
  const { hot } = roundsOf(records, parallelism, keys)
  let [first, second, third, total] = [0, 0, 0, 0]
  for (let record = 0; record < hot; record++) {
    first = (first + 1) % MODULUS
    second = (second + first) % MODULUS
    third = (third + second) % MODULUS
    total += third
  }
  return total * keys
}

const seen = tally<Reading>((reading) => reading.value)
const topology = job('snapshot-topology', { parallelism, checkpoint: { mode: mode as 'aligned' } })
const source = topology.from(cycles({ keys, endFile: end, idle: idle === 1, at: (key): Reading => ({ key, value: 1 }) }))
const mapped = unchained(source).map(({ key, value }) => ({ key: next(key), value }))
unchained(shuffled(shuffled(shuffled(mapped)))).to(seen.sink)

await runAndTell(() => topology.run(), seen.totals, expectedSum)
