import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Files, nodeFiles } from '../../../operators/sinks/files.ts'
import { writeText } from '../../../operators/sinks/index.ts'
import { folderSinkOver } from '../../../operators/sinks/staged-files.ts'
import { committerOf, FIRST_START, stage, temporaryFolder, textOf, visibleFiles, writerOf } from './folder-harness.ts'

/* What another process, or the file system, does between two calls of one committer. */

/** A text sink whose calls behave otherwise. */
function textSink(folder: string, calls: Partial<Files>) {
  return folderSinkOver(writeText(folder), { ...nodeFiles, ...calls })!
}

describe('a commit', () => {
  test.each([1, 2])('that another process makes just before look %i of the same file is made', async (moment) => {
    const folder = temporaryFolder()
    let looks = 0
    const sink = textSink(folder, {
      size(path) {
        if (++looks === moment) renameSync(join(folder, '.part-0-0.run-a.1.txt.staged'), join(folder, 'part-0-1.txt'))
        return nodeFiles.size(path)
      },
    })
    const committer = committerOf(sink)
    await committer.open(FIRST_START)
    await committer.commit(await stage(writerOf(sink), ['once'], 1))
    expect(visibleFiles(folder)).toEqual(['part-0-1.txt'])
  })

  test.each(['size', 'rename', 'syncFolder'] as const)('can be tried again when %s has failed', async (call) => {
    const folder = temporaryFolder()
    let isBroken = false
    const calls = {
      [call]: (...paths: [string, string]) => {
        if (isBroken) return Promise.reject(new Error('as the test wants it'))
        return nodeFiles[call](...paths)
      },
    }
    const sink = textSink(folder, calls)
    const committer = committerOf(sink)
    await committer.open(FIRST_START)
    const committables = await stage(writerOf(sink), ['once'], 1)
    isBroken = true
    await expect(committer.commit(committables)).rejects.toMatchObject({ code: 'COMMIT_FAILED' })
    isBroken = false
    await committer.commit(committables)
    expect(textOf(folder, 'part-0-1.txt')).toBe('once\n')
  })
})

describe('a fresh start that may not overwrite', () => {
  test('is refused when the first look at the folder fails, and removes nothing', async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'part-0-1.txt'), 'of another run\n')
    let looks = 0
    const list = (path: string): Promise<readonly string[]> =>
      looks++ === 0 ? Promise.reject(new Error('as the test wants it')) : nodeFiles.list(path)
    const committer = committerOf(textSink(folder, { list }))
    await expect(committer.open(FIRST_START)).rejects.toMatchObject({ code: 'OUTPUT_OF_ANOTHER_RUN' })
    expect(visibleFiles(folder)).toEqual(['part-0-1.txt'])
  })

  test('removes nothing that comes while it begins', async () => {
    const folder = temporaryFolder()
    const realPath = (path: string): Promise<string> => {
      writeFileSync(join(folder, 'part-0-1.txt'), 'of a process that has taken over\n')
      return nodeFiles.realPath(path)
    }
    const committer = committerOf(textSink(folder, { realPath }))
    await expect(committer.open(FIRST_START)).rejects.toMatchObject({ code: 'OUTPUT_OF_ANOTHER_RUN' })
    expect(visibleFiles(folder)).toEqual(['part-0-1.txt'])
  })
})

test('the name of a folder whose maker was killed before it was synced is synced by the next start', async () => {
  const folder = join(temporaryFolder(), 'out')
  const synced: string[] = []
  const syncFolder = async (path: string): Promise<void> => void synced.push(path)
  const killed = committerOf(textSink(folder, { syncFolder: () => Promise.reject(new Error('killed')) }))
  await expect(killed.open(FIRST_START)).rejects.toThrow()
  await committerOf(textSink(folder, { syncFolder })).open(FIRST_START)
  expect(synced).toContain(join(folder, '..'))
})

test('folders are made one after the other, each when those above it are on the disk', async () => {
  const folder = join(temporaryFolder(), 'a', 'b')
  const calls: string[] = []
  const noting = (call: 'makeFolder' | 'syncFolder') => (path: string) => {
    calls.push(`${call} ${path}`)
    return nodeFiles[call](path)
  }
  await committerOf(textSink(folder, { makeFolder: noting('makeFolder'), syncFolder: noting('syncFolder') })).open(FIRST_START)
  const [root, above] = [join(folder, '..', '..'), join(folder, '..')]
  expect(calls.slice(-5)).toEqual([
    `makeFolder ${above}`,
    `syncFolder ${root}`,
    `makeFolder ${folder}`,
    `syncFolder ${above}`,
    `syncFolder ${folder}`,
  ])
})
