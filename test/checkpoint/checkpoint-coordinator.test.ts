import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { CoordinatorCommand, CoordinatorOptions } from '../../src/checkpoint/checkpoint-coordinator.ts'
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
  }
  const subtasks = command.option('subtasks', 'map/0').split(',')
  return new CheckpointCoordinator(options, subtasks, command.numeric('last', 0), command.numeric('at', 0))
}

function carryOut(coordinator: CheckpointCoordinator, command: Command): readonly CoordinatorCommand[] {
  const at = command.numeric('at', 0)
  switch (command.verb) {
    case 'tick':
      return coordinator.onTick(at)
    case 'ack':
      return coordinator.onAcknowledge(command.integer(0), command.word(1), at)
    case 'decline':
      return coordinator.onDecline(command.integer(0), command.word(1), command.word(2), at)
    case 'stored':
      return coordinator.onStored(command.integer(0), at)
    case 'ending':
      return coordinator.onEnding(at)
    default:
      throw new Error(`unknown command '${command.verb}'`)
  }
}

function describeCommand(command: CoordinatorCommand): string {
  switch (command.type) {
    case 'abort':
      return `abort ${command.checkpoint}: ${command.reason}`
    case 'fail':
      return `fail: ${command.reason}`
    default:
      return `${command.type} ${command.checkpoint}`
  }
}

function describeState({ pending, deadlineMs }: CheckpointCoordinator): string {
  const until = deadlineMs === Number.POSITIVE_INFINITY ? 'no deadline' : `until ${deadlineMs}`
  return pending === undefined
    ? `  nothing pending, ${until}`
    : `  pending ${pending.checkpoint}, missing ${pending.missing.join(' ')}, ${until}`
}

describe('the checkpoint coordinator, under any sequence of messages', () => {
  const subtasks = ['a/0', 'a/1', 'b/0']
  const message = fc.oneof(
    fc.record({ type: fc.constant('tick' as const), passed: fc.nat(400) }),
    fc.record({
      type: fc.constant('ack' as const),
      passed: fc.nat(20),
      subtask: fc.constantFrom(...subtasks),
      back: fc.nat(2),
    }),
    fc.record({
      type: fc.constant('decline' as const),
      passed: fc.nat(20),
      subtask: fc.constantFrom(...subtasks),
      back: fc.nat(2),
    }),
    fc.record({ type: fc.constant('stored' as const), passed: fc.nat(20), back: fc.nat(1) }),
    fc.record({ type: fc.constant('ending' as const), passed: fc.nat(20) }),
  )
  const options: fc.Arbitrary<CoordinatorOptions> = fc.record({
    intervalMs: fc.integer({ min: 1, max: 500 }),
    timeoutMs: fc.integer({ min: 1, max: 500 }),
    minPauseMs: fc.nat(500),
    tolerableFailures: fc.nat(3),
  })

  test('one checkpoint at a time, rising ids, and nothing stored that was not acknowledged by everyone', () => {
    fc.assert(
      fc.property(options, fc.array(message, { maxLength: 120 }), (settings, messages) => {
        const coordinator = new CheckpointCoordinator(settings, subtasks, 0, 0)
        let now = 0
        let newest = 0
        let inFlight: number | undefined
        let over = false
        let acknowledged = new Set<string>()
        const observe = (commands: readonly CoordinatorCommand[]): void => {
          for (const command of commands) {
            expect(over).toBe(false)
            switch (command.type) {
              case 'trigger':
                expect(inFlight).toBeUndefined()
                expect(command.checkpoint).toBeGreaterThan(newest)
                inFlight = newest = command.checkpoint
                acknowledged = new Set()
                break
              case 'store':
                expect(command.checkpoint).toBe(inFlight)
                expect([...acknowledged].sort()).toEqual(subtasks)
                break
              case 'abort':
                expect(command.checkpoint).toBe(inFlight)
                inFlight = undefined
                break
              case 'fail':
              case 'finished':
                over = true
            }
          }
        }
        for (const step of messages) {
          now += step.passed
          if (step.type === 'tick') observe(coordinator.onTick(now))
          else if (step.type === 'ending') observe(coordinator.onEnding(now))
          else if (step.type === 'stored') {
            const checkpoint = newest - step.back
            const storing = coordinator.pending === undefined && checkpoint === inFlight
            if (storing) inFlight = undefined
            observe(coordinator.onStored(checkpoint, now))
          } else if (step.type === 'ack') {
            if (newest - step.back === coordinator.pending?.checkpoint) acknowledged.add(step.subtask)
            observe(coordinator.onAcknowledge(newest - step.back, step.subtask, now))
          } else observe(coordinator.onDecline(newest - step.back, step.subtask, 'no', now))
        }
      }),
      { numRuns: 500 },
    )
  })
})
