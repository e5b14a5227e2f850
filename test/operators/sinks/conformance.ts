import { existsSync, mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { StagedFile } from '../../../operators/sinks/index.ts'
import type { Sink } from '../../../src/core/sink.ts'
import {
  committerOf,
  FIRST_START,
  hiddenFiles,
  type Start,
  stage,
  temporaryFolder,
  textOf,
  visibleFiles,
  writerOf,
} from './folder-harness.ts'

/** A folder sink with what the suite needs to know of it. */
export interface FolderSinkCase<T> {
  create(folder: string): Sink<T, StagedFile>
  extension: string
  /** At least four, all different. */
  records: readonly T[]
  /** Reads a file's records back. */
  read(text: string): unknown[]
}

/** What every folder sink must do, whatever it writes. */
export function describeFolderSink<T>(kind: string, { create, extension, records, read }: FolderSinkCase<T>): void {
  const [first, second, third, fourth] = records as [T, T, T, T]

  async function openSink(start: Start = {}) {
    const folder = temporaryFolder()
    const sink = create(folder)
    const committer = committerOf(sink, start)
    await committer.open(FIRST_START)
    return { folder, sink, committer, writer: writerOf(sink, start) }
  }

  function recordsIn(folder: string, name: string): unknown[] {
    return read(textOf(folder, name))
  }

  describe(`${kind} as a folder sink`, () => {
    test('names itself and its folder for the graph', () => {
      const sink = create('some/folder')
      expect(sink.kind).toBe(kind)
      expect(sink.settings).toMatchObject({ folder: 'some/folder' })
      expect(JSON.parse(JSON.stringify(sink.settings))).toEqual(sink.settings)
    })

    test('shows nothing before the commit and everything after it', async () => {
      const { folder, committer, writer } = await openSink()
      const committables = await stage(writer, [first, second], 7)
      expect(visibleFiles(folder)).toEqual([])
      expect(hiddenFiles(folder)).toHaveLength(1)

      await committer.commit(committables)
      expect(visibleFiles(folder)).toEqual([`part-0-7.${extension}`])
      expect(hiddenFiles(folder)).toEqual([])
      expect(recordsIn(folder, `part-0-7.${extension}`)).toEqual([first, second])
    })

    test('gives committables that survive JSON', async () => {
      const { folder, committer, writer } = await openSink()
      const committables = await stage(writer, [first], 1)
      await committer.commit(JSON.parse(JSON.stringify(committables)))
      expect(recordsIn(folder, `part-0-1.${extension}`)).toEqual([first])
    })

    test('has nothing to commit for an interval without records', async () => {
      const { folder, writer } = await openSink()
      expect(await writer.prepareCommit(1)).toEqual([])
      await stage(writer, [first], 2)
      expect(await writer.prepareCommit(3)).toEqual([])
      expect(hiddenFiles(folder)).toHaveLength(1)
    })

    test('commits a second time without a change', async () => {
      const { folder, committer, writer } = await openSink()
      const committables = await stage(writer, [first], 1)
      await committer.commit(committables)
      const text = textOf(folder, `part-0-1.${extension}`)
      await committer.commit(committables)
      expect(visibleFiles(folder)).toEqual([`part-0-1.${extension}`])
      expect(textOf(folder, `part-0-1.${extension}`)).toBe(text)
    })

    test('commits in a later process what an earlier one prepared', async () => {
      const { folder, writer } = await openSink()
      const pending = await stage(writer, [first], 1)

      const successor = committerOf(create(folder))
      await successor.open({ attempt: 9, fresh: false, overwrite: false, pending })
      await successor.commit(pending)
      expect(recordsIn(folder, `part-0-1.${extension}`)).toEqual([first])
    })

    test('goes on after a crash in the middle of a commit', async () => {
      const { folder, sink, committer, writer } = await openSink()
      const other = writerOf(sink, { subtask: 1 })
      const pending = [...(await stage(writer, [first], 1)), ...(await stage(other, [second], 1))]
      await committer.commit(pending.slice(0, 1))

      const successor = committerOf(create(folder))
      await successor.open({ attempt: 9, fresh: false, overwrite: false, pending })
      await successor.commit(pending)
      expect(recordsIn(folder, `part-0-1.${extension}`)).toEqual([first])
      expect(recordsIn(folder, `part-1-1.${extension}`)).toEqual([second])
    })

    test('removes what dead attempts staged, and keeps what is pending', async () => {
      const { folder, sink, committer, writer } = await openSink()
      const pending = await stage(writer, [first], 1)
      await stage(writer, [second], 2)
      await stage(writerOf(sink, { run: 'run-before', attempt: 9 }), [third], 3)
      writeFileSync(join(folder, '.hidden-of-the-user'), '')

      await committer.open({ attempt: 9, fresh: false, overwrite: false, pending })
      expect(hiddenFiles(folder)).toEqual(['.hidden-of-the-user', pending[0]!.staged])
    })

    test('does not mix the files of two attempts', async () => {
      const { folder, sink, committer, writer } = await openSink()
      const [dead] = await stage(writer, [first], 1)
      const [alive] = await stage(writerOf(sink, { attempt: 2 }), [second], 2)
      expect(alive!.staged).not.toBe(dead!.staged)

      await committer.commit([alive!])
      expect(visibleFiles(folder)).toEqual([`part-0-2.${extension}`])
      expect(recordsIn(folder, `part-0-2.${extension}`)).toEqual([second])
    })

    test('refuses a fresh start over the output of another run, and changes nothing', async () => {
      const { folder, committer, writer, sink } = await openSink()
      await committer.commit(await stage(writer, [first], 1))
      await stage(writerOf(sink, { subtask: 1 }), [second], 2)
      const hidden = hiddenFiles(folder)
      await committer.close?.(false)

      const newcomer = committerOf(create(folder), { run: 'run-b' })
      await expect(newcomer.open(FIRST_START)).rejects.toMatchObject({
        code: 'OUTPUT_OF_ANOTHER_RUN',
        message: `The folder ${folder} already holds 1 part file of another run.`,
        hint: expect.stringContaining('--overwrite'),
      })
      expect(visibleFiles(folder)).toEqual([`part-0-1.${extension}`])
      expect(hiddenFiles(folder)).toEqual(hidden)
    })

    test('with overwrite removes the part files and nothing else', async () => {
      const folder = temporaryFolder()
      const notOurs = [
        'README.md',
        `part-0-1.${extension}.bak`,
        `part-one.${extension}`,
        'part-0-1.other',
        `xpart-0-1.${extension}`,
      ]
      for (const name of [...notOurs, `part-0-1.${extension}`, `part-12-345.${extension}`]) writeFileSync(join(folder, name), 'x')

      await committerOf(create(folder)).open({ attempt: 9, fresh: true, overwrite: true, pending: [] })
      expect(visibleFiles(folder)).toEqual(notOurs.sort())
    })

    test('keeps its own output when a run resumes, also with overwrite', async () => {
      const { folder, committer, writer } = await openSink()
      await committer.commit(await stage(writer, [first], 1))
      await committer.open({ attempt: 9, fresh: false, overwrite: true, pending: [] })
      expect(visibleFiles(folder)).toEqual([`part-0-1.${extension}`])
    })

    test('commits the output of an aborted checkpoint with the next one', async () => {
      const { folder, committer, writer } = await openSink()
      const aborted = await stage(writer, [first], 1)
      const complete = await stage(writer, [second], 2)
      await committer.commit([...aborted, ...complete])
      expect(recordsIn(folder, `part-0-1.${extension}`)).toEqual([first])
      expect(recordsIn(folder, `part-0-2.${extension}`)).toEqual([second])
    })

    test('lets many subtasks share the folder', async () => {
      const { folder, sink, committer } = await openSink()
      const writers = Array.from({ length: 8 }, (_, subtask) => writerOf(sink, { subtask }))
      const staged = await Promise.all(writers.map((writer, subtask) => stage(writer, [records[subtask % 4]!], 5)))
      await committer.commit(staged.flat())
      expect(visibleFiles(folder)).toEqual(writers.map((_, subtask) => `part-${subtask}-5.${extension}`).sort())
      for (const subtask of writers.keys()) {
        expect(recordsIn(folder, `part-${subtask}-5.${extension}`)).toEqual([records[subtask % 4]])
      }
    })

    test('cuts at the call of prepareCommit and not when it settles', async () => {
      const { folder, committer, writer } = await openSink()
      writer.write(first)
      const one = writer.prepareCommit(1)
      writer.write(second)
      const two = writer.prepareCommit(2)
      writer.write(third)
      await committer.commit([...(await one), ...(await two), ...(await writer.prepareCommit(3))])
      for (const [index, record] of [first, second, third].entries()) {
        expect(recordsIn(folder, `part-0-${index + 1}.${extension}`)).toEqual([record])
      }
    })

    test('writes many blocks in the order of the records', async () => {
      const { folder, committer, writer } = await openSink()
      const many = Array.from({ length: 60_000 }, (_, index) => records[index % 4]!)
      const committables = await stage(writer, many, 1)
      expect(committables[0]!.bytes).toBeGreaterThan(512 * 1024)
      await committer.commit(committables)
      expect(recordsIn(folder, `part-0-1.${extension}`)).toEqual(many)
    })

    test('drops what was not prepared when the attempt is over', async () => {
      const { folder, writer } = await openSink()
      const prepared = await stage(writer, [first], 1)
      for (let index = 0; index < 100_000; index++) writer.write(fourth)
      expect(hiddenFiles(folder)).toHaveLength(2)
      writer.close()
      expect(hiddenFiles(folder)).toEqual([prepared[0]!.staged])
    })

    test('leaves no hidden file when the job has finished', async () => {
      const { folder, committer, writer } = await openSink()
      await committer.commit(await stage(writer, [first], 1))
      await stage(writer, [second], 2)
      await committer.close?.(true)
      expect(hiddenFiles(folder)).toEqual([])
      expect(visibleFiles(folder)).toEqual([`part-0-1.${extension}`])
    })

    test('keeps hidden files when the job failed', async () => {
      const { folder, committer, writer } = await openSink()
      const pending = await stage(writer, [first], 1)
      await committer.close?.(false)
      expect(hiddenFiles(folder)).toEqual([pending[0]!.staged])
    })

    test('never replaces a file that it did not write', async () => {
      const { folder, committer, writer } = await openSink()
      const committables = await stage(writer, [first], 1)
      writeFileSync(join(folder, `part-0-1.${extension}`), 'precious')
      await expect(committer.commit(committables)).rejects.toMatchObject({ code: 'OUTPUT_OF_ANOTHER_RUN' })
      expect(textOf(folder, `part-0-1.${extension}`)).toBe('precious')
      expect(hiddenFiles(folder)).toHaveLength(1)
    })

    test('says which file is lost', async () => {
      const { folder, committer, writer } = await openSink()
      const committables = await stage(writer, [first], 1)
      rmSync(join(folder, committables[0]!.staged))
      await expect(committer.commit(committables)).rejects.toMatchObject({
        code: 'COMMIT_LOST',
        message: expect.stringContaining(join(folder, `part-0-1.${extension}`)),
      })
    })

    test('does not commit a torn file', async () => {
      const { folder, committer, writer } = await openSink()
      const committables = await stage(writer, [first], 1)
      truncateSync(join(folder, committables[0]!.staged), 1)
      await expect(committer.commit(committables)).rejects.toMatchObject({ code: 'COMMIT_LOST' })
      expect(visibleFiles(folder)).toEqual([])
    })

    test('does not take a visible file of another size for its own', async () => {
      const { folder, committer, writer } = await openSink()
      const committables = await stage(writer, [first], 1)
      await committer.commit(committables)
      truncateSync(join(folder, `part-0-1.${extension}`), 1)
      await expect(committer.commit(committables)).rejects.toMatchObject({ code: 'COMMIT_LOST' })
    })

    test('creates the folder with its parents', async () => {
      const folder = join(temporaryFolder(), 'a', 'b', 'c')
      const sink = create(folder)
      const committer = committerOf(sink)
      await committer.open(FIRST_START)
      await committer.commit(await stage(writerOf(sink), [first], 1))
      expect(visibleFiles(folder)).toEqual([`part-0-1.${extension}`])
    })

    test('refuses a path that is not a folder', async () => {
      const path = join(temporaryFolder(), 'file')
      writeFileSync(path, '')
      await expect(committerOf(create(path)).open(FIRST_START)).rejects.toMatchObject({ code: 'OUTPUT_UNWRITABLE' })
      await expect(committerOf(create(join(path, 'below'))).open(FIRST_START)).rejects.toMatchObject({
        code: 'OUTPUT_UNWRITABLE',
      })
    })

    test('says that it cannot write when the folder is gone, and writes nothing more', async () => {
      const { folder, writer } = await openSink()
      rmSync(folder, { recursive: true })
      writer.write(first)
      const failure = { code: 'OUTPUT_UNWRITABLE', operator: 'out', subtask: 0 }
      expect(() => writer.prepareCommit(1)).toThrow(expect.objectContaining(failure))
      mkdirSync(folder)
      expect(() => writer.write(second)).toThrow(expect.objectContaining(failure))
      expect(() => writer.prepareCommit(2)).toThrow(expect.objectContaining(failure))
    })

    test('says that it cannot commit when the folder cannot be read', async () => {
      const { folder, committer, writer } = await openSink()
      const committables = await stage(writer, [first], 1)
      rmSync(folder, { recursive: true })
      writeFileSync(folder, '')
      await expect(committer.commit(committables)).rejects.toMatchObject({ code: 'COMMIT_FAILED', cause: { code: 'ENOTDIR' } })
    })

    test('refuses two sinks on one folder until the first is closed', async () => {
      const { folder, committer } = await openSink()
      const link = join(temporaryFolder(), 'link')
      symlinkSync(folder, link)
      const other = committerOf(create(link), { operator: 'out-2' })
      await expect(other.open(FIRST_START)).rejects.toMatchObject({ code: 'OUTPUT_SHARED' })

      await committer.open({ attempt: 9, fresh: false, overwrite: false, pending: [] })
      await expect(other.open(FIRST_START)).rejects.toMatchObject({ code: 'OUTPUT_SHARED' })
      await committer.close?.(false)
      await other.open(FIRST_START)
    })

    test('a predecessor that is closed late does not free the folder of its successor', async () => {
      const { folder, committer } = await openSink()
      const successor = committerOf(create(folder))
      await successor.open({ attempt: 9, fresh: false, overwrite: false, pending: [] })
      await committer.close?.(false)
      const other = committerOf(create(folder), { operator: 'out-2' })
      await expect(other.open(FIRST_START)).rejects.toMatchObject({ code: 'OUTPUT_SHARED' })
    })

    test('a refused start does not hold the folder', async () => {
      const folder = temporaryFolder()
      writeFileSync(join(folder, `part-0-1.${extension}`), 'x')
      await expect(committerOf(create(folder)).open(FIRST_START)).rejects.toMatchObject({ code: 'OUTPUT_OF_ANOTHER_RUN' })
      await committerOf(create(folder), { run: 'run-b' }).open({ attempt: 9, fresh: true, overwrite: true, pending: [] })
    })

    test('a name of a run cannot lead out of the folder', async () => {
      const { folder, committer, writer } = await openSink({ run: '../../run: a/b' })
      const [file] = await stage(writer, [first], 1)
      expect(existsSync(join(folder, file!.staged))).toBe(true)
      await committer.open({ attempt: 9, fresh: false, overwrite: false, pending: [] })
      expect(hiddenFiles(folder)).toEqual([])
    })

    test('refuses an empty name', () => {
      expect(() => create('')).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
    })
  })
}
