import FlatQueue from 'flatqueue'
import { SluiceError } from '../../src/core/errors.ts'
import type { OperatorContext } from '../../src/core/operator.ts'
import { refuseAsync } from '../../src/core/refuse-async.ts'
import { guarded } from '../process.ts'
import type { AsyncCall } from './async-call.ts'
import { CallContext } from './async-call.ts'
import type { AsyncFunction, AsyncSettings } from './async-options.ts'

/** How an attempt ended. */
interface Answer {
  readonly call: AsyncCall
  readonly attempt: number
  readonly failed: boolean
  /** The result, or the error. */
  readonly value: unknown
}

/**
 * Makes the calls of one subtask, with their timeouts and retries. What always holds:
 *
 * - What a promise brings is only noted down, and the task is woken; everything that follows from it, errors too, happens in a step of the task.
 * - The first end of a record counts: an answer after its timeout, or of an earlier attempt, changes nothing.
 */
export class AsyncCalls {
  readonly #fn: AsyncFunction
  readonly #settings: AsyncSettings
  readonly #context: OperatorContext
  readonly #completed: (call: AsyncCall) => void
  #answers: Answer[] = []
  readonly #retries = new FlatQueue<AsyncCall>()
  /** The input has ended: nobody waits between attempts any more. */
  #hurried = false
  /** The calls under way, the oldest first. They all have the same time, so the first one is also the first to be too late. */
  #first: AsyncCall | undefined
  #last: AsyncCall | undefined
  #closed = false

  /** @param completed is told of each record that has a result */
  constructor(fn: AsyncFunction, settings: AsyncSettings, context: OperatorContext, completed: (call: AsyncCall) => void) {
    this.#fn = fn
    this.#settings = settings
    this.#context = context
    this.#completed = completed
  }

  start(call: AsyncCall): void {
    call.deadlineMs = this.#context.clock.now() + this.#settings.timeoutMs
    this.#append(call)
    this.#attempt(call)
  }

  #attempt(call: AsyncCall): void {
    const attempt = ++call.attempt
    call.state = 'running'
    let returned: unknown
    let promised: boolean
    try {
      returned = this.#fn(call.value as never, new CallContext(call, this.#context.subtask) as never)
      promised = isPromise(returned)
    } catch (error) {
      this.#answer({ call, attempt, failed: true, value: error })
      return
    }
    if (!promised) {
      this.#complete(call, returned)
      return
    }
    // Whatever a thenable does, `resolve` calls back later and once.
    Promise.resolve(returned).then(
      (value) => this.#answer({ call, attempt, failed: false, value }),
      (error: unknown) => this.#answer({ call, attempt, failed: true, value: error }),
    )
  }

  #answer(answer: Answer): void {
    if (this.#closed || answer.call.state === 'done') return
    this.#answers.push(answer)
    this.#context.wake()
  }

  /** Carries out what has been answered. @throws the error of a call that is not made again */
  settle(): void {
    // An answer may lead to a call that answers at once.
    while (this.#answers.length > 0) {
      const answers = this.#answers
      this.#answers = []
      for (const { call, attempt, failed, value } of answers) {
        if (call.state === 'done' || call.attempt !== attempt) continue
        if (failed) this.#backOff(call, value)
        else this.#complete(call, value)
      }
    }
  }

  #complete(call: AsyncCall, result: unknown): void {
    call.state = 'done'
    call.result = result
    this.#remove(call)
    this.#completed(call)
  }

  #backOff(call: AsyncCall, error: unknown): void {
    const { attempts, delayMs, factor, maxDelayMs, accepts } = this.#settings.retry
    if (call.attempt >= attempts || !guarded(this.#context, () => accepts(error))) return this.#giveUp(call, error)
    call.state = 'backing-off'
    call.error = error
    const backOffMs = this.#hurried ? 0 : Math.min(maxDelayMs, delayMs * factor ** (call.attempt - 1))
    this.#retries.push(call, this.#context.clock.now() + Math.round(backOffMs))
  }

  /** Bad records leave in their turn, as results do: what a checkpoint stores as under way is in nobody's hands yet. */
  #giveUp(call: AsyncCall, error: unknown): void {
    if (!this.#context.passesOverBadRecords) throw this.#context.failure(error)
    call.error = error
    call.isRefused = true
    this.#complete(call, undefined)
  }

  /** When something is due by the clock; `Infinity` for never. */
  nextTime(): number {
    // One that was too late meanwhile has no more attempts.
    while (this.#retries.length > 0 && this.#retries.peek()!.state === 'done') this.#retries.pop()
    return Math.min(this.#retries.peekValue() ?? Number.POSITIVE_INFINITY, this.#first?.deadlineMs ?? Number.POSITIVE_INFINITY)
  }

  onTime(nowMs: number): void {
    this.settle()
    for (let call = this.#first; call !== undefined && call.deadlineMs <= nowMs; call = this.#first) this.#tooLate(call)
    this.#retryUntil(nowMs)
    this.settle()
  }

  /** Whatever waits for its next attempt makes it now. */
  hurry(): void {
    this.settle()
    this.#retryUntil(Number.POSITIVE_INFINITY)
    this.#hurried = true
    this.settle()
  }

  #retryUntil(untilMs: number): void {
    // What fails at once is an answer, which is not looked at before this is through.
    while (this.#retries.length > 0 && this.#retries.peekValue()! <= untilMs) {
      const call = this.#retries.pop()!
      if (call.state === 'backing-off') this.#attempt(call)
    }
  }

  #tooLate(call: AsyncCall): void {
    const { onTimeout } = this.#settings
    const error = this.#timeoutOf(call)
    if (onTimeout === undefined) throw error
    const context = new CallContext(call, this.#context.subtask)
    let result: unknown
    try {
      result = synchronous(onTimeout(call.value as never, context as never))
    } catch (thrown) {
      this.#giveUp(call, thrown)
      return call.abort(error)
    }
    this.#complete(call, result)
    call.abort(error)
  }

  #timeoutOf({ attempt, error }: AsyncCall): SluiceError {
    const { operatorId, subtask } = this.#context
    const calls = attempt === 1 ? '' : ` in ${attempt} calls`
    return new SluiceError(
      'ASYNC_TIMEOUT',
      `'${operatorId}' got no answer for a record in ${this.#settings.timeoutMs} ms${calls}`,
      {
        operator: operatorId,
        subtask,
        hint: 'give asyncMap a longer timeout, or an onTimeout that supplies the result of a record that takes too long',
        ...(error === undefined ? {} : { cause: error }),
      },
    )
  }

  /** Nothing that is answered from now on is heard. */
  close(): void {
    this.#closed = true
    for (let call = this.#first; call !== undefined; call = call.next) call.abort(new DOMException('the job stops', 'AbortError'))
  }

  #append(call: AsyncCall): void {
    call.previous = this.#last
    if (this.#last === undefined) this.#first = call
    else this.#last.next = call
    this.#last = call
  }

  #remove(call: AsyncCall): void {
    if (call.previous === undefined) this.#first = call.next
    else call.previous.next = call.next
    if (call.next === undefined) this.#last = call.previous
    else call.next.previous = call.previous
    call.previous = undefined
    call.next = undefined
  }
}

function isPromise(value: unknown): boolean {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function'
}

function synchronous<R>(result: R): R {
  refuseAsync(result)
  return result
}
