import * as fs from 'node:fs'
import { expect, test, vi } from 'vitest'
import { writeText } from '../../../operators/sinks/index.ts'
import { committerOf, FIRST_START, hiddenFiles, stage, temporaryFolder, textOf, writerOf } from './folder-harness.ts'

/** What the next calls of the file system do instead of their work. */
const faults = vi.hoisted(() => ({ writeSync: [] as (Error | number)[], fsync: [] as Error[] }))

vi.mock('node:fs', async (importOriginal) => {
  const original = await importOriginal<typeof fs>()
  return {
    ...original,
    writeSync(descriptor: number, block: Buffer, offset: number) {
      const fault = faults.writeSync.shift()
      if (fault instanceof Error) throw fault
      return original.writeSync(descriptor, block, offset, fault ?? block.length - offset)
    },
    fsync(descriptor: number, done: (error: Error | null) => void) {
      const fault = faults.fsync.shift()
      return fault === undefined ? original.fsync(descriptor, done) : done(fault)
    },
  }
})

function ioError(code: string): Error {
  return Object.assign(new Error(`${code}: as the test wants it`), { code })
}

async function openText() {
  const folder = temporaryFolder()
  const sink = writeText(folder)
  const committer = committerOf(sink)
  await committer.open(FIRST_START)
  return { folder, sink, committer, writer: writerOf(sink) }
}

test('writes on when the system takes a block in pieces', async () => {
  const { folder, committer, writer } = await openText()
  faults.writeSync = [1, 2, 3]
  const committables = await stage(writer, ['a line that is written in four pieces'], 1)
  expect(faults.writeSync).toEqual([])
  await committer.commit(committables)
  expect(textOf(folder, 'part-0-1.txt')).toBe('a line that is written in four pieces\n')
})

test('a full disk ends the writer, and close removes the torn file', async () => {
  const { folder, writer } = await openText()
  const cause = ioError('ENOSPC')
  faults.writeSync = [3, cause]
  const failure = { code: 'DISK_FULL', operator: 'out', subtask: 0, cause }
  expect(() => writer.write('x'.repeat(300_000))).toThrow(expect.objectContaining(failure))
  expect(() => writer.write('more')).toThrow(expect.objectContaining(failure))
  expect(() => writer.prepareCommit(1)).toThrow(expect.objectContaining(failure))
  expect(hiddenFiles(folder)).toHaveLength(1)
  writer.close()
  expect(hiddenFiles(folder)).toEqual([])
})

test('after a failed sync nothing more is prepared, not even the next interval', async () => {
  const { writer } = await openText()
  faults.fsync = [ioError('EIO')]
  writer.write('first')
  const failing = writer.prepareCommit(1)
  writer.write('second')
  await expect(failing).rejects.toMatchObject({ code: 'OUTPUT_UNWRITABLE', cause: { code: 'EIO' } })
  expect(() => writer.prepareCommit(2)).toThrow(expect.objectContaining({ code: 'OUTPUT_UNWRITABLE' }))
})

test('the attempt after a failure starts clean', async () => {
  const { folder, sink, committer, writer } = await openText()
  faults.fsync = [ioError('EIO')]
  await expect(stage(writer, ['lost'], 1)).rejects.toThrow()
  await committer.open({ attempt: 9, fresh: true, overwrite: false, pending: [] })
  expect(hiddenFiles(folder)).toEqual([])
  await committer.commit(await stage(writerOf(sink, { attempt: 2 }), ['kept'], 2))
  expect(textOf(folder, 'part-0-2.txt')).toBe('kept\n')
})

test('a warning, not an error, when the folder cannot be tidied up at the end', async () => {
  const folder = temporaryFolder()
  const warnings: string[] = []
  const committer = committerOf(writeText(folder), {}, warnings)
  await committer.open(FIRST_START)
  fs.rmSync(folder, { recursive: true })
  await committer.close?.(true)
  expect(warnings).toEqual([expect.stringContaining(folder)])
})
