import { describe, expect, test } from 'vitest'
import type { CheckpointStore } from '../../src/checkpoint/checkpoint-store.ts'
import type { Foldable } from '../../src/checkpoint/folder.ts'
import { Folding } from '../../src/control/folding.ts'
import type { Timers } from '../../src/core/time.ts'
import { systemTimers } from '../../src/core/time.ts'

const MEBIBYTE = 1 << 20

/** A store of which a fold takes some bytes with each step. */
class FakeStore {
  baseBytes = 10 * MEBIBYTE
  waitingBytes = 0
  imageBytes = 0
  rows = 0
  imageRows = 0
  chunks = 0
  foldedThrough = 0
  purges = 0
  bytesPerStep = MEBIBYTE
  fails: Error | undefined
  readonly stepsMs: (number | undefined)[] = []

  sizes(): { readonly baseBytes: number } {
    return { baseBytes: this.baseBytes }
  }

  foldable(): Foldable | undefined {
    if (this.waitingBytes === 0) return undefined
    const { waitingBytes: bytes, imageBytes, rows, imageRows, chunks } = this
    return { through: this.foldedThrough + 1, bytes, imageBytes, rows, imageRows, chunks }
  }

  foldStep(ms?: number): boolean {
    if (this.fails !== undefined) throw this.fails
    if (this.waitingBytes === 0) return false
    this.stepsMs.push(ms)
    this.waitingBytes = Math.max(0, this.waitingBytes - this.bytesPerStep)
    if (this.waitingBytes === 0) this.foldedThrough++
    return true
  }

  purgeStep(): boolean {
    return this.purges-- > 0
  }
}

/** Rests take no time. */
const PROMPT: Timers = {
  ...systemTimers,
  set(callback) {
    setImmediate(callback)
    return () => undefined
  },
}

function folding(store: FakeStore, timers = PROMPT) {
  const folded: number[] = []
  const failures: unknown[] = []
  const own = new Folding(
    store as unknown as CheckpointStore,
    (checkpoint) => folded.push(checkpoint),
    (error) => failures.push(error),
    timers,
  )
  return { own, folded, failures }
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await systemTimers.turn()
}

describe('folding', () => {
  test('begins when a share of the base waits, and not before', async () => {
    const store = new FakeStore()
    const { own, folded } = folding(store)
    store.waitingBytes = 3 * MEBIBYTE
    own.consider()
    await settled()
    expect(store.stepsMs).toEqual([])
    store.waitingBytes = 4 * MEBIBYTE
    own.consider()
    await settled()
    expect(store.stepsMs).toHaveLength(4)
    expect(folded).toEqual([1])
  })

  test('begins when it lies in many chunks or has many rows, however few bytes those have', async () => {
    for (const [what, enough] of [
      ['chunks', 512],
      ['rows', 400_000],
      ['imageRows', 4_000_000],
    ] as const) {
      const store = Object.assign(new FakeStore(), { waitingBytes: 1_000 })
      const { own, folded } = folding(store)
      store[what] = enough - 1
      own.consider()
      await settled()
      expect(folded).toEqual([])
      store[what] = enough
      own.consider()
      await settled()
      expect(folded).toEqual([1])
    }
  })

  test('waits for no more than a bound, however large the base is, and for a little, however small', async () => {
    for (const [baseBytes, enough] of [
      [4_096 * MEBIBYTE, 16 * MEBIBYTE],
      [0, MEBIBYTE / 4],
    ] as const) {
      const store = Object.assign(new FakeStore(), { baseBytes })
      const { own, folded } = folding(store)
      store.waitingBytes = enough - 1
      own.consider()
      await settled()
      expect(folded).toEqual([])
      store.waitingBytes = enough
      own.consider()
      await settled()
      expect(folded).toEqual([1])
    }
  })

  test('lets images wait that are a few times the base', async () => {
    const store = Object.assign(new FakeStore(), { waitingBytes: 31 * MEBIBYTE, imageBytes: 31 * MEBIBYTE })
    const { own, folded } = folding(store)
    own.consider()
    await settled()
    expect(folded).toEqual([])
    Object.assign(store, { waitingBytes: 32 * MEBIBYTE, imageBytes: 32 * MEBIBYTE })
    own.consider()
    await settled()
    expect(folded).toEqual([1])
  })

  test('takes longer steps the further it is behind, and short ones again when it has caught up', async () => {
    const store = Object.assign(new FakeStore(), { waitingBytes: 12 * MEBIBYTE, bytesPerStep: 2 * MEBIBYTE })
    const { own } = folding(store)
    own.consider()
    await settled()
    const expected = [150, 125, 100, 75, 2, 2]
    expect(store.stepsMs.map((ms) => ms && Math.round(ms))).toEqual(expected)
  })

  test('rests four times as long as it has worked, unless it is behind or somebody waits', async () => {
    const restsOf = async (waitingBytes: number, isAwaited: boolean): Promise<readonly number[]> => {
      let nowMs = 0
      const rests: number[] = []
      const store = Object.assign(new FakeStore(), { waitingBytes, bytesPerStep: MEBIBYTE })
      const step = store.foldStep.bind(store)
      store.foldStep = (ms) => {
        nowMs += 3
        return step(ms)
      }
      const timers: Timers = {
        ...PROMPT,
        nowMs: () => nowMs,
        set(callback, delayMs) {
          rests.push(delayMs)
          return PROMPT.set(callback, delayMs)
        },
      }
      const { own } = folding(store, timers)
      if (isAwaited) await own.drain()
      else own.consider()
      await settled()
      expect(store.waitingBytes).toBe(0)
      return rests
    }
    expect(await restsOf(4 * MEBIBYTE, false)).toEqual([12, 12, 12])
    expect(await restsOf(4 * MEBIBYTE, true)).toEqual([])
    // Up to a quarter more than may wait it rests, and not before.
    expect(await restsOf(8 * MEBIBYTE, false)).toHaveLength(4)
  })

  test('does not happen while the store is held, and is made up for afterwards', async () => {
    const store = Object.assign(new FakeStore(), { waitingBytes: 8 * MEBIBYTE })
    const { own, folded } = folding(store)
    own.consider()
    own.hold()
    own.hold()
    await settled()
    const before = store.waitingBytes
    own.letGo()
    await settled()
    expect(store.waitingBytes).toBe(before)
    own.letGo()
    await settled()
    expect(folded).toEqual([1])
  })

  test('folds everything when it is drained, and purges what belongs to nothing', async () => {
    const store = Object.assign(new FakeStore(), { waitingBytes: 1, purges: 3 })
    const { own, folded } = folding(store)
    await own.drain()
    expect(folded).toEqual([1])
    expect(store.purges).toBeLessThanOrEqual(0)
  })

  test('writes nothing after it was stopped, or has failed', async () => {
    const store = Object.assign(new FakeStore(), { waitingBytes: 8 * MEBIBYTE })
    const first = folding(store)
    first.own.consider()
    await first.own.stop()
    const left = store.waitingBytes
    first.own.consider(true)
    await settled()
    expect(store.waitingBytes).toBe(left)

    const second = folding(store)
    store.fails = new Error('no room')
    second.own.consider(true)
    await settled()
    store.fails = undefined
    second.own.consider(true)
    await settled()
    expect(second.failures).toEqual([expect.objectContaining({ message: 'no room' })])
    expect(store.waitingBytes).toBe(left)
  })
})
