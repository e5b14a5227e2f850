import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BarrierAligner } from '../../src/checkpoint/barrier-aligner.ts'
import type { Machine } from '../transcripts/runner.ts'
import { testTranscript } from '../transcripts/runner.ts'

describe('the barrier aligner, by transcript', () => {
  testTranscript(new URL('../transcripts/barrier-aligner.txt', import.meta.url), alignerMachine)
})

function alignerMachine(): Machine {
  let aligner: BarrierAligner
  let channels = 0
  const held = (): string => {
    const all = Array.from({ length: channels }, (_, channel) => channel).filter((channel) => aligner.isHeld(channel))
    return all.length === 0 ? '  held: none' : `  held: ${all.join(' ')}`
  }
  return (command) => {
    switch (command.verb) {
      case 'new':
        channels = command.numeric('channels', 2)
        aligner = new BarrierAligner(channels, command.numeric('settled', 0))
        return [held()]
      case 'barrier': {
        const snapshot = aligner.onBarrier(command.integer(0), command.integer(1))
        return snapshot ? [`snapshot ${command.integer(1)}`, held()] : [held()]
      }
      case 'abort':
        aligner.onAbort(command.integer(0))
        return [held()]
      default:
        throw new Error(`unknown command '${command.verb}'`)
    }
  }
}

type AlignerEvent =
  | { readonly type: 'barrier'; readonly channel: number; readonly checkpoint: number }
  | { readonly type: 'abort'; readonly checkpoint: number }

/** The rules word for word, looked up in all that has ever happened: slow, and without a state that could be wrong. */
class NaiveAligner {
  readonly #channels: number
  readonly #events: AlignerEvent[] = []
  #over: number

  constructor(channels: number, settled: number) {
    this.#channels = channels
    this.#over = settled
  }

  onEvent(event: AlignerEvent): boolean {
    this.#events.push(event)
    if (event.type === 'abort') this.#over = Math.max(this.#over, event.checkpoint)
    const complete = this.#newest() > this.#over && this.#delivered().size === this.#channels
    if (complete) this.#over = this.#newest()
    return complete
  }

  isHeld(channel: number): boolean {
    return this.#newest() > this.#over && this.#delivered().has(channel)
  }

  #newest(): number {
    return Math.max(0, ...this.#events.map((event) => (event.type === 'barrier' ? event.checkpoint : 0)))
  }

  #delivered(): Set<number> {
    const ofNewest = this.#events.filter((event) => event.type === 'barrier' && event.checkpoint === this.#newest())
    return new Set(ofNewest.map((event) => (event as { channel: number }).channel))
  }
}

describe('the barrier aligner, against a model', () => {
  const channels = fc.integer({ min: 1, max: 4 })
  const event: fc.Arbitrary<AlignerEvent> = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        type: fc.constant('barrier' as const),
        channel: fc.nat(3),
        checkpoint: fc.integer({ min: 1, max: 9 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('abort' as const), checkpoint: fc.integer({ min: 1, max: 9 }) }) },
  )

  test('any sequence of barriers and aborts holds and releases the channels that the rules say', () => {
    fc.assert(
      fc.property(channels, fc.nat(3), fc.array(event, { maxLength: 40 }), (count, settled, events) => {
        const aligner = new BarrierAligner(count, settled)
        const model = new NaiveAligner(count, settled)
        for (const next of events) {
          if (next.type === 'barrier' && next.channel >= count) continue
          const expected = model.onEvent(next)
          if (next.type === 'abort') aligner.onAbort(next.checkpoint)
          else expect(aligner.onBarrier(next.channel, next.checkpoint)).toBe(expected)
          for (let channel = 0; channel < count; channel++) expect(aligner.isHeld(channel)).toBe(model.isHeld(channel))
        }
      }),
      { numRuns: 1000 },
    )
  })

  test('a snapshot sees all records before the barriers and none behind them, and no task stands still', () => {
    const checkpoints = 8
    const schedule = fc.array(fc.nat(1000), { minLength: 200, maxLength: 200 })
    fc.assert(
      fc.property(
        channels,
        schedule,
        fc.uniqueArray(fc.integer({ min: 1, max: checkpoints }), { maxLength: 4 }),
        (count, choices, aborted) => {
          const aligner = new BarrierAligner(count)
          // Each channel carries, for every checkpoint, one record and then the barrier.
          const read = new Array<number>(count).fill(0)
          const toAbort = [...aborted]
          const snapshots: number[] = []
          for (const choice of choices) {
            if (choice % 10 === 0 && toAbort.length > 0) aligner.onAbort(toAbort.pop()!)
            const open = read
              .map((_, channel) => channel)
              .filter((channel) => read[channel]! < 2 * checkpoints && !aligner.isHeld(channel))
            if (open.length === 0) break
            const channel = open[choice % open.length]!
            const at = read[channel]!++
            if (at % 2 === 0) continue
            const checkpoint = (at + 1) / 2
            if (!aligner.onBarrier(channel, checkpoint)) continue
            snapshots.push(checkpoint)
            expect(read).toEqual(new Array(count).fill(2 * checkpoint))
          }
          // A channel is held only for one that still has something to deliver, so all of them come to their end.
          expect(read).toEqual(new Array(count).fill(2 * checkpoints))
          const notAborted = Array.from({ length: checkpoints }, (_, index) => index + 1).filter((id) => !aborted.includes(id))
          if (aborted.length === 0) expect(snapshots).toEqual(notAborted)
          else expect(snapshots).toEqual([...snapshots].sort((a, b) => a - b))
        },
      ),
    )
  })
})
