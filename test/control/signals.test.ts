import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { onInterrupt, watchStop } from '../../src/control/signals.ts'

describe('a stop that takes its time', () => {
  let committing: readonly string[] = []
  const said: string[] = []
  let end = (): void => {}

  beforeEach(() => {
    vi.useFakeTimers()
    said.length = 0
    end = watchStop({ committing: () => committing, say: (message) => said.push(message) })
  })

  afterEach(() => {
    end()
    vi.useRealTimers()
  })

  test('says soon which commit it waits for, and again as long as it does', () => {
    committing = ['out']
    vi.advanceTimersByTime(499)
    expect(said).toEqual([])
    vi.advanceTimersByTime(1)
    expect(said).toEqual(["waiting for the commit of 'out'; press Ctrl-C again to stop at once"])
    committing = ['out', 'late', 'log']
    vi.advanceTimersByTime(10_000)
    expect(said[1]).toBe("waiting for the commit of 'out', 'late' and 'log'; press Ctrl-C again to stop at once")
    committing = []
    vi.advanceTimersByTime(60_000)
    expect(said).toHaveLength(2)
  })

  test('says nothing when it has ended', () => {
    committing = ['out']
    end()
    vi.advanceTimersByTime(60_000)
    expect(said).toEqual([])
  })
})

describe('Ctrl-C', () => {
  const stop = vi.fn<() => void>()
  const exit = vi.spyOn(process, 'exit')

  afterEach(() => {
    vi.clearAllMocks()
  })

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('asks for a stop, and a second %s ends the process', (signal, code) => {
    exit.mockImplementation(() => undefined as never)
    const before = process.listenerCount(signal)
    const forget = onInterrupt(stop)
    const [handler] = process.listeners(signal).slice(before)
    handler!(signal)
    expect(stop).toHaveBeenCalledTimes(1)
    expect(exit).not.toHaveBeenCalled()
    handler!(signal)
    expect(exit).toHaveBeenCalledWith(code)
    forget()
    expect(process.listenerCount(signal)).toBe(before)
  })
})
