import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { Sink, SinkCommitter, SinkCommitterContext, SinkOpening, SinkWriter } from '../../../src/core/sink.ts'

/** A folder that exists for one test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-sinks-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export const FIRST_START: SinkOpening<never> = { attempt: 9, fresh: true, overwrite: false, pending: [] }

/** Which start of which run a writer or committer belongs to. */
export interface Start {
  run?: string
  attempt?: number
  operator?: string
  subtask?: number
}

export function writerOf<T, C>(sink: Sink<T, C>, start: Start = {}): SinkWriter<T, C> {
  const { run = 'run-a', attempt = 1, operator = 'out', subtask = 0 } = start
  return sink.createWriter({ job: 'test', run, attempt, operator, subtask })
}

/** A committer that is closed with the test, so that its folder is free again. */
export function committerOf<T, C>(sink: Sink<T, C>, start: Start = {}, warnings: string[] = []): SinkCommitter<C> {
  const { run = 'run-a', operator = 'out' } = start
  const context: SinkCommitterContext = { job: 'test', run, operator, warn: (message) => warnings.push(message) }
  const committer = sink.createCommitter(context)
  onTestFinished(async () => committer.close?.(false))
  return committer
}

export function visibleFiles(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => !name.startsWith('.'))
    .sort()
}

export function hiddenFiles(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.startsWith('.'))
    .sort()
}

export function textOf(folder: string, name: string): string {
  return readFileSync(join(folder, name), 'utf8')
}

/** Writes the records and cuts. */
export async function stage<T, C>(writer: SinkWriter<T, C>, records: readonly T[], checkpoint: number): Promise<readonly C[]> {
  for (const record of records) writer.write(record)
  return writer.prepareCommit(checkpoint)
}
