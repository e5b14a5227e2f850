import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CheckpointStore } from '../../src/checkpoint/checkpoint-store.ts'
import { Checkpointing } from '../../src/control/checkpointing.ts'
import { Committers } from '../../src/control/committers.ts'
import type { CheckpointOptions } from '../../src/control/settings.ts'
import { resolveSettings } from '../../src/control/settings.ts'
import { systemTimers } from '../../src/core/time.ts'
import { planExecution, subtaskNames, subtaskOf, taskOfSubtask } from '../../src/graph/execution-plan.ts'
import type { SubtaskTiming } from '../../src/protocol/messages.ts'
import { Signals } from '../../src/protocol/signals.ts'
import { sampleManifest } from '../checkpoint/manifests.ts'
import { graphOf } from '../graph/graphs.ts'

let directory: string
let store: CheckpointStore
let running: Checkpointing | undefined

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sluice-checkpointing-'))
  store = CheckpointStore.open(directory, 'test')
  store.claim(() => 'run-1')
})

afterEach(async () => {
  running?.stop()
  await running?.settled()
  await store.close()
  rmSync(directory, { recursive: true, force: true })
})

/** The checkpoints of a job whose tasks never answer. */
function checkpointing(checkpoint: CheckpointOptions) {
  const graph = graphOf([{ kind: 'items' }, { kind: 'count', from: [[0, 'hash']], keyOf: (value) => value }])
  const signals = new Signals(1)
  const plan = planExecution(graph, { module: 'file:///job.ts', parallelism: 2, maxParallelism: 128, workers: 1 })
  running = new Checkpointing({
    timers: systemTimers,
    plan,
    graph: [],
    settings: resolveSettings({ checkpoint: { every: 'off', ...checkpoint } }, {}, {}),
    store,
    committers: new Committers(graph, 'run-1', () => undefined),
    attempt: 1,
    restored: sampleManifest(1),
    dropped: [],
    lastCheckpoint: 10,
    signals,
    broadcast: () => undefined,
    post: () => undefined,
    wake: () => undefined,
    observer: { onCheckpoint: () => undefined, onCheckpointAborted: () => undefined },
    finished: () => undefined,
    fail: (error) => {
      throw error
    },
  })
  return { checkpointing: running, signals, subtasks: subtaskNames(plan) }
}

const TIMING: SubtaskTiming = {
  alignmentMs: 0,
  pauseMs: 0,
  writingMs: 0,
  bytes: 0,
  inFlightRecords: 0,
  heapBytes: 0,
  heapLimitBytes: 1,
}

/** Every subtask has taken its snapshot of the checkpoint that is being taken. */
function acknowledge(own: Checkpointing, subtasks: readonly string[]): void {
  const { checkpoint } = own.pending!
  for (const name of subtasks) {
    const snapshot = { task: taskOfSubtask(name), subtask: subtaskOf(name), parallelism: 2, channelWatermarks: {}, operators: [] }
    own.onAcknowledge(checkpoint, snapshot, TIMING)
  }
}

function ignored(promise: Promise<unknown>): void {
  promise.catch(() => undefined)
}

describe('checkpoints that do not wait for barriers', () => {
  test('ask every task for its snapshot at once', () => {
    const { checkpointing: own, signals } = checkpointing({ mode: 'unaligned' })
    ignored(own.request('requested'))
    expect(signals.urgent).toBe(11)
  })

  test('wait for them all the same when they are savepoints or the last: those must fit another graph and parallelism', () => {
    const { checkpointing: own, signals } = checkpointing({ mode: 'unaligned' })
    ignored(own.request('savepoint'))
    expect([own.pending?.checkpoint, signals.urgent]).toEqual([11, 0])
  })

  test('also when the time for alignment is over', () => {
    const { checkpointing: own, signals } = checkpointing({ mode: 'aligned-then-unaligned', alignmentTimeout: 0 })
    own.end()
    own.onProgress(11, 'items-1/0', 'alignment')
    expect([own.pending?.checkpoint, signals.urgent]).toEqual([11, 0])
  })
})

describe('sources that wait until state in memory makes room', () => {
  test.each([1, 3])(
    'go on behind the checkpoints that let it be folded, of which none is due by itself: %i kept',
    async (retain) => {
      const { checkpointing: own, signals, subtasks } = checkpointing({ retain })
      ignored(own.request('requested'))
      acknowledge(own, subtasks)
      await own.foldAll()
      own.onMemoryPressure(true)
      expect(signals.throttled).toBe(true)
      // Nobody complains a second time: where nothing moves, nobody looks.
      for (let taken = 0; taken < retain; taken++) {
        acknowledge(own, subtasks)
        await own.committed
      }
      await expect.poll(() => signals.throttled).toBe(false)
      expect(own.pending).toBeUndefined()
    },
  )
})
