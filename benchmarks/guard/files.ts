import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Amount, Contestant, Work } from '../files/contestants.ts'
import { BIDS_CSV, BIDS_JSON, makeFile } from '../files/made-files.ts'
import { readingCsv, readingJson } from '../files/reading.ts'
import { writingJson } from '../files/writing.ts'
import type { NamedContest, Way } from './contest.ts'

/* Sources and a sink of files against the loops by hand of the benchmark `files`, over a file that fits in the page cache. */

const RECORDS = 4000

export const files: readonly NamedContest[] = [
  againstLoop('source of JSON lines', (folder) => readingJson(makeFile(folder, BIDS_JSON, RECORDS))),
  againstLoop('source of CSV', (folder) => readingCsv(makeFile(folder, BIDS_CSV, RECORDS), false)),
  againstLoop('sink of JSON lines', (folder) => writingJson(join(folder, 'out'), 2 * RECORDS)),
]

function againstLoop(name: string, workIn: (folder: string) => Work): NamedContest {
  return {
    name,
    yardstick: 'a loop by hand',
    make() {
      const folder = mkdtempSync(join(tmpdir(), 'sluice-guard-'))
      process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
      const { contestants } = workIn(folder)
      const byHand = contestants.find((contestant) => contestant.name === 'by hand')!
      const engine = contestants.find(({ ours }) => ours)!
      return { engine: moving(engine), yardstick: moving(byHand) }
    },
  }
}

/** It looks itself at what it has read or written, and throws when that is wrong. */
function moving(contestant: Contestant): Way {
  let amount: Amount | undefined
  return {
    async turn() {
      amount = await contestant.run()
    },
    result: () => amount,
  }
}
