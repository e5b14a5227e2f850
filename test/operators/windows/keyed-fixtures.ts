import type { WindowAssigner } from '../../../operators/windows/assigners.ts'
import { KeyedWindowOperator } from '../../../operators/windows/keyed-window-operator.ts'
import type { Trigger } from '../../../operators/windows/triggers.ts'
import { defaultTrigger } from '../../../operators/windows/triggers.ts'
import type { WindowFunction } from '../../../operators/windows/window-function.ts'
import type { KeyedContext, KeyedTimers } from '../../../src/core/keyed-state.ts'
import type { OperatorContext } from '../../../src/core/operator.ts'
import type { Emitted, HarnessOptions } from './window-harness.ts'
import { WindowHarness } from './window-harness.ts'

/** The records of a window in the order of their arrival. */
export const ALL: WindowFunction = {
  create: () => [],
  add(values, value) {
    ;(values as unknown[]).push(value)
    return values
  },
  merge: (a, b) => [...(a as unknown[]), ...(b as unknown[])],
  divisible: false,
  results: (values, _, { start, end }) => [`${start}..${end} ${(values as unknown[]).join(' ')}`],
}

export interface KeyedOptions extends HarnessOptions {
  readonly trigger?: Trigger
  readonly latenessMs?: number
  readonly fn?: WindowFunction
}

/** The operator by itself, with a clock at 0. */
export function keyedWindows(assigner: WindowAssigner, options: KeyedOptions = {}): WindowHarness<string> {
  const { trigger = defaultTrigger(assigner), latenessMs = 0, fn = ALL, ...more } = options
  return new WindowHarness<string>((context) => new KeyedWindowOperator(context, assigner, trigger, latenessMs, fn), more)
}

/** The results alone. */
export function values<R>(emitted: readonly Emitted<R>[]): R[] {
  return emitted.map(({ value }) => value)
}

/** What an operator does to its timers: those that are set now, and how many were ever set. */
export class TimerLog {
  readonly event = new Set<string>()
  readonly clock = new Set<string>()
  sets = 0

  /** The context of an operator whose timers are watched. */
  watch(context: OperatorContext): OperatorContext {
    const { keyed } = context
    const watched = Object.create(keyed!) as KeyedContext
    Object.defineProperties(watched, {
      key: { get: () => keyed!.key },
      watermarkFloor: { get: () => keyed!.watermarkFloor },
      table: { value: (name: string) => keyed!.table(name) },
      timers: { value: (name: string) => this.#timers(keyed!, keyed!.timers(name)) },
    })
    return Object.create(context, { keyed: { value: watched } }) as OperatorContext
  }

  #timers(keyed: KeyedContext, timers: KeyedTimers): KeyedTimers {
    const set = (log: Set<string>, time: number): void => {
      this.sets++
      log.add(`${String(keyed.key)}@${time}`)
    }
    const unset = (log: Set<string>, time: number): void => void log.delete(`${String(keyed.key)}@${time}`)
    const fired = (log: Set<string>, fire: (time: number) => void) => (time: number) => {
      unset(log, time)
      fire(time)
    }
    return {
      setEventTime: (time) => {
        set(this.event, time)
        timers.setEventTime(time)
      },
      deleteEventTime: (time) => {
        unset(this.event, time)
        timers.deleteEventTime(time)
      },
      setProcessingTime: (time) => {
        set(this.clock, time)
        timers.setProcessingTime(time)
      },
      deleteProcessingTime: (time) => {
        unset(this.clock, time)
        timers.deleteProcessingTime(time)
      },
      fireEventTime: (until, fire, proceed) => timers.fireEventTime(until, fired(this.event, fire), proceed),
      fireProcessingTime: (until, fire, proceed) => timers.fireProcessingTime(until, fired(this.clock, fire), proceed),
      nextEventTime: () => timers.nextEventTime(),
      nextProcessingTime: () => timers.nextProcessingTime(),
    }
  }
}
