import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Sink } from 'sluice'
import type { Sums } from './outcome.ts'

/*
 * A sink whose committed totals outlive the process: a small file for each committable, with a name that a repeated commit writes again. A record that was
 * lost or came out twice changes the sums of all files.
 */

interface Part extends Sums {
  readonly subtask: number
  readonly checkpoint: number
}

export function storedSums(folder: string): { readonly sink: Sink<number, Part>; readonly totals: () => Sums } {
  const sink: Sink<number, Part> = {
    kind: 'stored-sums',
    createWriter: ({ subtask }) => {
      let [records, sum] = [0, 0]
      return {
        write(value) {
          records++
          sum += value
        },
        prepareCommit(checkpoint) {
          const part = { subtask, checkpoint, records, sum }
          records = sum = 0
          return part.records === 0 ? [] : [part]
        },
        close() {},
      }
    },
    createCommitter: () => ({
      open() {
        mkdirSync(folder, { recursive: true })
      },
      commit(parts) {
        for (const part of parts) store(folder, part)
      },
    }),
  }
  return { sink, totals: () => totalsOf(folder) }
}

/** The name appears with the whole content, also when the process is killed in between. */
function store(folder: string, part: Part): void {
  const name = `${part.checkpoint}-${part.subtask}.json`
  writeFileSync(join(folder, `.${name}`), JSON.stringify(part))
  renameSync(join(folder, `.${name}`), join(folder, name))
}

function totalsOf(folder: string): Sums {
  const names = readdirSync(folder).filter((name) => !name.startsWith('.'))
  const parts = names.map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Part)
  return parts.reduce((total, { records, sum }) => ({ records: total.records + records, sum: total.sum + sum }), {
    records: 0,
    sum: 0,
  })
}
