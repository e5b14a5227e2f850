import type { Stream } from 'sluice'
import type { NexmarkEvent } from '../events.ts'

/** Pass through: what source, sink and the way between them cost. */
export function q0(events: Stream<NexmarkEvent>): Stream<NexmarkEvent> {
  return events
}
