import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { describe, expect, test } from 'vitest'
import { Doorbells } from '../../src/protocol/doorbell.ts'
import type { OtherThread } from './fixtures/other-thread.ts'
import { waitUntil } from './fixtures/threads.ts'

describe('a doorbell', () => {
  test('wakes a sleeper of its own thread', async () => {
    const doorbells = new Doorbells(1)
    doorbells.announceSleep(0)
    const slept = doorbells.sleep(0, 60_000)
    doorbells.ring(0)
    await slept
  })

  test('that rings between the announcement and the sleep is not slept through', async () => {
    const doorbells = new Doorbells(1)
    doorbells.announceSleep(0)
    doorbells.ring(0)
    await doorbells.sleep(0, Number.POSITIVE_INFINITY)
  })

  test('that rang while the worker was awake does not keep it from sleeping', async () => {
    const doorbells = new Doorbells(1)
    doorbells.ring(0)
    doorbells.announceSleep(0)
    let woken = false
    const slept = doorbells.sleep(0, 60_000).then(() => {
      woken = true
    })
    await new Promise((resolve) => setImmediate(resolve))
    expect(woken).toBe(false)
    doorbells.ring(0)
    await slept
  })

  test('an announcement that was taken back lets nobody ring', async () => {
    const doorbells = new Doorbells(1)
    doorbells.announceSleep(0)
    doorbells.stayAwake(0)
    await doorbells.sleep(0, Number.POSITIVE_INFINITY)
  })

  test('wakes only the worker that it belongs to', async () => {
    const doorbells = new Doorbells(3)
    const woken: number[] = []
    for (const worker of [0, 1, 2]) doorbells.announceSleep(worker)
    const sleeps = [0, 1, 2].map((worker) => doorbells.sleep(worker, 60_000).then(() => woken.push(worker)))
    new Doorbells(doorbells.shared).ring(1)
    await sleeps[1]
    await new Promise((resolve) => setImmediate(resolve))
    expect(woken).toEqual([1])
    doorbells.ring(0)
    doorbells.ring(2)
    await Promise.all(sleeps)
  })

  test('ends the sleep after the time that was given', async () => {
    const doorbells = new Doorbells(1)
    doorbells.announceSleep(0)
    await doorbells.sleep(0, 1)
  })

  test('loses no wake-up in 10,000 rounds of two threads that wait for each other', async () => {
    const rounds = 10_000
    const doorbells = new Doorbells(2)
    const turn = new Int32Array(new SharedArrayBuffer(4))
    const data: OtherThread = { role: 'pong', doorbells: doorbells.shared, turn: turn.buffer, rounds }
    const worker = new Worker(new URL('fixtures/other-thread.ts', import.meta.url), { workerData: data })
    const ended = once(worker, 'exit')
    for (let round = 0; round < rounds; round++) {
      Atomics.store(turn, 0, 2 * round + 1)
      doorbells.ring(1)
      await waitUntil(() => Atomics.load(turn, 0) === 2 * round + 2, doorbells, 0)
    }
    expect(await ended).toEqual([0])
  })
})
