import { SluiceError } from '../../src/core/errors.ts'
import type { Duration } from '../../src/core/time.ts'
import { durationMs } from '../../src/core/time.ts'

/** A stretch of event time: from `start`, included, to `end`, excluded, in milliseconds since 1970. */
export interface TimeWindow {
  readonly start: number
  readonly end: number
}

/** Says into which windows a record falls. */
export interface WindowAssigner {
  readonly kind: 'tumbling'
  readonly sizeMs: number
  readonly offsetMs: number
}

/**
 * Windows of one size, side by side: each record falls into exactly one.
 *
 * ```ts
 * stream.keyBy(key).window(tumblingWindow('1h'))
 * tumblingWindow('1d', { offset: '-8h' }) // days that begin at midnight in Beijing
 * ```
 *
 * @param size longer than 0
 * @param options.offset moves all windows; shorter than the size, and may be negative
 * @throws SluiceError `INVALID_OPTION`, `INVALID_DURATION`
 */
export function tumblingWindow(size: Duration, options: { readonly offset?: Duration | `-${Duration}` } = {}): WindowAssigner {
  const sizeMs = durationMs(size, 'the size of a window')
  const offsetMs = signedMs(options.offset ?? 0)
  if (sizeMs === 0) throw new SluiceError('INVALID_OPTION', 'the size of a window is zero')
  if (Math.abs(offsetMs) >= sizeMs) {
    throw new SluiceError('INVALID_OPTION', `the offset of a window (${offsetMs} ms) is not shorter than its size (${sizeMs} ms)`)
  }
  return { kind: 'tumbling', sizeMs, offsetMs }
}

function signedMs(offset: Duration | `-${Duration}`): number {
  if (typeof offset === 'number')
    return offset < 0 ? -durationMs(-offset, 'the offset of a window') : durationMs(offset, 'the offset of a window')
  const negative = offset.startsWith('-')
  const ms = durationMs((negative ? offset.slice(1) : offset) as Duration, 'the offset of a window')
  return negative ? -ms : ms
}

/** The start of the window that `timestamp` falls into. Rule and vectors: Apache Flink, `TimeWindow.getWindowStartWithOffset`. */
export function windowStart(timestamp: number, sizeMs: number, offsetMs: number): number {
  const rest = (timestamp - offsetMs) % sizeMs
  // Adding zero turns a -0, which a difference can yield, into the 0 that it equals.
  return timestamp - (rest < 0 ? rest + sizeMs : rest) + 0
}
