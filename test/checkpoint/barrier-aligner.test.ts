import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AlignmentMode } from '../../src/checkpoint/barrier-aligner.ts'
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
  const barrier = (channel: number, checkpoint: number): readonly string[] =>
    aligner.onBarrier(channel, checkpoint) ? [`snapshot ${checkpoint}`, held()] : [held()]
  return (command) => {
    switch (command.verb) {
      case 'new':
        channels = command.numeric('channels', 2)
        aligner = new BarrierAligner(
          channels,
          command.numeric('settled', 0),
          command.option('mode', 'exactly-once') as AlignmentMode,
        )
        return [held()]
      case 'barrier':
        return barrier(command.integer(0), command.integer(1))
      case 'barriers': {
        const [from, to] = [command.numeric('from', 1), command.numeric('to', 1)]
        const lines = Array.from({ length: to - from + 1 }, (_, index) => barrier(command.integer(0), from + index))
        return [...new Set(lines.flat())]
      }
      case 'unaligned': {
        const checkpoint = command.integer(0)
        if (aligner.isOver(checkpoint)) return [`${checkpoint} is over`, held()]
        const delivered = aligner.onUnaligned(checkpoint).map((had) => (had ? 'come' : 'missing'))
        return [`snapshot ${checkpoint}, barriers: ${delivered.join(' ')}`, held()]
      }
      case 'abort':
        aligner.onAbort(command.integer(0))
        return [held()]
      default:
        throw new Error(`unknown command '${command.verb}'`)
    }
  }
}

test('a snapshot that does not wait for its barriers is for a checkpoint that is not over', () => {
  const aligner = new BarrierAligner(2, 3)
  expect(() => aligner.onUnaligned(3)).toThrow('broken invariant')
  expect(aligner.onUnaligned(4)).toEqual([false, false])
  expect(() => aligner.onUnaligned(4)).toThrow('broken invariant')
})

type AlignerEvent =
  | { readonly type: 'barrier'; readonly channel: number; readonly checkpoint: number }
  | { readonly type: 'abort'; readonly checkpoint: number }
  | { readonly type: 'unaligned'; readonly checkpoint: number }

/** What a barrier (true: snapshot now) or a snapshot that does not wait (which barriers had come) was answered with. */
type Answer = boolean | readonly boolean[] | undefined

/** The rules word for word, looked up in all that has ever happened: slow, and with next to no state that could be wrong. */
class NaiveAligner {
  readonly #channels: readonly number[]
  readonly #mode: AlignmentMode
  readonly #events: AlignerEvent[] = []
  readonly #snapshots: number[]

  constructor(channels: number, settled: number, mode: AlignmentMode) {
    this.#channels = Array.from({ length: channels }, (_, channel) => channel)
    this.#snapshots = [settled]
    this.#mode = mode
  }

  onEvent(event: AlignerEvent): Answer {
    const { checkpoint } = event
    if (event.type === 'abort' || this.isOver(checkpoint)) {
      // A barrier that comes when its checkpoint is over might as well not have come.
      if (event.type === 'abort') this.#events.push(event)
      return event.type === 'barrier' ? false : undefined
    }
    const before = this.#delivered(checkpoint)
    this.#events.push(event)
    const delivered = this.#delivered(checkpoint)
    if (event.type === 'barrier' && delivered.includes(false)) return false
    this.#snapshots.push(checkpoint)
    return event.type === 'barrier' ? true : before
  }

  isOver(checkpoint: number): boolean {
    const aborted = this.#events.some((event) => event.type === 'abort' && event.checkpoint === checkpoint)
    return aborted || this.#snapshots.some((newest) => checkpoint <= newest) || this.#isGivenUp(checkpoint)
  }

  isHeld(channel: number): boolean {
    if (this.#mode === 'at-least-once') return false
    return this.#barriers().some((barrier) => barrier.channel === channel && !this.isOver(barrier.checkpoint))
  }

  #isGivenUp(checkpoint: number): boolean {
    return this.#mode === 'exactly-once' && this.#barriers().some((barrier) => barrier.checkpoint > checkpoint)
  }

  #delivered(checkpoint: number): readonly boolean[] {
    const barriers = this.#barriers().filter((barrier) => barrier.checkpoint === checkpoint)
    return this.#channels.map((channel) => barriers.some((barrier) => barrier.channel === channel))
  }

  #barriers(): readonly Extract<AlignerEvent, { type: 'barrier' }>[] {
    return this.#events.filter((event) => event.type === 'barrier')
  }
}

describe('the barrier aligner, against a model', () => {
  const channels = fc.integer({ min: 1, max: 4 })
  const mode = fc.constantFrom<AlignmentMode>('exactly-once', 'at-least-once')
  const checkpoint = fc.integer({ min: 1, max: 9 })
  const event: fc.Arbitrary<AlignerEvent> = fc.oneof(
    { weight: 12, arbitrary: fc.record({ type: fc.constant('barrier' as const), channel: fc.nat(3), checkpoint }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant('abort' as const), checkpoint }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('unaligned' as const), checkpoint }) },
  )

  function answer(aligner: BarrierAligner, next: AlignerEvent): Answer {
    if (next.type === 'barrier') return aligner.onBarrier(next.channel, next.checkpoint)
    if (next.type === 'unaligned') return aligner.isOver(next.checkpoint) ? undefined : aligner.onUnaligned(next.checkpoint)
    aligner.onAbort(next.checkpoint)
    return undefined
  }

  test('any sequence of barriers, aborts and unaligned snapshots holds and releases the channels that the rules say', () => {
    fc.assert(
      fc.property(channels, fc.nat(3), mode, fc.array(event, { maxLength: 40, size: 'max' }), (count, settled, kind, events) => {
        const aligner = new BarrierAligner(count, settled, kind)
        const model = new NaiveAligner(count, settled, kind)
        for (const next of events) {
          if (next.type === 'barrier' && next.channel >= count) continue
          expect(answer(aligner, next)).toEqual(model.onEvent(next))
          for (let channel = 0; channel < count; channel++) expect(aligner.isHeld(channel)).toBe(model.isHeld(channel))
          for (let id = 1; id <= 9; id++) expect(aligner.isOver(id)).toBe(model.isOver(id))
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
          // What was aborted in time is missing, and nothing else is: an abort says nothing of other checkpoints.
          for (let id = 1; id <= checkpoints; id++) if (!aborted.includes(id)) expect(snapshots).toContain(id)
          expect(snapshots).toEqual([...snapshots].sort((a, b) => a - b))
        },
      ),
    )
  })

  test('at-least-once: all channels are always read, and a snapshot sees all records before the barriers', () => {
    const checkpoints = 8
    const schedule = fc.array(fc.nat(1000), { minLength: 200, maxLength: 200 })
    fc.assert(
      fc.property(
        channels,
        schedule,
        fc.uniqueArray(fc.integer({ min: 1, max: checkpoints }), { maxLength: 4 }),
        (count, choices, aborted) => {
          const aligner = new BarrierAligner(count, 0, 'at-least-once')
          const read = new Array<number>(count).fill(0)
          const snapshots: number[] = []
          for (const id of aborted) aligner.onAbort(id)
          for (const choice of choices) {
            const open = read.map((_, channel) => channel).filter((channel) => read[channel]! < checkpoints)
            if (open.length === 0) break
            const channel = open[choice % open.length]!
            const id = ++read[channel]!
            if (!aligner.onBarrier(channel, id)) continue
            snapshots.push(id)
            expect(Math.min(...read)).toBe(id)
          }
          const all = Array.from({ length: checkpoints }, (_, index) => index + 1)
          expect(snapshots).toEqual(all.filter((id) => !aborted.includes(id)))
        },
      ),
    )
  })
})
