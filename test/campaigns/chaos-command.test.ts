import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { FAULT_KINDS, type PlanSettings, stepOf } from './plan.ts'

const COMMAND = fileURLToPath(new URL('../../scripts/chaos.ts', import.meta.url))

function chaos(...args: readonly string[]): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  return spawnSync(process.execPath, ['--conditions=@sluice/source', COMMAND, ...args], { encoding: 'utf8' })
}

describe('the command', () => {
  test('says what it can do', () => {
    const { status, stdout } = chaos('--help')
    expect(status).toBe(0)
    for (const kind of FAULT_KINDS) expect(stdout).toContain(kind)
  })

  test.each([
    [['--kills', 'many'], '--kills many is not a whole number'],
    [['--faults', 'kill,rain'], '--faults rain: it is one of kill'],
    [['--bound', 'loose'], '--bound loose: it is one of tight, exact'],
    [['--storm'], "Unknown option '--storm'"],
  ])('refuses %j', (args, why) => {
    const { status, stderr } = chaos(...args)
    expect(status).toBe(2)
    expect(stderr).toContain(why)
  })

  test('shows the plan of a seed, which is always the same', () => {
    const plan = chaos('--plan', '--seed', '7', '--faults', 'kill,throw')
    expect(plan.status).toBe(0)
    expect(plan.stdout.trim().split('\n')).toHaveLength(20)
    expect(chaos('--plan', '--seed', '7', '--faults', 'kill,throw').stdout).toBe(plan.stdout)
    expect(chaos('--plan', '--seed', '8', '--faults', 'kill,throw').stdout).not.toBe(plan.stdout)
  })
})

describe('a plan', () => {
  const settings: PlanSettings = { seed: 3, kinds: FAULT_KINDS, onSmallDisk: true }
  const steps = Array.from({ length: 500 }, (_, number) => stepOf(settings, number))

  test('has every kind in it, and ends each process', () => {
    const drawn = new Set(
      steps.flatMap(({ faults, damaged }) => [...faults.map(({ kind }) => kind), ...(damaged ? ['damage'] : [])]),
    )
    expect([...drawn].sort()).toEqual([...FAULT_KINDS].sort())
    for (const { faults } of steps) expect(['kill', 'savepoint']).toContain(faults.at(-1)!.kind)
  })

  test('draws parallelism, threads and barriers anew at each start', () => {
    expect(new Set(steps.map(({ options }) => options.parallelism))).toEqual(new Set([1, 2, 3]))
    expect(new Set(steps.map(({ options }) => options.workers))).toEqual(new Set([0, 1, 2]))
    expect(new Set(steps.map(({ options }) => options.checkpoint?.mode)).size).toBe(3)
  })

  test('keeps threads that hang, exit or fill their heap out of the main thread', () => {
    const isOfAThread = ({ kind }: { readonly kind: string }): boolean => ['exit', 'loop', 'memory'].includes(kind)
    for (const { faults, options } of steps.filter((step) => step.faults.some(isOfAThread))) {
      // Whoever takes the job over may meet them, too.
      const all = [options, ...faults.flatMap((fault) => ('options' in fault ? [fault.options] : []))]
      expect(Math.min(...all.map(({ workers }) => workers!))).toBeGreaterThan(0)
    }
  })

  test('fills no disk that others use', () => {
    const elsewhere = Array.from({ length: 500 }, (_, number) => stepOf({ ...settings, onSmallDisk: false }, number))
    expect(elsewhere.flatMap(({ faults }) => faults).filter(({ kind }) => kind === 'disk')).toEqual([])
  })
})
