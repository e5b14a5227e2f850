import { SluiceError } from '../../src/core/errors.ts'
import type { Duration } from '../../src/core/time.ts'
import { durationMs } from '../../src/core/time.ts'

export interface TimestampOptions {
  /** How far a record's time may lie behind the latest one seen before it is late. Default: 0, times never go back. */
  readonly maxOutOfOrderness?: Duration
  /**
   * After this long without a record a split counts as idle and no longer holds the watermark back; when all splits of a subtask are idle,
   * the subtask is, and does not hold back those who read other streams too. Any record ends it. Time in which the subtask is held up by
   * those behind it, or the split by alignment, does not count. By the clock, so what is late may then differ from run to run.
   * Default: never.
   */
  readonly idleTimeout?: Duration
  /**
   * Watermarks by the clock, one after each such interval in which it rose, instead of with each record: fewer of them, at the price that
   * what is late may differ from run to run.
   */
  readonly watermarkEvery?: Duration
  /** Lets sources wait for each other; see `AlignmentOptions`. */
  readonly alignment?: AlignmentOptions
}

/**
 * Sources whose watermark is ahead of the slowest one of their group by more than `maxDrift` are not read until the others catch up, so that
 * a fast one does not fill the windows behind it with what cannot be finished yet.
 *
 * Each split is looked at before each batch of it, so one may get ahead by that batch. Who is idle or finished does not count. Who has had no
 * record yet holds all others: give sources that may stay silent an `idleTimeout`. Checkpoints go through a source that waits.
 */
export interface AlignmentOptions {
  /** Those of one group wait for each other. Default: `'default'`. */
  readonly group?: string
  readonly maxDrift: Duration
}

/** The options in milliseconds, as the plan and the fingerprint show them. */
export interface TimestampSettings {
  readonly maxOutOfOrdernessMs: number
  readonly idleTimeoutMs: number | null
  readonly watermarkEveryMs: number | null
  readonly alignment: { readonly group: string; readonly maxDriftMs: number } | null
}

/** @throws SluiceError `INVALID_DURATION`, also for an interval of zero; `INVALID_OPTION` for a group that is no name */
export function timestampSettings(options: TimestampOptions): TimestampSettings {
  return {
    maxOutOfOrdernessMs: durationMs(options.maxOutOfOrderness ?? 0, 'maxOutOfOrderness'),
    idleTimeoutMs: intervalMs(options.idleTimeout, 'idleTimeout', 'leave it out to never be idle'),
    watermarkEveryMs: intervalMs(options.watermarkEvery, 'watermarkEvery', 'leave it out for watermarks with each record'),
    alignment: options.alignment === undefined ? null : alignmentSettings(options.alignment),
  }
}

function intervalMs(duration: Duration | undefined, what: string, hint: string): number | null {
  if (duration === undefined) return null
  const ms = durationMs(duration, what)
  if (ms > 0) return ms
  throw new SluiceError('INVALID_DURATION', `${what} is zero`, { hint })
}

function alignmentSettings({ group = 'default', maxDrift }: AlignmentOptions): TimestampSettings['alignment'] {
  if (typeof group !== 'string' || group === '') {
    throw new SluiceError('INVALID_OPTION', `alignment.group is ${JSON.stringify(group)}, expected a name`, {
      hint: 'sources that give the same name wait for each other; leave it out when there is one group',
    })
  }
  return { group, maxDriftMs: durationMs(maxDrift, 'alignment.maxDrift') }
}
