import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { stripVTControlCharacters } from 'node:util'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { print } from '../../../operators/sinks/index.ts'
import { committerOf, FIRST_START, stage, writerOf } from './folder-harness.ts'

type WriteCallback = (error?: Error | null) => void

/** Catches what is printed. A write is finished only when the test calls back. */
function catchOutput() {
  const written: string[] = []
  const callbacks: WriteCallback[] = []
  const spy = vi.spyOn(process.stdout, 'write').mockImplementation(((chunk: string, done: WriteCallback) => {
    written.push(chunk)
    callbacks.push(done)
    return true
  }) as never)
  onTestFinished(() => spy.mockRestore())
  return { written, callbacks }
}

/** Catches what is printed, and finishes each write with the next outcome, or well. */
function printWith(outcomes: (Error | null)[]) {
  const written: string[] = []
  const spy = vi.spyOn(process.stdout, 'write').mockImplementation(((chunk: string, done: WriteCallback) => {
    written.push(chunk)
    done(outcomes.shift() ?? null)
    return true
  }) as never)
  onTestFinished(() => spy.mockRestore())
  return written
}

async function textFor(values: readonly unknown[]): Promise<string> {
  const [committable] = await stage(writerOf(print()), values, 1)
  return stripVTControlCharacters(committable!.text)
}

describe('print', () => {
  test('shows strings as they are and other values on one line', async () => {
    const nested = {
      a: { b: { c: { d: { e: [1, 'two', { f: 1 }] } } } },
      text: 'line one\nline two, which is longer than a short one',
    }
    expect(await textFor(['plain', 42, null, undefined, 10n])).toBe('plain\n42\nnull\nundefined\n10n\n')
    const shown = await textFor([nested, Array.from({ length: 50 }, (_, index) => index)])
    expect(shown.split('\n')).toHaveLength(3)
    expect(shown).toContain('{ a: { b: { c: { d: { e: [ 1')
  })

  test('has nothing to commit without records', async () => {
    expect(await writerOf(print()).prepareCommit(1)).toEqual([])
  })

  test('prints at the commit, and waits until it is written', async () => {
    const { written, callbacks } = catchOutput()
    const sink = print()
    const committer = committerOf(sink)
    await committer.open(FIRST_START)
    const committables = [
      ...(await stage(writerOf(sink), ['a', 'b'], 1)),
      ...(await stage(writerOf(sink, { subtask: 1 }), ['c'], 1)),
    ]
    expect(written).toEqual([])

    const committed = committer.commit(committables)
    expect(written).toEqual(['a\nb\n'])
    callbacks[0]!()
    await vi.waitUntil(() => written.length === 2)
    expect(written[1]).toBe('c\n')
    callbacks[1]!()
    await committed
  })

  test('prints once what is committed twice, and goes on where a failed commit stopped', async () => {
    const written = printWith([null, Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })])
    const sink = print()
    const committer = committerOf(sink)
    const committables = [...(await stage(writerOf(sink), ['a'], 1)), ...(await stage(writerOf(sink, { subtask: 1 }), ['b'], 1))]
    await expect(committer.commit(committables)).rejects.toMatchObject({ code: 'OUTPUT_UNWRITABLE', cause: { code: 'EPIPE' } })
    await committer.commit(committables)
    await committer.commit(committables)
    expect(written).toEqual(['a\n', 'b\n', 'b\n'])
  })

  test('leaves no listener behind', async () => {
    const before = process.stdout.listenerCount('error')
    const [one, two] = [committerOf(print()), committerOf(print())]
    await one.open(FIRST_START)
    await one.open(FIRST_START)
    await two.open(FIRST_START)
    expect(process.stdout.listenerCount('error')).toBe(before + 2)
    await one.close?.(true)
    await two.close?.(true)
    expect(process.stdout.listenerCount('error')).toBe(before)
  })

  test('reports a reader that went away instead of ending the process', async () => {
    const program = `
      import { once } from 'node:events'
      import { print } from ${JSON.stringify(new URL('../../../operators/sinks/index.ts', import.meta.url).href)}
      const committer = print().createCommitter({ job: 'j', run: 'r', operator: 'o', warn() {} })
      committer.open({ attempt: 9, fresh: true, overwrite: false, pending: [] })
      await once(process.stdin, 'data')
      const outcome = await committer.commit([{ subtask: 0, checkpoint: 1, text: 'nobody reads this' }]).catch((error) => error)
      await new Promise((resolve) => setImmediate(resolve))
      console.error(outcome?.code + ' ' + outcome?.cause?.code)
      process.exit(0)`
    const child = spawn(process.execPath, ['--input-type=module', '--eval', program])
    child.stdout.destroy()
    await once(child.stdout, 'close')
    child.stdin.end('go')
    expect(await text(child.stderr)).toContain('OUTPUT_UNWRITABLE EPIPE')
  })
})
