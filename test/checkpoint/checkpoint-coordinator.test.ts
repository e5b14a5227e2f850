import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { CheckpointInFlight, CoordinatorCommand, CoordinatorOptions } from '../../src/checkpoint/checkpoint-coordinator.ts'
import { CheckpointCoordinator } from '../../src/checkpoint/checkpoint-coordinator.ts'
import type { Command, Machine } from '../transcripts/runner.ts'
import { testTranscript } from '../transcripts/runner.ts'

describe('the checkpoint coordinator, by transcript', () => {
  testTranscript(new URL('../transcripts/checkpoint-coordinator.txt', import.meta.url), coordinatorMachine)
})

function coordinatorMachine(): Machine {
  let coordinator: CheckpointCoordinator
  return (command) => {
    if (command.verb === 'new') {
      coordinator = newCoordinator(command)
      return [describeState(coordinator)]
    }
    return [...carryOut(coordinator, command).map(describeCommand), describeState(coordinator)]
  }
}

function newCoordinator(command: Command): CheckpointCoordinator {
  const options = {
    intervalMs: command.numeric('interval', 1000),
    timeoutMs: command.numeric('timeout', 60_000),
    minPauseMs: command.numeric('min-pause', 0),
    tolerableFailures: command.numeric('tolerable', 0),
    maxConcurrent: command.numeric('concurrent', 1),
    alignmentTimeoutMs: command.numeric('alignment-timeout', Number.POSITIVE_INFINITY),
  }
  const subtasks = command.option('subtasks', 'map/0').split(',')
  return new CheckpointCoordinator(options, subtasks, command.numeric('last', 0), command.numeric('at', 0))
}

function carryOut(coordinator: CheckpointCoordinator, command: Command): readonly CoordinatorCommand[] {
  const at = command.numeric('at', 0)
  switch (command.verb) {
    case 'tick':
      return coordinator.onTick(at)
    case 'progress':
      return coordinator.onProgress(command.integer(0), command.word(1), command.word(2) as 'alignment' | 'snapshot', at)
    case 'ack':
      return coordinator.onAcknowledge(command.integer(0), command.word(1), at)
    case 'decline':
      return coordinator.onDecline(command.integer(0), command.word(1), 'snapshot', command.word(2), at)
    case 'stored':
      return coordinator.onStored(command.integer(0), at)
    case 'store-failed':
      return coordinator.onStoreFailed(command.integer(0), command.word(1), at)
    case 'request':
      return coordinator.onRequest(command.word(0), at)
    case 'cancel':
      return coordinator.onCancelRequest(command.word(0), at)
    case 'ending':
      return coordinator.onEnding(at)
    case 'region-lost':
      return coordinator.onRegionLost()
    case 'regions-back':
      return coordinator.onRegionsBack(at)
    default:
      throw new Error(`unknown command '${command.verb}'`)
  }
}

function describeCommand(command: CoordinatorCommand): string {
  switch (command.type) {
    case 'unalign':
      return `unalign ${command.checkpoint}`
    case 'abort': {
      const blame = command.counts ? '' : ', not a failure'
      return `abort ${command.checkpoint}${servedBy(command)}${blame}: ${command.reason}`
    }
    case 'fail':
      return `fail: ${command.reason}`
    case 'trigger':
      return `trigger ${command.checkpoint}${command.final ? ', the final one' : ''}${servedBy(command)}`
    default:
      return `${command.type} ${command.checkpoint}${servedBy(command)}`
  }
}

function servedBy({ requests }: { readonly requests: readonly string[] }): string {
  return requests.length === 0 ? '' : ` for ${requests.join(' ')}`
}

function describeState({ inFlight, waitingRequests, deadlineMs }: CheckpointCoordinator): string {
  const until = deadlineMs === Number.POSITIVE_INFINITY ? 'no deadline' : `until ${deadlineMs}`
  const flights = inFlight.length === 0 ? 'nothing in flight' : inFlight.map(describeFlight).join('; ')
  const waiting = waitingRequests.length === 0 ? '' : `, waiting ${waitingRequests.join(' ')}`
  return `  ${flights}${waiting}, ${until}`
}

function describeFlight({ checkpoint, missing, phases, storing }: CheckpointInFlight): string {
  if (missing.length === 0) return `${storing ? 'storing' : 'complete'} ${checkpoint}`
  const named = missing.map((subtask) => (phases.get(subtask) === 'trigger' ? subtask : `${subtask}:${phases.get(subtask)}`))
  return `pending ${checkpoint}, missing ${named.join(' ')}`
}

const OPTIONS: CoordinatorOptions = {
  intervalMs: 1000,
  timeoutMs: 300,
  minPauseMs: 0,
  tolerableFailures: 5,
  maxConcurrent: 1,
  alignmentTimeoutMs: Number.POSITIVE_INFINITY,
}

describe('what an aborted checkpoint says of its failure', () => {
  const triggered = (subtasks: readonly string[]): CheckpointCoordinator => {
    const coordinator = new CheckpointCoordinator(OPTIONS, subtasks, 0, 0)
    coordinator.onTick(1000)
    return coordinator
  }

  test('a decline names subtask, phase and the operator, which is the whole task unless somebody knows better', () => {
    const failure = { operator: 'map-1', subtask: 'map-1/0', phase: 'prepare', message: 'declined by map-1/0: no space' }
    const subtasks = ['map-1/0', 'sink-1/0']
    expect(triggered(subtasks).onDecline(1, 'map-1/0', 'prepare', 'no space', 1010)).toEqual([
      { type: 'abort', checkpoint: 1, reason: failure.message, failure, counts: true, requests: [] },
    ])
    expect(triggered(subtasks).onDecline(1, 'map-1/0', 'prepare', 'no space', 1010, 'filter-2')).toMatchObject([
      { failure: { ...failure, operator: 'filter-2' } },
    ])
  })

  test('a timeout names the subtask that is missing, when it is only one', () => {
    const coordinator = triggered(['a/0', 'b/1'])
    coordinator.onAcknowledge(1, 'a/0', 1010)
    expect(coordinator.onTick(1300)).toMatchObject([{ failure: { operator: 'b', subtask: 'b/1', phase: 'timeout' } }])
    const [abort] = triggered(['a/0', 'b/1']).onTick(1300)
    expect(Object.keys((abort as { failure: object }).failure)).toEqual(['phase', 'message'])
  })

  test('a manifest that could not be written is the fault of no subtask', () => {
    const coordinator = triggered(['a/0'])
    coordinator.onAcknowledge(1, 'a/0', 1010)
    expect(coordinator.onStoreFailed(1, 'no space', 1020)).toEqual([
      {
        type: 'abort',
        checkpoint: 1,
        reason: 'could not be stored: no space',
        failure: { phase: 'store', message: 'could not be stored: no space' },
        counts: true,
        requests: [],
      },
    ])
  })
})

test('an acknowledgement is awaited until it has come or the checkpoint is over', () => {
  const coordinator = new CheckpointCoordinator(OPTIONS, ['a/0', 'b/0'], 0, 0)
  expect(coordinator.awaits(1, 'a/0')).toBe(false)
  coordinator.onTick(1000)
  expect([coordinator.awaits(1, 'a/0'), coordinator.awaits(1, 'c/0'), coordinator.awaits(2, 'a/0')]).toEqual([true, false, false])
  coordinator.onAcknowledge(1, 'a/0', 1010)
  expect([coordinator.awaits(1, 'a/0'), coordinator.awaits(1, 'b/0')]).toEqual([false, true])
  coordinator.onTick(1300)
  expect(coordinator.awaits(1, 'b/0')).toBe(false)
})

describe('the checkpoint coordinator, under any sequence of messages', () => {
  const SUBTASKS = ['a/0', 'a/1', 'b/0']
  const passed = fc.nat(20)
  const subtask = fc.constantFrom(...SUBTASKS)
  const back = fc.nat(3)
  const request = fc.constantFrom('r1', 'r2', 'r3')
  const message = fc.oneof(
    { weight: 2, arbitrary: fc.record({ type: fc.constant('tick' as const), passed: fc.nat(400) }) },
    { weight: 6, arbitrary: fc.record({ type: fc.constant('ack' as const), passed, subtask, back }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant('stored' as const), passed }) },
    fc.record({ type: fc.constant('store-failed' as const), passed }),
    fc.record({ type: fc.constant('progress' as const), passed, subtask, back }),
    fc.record({ type: fc.constant('decline' as const), passed, subtask, back }),
    fc.record({ type: fc.constant('request' as const), passed, request }),
    fc.record({ type: fc.constant('cancel' as const), passed, request }),
    { weight: 1, arbitrary: fc.record({ type: fc.constant('ending' as const), passed, seldom: fc.nat(5) }) },
  )
  type Message = typeof message extends fc.Arbitrary<infer T> ? T : never
  const options: fc.Arbitrary<CoordinatorOptions> = fc.record({
    intervalMs: fc.integer({ min: 1, max: 500 }),
    timeoutMs: fc.integer({ min: 1, max: 500 }),
    minPauseMs: fc.oneof(fc.constant(0), fc.nat(500)),
    tolerableFailures: fc.nat(6),
    maxConcurrent: fc.integer({ min: 1, max: 4 }),
    alignmentTimeoutMs: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.nat(300)),
  })

  /** Believes nothing: keeps a book of its own of what was said in both directions, and looks the rules up in it. */
  class Auditor {
    readonly #options: CoordinatorOptions
    readonly #acknowledged = new Map<number, Set<string>>()
    readonly #unaligned = new Set<number>()
    readonly #served = new Map<number, Set<string>>()
    readonly #waiting = new Set<string>()
    newest = 0
    storing: number | undefined
    #completed = 0
    #failures = 0
    #final: number | undefined
    #ending = false
    #over = false
    /** The request that was served until this moment. */
    #cancelled: string | undefined

    constructor(settings: CoordinatorOptions) {
      this.#options = settings
    }

    onAcknowledge(checkpoint: number, name: string): void {
      if (this.storing !== checkpoint) this.#acknowledged.get(checkpoint)?.add(name)
    }

    onRequest(name: string): void {
      if (this.#over || [...this.#served.values()].some((served) => served.has(name))) return
      const final = this.#final === this.storing ? undefined : this.#served.get(this.#final ?? 0)
      if (final === undefined) this.#waiting.add(name)
      else final.add(name)
    }

    onCancel(name: string): void {
      this.#waiting.delete(name)
      for (const served of this.#served.values()) if (served.delete(name)) this.#cancelled = name
    }

    onEnding(): void {
      this.#ending = true
    }

    onStored(): void {
      this.#close(this.storing!)
      this.#completed = this.storing!
      this.#failures = 0
      this.storing = undefined
    }

    #servedUpTo(checkpoint: number): readonly string[] {
      return [...this.#served].flatMap(([id, served]) => (id <= checkpoint ? [...served] : [])).sort()
    }

    #close(checkpoint: number): void {
      this.#acknowledged.delete(checkpoint)
      this.#served.delete(checkpoint)
    }

    observe(commands: readonly CoordinatorCommand[]): void {
      for (const command of commands) {
        expect(this.#over).toBe(false)
        this.#obey(command)
      }
      this.#cancelled = undefined
    }

    #obey(command: CoordinatorCommand): void {
      switch (command.type) {
        case 'trigger':
          expect(command.checkpoint).toBe(this.newest + 1)
          this.newest = command.checkpoint
          this.#acknowledged.set(command.checkpoint, new Set())
          this.#served.set(command.checkpoint, new Set(command.requests))
          expect(this.#acknowledged.size).toBeLessThanOrEqual(this.#options.minPauseMs > 0 ? 1 : this.#options.maxConcurrent)
          expect(command.final).toBe(this.#ending)
          expect(this.#final === undefined || !this.#acknowledged.has(this.#final)).toBe(true)
          if (command.final) this.#final = command.checkpoint
          for (const name of command.requests) expect(this.#waiting.delete(name)).toBe(true)
          expect(this.#waiting.size).toBe(0)
          return
        case 'unalign':
          expect(this.#acknowledged.get(command.checkpoint)?.size).toBeLessThan(SUBTASKS.length)
          expect(this.#unaligned.has(command.checkpoint)).toBe(false)
          this.#unaligned.add(command.checkpoint)
          return
        case 'store':
          expect(this.storing).toBeUndefined()
          expect(command.checkpoint).toBeGreaterThan(this.#completed)
          expect([...(this.#acknowledged.get(command.checkpoint) ?? [])].sort()).toEqual(SUBTASKS)
          expect([...command.requests].sort()).toEqual(this.#servedUpTo(command.checkpoint))
          this.storing = command.checkpoint
          return
        case 'abort':
          expect(this.#acknowledged.has(command.checkpoint)).toBe(true)
          if (command.counts) {
            this.#failures++
            expect(command.failure?.message).toBe(command.reason)
            expect(new Set(command.requests)).toEqual(this.#served.get(command.checkpoint))
          } else if (command.checkpoint < this.#completed) expect(command.requests).toEqual([])
          else {
            expect(command.requests).toEqual([this.#cancelled])
            expect(this.#served.get(command.checkpoint)?.size).toBe(0)
          }
          this.#close(command.checkpoint)
          return
        case 'fail':
          expect(this.#failures).toBe(this.#options.tolerableFailures + 1)
          this.#over = true
          return
        case 'finished':
          expect(command.checkpoint).toBe(this.#final)
          expect(command.checkpoint).toBe(this.#completed)
          expect(this.#acknowledged.size).toBe(0)
          this.#over = true
      }
    }

    /** After every message. */
    check(coordinator: CheckpointCoordinator, now: number): void {
      if (this.#over) {
        expect(coordinator.deadlineMs).toBe(Number.POSITIVE_INFINITY)
        expect(coordinator.inFlight).toEqual([])
        return
      }
      expect(this.#failures).toBeLessThanOrEqual(this.#options.tolerableFailures)
      expect(coordinator.inFlight.map(({ checkpoint }) => checkpoint)).toEqual([...this.#acknowledged.keys()])
      for (const flight of coordinator.inFlight) {
        const acknowledged = this.#acknowledged.get(flight.checkpoint)!
        expect(flight.missing).toEqual(SUBTASKS.filter((name) => !acknowledged.has(name)))
        expect([...flight.phases.keys()]).toEqual(flight.missing)
        expect(flight.storing).toBe(flight.checkpoint === this.storing)
        // Somebody who is late is given up by the next tick at the latest, and what is complete does not wait while nothing is stored.
        if (flight.missing.length > 0)
          expect(coordinator.deadlineMs).toBeLessThanOrEqual(flight.triggeredMs + this.#options.timeoutMs)
        else expect(this.storing).toBeDefined()
      }
      const idle = coordinator.inFlight.length === 0
      expect(idle && (this.#ending || coordinator.waitingRequests.length > 0)).toBe(false)
      if (idle) expect(coordinator.deadlineMs).toBeLessThanOrEqual(now + this.#options.intervalMs + this.#options.minPauseMs)
    }
  }

  function deliver(
    coordinator: CheckpointCoordinator,
    auditor: Auditor,
    next: Message,
    now: number,
  ): readonly CoordinatorCommand[] {
    const checkpoint = 'back' in next ? auditor.newest - next.back : 0
    switch (next.type) {
      case 'tick':
        return coordinator.onTick(now)
      case 'ack':
        auditor.onAcknowledge(checkpoint, next.subtask)
        return coordinator.onAcknowledge(checkpoint, next.subtask, now)
      case 'progress':
        return coordinator.onProgress(checkpoint, next.subtask, 'snapshot', now)
      case 'decline':
        return coordinator.onDecline(checkpoint, next.subtask, 'snapshot', 'no', now)
      case 'request':
        auditor.onRequest(next.request)
        return coordinator.onRequest(next.request, now)
      case 'cancel':
        auditor.onCancel(next.request)
        return coordinator.onCancelRequest(next.request, now)
      case 'ending':
        if (next.seldom > 0) return []
        auditor.onEnding()
        return coordinator.onEnding(now)
      case 'stored': {
        const { storing } = auditor
        if (storing === undefined) return coordinator.onStored(auditor.newest, now)
        auditor.onStored()
        return coordinator.onStored(storing, now)
      }
      case 'store-failed': {
        const { storing } = auditor
        if (storing === undefined) return coordinator.onStoreFailed(auditor.newest, 'no', now)
        auditor.storing = undefined
        return coordinator.onStoreFailed(storing, 'no', now)
      }
    }
  }

  test('ids rise, one is stored at a time and only with everyone in it, and failures are counted once', () => {
    fc.assert(
      fc.property(options, fc.array(message, { maxLength: 150, size: 'max' }), (settings, messages) => {
        const coordinator = new CheckpointCoordinator(settings, SUBTASKS, 0, 0)
        const auditor = new Auditor(settings)
        let now = 0
        for (const next of messages) {
          now += next.passed
          auditor.observe(deliver(coordinator, auditor, next, now))
          auditor.check(coordinator, now)
        }
      }),
      { numRuns: 1000 },
    )
  })

  test('when everyone answers, every request is served once, and the job ends', () => {
    const requests = fc.array(fc.record({ at: fc.nat(3000), request: fc.string({ minLength: 1, maxLength: 3 }) }), {
      maxLength: 8,
    })
    fc.assert(
      fc.property(options, requests, fc.nat(100), (settings, asked, delayMs) => {
        const patient = { ...settings, timeoutMs: 100_000 }
        const coordinator = new CheckpointCoordinator(patient, SUBTASKS, 0, 0)
        const served: string[] = []
        const queue: CoordinatorCommand[] = []
        const toAsk = [...asked].sort((a, b) => a.at - b.at)
        let finished = false
        for (let now = 0; !finished; now += 1 + delayMs) {
          expect(now).toBeLessThan(100_000)
          while (toAsk[0] !== undefined && toAsk[0].at <= now) queue.push(...coordinator.onRequest(toAsk.shift()!.request, now))
          queue.push(...(now >= 3000 ? coordinator.onEnding(now) : coordinator.onTick(now)))
          for (const command of queue.splice(0)) {
            if (command.type === 'store') {
              served.push(...command.requests)
              queue.push(...coordinator.onStored(command.checkpoint, now))
            } else if (command.type === 'trigger') {
              for (const name of SUBTASKS) queue.push(...coordinator.onAcknowledge(command.checkpoint, name, now))
            } else if (command.type === 'finished') finished = true
          }
        }
        expect(coordinator.waitingRequests).toEqual([])
        // One that is asked for again after it was served is served again.
        expect([...new Set(served)].sort()).toEqual([...new Set(asked.map(({ request: name }) => name))].sort())
        expect(served.length).toBeLessThanOrEqual(asked.length)
      }),
    )
  })
})
