import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodeValue } from '../../src/core/value-codec.ts'
import { JobProcess } from '../support/job-process.ts'
import type { Spread } from '../support/statistics.ts'
import { spreadOf } from '../support/statistics.ts'
import { storeSizes } from '../support/store-sizes.ts'

/*
 * One job that is told which share of its keys to change, and asked for a checkpoint when it has: what each checkpoint holds is known, and it holds
 * nothing else.
 */

export interface ByteCase {
  readonly fraction: number
  readonly changed: number
  readonly bytes: Spread
  /** Bytes written against those of the changed keys and values. */
  readonly ofChanged: number
  /** Against a checkpoint of all keys. */
  readonly ofFull: number
  readonly durationMs: Spread
}

export interface GrowthPoint {
  readonly checkpoints: number
  readonly fileBytes: number
  /** Pages of the base that are in use. */
  readonly baseBytes: number
  /** All keys and values, encoded. */
  readonly liveBytes: number
}

const PARALLELISM = 2

/** What `changing-state` keeps for a key, once it has changed a few times. */
export function rowBytes(keys: number): number {
  const value = { count: 10, total: 55, note: 'as much as a short comment on an order may well be, or an address, or a name' }
  return encodeValue(Math.floor(keys / 2)).byteLength + encodeValue(value).byteLength
}

export async function byteCases(keys: number, fractions: readonly number[], repetitions: number): Promise<readonly ByteCase[]> {
  const notes = await withJob(keys, async (job) => {
    await job.change(keys)
    for (let repetition = 0; repetition < repetitions; repetition++) {
      for (const fraction of fractions) await job.change(evenShare(keys, fraction))
    }
    return job.process.checkpoints
  })
  const full = median(notesOf(fractions.indexOf(1)).map(({ bytes }) => bytes))
  return fractions.map((fraction, place) => {
    const own = notesOf(place)
    const changed = evenShare(keys, fraction)
    const bytes = spreadOf(own.map((note) => note.bytes))
    return {
      fraction,
      changed,
      bytes,
      ofChanged: bytes.median / (changed * rowBytes(keys)),
      ofFull: bytes.median / full,
      durationMs: spreadOf(own.map(({ durationMs }) => durationMs)),
    }
  })

  /** The first checkpoint brought the keys into being. */
  function notesOf(place: number) {
    return notes.slice(1, 1 + repetitions * fractions.length).filter((_, index) => index % fractions.length === place)
  }
}

export async function growth(keys: number, fraction: number, looks: readonly number[]): Promise<readonly GrowthPoint[]> {
  return await withJob(keys, async (job) => {
    const points: GrowthPoint[] = []
    await job.change(keys)
    for (let checkpoints = 1; checkpoints <= looks.at(-1)!; checkpoints++) {
      await job.change(evenShare(keys, fraction))
      if (!looks.includes(checkpoints)) continue
      points.push({ checkpoints, ...sizesOf(job), liveBytes: keys * rowBytes(keys) })
      process.stderr.write(`${checkpoints} checkpoints: ${(points.at(-1)!.fileBytes / 1e6).toFixed(0)} MB\n`)
    }
    return points
  })
}

function sizesOf({ stateDirectory }: ChangingJob): Pick<GrowthPoint, 'fileBytes' | 'baseBytes'> {
  const { fileBytes, baseBytes } = storeSizes(stateDirectory)
  return { fileBytes, baseBytes }
}

/** Every subtask changes as many. */
function evenShare(keys: number, fraction: number): number {
  return PARALLELISM * Math.max(1, Math.round((keys * fraction) / PARALLELISM))
}

function median(samples: readonly number[]): number {
  return spreadOf(samples).median
}

class ChangingJob {
  readonly process: JobProcess
  readonly stateDirectory: string
  readonly #rounds: string
  #records = 0

  constructor(keys: number, folder: string) {
    this.#rounds = join(folder, 'rounds')
    this.stateDirectory = join(folder, 'state')
    const flags = { keys, rounds: this.#rounds, parallelism: PARALLELISM, 'checkpoint-every': 'off' }
    this.process = new JobProcess({ job: 'changing-state', flags, stateDirectory: this.stateDirectory })
  }

  /** So many keys change, and a checkpoint is complete that holds it. */
  async change(keys: number): Promise<void> {
    appendFileSync(this.#rounds, `${keys}\n`)
    this.#records += keys
    await this.process.reached(this.#records - 1)
    await this.process.checkpoint()
  }

  async end(): Promise<void> {
    appendFileSync(this.#rounds, 'end\n')
    await this.process.outcome
  }
}

async function withJob<R>(keys: number, action: (job: ChangingJob) => Promise<R>): Promise<R> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-size-'))
  const job = new ChangingJob(keys, folder)
  try {
    const result = await action(job)
    await job.end()
    return result
  } finally {
    job.process.kill()
    await job.process.outcome.catch(() => undefined)
    rmSync(folder, { recursive: true, force: true })
  }
}
