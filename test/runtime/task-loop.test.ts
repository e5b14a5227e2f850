import { expect, test } from 'vitest'
import { SluiceError } from '../../src/core/errors.ts'
import { Doorbells } from '../../src/protocol/doorbell.ts'
import { Signals } from '../../src/protocol/signals.ts'
import { StateMemory } from '../../src/runtime/state-memory.ts'
import type { Task } from '../../src/runtime/task.ts'
import { TaskLoop } from '../../src/runtime/task-loop.ts'

/** What the loop asks of a task that always has something to do. */
class BusyTask {
  state: Task['state'] = 'running'
  readonly ready = true
  flushed = 0
  readonly #onFlush: () => void

  constructor(onFlush: () => void) {
    this.#onFlush = onFlush
  }

  step(): boolean {
    return this.state !== 'closed'
  }

  flush(): boolean {
    this.flushed++
    this.#onFlush()
    return true
  }

  locate(error: unknown): SluiceError {
    return new SluiceError('OPERATOR_FAILED', String(error))
  }

  nextWakeup(): number {
    return Number.POSITIVE_INFINITY
  }

  publishCounters(): void {}
}

test('a task that fails when its turn is over and it sends what it has fails alone: the others of the thread run on', async () => {
  const failed: string[] = []
  const cannotSend = (): void => {
    throw new Error('a value that cannot be sent')
  }
  const failing = [new BusyTask(cannotSend), new BusyTask(cannotSend)]
  const other = new BusyTask(() => {
    if (other.flushed === 3) loop.stop()
  })
  const loop = new TaskLoop({
    doorbells: new Doorbells(1),
    worker: 0,
    now: () => performance.now(),
    signals: new Signals(1),
    memory: new StateMemory(
      () => [],
      Number.POSITIVE_INFINITY,
      () => undefined,
    ),
    // As the host does it: what belongs together is closed together.
    onFailed: (_, error) => {
      failed.push(error.message)
      for (const task of failing) task.state = 'closed'
      loop.remove(failing as unknown as readonly Task[])
    },
  })
  const tasks = [...failing, other].map((task, place) => ({ task: task as unknown as Task, place }))
  loop.add(tasks)
  await loop.run()
  expect(failed).toEqual(['Error: a value that cannot be sent'])
  expect([failing[0]!.flushed, failing[1]!.flushed, other.flushed]).toEqual([1, 0, 3])
})

test('a thread that sleeps between its records keeps its memory within the limit too', async () => {
  let steps = 0
  let looks = 0
  const light = {
    ...{ state: 'running', ready: false, wroteOnly: false },
    step: () => ++steps % 2 === 1,
    flush: () => true,
    nextWakeup: () => performance.now(),
    publishCounters: () => (steps >= 20 ? loop.stop() : undefined),
    rest: () => undefined,
  }
  const memory = new StateMemory(
    () => {
      looks++
      return []
    },
    1,
    () => undefined,
  )
  const loop = new TaskLoop({
    ...{ doorbells: new Doorbells(1), worker: 0, now: () => performance.now(), signals: new Signals(1), memory },
    onFailed: (_, error) => expect.fail(error.message),
  })
  loop.add([{ task: light as unknown as Task, place: 0 }])
  await loop.run()
  expect(looks).toBeGreaterThan(0)
})
