import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { WATERMARK_END, WATERMARK_NONE } from '../../src/core/time.ts'
import { WatermarkMerger } from '../../src/runtime/watermark-merger.ts'

function merger(channels: number): WatermarkMerger {
  return new WatermarkMerger(new Array<number>(channels).fill(WATERMARK_NONE))
}

describe('the watermark of several channels', () => {
  test('is that of the slowest', () => {
    const merged = merger(2)
    expect(merged.onWatermark(0, 10).watermark).toBe(WATERMARK_NONE)
    expect(merged.onWatermark(1, 5).watermark).toBe(5)
    expect(merged.onWatermark(1, 20).watermark).toBe(10)
    expect(merged.onWatermark(0, 15).watermark).toBe(15)
  })

  test('of a single channel is its own', () => {
    const merged = merger(1)
    expect(merged.onWatermark(0, 3)).toEqual({ watermark: 3, idle: false })
    expect(merged.onWatermark(0, 2).watermark).toBe(3)
  })

  test('does not wait for an idle channel', () => {
    const merged = merger(2)
    merged.onWatermark(0, 10)
    merged.onWatermark(1, 5)
    expect(merged.onIdle(1)).toEqual({ watermark: 10, idle: false })
    expect(merged.onWatermark(0, 30).watermark).toBe(30)
  })

  test('is the largest one when the last active channel turns idle', () => {
    const merged = merger(2)
    merged.onWatermark(0, 10)
    merged.onWatermark(1, 5)
    merged.onIdle(0)
    expect(merged.output).toBe(5)
    expect(merged.onIdle(1)).toEqual({ watermark: 10, idle: true })
  })

  test('waits for a channel that comes back only when it has caught up', () => {
    const merged = merger(2)
    merged.onWatermark(0, 10)
    merged.onWatermark(1, 5)
    merged.onIdle(1)
    merged.onWatermark(0, 30)
    expect(merged.onActive(1)).toEqual({ watermark: 30, idle: false })
    expect(merged.onWatermark(1, 20).watermark).toBe(30)
    expect(merged.onWatermark(0, 40).watermark).toBe(40)
    expect(merged.onWatermark(1, 40).watermark).toBe(40)
    expect(merged.onWatermark(0, 60).watermark).toBe(40)
    expect(merged.onWatermark(1, 50).watermark).toBe(50)
  })

  test('stays where it is while all active channels are catching up', () => {
    const merged = merger(2)
    merged.onWatermark(0, 10)
    merged.onIdle(0)
    merged.onWatermark(1, 50)
    merged.onIdle(1)
    expect(merged.onActive(0)).toEqual({ watermark: 50, idle: false })
    expect(merged.onWatermark(0, 40).watermark).toBe(50)
    expect(merged.onWatermark(0, 51).watermark).toBe(51)
  })

  test('takes a finished channel for neither idle nor endless: with all others idle it is not the end (FLINK-38477)', () => {
    const merged = merger(2)
    merged.onWatermark(0, 100)
    merged.onWatermark(1, 50)
    merged.onWatermark(0, WATERMARK_END)
    merged.onEnd(0)
    expect(merged.output).toBe(50)
    expect(merged.onIdle(1)).toEqual({ watermark: 50, idle: true })
    expect(merged.onActive(1).watermark).toBe(50)
    expect(merged.onWatermark(1, 70).watermark).toBe(70)
    expect(merged.finished).toBe(false)
    expect(merged.onEnd(1).watermark).toBe(WATERMARK_END)
    expect(merged.finished).toBe(true)
  })

  test('is not the end while a channel is only idle, also between the last watermark of another and its end (FLINK-38477)', () => {
    const merged = merger(2)
    merged.onWatermark(0, 100)
    merged.onWatermark(1, 50)
    merged.onIdle(1)
    expect(merged.onWatermark(0, WATERMARK_END).watermark).toBe(100)
    merged.onEnd(0)
    merged.onActive(1)
    expect(merged.onWatermark(1, 120).watermark).toBe(120)
  })

  test('is not the end when an idle channel comes to its end while another is idle too (FLINK-38477)', () => {
    const merged = merger(2)
    merged.onWatermark(0, 100)
    merged.onWatermark(1, 50)
    merged.onIdle(0)
    merged.onIdle(1)
    expect(merged.onWatermark(0, WATERMARK_END).watermark).toBe(100)
    expect(merged.onEnd(0)).toEqual({ watermark: 100, idle: true })
    expect(merged.onActive(1).watermark).toBe(100)
    expect(merged.onWatermark(1, 120).watermark).toBe(120)
  })

  test('is not the end after a restore in which a channel had ended and another is idle', () => {
    const merged = new WatermarkMerger([WATERMARK_END, 50], 50)
    expect(merged.onIdle(1).watermark).toBe(50)
  })

  test('is not held back by a finished channel', () => {
    const merged = merger(2)
    merged.onWatermark(0, 5)
    merged.onWatermark(1, 10)
    expect(merged.onEnd(0).watermark).toBe(10)
  })

  test('a channel that ends while it is idle is finished', () => {
    const merged = merger(2)
    merged.onIdle(0)
    merged.onEnd(0)
    merged.onWatermark(1, 10)
    expect(merged.onEnd(1)).toEqual({ watermark: WATERMARK_END, idle: false })
  })

  test('marks that come late for a finished channel change nothing', () => {
    const merged = merger(2)
    merged.onEnd(0)
    merged.onIdle(0)
    merged.onActive(0)
    expect(merged.onWatermark(1, 10)).toEqual({ watermark: 10, idle: false })
  })

  test('goes on where the checkpoint stopped, channels and result together', () => {
    const merged = new WatermarkMerger([10, 30], 10)
    expect(merged.output).toBe(10)
    expect(merged.onWatermark(0, 20).watermark).toBe(20)
    expect(merged.watermarks).toEqual([20, 30])
  })

  test('after a restore with channels behind the result neither goes back nor waits for ever', () => {
    const merged = new WatermarkMerger([5, 5], 40)
    expect(merged.onWatermark(0, 20).watermark).toBe(40)
    merged.onWatermark(0, 60)
    // The other one is still behind, as after idleness: it does not count until it has caught up.
    expect(merged.onWatermark(1, 50).watermark).toBe(60)
    merged.onWatermark(1, 70)
    expect(merged.onWatermark(0, 80).watermark).toBe(70)
  })
})

/** What a script of marks makes of a number of channels: `[mark, channel, time]`, and what follows from it. */
type Step = readonly [
  mark: 'watermark' | 'idle' | 'active' | 'end',
  channel: number,
  time: number | undefined,
  watermark: number,
  idle?: boolean,
]

function follow(channels: number, steps: readonly Step[]): void {
  const merged = merger(channels)
  for (const [index, [mark, channel, time, watermark, idle = false]] of steps.entries()) {
    const now =
      mark === 'watermark'
        ? merged.onWatermark(channel, time!)
        : mark === 'idle'
          ? merged.onIdle(channel)
          : mark === 'active'
            ? merged.onActive(channel)
            : merged.onEnd(channel)
    expect(now, `after step ${index}, ${mark} of channel ${channel}`).toEqual({ watermark, idle })
  }
}

/* The cases that Apache Flink tests its valve with, written anew; and what finished channels, which it does not have, add to them. */
describe('the watermark of channels, case by case', () => {
  const NONE = WATERMARK_NONE

  test('of one channel: rising, falling', () => {
    follow(1, [
      ['watermark', 0, 0, 0],
      ['watermark', 0, 25, 25],
      ['watermark', 0, 18, 25],
      ['watermark', 0, 25, 25],
      ['watermark', 0, 42, 42],
    ])
  })

  test('of one channel that toggles between idle and active', () => {
    follow(1, [
      ['active', 0, undefined, NONE],
      ['idle', 0, undefined, NONE, true],
      ['idle', 0, undefined, NONE, true],
      ['active', 0, undefined, NONE],
      ['watermark', 0, 25, 25],
      ['idle', 0, undefined, 25, true],
      ['active', 0, undefined, 25],
      ['watermark', 0, 50, 50],
    ])
  })

  test('of three that rise', () => {
    follow(3, [
      ['watermark', 0, 0, NONE],
      ['watermark', 1, 0, NONE],
      ['watermark', 2, 0, 0],
      ['watermark', 0, 12, 0],
      ['watermark', 2, 8, 0],
      ['watermark', 2, 10, 0],
      ['watermark', 1, 15, 10],
      ['watermark', 2, 17, 12],
      ['watermark', 0, 20, 15],
    ])
  })

  test('of three, of which some fall back', () => {
    follow(3, [
      ['watermark', 0, 25, NONE],
      ['watermark', 1, 10, NONE],
      ['watermark', 2, 17, 10],
      ['watermark', 0, 12, 10],
      ['watermark', 1, 8, 10],
      ['watermark', 2, 15, 10],
    ])
  })

  test('of two that toggle: idle only while both are', () => {
    follow(2, [
      ['idle', 0, undefined, NONE],
      ['idle', 1, undefined, NONE, true],
      ['active', 0, undefined, NONE],
      ['idle', 0, undefined, NONE, true],
      ['active', 1, undefined, NONE],
      ['active', 0, undefined, NONE],
    ])
  })

  test('goes on when those turn idle that hold it back, one by one', () => {
    follow(3, [
      ['watermark', 0, 25, NONE],
      ['watermark', 1, 10, NONE],
      ['watermark', 2, 17, 10],
      ['idle', 1, undefined, 17],
      ['watermark', 2, 21, 21],
      ['idle', 2, undefined, 25],
      ['watermark', 0, 30, 30],
    ])
  })

  test('does not wait for one that is idle before it has any', () => {
    follow(3, [
      ['watermark', 0, 15, NONE],
      ['watermark', 1, 10, NONE],
      ['idle', 2, undefined, 10],
      ['watermark', 1, 18, 15],
      ['idle', 1, undefined, 15],
      ['watermark', 0, 20, 20],
    ])
  })

  test('is the largest when all have turned idle, said with the last of them', () => {
    follow(3, [
      ['watermark', 0, 10, NONE],
      ['watermark', 1, 5, NONE],
      ['watermark', 2, 3, 3],
      ['idle', 0, undefined, 3],
      ['idle', 1, undefined, 3],
      ['idle', 2, undefined, 10, true],
    ])
  })

  test('is not moved by the last one turning idle when it is the largest already', () => {
    follow(2, [
      ['watermark', 0, 10, NONE],
      ['watermark', 1, 5, 5],
      ['idle', 1, undefined, 10],
      ['idle', 0, undefined, 10, true],
    ])
  })

  test('counts one that comes back from idleness only when it has caught up', () => {
    follow(3, [
      ['watermark', 0, 10, NONE],
      ['watermark', 1, 7, NONE],
      ['watermark', 2, 3, 3],
      ['idle', 2, undefined, 7],
      ['active', 2, undefined, 7],
      ['watermark', 0, 18, 7],
      ['watermark', 1, 12, 12],
      ['watermark', 2, 5, 12],
      ['watermark', 2, 8, 12],
      ['watermark', 2, 12, 12],
      ['watermark', 1, 20, 12],
      ['watermark', 2, 15, 15],
    ])
  })

  test('counts one that comes back at the watermark at once', () => {
    follow(2, [
      ['watermark', 0, 10, NONE],
      ['watermark', 1, 10, 10],
      ['idle', 1, undefined, 10],
      ['active', 1, undefined, 10],
      ['watermark', 0, 20, 10],
    ])
  })

  test('stays while all that are active are behind it', () => {
    follow(3, [
      ['watermark', 0, 10, NONE],
      ['watermark', 1, 7, NONE],
      ['idle', 2, undefined, 7],
      ['idle', 1, undefined, 10],
      ['active', 1, undefined, 10],
      ['active', 2, undefined, 10],
      ['idle', 0, undefined, 10],
      ['watermark', 1, 8, 10],
      ['watermark', 2, 9, 10],
      ['watermark', 1, 11, 11],
    ])
  })

  test('does not care when one that is behind it turns idle again', () => {
    follow(2, [
      ['watermark', 0, 7, NONE],
      ['watermark', 1, 10, 7],
      ['idle', 0, undefined, 10],
      ['active', 0, undefined, 10],
      ['idle', 0, undefined, 10],
      ['watermark', 1, 15, 15],
      ['active', 0, undefined, 15],
      ['watermark', 0, 12, 15],
      ['watermark', 1, 20, 20],
    ])
  })

  test('goes on when the slowest ends, and is the end only with the last', () => {
    follow(3, [
      ['watermark', 0, 10, NONE],
      ['watermark', 1, 5, NONE],
      ['watermark', 2, 3, 3],
      ['end', 2, undefined, 5],
      ['idle', 0, undefined, 5],
      ['end', 1, undefined, 10, true],
      ['active', 0, undefined, 10],
      ['watermark', 0, 12, 12],
      ['end', 0, undefined, WATERMARK_END],
    ])
  })

  test('of one that ends while it is behind is not waited for', () => {
    follow(2, [
      ['watermark', 0, 10, NONE],
      ['idle', 1, undefined, 10],
      ['active', 1, undefined, 10],
      ['watermark', 1, 4, 10],
      ['end', 1, undefined, 10],
      ['watermark', 0, 11, 11],
    ])
  })

  test('does not count inputs without time, which begin at its end', () => {
    const merged = new WatermarkMerger([WATERMARK_END, NONE])
    expect(merged.onWatermark(1, 5)).toEqual({ watermark: 5, idle: false })
    expect(merged.onIdle(1)).toEqual({ watermark: 5, idle: true })
    expect(merged.onIdle(0)).toEqual({ watermark: 5, idle: true })
    expect(merged.onActive(1)).toEqual({ watermark: 5, idle: false })
    expect(merged.onEnd(1)).toEqual({ watermark: WATERMARK_END, idle: false })
    expect(merged.finished).toBe(false)
    expect(merged.onEnd(0).watermark).toBe(WATERMARK_END)
    expect(merged.finished).toBe(true)
  })

  test('between two records is the same as outside of them', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(2), fc.nat(50)), { maxLength: 40 }), (marks) => {
        const [inside, outside] = [merger(3), merger(3)]
        for (const [channel, time] of marks) {
          const before = outside.output
          expect(inside.raise(channel, time)).toBe(outside.onWatermark(channel, time).watermark > before)
          expect(inside.output).toBe(outside.output)
          expect(inside.watermarks).toEqual(outside.watermarks)
        }
      }),
    )
  })
})

type Mark = { readonly type: 'watermark' | 'idle' | 'active' | 'end'; readonly channel: number; readonly step: number }

/** The rules of the documentation, evaluated from scratch over plain lists after each mark. */
class NaiveMerger {
  output = WATERMARK_NONE
  readonly #watermarks: number[]
  readonly #status: ('active' | 'idle' | 'finished')[]
  /** Channels that came back and have been behind the output ever since. */
  #behind = new Set<number>()

  constructor(channels: number) {
    this.#watermarks = new Array<number>(channels).fill(WATERMARK_NONE)
    this.#status = new Array<'active'>(channels).fill('active')
  }

  on(type: Mark['type'], channel: number, time: number): void {
    if (type === 'watermark') this.#watermarks[channel] = Math.max(time, this.#watermarks[channel]!)
    if (type === 'idle' && this.#status[channel] === 'active') this.#status[channel] = 'idle'
    if (type === 'end') this.#status[channel] = 'finished'
    if (type === 'active' && this.#status[channel] === 'idle') {
      this.#status[channel] = 'active'
      this.#behind.add(channel)
    }
    this.#behind = new Set([...this.#behind].filter((each) => this.#watermarks[each]! < this.output))
    const of = (status: string): number[] => [...this.#status.keys()].filter((each) => this.#status[each] === status)
    const times = (channels: number[]): number[] => channels.map((each) => this.#watermarks[each]!)
    const counted = of('active').filter((each) => !this.#behind.has(each))
    if (counted.length > 0) this.output = Math.max(this.output, Math.min(...times(counted)))
    else if (of('active').length === 0)
      this.output = Math.max(this.output, of('idle').length > 0 ? Math.max(...times(of('idle'))) : WATERMARK_END)
  }
}

describe('the watermark of several channels, against a model', () => {
  const mark: fc.Arbitrary<Mark> = fc.record({
    type: fc.constantFrom('watermark', 'watermark', 'watermark', 'idle', 'active', 'end'),
    channel: fc.nat(3),
    step: fc.nat(20),
  })

  test('any sequence of marks gives what the rules say, never goes back, and ends only when everyone has', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), fc.array(mark, { maxLength: 60 }), (channels, marks) => {
        const merged = merger(channels)
        const model = new NaiveMerger(channels)
        const times = new Array<number>(channels).fill(0)
        const ended = new Set<number>()
        let before = WATERMARK_NONE
        for (const { type, channel, step } of marks) {
          // After its end a channel carries nothing more, and before it one channel is enough to keep time from ending.
          if (channel >= channels || ended.has(channel)) continue
          if (type === 'end') ended.add(channel)
          if (type === 'watermark') times[channel]! += step
          model.on(type, channel, times[channel]!)
          const { watermark, idle } =
            type === 'watermark'
              ? merged.onWatermark(channel, times[channel]!)
              : type === 'idle'
                ? merged.onIdle(channel)
                : type === 'active'
                  ? merged.onActive(channel)
                  : merged.onEnd(channel)
          expect(watermark).toBe(model.output)
          expect(merged.output).toBe(watermark)
          expect(watermark).toBeGreaterThanOrEqual(before)
          expect(watermark === WATERMARK_END).toBe(ended.size === channels)
          expect(idle && ended.size === channels).toBe(false)
          before = watermark
        }
      }),
      { numRuns: 2000 },
    )
  })
})
