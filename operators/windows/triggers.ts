import { SluiceError } from '../../src/core/errors.ts'
import type { Duration } from '../../src/core/time.ts'
import { warn } from '../../src/core/warn.ts'
import type { WindowAssigner } from './assigners.ts'
import { positiveMs, wholeCount } from './assigners.ts'

/** Says when a window gives its result: plain data, part of the plan. */
export type Trigger =
  | { readonly kind: 'watermark'; readonly purge: boolean }
  | { readonly kind: 'count'; readonly count: number; readonly endOfWindow: EndOfWindow | null; readonly purge: boolean }
  | { readonly kind: 'processing-time'; readonly everyMs: number; readonly purge: boolean }
  | { readonly kind: 'early'; readonly everyMs: number; readonly purge: boolean }

/** What a count trigger does when its window ends with records that have not been counted out. */
export type EndOfWindow = 'fire' | 'ignore'

export interface TriggerOptions {
  /** Forget the records of the window each time it has fired, so that the next result is of new records alone. Default: false. */
  readonly purge?: boolean
}

export interface CountTriggerOptions extends TriggerOptions {
  /** Windows of time have an end, and records are left over at it: `'fire'` gives them as a last result, `'ignore'`, the default, drops them. */
  readonly endOfWindow?: EndOfWindow
}

/**
 * Fires when the watermark reaches the end of the window (its last millisecond), and again for each record that comes within the allowed
 * lateness. In windows of processing time it is the clock that reaches the end. The default of all windows of time.
 */
export function onWatermark(options: TriggerOptions = {}): Trigger {
  return { kind: 'watermark', purge: options.purge === true }
}

/**
 * Fires whenever `count` records have come since it last fired. It takes the place of the trigger that fires at the end of a window: what comes after the
 * last full count is dropped there, as in Apache Flink, unless `onCount(100, { endOfWindow: 'fire' })` says something else. A window of time of
 * which nothing is said warns.
 * @throws SluiceError `INVALID_OPTION`
 */
export function onCount(count: number, options: CountTriggerOptions = {}): Trigger {
  const { endOfWindow = null } = options
  if (endOfWindow !== null && endOfWindow !== 'fire' && endOfWindow !== 'ignore') {
    throw new SluiceError('INVALID_OPTION', `endOfWindow is 'fire' or 'ignore', not ${JSON.stringify(endOfWindow)}`)
  }
  return { kind: 'count', count: wholeCount(count, 'onCount'), endOfWindow, purge: options.purge === true }
}

/**
 * Fires by the clock alone, at each multiple of `every` since 1970, as long as the window holds anything, new or not. What comes between the
 * last such instant and the end of a window of event time does not fire; `early` fires at the end too. A window of processing time ends by the
 * same clock, so there it fires at the end as well.
 * @throws SluiceError `INVALID_OPTION`, `INVALID_DURATION`
 */
export function onProcessingTime(every: Duration, options: TriggerOptions = {}): Trigger {
  return {
    kind: 'processing-time',
    everyMs: positiveMs(every, 'the interval of onProcessingTime'),
    purge: options.purge === true,
  }
}

/**
 * Fires as `onWatermark` does, and before that by the clock, at each multiple of `every` since 1970 at which there is anything new.
 * @throws SluiceError `INVALID_OPTION`, `INVALID_DURATION`
 */
export function early(options: TriggerOptions & { readonly every: Duration }): Trigger {
  return { kind: 'early', everyMs: positiveMs(options.every, 'the interval of early'), purge: options.purge === true }
}

/** The trigger of a window that names none. */
export function defaultTrigger(assigner: WindowAssigner): Trigger {
  return assigner.kind === 'count' ? onCount(assigner.count, { purge: true }) : onWatermark()
}

const KINDS = ['watermark', 'count', 'processing-time', 'early'] as const

/** Refuses what cannot be meant, and says what would lose records without a word. @throws SluiceError `INVALID_OPTION` */
export function checkTrigger(assigner: WindowAssigner, trigger: Trigger): void {
  if (!KINDS.includes((trigger as Trigger | null)?.kind as never)) {
    throw new SluiceError('INVALID_OPTION', 'the trigger of a window is what one of the trigger functions returns', {
      hint: "write onWatermark(), onCount(100), onProcessingTime('1m') or early({ every: '10s' }), with the brackets",
    })
  }
  if (assigner.kind === 'count') {
    throw new SluiceError('INVALID_OPTION', 'countWindow has a trigger of its own', {
      hint: `write globalWindow() with the trigger you want, such as onCount(${assigner.count})`,
    })
  }
  if (trigger.kind === 'count' && trigger.endOfWindow === null && assigner.kind !== 'global') {
    warn(
      `onCount(${trigger.count}) does not fire at the end of a ${assigner.kind} window: what comes after the last full count is dropped. Write onCount(${trigger.count}, { endOfWindow: 'fire' }) to have it, or { endOfWindow: 'ignore' } to say so`,
    )
  }
}
