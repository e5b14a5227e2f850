import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { RegionCommand } from '../../src/control/region-restarts.ts'
import { RegionRestarts } from '../../src/control/region-restarts.ts'
import type { Machine } from '../transcripts/runner.ts'
import { testTranscript } from '../transcripts/runner.ts'

describe('regions that start again, by transcript', () => {
  testTranscript(new URL('../transcripts/region-restarts.txt', import.meta.url), regionsMachine)
})

function regionsMachine(): Machine {
  let restarts: RegionRestarts
  let count = 0
  return (command) => {
    const region = command.verb === 'new' ? 0 : command.integer(0)
    const [round, worker] = [command.numeric('round', 0), command.numeric('worker', 0)]
    switch (command.verb) {
      case 'new':
        count = command.numeric('regions', 1)
        restarts = new RegionRestarts(count, command.numeric('workers', 1))
        return []
      case 'fail':
        if (!restarts.canFail(region)) return ['  no news']
        return restarts.onFailed(region, command.numeric('delay', 0)).map(describeCommand)
      case 'closed':
        return restarts.onClosed(region, round, worker).map(describeCommand)
      case 'waited':
        return restarts.onWaited(region, round).map(describeCommand)
      case 'deployed':
        return restarts.onDeployed(region, round, worker).map(describeCommand)
      default:
        throw new Error(`unknown command '${command.verb}'`)
    }
  }
}

function describeCommand(command: RegionCommand): string {
  if (!('region' in command)) return command.type
  const pause = command.type === 'wait' ? ` for ${command.delayMs}` : ''
  return `${command.type} ${command.region}, round ${command.round}${pause}`
}

/** Workers that answer in the order of their messages, each at its own time, and fail at any. */
class Workers {
  readonly queues: RegionCommand[][]
  /** What runs where: the round of each region, by worker. */
  readonly built: Map<number, number>[]

  constructor(count: number, regions: number) {
    this.queues = Array.from({ length: count }, () => [])
    this.built = Array.from({ length: count }, () => new Map(Array.from({ length: regions }, (_, region) => [region, 0])))
  }

  post(command: RegionCommand): void {
    for (const queue of this.queues) queue.push(command)
  }
}

test('however answers and failures interleave, nothing of two rounds runs at a time, and in the end everything runs', () => {
  const step = fc.record({
    worker: fc.nat(2),
    region: fc.nat(2),
    what: fc.constantFrom('answer', 'answer', 'answer', 'fail', 'wait'),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const [restarts, workers] = [new RegionRestarts(3, 3), new Workers(3, 3)]
      const waits: Extract<RegionCommand, { type: 'wait' }>[] = []
      let paused = false
      const obey = (commands: readonly RegionCommand[]): void => {
        for (const command of commands) {
          if (command.type === 'wait') waits.push(command)
          else if (command.type === 'pause') paused = true
          else if (command.type === 'resume') paused = false
          else workers.post(command)
          if (command.type === 'deploy') {
            for (const built of workers.built) expect(built.has(command.region)).toBe(false)
          }
          if (command.type === 'start') {
            for (const built of workers.built) expect(built.get(command.region)).toBe(command.round)
          }
        }
        expect(paused).toBe(!restarts.allRunning)
      }
      const answer = (worker: number): void => {
        const command = workers.queues[worker]!.shift()
        if (command?.type === 'close') {
          workers.built[worker]!.delete(command.region)
          obey(restarts.onClosed(command.region, command.round, worker))
        } else if (command?.type === 'deploy') {
          expect(workers.built[worker]!.has(command.region)).toBe(false)
          workers.built[worker]!.set(command.region, command.round)
          obey(restarts.onDeployed(command.region, command.round, worker))
        }
      }
      const wait = (): void => {
        const command = waits.shift()
        if (command !== undefined) obey(restarts.onWaited(command.region, command.round))
      }
      for (const { worker, region, what } of steps) {
        if (what === 'answer') answer(worker)
        else if (what === 'wait') wait()
        else if (workers.built[worker]!.delete(region) && restarts.canFail(region)) obey(restarts.onFailed(region, 0))
      }
      for (let round = 0; round < 100; round++) {
        for (const worker of [0, 1, 2]) answer(worker)
        wait()
      }
      expect(restarts.allRunning).toBe(true)
      for (const built of workers.built) expect([...built.keys()].sort()).toEqual([0, 1, 2])
    }),
    { numRuns: 2_000 },
  )
})
