import { SluiceError } from '../../src/core/errors.ts'
import type { Duration } from '../../src/core/time.ts'
import { durationMs } from '../../src/core/time.ts'

/** What the function of `asyncMap` may ask about its call. Unlike other contexts it stays as it is while the call is under way. */
export interface AsyncContext {
  /** Event time of the record in milliseconds since 1970; `undefined` before `withTimestamps`. */
  readonly timestamp: number | undefined
  /** The watermark when the record came. */
  readonly watermark: number
  /** Number of the subtask, from 0. */
  readonly subtask: number
  /** Aborted when the record's time is over, and when the job stops. Hand it on to `fetch` and the like. */
  readonly signal: AbortSignal
  /** Which call for this record it is, from 1; retries count on. */
  readonly attempt: number
}

/** What the function of a keyed `asyncMap` may ask. */
export interface KeyedAsyncContext<K> extends AsyncContext {
  readonly key: K
}

/** When a call that failed is made again. */
export interface RetryOptions {
  /** Calls for a record in all, the first one included. */
  readonly attempts: number
  /** Before the second call. Default: `'100ms'`. */
  readonly delay?: Duration
  /** By how much each delay is longer than the one before. Default: 2. */
  readonly factor?: number
  /** No delay is longer. Default: `'1m'`. */
  readonly maxDelay?: Duration
  /** Which errors are worth another call. Default: all. */
  readonly if?: (error: unknown) => boolean
}

export interface KeyedAsyncMapOptions<T, R, Context = AsyncContext> {
  /** Records under way at once in each subtask: calls in flight, and results that wait for their turn. Default: 100. */
  readonly concurrency?: number
  /** How long a record may take, retries and their delays included. Default: `'1m'`. */
  readonly timeout?: Duration | 'none'
  /** The result for a record that took too long. Default: the job fails with `ASYNC_TIMEOUT`. */
  readonly onTimeout?: (value: T, context: Context) => R
  /** Default: a call that fails fails the job. */
  readonly retry?: RetryOptions
}

export interface AsyncMapOptions<T, R> extends KeyedAsyncMapOptions<T, R> {
  /** Results in the order of the records; otherwise as they come, but never across a watermark. Default: true. */
  readonly ordered?: boolean
}

/** The options with everything filled in. */
export interface AsyncSettings {
  readonly concurrency: number
  readonly ordered: boolean
  /** `Infinity` for none. */
  readonly timeoutMs: number
  readonly onTimeout: AsyncFunction | undefined
  readonly retry: RetrySettings
}

export interface RetrySettings {
  readonly attempts: number
  readonly delayMs: number
  readonly factor: number
  readonly maxDelayMs: number
  readonly accepts: (error: unknown) => boolean
}

/** A function of the user, as the operator sees it. */
export type AsyncFunction = (value: never, context: never) => unknown

/** @throws SluiceError `INVALID_OPTION`, `INVALID_DURATION` */
export function asyncSettings(fn: unknown, options: AsyncMapOptions<never, unknown>): AsyncSettings {
  mustBeFunction(fn, 'what asyncMap calls')
  const { concurrency = 100, ordered = true, timeout = '1m', onTimeout } = options
  mustBeWhole(concurrency, 'concurrency')
  if (typeof ordered !== 'boolean') throw invalid(`ordered is true or false, not ${String(ordered)}`)
  if (onTimeout !== undefined) mustBeFunction(onTimeout, 'onTimeout')
  if (onTimeout !== undefined && timeout === 'none') {
    throw invalid('onTimeout is given, but nothing times out', "leave out timeout: 'none', or onTimeout")
  }
  return { concurrency, ordered, timeoutMs: timeoutMs(timeout), onTimeout, retry: retrySettings(options.retry) }
}

function timeoutMs(timeout: Duration | 'none'): number {
  if (timeout === 'none') return Number.POSITIVE_INFINITY
  const ms = durationMs(timeout, 'timeout')
  if (ms > 0) return ms
  throw new SluiceError('INVALID_DURATION', 'the timeout of asyncMap is zero', { hint: "write timeout: 'none' to wait for ever" })
}

function retrySettings(retry: RetryOptions = { attempts: 1 }): RetrySettings {
  const { attempts, delay = '100ms', factor = 2, maxDelay = '1m', if: accepts = () => true } = retry
  mustBeWhole(attempts, 'retry.attempts')
  if (!(Number.isFinite(factor) && factor >= 1)) throw invalid(`retry.factor is a number of 1 or more, not ${String(factor)}`)
  mustBeFunction(accepts, 'retry.if')
  const delayMs = durationMs(delay, 'retry.delay')
  return { attempts, delayMs, factor, maxDelayMs: durationMs(maxDelay, 'retry.maxDelay'), accepts }
}

function mustBeWhole(count: number, what: string): void {
  if (!(Number.isSafeInteger(count) && count >= 1)) throw invalid(`${what} is a whole number of 1 or more, not ${String(count)}`)
}

function mustBeFunction(fn: unknown, what: string): void {
  if (typeof fn !== 'function') throw invalid(`${what} is a function, not ${String(fn)}`)
}

function invalid(message: string, hint?: string): SluiceError {
  return new SluiceError('INVALID_OPTION', message, hint === undefined ? {} : { hint })
}
