import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Environment, FaultFolder, linesOf } from './fault-folder.ts'

let folder: FaultFolder
let disk: string

/** A small disk of its own; only root may make one. */
function mount(): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', disk], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

beforeEach((context) => {
  folder = new FaultFolder()
  disk = join(folder.path, 'disk')
  mkdirSync(disk)
  if (!mount()) context.skip()
})

afterEach(() => {
  try {
    execFileSync('umount', [disk], { stdio: 'ignore' })
  } finally {
    folder.remove()
  }
})

/** Takes what room there is. */
function fill(): void {
  try {
    for (;;) writeFileSync(join(disk, 'filler'), Buffer.alloc(4096), { flag: 'a' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  }
}

function makeRoom(): void {
  rmSync(join(disk, 'filler'))
}

describe.each([
  ['the state', (): Environment => ({ FAULTS_STATE: join(disk, 'state') }), /^(CHECKPOINT_FAILED|DISK_FULL)$/],
  ['the output', (): Environment => ({ FAULTS_OUTPUT: join(disk, 'out') }), /^DISK_FULL$/],
])('a full disk with %s', (what, environment, code) => {
  test('stops the job with the reason, and it goes on when there is room', async () => {
    const place = environment()
    const output = place['FAULTS_OUTPUT'] ?? join(folder.path, 'out')
    writeFileSync(join(folder.path, 'wait'), '')
    // State of 2 MB, of which each checkpoint writes a share, so that what LMDB has free in its file does not do.
    const more = what === 'the state' ? { ...place, FAULTS_PADDING: '200000' } : place
    const running = folder.start({}, { restart: { strategy: 'fixed', delay: 20, attempts: 3 } }, more)
    while (linesOf(output).length === 0 && running.process.exitCode === null) await delay(10)
    fill()
    rmSync(join(folder.path, 'wait'))
    const stopped = JSON.parse((await running.ended).stdout) as Record<string, unknown>
    expect(stopped['code']).toMatch(code)
    expect(stopped['message']).toMatch(/the disk of .* is full/)
    expect(stopped['hint']).toContain('make room')
    makeRoom()
    expect(await folder.run({}, {}, more)).toMatchObject({ status: 'finished', recordsIn: 20_000, recordsOut: 40_200 })
    folder.expectUndisturbed(output)
  })
})

test('a job that may restart waits for room', async () => {
  const output = join(disk, 'out')
  writeFileSync(join(folder.path, 'wait'), '')
  const options = { restart: { strategy: 'fixed', delay: 100, attempts: 1_000 } } as const
  const running = folder.start({}, options, { FAULTS_STATE: join(disk, 'state'), FAULTS_OUTPUT: output, FAULTS_LOUD: '1' })
  while (linesOf(output).length === 0 && running.process.exitCode === null) await delay(10)
  fill()
  rmSync(join(folder.path, 'wait'))
  await delay(2_000)
  makeRoom()
  const { stdout, stderr } = await running.ended
  expect(JSON.parse(stdout)).toMatchObject({ status: 'finished', recordsIn: 20_000, recordsOut: 40_200 })
  expect(stderr).toMatch(/the disk of .* is full; restarting/)
  folder.expectUndisturbed(output)
})
