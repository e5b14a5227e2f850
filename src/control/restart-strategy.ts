import { SluiceError } from '../core/errors.ts'
import type { Duration } from '../core/time.ts'
import { durationMs } from '../core/time.ts'

/** When a failed job is tried again, and how often. */
export type RestartOptions =
  | { readonly strategy: 'none' }
  /** The same pause before each of at most `attempts` restarts (default: 3, one second apart). */
  | { readonly strategy: 'fixed'; readonly delay?: Duration; readonly attempts?: number }
  /** Pauses that grow by `factor` from `initial` to `max`, each longer or shorter by up to `jitter`. A quiet hour forgives everything. */
  | {
      readonly strategy: 'exponential'
      readonly initial?: Duration
      readonly max?: Duration
      readonly factor?: number
      readonly jitter?: number
      readonly attempts?: number
    }
  /** As long as there are no more than `failures` within `interval`. */
  | { readonly strategy: 'rate'; readonly failures?: number; readonly interval?: Duration; readonly delay?: Duration }

const QUIET_MS = 3_600_000

/** Decides about restarts; knows the past failures and nothing else. */
export interface RestartStrategy {
  /** Milliseconds to wait before the next attempt, or `undefined` to give up. */
  onFailure(nowMs: number): number | undefined
}

/** @param random a number from 0 to 1, for the jitter */
export function restartStrategy(options: RestartOptions, random: () => number = Math.random): RestartStrategy {
  switch (options.strategy) {
    case 'none':
      return { onFailure: () => undefined }
    case 'fixed':
      return fixed(durationMs(options.delay ?? '1s', 'restart.delay'), count(options.attempts ?? 3, 'restart.attempts'))
    case 'exponential':
      return exponential(options, random)
    case 'rate':
      return rate(options)
    default:
      throw new SluiceError(
        'INVALID_OPTION',
        `restart.strategy is ${JSON.stringify((options as { strategy?: unknown }).strategy)}`,
        {
          hint: "use 'none', 'fixed', 'exponential' or 'rate'",
        },
      )
  }
}

function fixed(delayMs: number, attempts: number): RestartStrategy {
  let failures = 0
  return { onFailure: () => (++failures > attempts ? undefined : delayMs) }
}

function exponential(options: Extract<RestartOptions, { strategy: 'exponential' }>, random: () => number): RestartStrategy {
  const initialMs = durationMs(options.initial ?? '1s', 'restart.initial')
  const maxMs = durationMs(options.max ?? '1m', 'restart.max')
  const attempts = count(options.attempts ?? 10, 'restart.attempts')
  const { factor = 1.5, jitter = 0.1 } = options
  if (!(factor >= 1) || !(jitter >= 0 && jitter <= 1)) {
    throw new SluiceError('INVALID_OPTION', 'restart.factor must be at least 1 and restart.jitter between 0 and 1')
  }
  let failures = 0
  let lastMs = Number.NEGATIVE_INFINITY
  return {
    onFailure(nowMs) {
      if (nowMs - lastMs > QUIET_MS) failures = 0
      lastMs = nowMs
      if (++failures > attempts) return undefined
      // Bounded before it is multiplied: a pause of 0 stays 0, however large the factor has become.
      const delayMs = Math.min(maxMs, initialMs * Math.min(factor ** (failures - 1), Number.MAX_VALUE))
      return Math.round(delayMs * (1 + jitter * (2 * random() - 1)))
    },
  }
}

function rate(options: Extract<RestartOptions, { strategy: 'rate' }>): RestartStrategy {
  const intervalMs = durationMs(options.interval ?? '1m', 'restart.interval')
  const delayMs = durationMs(options.delay ?? '1s', 'restart.delay')
  const allowed = count(options.failures ?? 1, 'restart.failures')
  let recent: number[] = []
  return {
    onFailure(nowMs) {
      recent = [...recent.filter((ms) => nowMs - ms < intervalMs), nowMs]
      return recent.length > allowed ? undefined : delayMs
    },
  }
}

function count(value: number, what: string): number {
  if (Number.isInteger(value) && value >= 0) return value
  throw new SluiceError('INVALID_OPTION', `${what} must be a whole number of zero or more, not ${value}`)
}
