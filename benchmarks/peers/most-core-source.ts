import { newStream } from '@most/core'
import { asap } from '@most/scheduler'
import type { Sink, Stream, Time } from '@most/types'

/** `at(0)` to `at(count - 1)`, as fast as they are taken: what this library does with an array, without the array. */
export function generated<T>(count: number, at: (i: number) => T): Stream<T> {
  return newStream((sink, scheduler) =>
    asap(
      {
        run: (time) => emit(count, at, sink, time),
        error: (time, failure) => sink.error(time, failure),
        dispose() {},
      },
      scheduler,
    ),
  )
}

function emit<T>(count: number, at: (i: number) => T, sink: Sink<T>, time: Time): void {
  for (let i = 0; i < count; i++) sink.event(time, at(i))
  sink.end(time)
}
