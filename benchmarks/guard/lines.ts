import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Amount, Contestant } from '../files/contestants.ts'
import { BIDS_JSON, makeFile } from '../files/made-files.ts'
import { readingJson } from '../files/reading.ts'
import type { NamedContest, Way } from './contest.ts'

/* The source of JSON lines and the loop by hand of the benchmark `files`, over a file that fits in the page cache. */

const RECORDS = 4000

export const lines: readonly NamedContest[] = [
  {
    name: 'source of JSON lines',
    yardstick: 'a loop by hand',
    make() {
      const folder = mkdtempSync(join(tmpdir(), 'sluice-guard-'))
      process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
      const { contestants } = readingJson(makeFile(folder, BIDS_JSON, RECORDS))
      const byHand = contestants.find(({ name }) => name === 'by hand')!
      const source = contestants.find(({ ours }) => ours)!
      return { engine: reading(source), yardstick: reading(byHand) }
    },
  },
]

/** It adds up what it reads, and throws when that is wrong. */
function reading(contestant: Contestant): Way {
  let amount: Amount | undefined
  return {
    async turn() {
      amount = await contestant.run()
    },
    result: () => amount,
  }
}
