import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { writeText } from '../../operators/sinks/index.ts'
import type { StoredCommittable } from '../../src/checkpoint/manifest.ts'
import type { CommitRetries } from '../../src/control/committers.ts'
import { Committers } from '../../src/control/committers.ts'
import { SluiceError } from '../../src/core/errors.ts'
import type { Sink } from '../../src/core/sink.ts'
import { encodeValue } from '../../src/core/value-codec.ts'
import { graphOf, sinkBody } from '../graph/graphs.ts'
import { hiddenFiles, stage, temporaryFolder, textOf, visibleFiles, writerOf } from '../operators/sinks/folder-harness.ts'

/** What one call of `commit` does; after the last one all succeed. */
type Step = 'succeed' | 'fail' | 'report failure' | 'refuse' | 'block'

/** A committer that does as it is told, idempotent as all are, and notes what it showed and whether calls overlapped. */
class ScriptedSink {
  readonly visible: string[] = []
  /** The committables of each call. */
  readonly calls: (readonly string[])[] = []
  overlapped = false
  release: () => void = () => undefined
  #running = 0
  readonly #script: Step[]
  readonly #forever: Step

  constructor(script: readonly Step[], forever: Step = 'succeed') {
    this.#script = [...script]
    this.#forever = forever
  }

  get sink(): Partial<Sink<unknown>> {
    return { createCommitter: () => ({ open: () => undefined, commit: (handles) => this.#commit(handles as readonly string[]) }) }
  }

  async #commit(handles: readonly string[]): Promise<void> {
    this.overlapped ||= this.#running > 0
    this.#running++
    this.calls.push(handles)
    try {
      await this.#act(this.#script.shift() ?? this.#forever, handles)
    } finally {
      this.#running--
    }
  }

  async #act(step: Step, handles: readonly string[]): Promise<void> {
    await Promise.resolve()
    if (step === 'fail') throw new Error('no space')
    if (step === 'refuse') throw new SluiceError('COMMIT_LOST', 'the staged file is gone')
    if (step === 'block') await new Promise<void>((resolve) => (this.release = resolve))
    for (const handle of handles) if (!this.visible.includes(handle)) this.visible.push(handle)
    if (step === 'report failure') throw new Error('no answer')
  }
}

/** Time that passes only where somebody sleeps, and at once. */
class VirtualTime {
  nowMs = 0
  readonly pausesMs: number[] = []

  get retries(): CommitRetries {
    return {
      now: () => this.nowMs,
      sleep: async (ms) => {
        this.pausesMs.push(ms)
        this.nowMs += ms
        await settled()
      },
    }
  }
}

/** All that can happen without waiting for anything has happened. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

interface Harness {
  readonly committers: Committers
  readonly time: VirtualTime
  readonly warnings: string[]
}

/** Committers of these sinks, whose operators are `a`, `b`, ... */
function committersOf(sinks: readonly Partial<Sink<unknown>>[], retries: CommitRetries = {}): Harness {
  const time = new VirtualTime()
  const warnings: string[] = []
  const sketches = sinks.map((sink, index) => ({ kind: 'sink', from: [0], name: letter(index), body: sinkBody(sink) }))
  const graph = graphOf([{ kind: 'items' }, ...sketches])
  const committers = new Committers(graph, 'run-a', (message) => warnings.push(message), { ...time.retries, ...retries })
  return { committers, time, warnings }
}

function letter(index: number): string {
  return String.fromCharCode(97 + index)
}

/** The sinks have staged one thing each for this checkpoint, named after both, and it is complete. */
function complete(committers: Committers, checkpoint: number, operators: readonly string[]): void {
  for (const operator of operators) {
    committers.ledger.onPrepared(operator, 0, checkpoint, [encodeValue(`${operator}${checkpoint}`)])
  }
  committers.ledger.onCompleted(checkpoint)
}

function stored(operator: string, checkpoint: number): StoredCommittable {
  return { operator, subtask: 0, checkpoint, bytes: encodeValue(`${operator}${checkpoint}`) }
}

const FRESH = { attempt: 1, fresh: true, overwrite: false }
const AGAIN = { attempt: 2, fresh: false, overwrite: false }

describe('commits that succeed', () => {
  test('are made in the order of their checkpoints, and known to be made', async () => {
    const sink = new ScriptedSink([])
    const { committers, warnings } = committersOf([sink.sink])
    expect(committers.committedThrough).toBe(-1)
    await committers.open(AGAIN, [stored('a', 3)], 4)
    expect(committers.committedThrough).toBe(4)
    complete(committers, 5, ['a'])
    expect(committers.committedThrough).toBe(4)
    complete(committers, 6, [])
    complete(committers, 7, ['a'])
    await committers.commitDue()
    expect(sink.visible).toEqual(['a3', 'a5', 'a7'])
    expect(committers.committedThrough).toBe(7)
    expect(warnings).toEqual([])
  })

  test('what is due is committed once, however often it is asked for', async () => {
    const sink = new ScriptedSink(['block'])
    const { committers } = committersOf([sink.sink])
    await committers.open(FRESH, [], 0)
    complete(committers, 1, ['a'])
    const first = committers.commitDue()
    await settled()
    complete(committers, 2, ['a'])
    const later = [committers.commitDue(), committers.commitDue()]
    await settled()
    expect(sink.calls).toEqual([['a1']])
    sink.release()
    await first
    expect(committers.committedThrough).toBeGreaterThanOrEqual(1)
    await Promise.all(later)
    expect(sink.calls).toEqual([['a1'], ['a2']])
    expect(sink.overlapped).toBe(false)
    expect(committers.committedThrough).toBe(2)
  })

  test('a call does not wait for what becomes due after it', async () => {
    const sink = new ScriptedSink(['succeed', 'block'])
    const { committers } = committersOf([sink.sink])
    await committers.open(FRESH, [], 0)
    complete(committers, 1, ['a'])
    const first = committers.commitDue()
    complete(committers, 2, ['a'])
    const second = committers.commitDue()
    await first
    await settled()
    expect(sink.calls).toEqual([['a1'], ['a2']])
    sink.release()
    await second
  })

  test('output of an aborted checkpoint counts for the next completed one', async () => {
    const sink = new ScriptedSink(['block'])
    const { committers } = committersOf([sink.sink])
    await committers.open(FRESH, [], 0)
    complete(committers, 1, [])
    committers.ledger.onPrepared('a', 0, 2, [encodeValue('a2')])
    complete(committers, 3, [])
    complete(committers, 4, [])
    const due = committers.commitDue()
    await settled()
    expect(committers.committedThrough).toBe(1)
    sink.release()
    await due
    expect(sink.visible).toEqual(['a2'])
    expect(committers.committedThrough).toBe(4)
  })
})

describe('a commit that fails', () => {
  test('is tried again, after pauses that double up to ten seconds', async () => {
    const sink = new ScriptedSink(new Array<Step>(10).fill('fail'))
    const { committers, time } = committersOf([sink.sink])
    await committers.open(FRESH, [], 0)
    complete(committers, 1, ['a'])
    await committers.commitDue()
    expect(time.pausesMs).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000])
    expect(sink.calls).toEqual(new Array(11).fill(['a1']))
    expect(sink.visible).toEqual(['a1'])
    expect(committers.committedThrough).toBe(1)
  })

  test('may have happened all the same, and is seen once', async () => {
    const sink = new ScriptedSink(['report failure', 'report failure'])
    const { committers } = committersOf([sink.sink])
    await committers.open(FRESH, [], 0)
    complete(committers, 1, ['a'])
    await committers.commitDue()
    expect(sink.visible).toEqual(['a1'])
    expect(sink.calls).toHaveLength(3)
  })

  test('is reported at once, then every ten seconds at most, and when it has succeeded in the end', async () => {
    const sink = new ScriptedSink(new Array<Step>(10).fill('fail'))
    const { committers, warnings } = committersOf([sink.sink])
    await committers.open(FRESH, [], 0)
    complete(committers, 1, ['a'])
    await committers.commitDue()
    expect(warnings).toEqual([
      "'a' cannot commit, trying again for up to 600 s: no space",
      "'a' cannot commit, after 13 s and 8 tries: no space",
      "'a' cannot commit, after 23 s and 9 tries: no space",
      "'a' cannot commit, after 33 s and 10 tries: no space",
      "'a' has committed, after 43 s and 10 tries that failed",
    ])
  })

  test('fails the attempt when its time is up, with a last try then', async () => {
    const sink = new ScriptedSink([], 'fail')
    const { committers, time } = committersOf([sink.sink], { commitTimeoutMs: 1_000 })
    await committers.open(FRESH, [], 0)
    complete(committers, 1, ['a'])
    await expect(committers.commitDue()).rejects.toMatchObject({
      code: 'COMMIT_FAILED',
      operator: 'a',
      message: "'a' could not commit, after 1.0 s and 5 tries: no space",
      cause: { message: 'no space' },
    })
    expect(time.pausesMs).toEqual([100, 200, 400, 300])
    expect(committers.committedThrough).toBe(0)
  })

  test('is tried once when no time is given', async () => {
    const sink = new ScriptedSink([], 'fail')
    const { committers, warnings } = committersOf([sink.sink], { commitTimeoutMs: 0 })
    await committers.open(FRESH, [], 0)
    complete(committers, 1, ['a'])
    await expect(committers.commitDue()).rejects.toMatchObject({ code: 'COMMIT_FAILED' })
    expect(sink.calls).toHaveLength(1)
    expect(warnings).toEqual([])
  })

  test('is not tried again when that cannot mend it', async () => {
    const sink = new ScriptedSink(['refuse'])
    const { committers, time } = committersOf([sink.sink])
    await committers.open(FRESH, [], 0)
    complete(committers, 1, ['a'])
    await expect(committers.commitDue()).rejects.toMatchObject({ code: 'COMMIT_LOST', operator: 'a' })
    expect(time.pausesMs).toEqual([])
  })

  test('of a sink that the job no longer has is lost', async () => {
    const { committers } = committersOf([])
    await expect(committers.open(AGAIN, [stored('gone', 1)], 1)).rejects.toMatchObject({ code: 'COMMIT_LOST' })
  })

  test('lets nothing behind it through, and other sinks go on', async () => {
    const [stuck, fine] = [new ScriptedSink(['fail', 'fail', 'block']), new ScriptedSink([])]
    const { committers } = committersOf([stuck.sink, fine.sink])
    await committers.open(FRESH, [], 0)
    const calls: Promise<void>[] = []
    for (const checkpoint of [1, 2, 3]) {
      complete(committers, checkpoint, checkpoint === 2 ? ['b'] : ['a', 'b'])
      calls.push(committers.commitDue())
      await settled()
    }
    await settled()
    expect(fine.visible).toEqual(['b1', 'b2', 'b3'])
    expect(stuck.calls).toEqual([['a1'], ['a1'], ['a1']])
    expect(committers.committedThrough).toBe(0)
    stuck.release()
    await Promise.all(calls)
    expect(stuck.visible).toEqual(['a1', 'a3'])
    expect(committers.committedThrough).toBe(3)
  })

  test('for good fails at once, also while another sink is still trying, and ends what its own sink has queued', async () => {
    const [trying, lost] = [new ScriptedSink(['block']), new ScriptedSink(['refuse'])]
    const { committers } = committersOf([trying.sink, lost.sink])
    await committers.open(FRESH, [], 0)
    complete(committers, 1, ['a', 'b'])
    await expect(committers.commitDue()).rejects.toMatchObject({ code: 'COMMIT_LOST' })
    complete(committers, 2, ['b'])
    await expect(committers.commitDue()).rejects.toMatchObject({ code: 'COMMIT_LOST' })
    expect(lost.calls).toEqual([['b1']])
    trying.release()
    await committers.abandon()
  })
})

describe('an attempt that is given up', () => {
  /** Sleeps as the real one does: until the signal, and then it throws. */
  const endless: CommitRetries['sleep'] = (_, signal) =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))

  test('does not wait for what is to be tried again, and the next one commits it', async () => {
    const sink = new ScriptedSink(['fail'])
    const { committers } = committersOf([sink.sink], { sleep: endless })
    await committers.open(FRESH, [], 0)
    complete(committers, 1, ['a'])
    const due = committers.commitDue()
    await settled()
    const refused = expect(due).rejects.toMatchObject({ code: 'COMMIT_FAILED', operator: 'a', cause: { message: 'no space' } })
    await committers.abandon()
    await refused
    // Late calls of the attempt that is over commit nothing.
    complete(committers, 2, ['a'])
    await expect(committers.commitDue()).rejects.toMatchObject({ code: 'COMMIT_FAILED' })
    expect(sink.calls).toHaveLength(1)
    await committers.open(AGAIN, [stored('a', 1)], 1)
    expect(sink.visible).toEqual(['a1'])
    expect(committers.committedThrough).toBe(1)
  })

  test('is followed by the next one only when no commit is under way', async () => {
    const sink = new ScriptedSink(['block'])
    const { committers } = committersOf([sink.sink])
    await committers.open(FRESH, [], 0)
    complete(committers, 1, ['a'])
    const due = committers.commitDue()
    await settled()
    const next = committers.open(AGAIN, [stored('a', 1)], 1)
    await settled()
    expect(sink.calls).toHaveLength(1)
    sink.release()
    await due
    await next
    expect(sink.calls).toHaveLength(2)
    expect(sink.overlapped).toBe(false)
    expect(sink.visible).toEqual(['a1'])
  })

  test('may be given up before it has begun', async () => {
    const sink = new ScriptedSink(['block', 'fail'])
    const { committers } = committersOf([sink.sink], { sleep: endless })
    await committers.open(FRESH, [], 0)
    complete(committers, 1, ['a'])
    const due = committers.commitDue()
    await settled()
    const next = expect(committers.open(AGAIN, [stored('a', 1)], 1)).rejects.toMatchObject({ code: 'COMMIT_FAILED' })
    const over = committers.abandon()
    sink.release()
    await Promise.all([due, next, over])
    expect(sink.calls).toHaveLength(1)
  })

  test('closing ends the waiting too, with the real clock', async () => {
    const sink = new ScriptedSink([], 'fail')
    const warnings: string[] = []
    const graph = graphOf([{ kind: 'items' }, { kind: 'sink', from: [0], name: 'a', body: sinkBody(sink.sink) }])
    const committers = new Committers(graph, 'run-a', (message) => warnings.push(message))
    await committers.open(FRESH, [], 0)
    complete(committers, 1, ['a'])
    const refused = expect(committers.commitDue()).rejects.toMatchObject({ code: 'COMMIT_FAILED' })
    await settled()
    const beganMs = performance.now()
    await committers.close(false)
    await refused
    expect(performance.now() - beganMs).toBeLessThan(90)
    expect(warnings).toHaveLength(1)
  })
})

describe('a folder sink', () => {
  test('whose folder was taken away for a while shows everything once it is back', async () => {
    const folder = temporaryFolder()
    const away = `${folder}-away`
    const sink = writeText(folder)
    let pauses = 0
    const putBackInTheThird: CommitRetries['sleep'] = async () => {
      if (++pauses !== 3) return
      rmSync(folder)
      renameSync(away, folder)
    }
    const { committers, warnings } = committersOf([sink as Sink<unknown>], { sleep: putBackInTheThird })
    onTestFinished(() => committers.close(false))
    await committers.open(FRESH, [], 0)
    const files = await stage(writerOf(sink, { operator: 'a' }), ['one', 'two'], 1)
    committers.ledger.onPrepared('a', 0, 1, files.map(encodeValue))
    committers.ledger.onCompleted(1)
    renameSync(folder, away)
    writeFileSync(folder, 'something else')
    await committers.commitDue()
    expect(pauses).toBe(3)
    expect(visibleFiles(folder)).toHaveLength(1)
    expect(textOf(folder, visibleFiles(folder)[0]!)).toBe('one\ntwo\n')
    expect(warnings).toEqual([expect.stringContaining('ENOTDIR'), expect.stringContaining('has committed')])
  })

  test('whose staged file is gone is not tried again', async () => {
    const folder = temporaryFolder()
    const sink = writeText(folder)
    const { committers, time } = committersOf([sink as Sink<unknown>])
    onTestFinished(() => committers.close(false))
    await committers.open(FRESH, [], 0)
    const files = await stage(writerOf(sink, { operator: 'a' }), ['one'], 1)
    committers.ledger.onPrepared('a', 0, 1, files.map(encodeValue))
    committers.ledger.onCompleted(1)
    for (const name of hiddenFiles(folder)) rmSync(join(folder, name))
    await expect(committers.commitDue()).rejects.toMatchObject({ code: 'COMMIT_LOST', operator: 'a' })
    expect(time.pausesMs).toEqual([])
  })
})

test('a commit that never comes back is reported again and again, and others go on', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  onTestFinished(() => void vi.useRealTimers())
  const [hanging, other] = [new ScriptedSink(['block']), new ScriptedSink([])]
  const { committers, time, warnings } = committersOf([hanging.sink, other.sink])
  complete(committers, 1, ['a', 'b'])
  const committed = committers.commitDue()
  await settled()
  expect(other.visible).toEqual(['b1'])
  expect(warnings).toEqual([])
  for (let report = 1; report <= 2; report++) {
    time.nowMs += 10_000
    vi.advanceTimersByTime(10_000)
  }
  expect(warnings).toEqual([
    "'a' has been committing for 10 s and has not come back",
    "'a' has been committing for 20 s and has not come back",
  ])
  hanging.release()
  await committed
  vi.advanceTimersByTime(60_000)
  expect(warnings).toHaveLength(2)
})
