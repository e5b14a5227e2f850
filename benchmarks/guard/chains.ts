import { filter, map, Subject } from 'rxjs'
import type { Receiver } from '../../src/core/operator.ts'
import { fusedLoop } from '../../src/runtime/fused-chain.ts'
import type { LoopSurroundings, RecordLoop } from '../../src/runtime/record-loop.ts'
import { plainLoop } from '../../src/runtime/record-loop.ts'
import type { Event } from '../peers/workload.ts'
import { eventAt, isNoFourth, isNoThird, mix, scale, widen, wrap } from '../peers/workload.ts'
import type { NamedContest, Way } from './contest.ts'
import type { ChainStep } from './parts.ts'
import { BATCH, runBatches, statelessChain, surroundings } from './parts.ts'

/* Six operators without state: the functions of the benchmark `peers`, over the same records in each turn. */

const BATCHES = 160

const STEPS: readonly ChainStep[] = [
  ['map', scale],
  ['filter', isNoFourth],
  ['map', mix],
  ['map', widen],
  ['filter', isNoThird],
  ['map', wrap],
]

export const chains: readonly NamedContest[] = [
  {
    name: 'six operators in one loop',
    yardstick: 'operators that call each other',
    make: () => ({ engine: chain(fusedLoop), yardstick: chain(plainLoop) }),
  },
  {
    name: 'six operators in one loop',
    yardstick: 'a loop by hand',
    make: () => ({ engine: chain(fusedLoop), yardstick: byHand() }),
  },
  { name: 'six operators in one loop', yardstick: 'RxJS', make: () => ({ engine: chain(fusedLoop), yardstick: reactive() }) },
]

function batchesOfEvents(): readonly (readonly Event[])[] {
  return Array.from({ length: BATCHES }, (_, batch) => Array.from({ length: BATCH }, (__, i) => eventAt(batch * BATCH + i)))
}

function chain(makeLoop: (receiver: Receiver, around: LoopSurroundings) => RecordLoop): Way {
  const batches = batchesOfEvents()
  let sum = 0
  const write = (value: unknown): void => {
    sum += (value as { readonly total: number }).total
  }
  const loop = makeLoop(statelessChain(STEPS, write), surroundings())
  return { turn: () => runBatches(loop, batches), result: () => sum }
}

function byHand(): Way {
  const batches = batchesOfEvents()
  let sum = 0
  return {
    turn() {
      for (const batch of batches) {
        for (const event of batch) {
          const scaled = scale(event)
          if (!isNoFourth(scaled)) continue
          const value = widen(mix(scaled))
          if (isNoThird(value)) sum += wrap(value).total
        }
      }
    },
    result: () => sum,
  }
}

function reactive(): Way {
  const batches = batchesOfEvents()
  let sum = 0
  const events = new Subject<Event>()
  events.pipe(map(scale), filter(isNoFourth), map(mix), map(widen), filter(isNoThird), map(wrap)).subscribe(({ total }) => {
    sum += total
  })
  return {
    turn() {
      for (const batch of batches) for (const event of batch) events.next(event)
    },
    result: () => sum,
  }
}
