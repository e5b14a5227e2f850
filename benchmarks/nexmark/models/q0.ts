import type { NexmarkEvent } from '../events.ts'

export function modelOfQ0(events: Iterable<NexmarkEvent>): Iterable<NexmarkEvent> {
  return events
}
