import type { Clock } from '../../src/core/time.ts'
import { windowStart } from './assigners.ts'
import type { OpenWindow } from './keyed-window-state.ts'
import { NEVER } from './keyed-window-state.ts'
import type { Trigger } from './triggers.ts'

/*
 * When a window fires: the answers of a trigger to what happens to its window. Models: Apache Flink's `EventTimeTrigger`, `CountTrigger` and
 * `ContinuousProcessingTimeTrigger`; what they keep in state of their own are the fields `pending` and `tickMs` of the window.
 */

/** Whether `window` fires for the record that was just added. */
export function firesOnRecord(trigger: Trigger, window: OpenWindow, clock: Clock): boolean {
  switch (trigger.kind) {
    case 'watermark':
      return window.ended
    case 'count':
      return window.pending >= trigger.count || (window.ended && trigger.endOfWindow === 'fire')
    case 'early':
      if (window.ended) return true
      setTick(window, trigger.everyMs, clock)
      return false
    case 'processing-time':
      setTick(window, trigger.everyMs, clock)
      return false
  }
}

function setTick(window: OpenWindow, everyMs: number, clock: Clock): void {
  if (window.tickMs !== NEVER) return
  window.tickMs = windowStart(clock.now(), everyMs, 0) + everyMs
}

/** Whether `window` fires at its tick, which has come. */
export function firesOnTick(trigger: Trigger, window: OpenWindow): boolean {
  return trigger.kind === 'processing-time' || (trigger.kind === 'early' && window.pending > 0)
}

/** After a tick: the next one, as long as the window holds anything that it would fire for. */
export function advanceTick(trigger: Trigger, window: OpenWindow): void {
  window.tickMs = trigger.kind === 'processing-time' && window.filled ? window.tickMs + trigger.everyMs : NEVER
}

/** Whether `window` fires now that it ends: by the clock, or because the watermark has reached its last millisecond. */
export function firesAtEnd(trigger: Trigger, window: OpenWindow, byClock: boolean): boolean {
  switch (trigger.kind) {
    case 'watermark':
    case 'early':
      return true
    case 'count':
      return trigger.endOfWindow === 'fire' && window.pending > 0
    case 'processing-time':
      return byClock
  }
}
