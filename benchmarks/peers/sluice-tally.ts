import type { Sink } from 'sluice'
import type { TallyPart } from './tally.ts'
import { Tally } from './tally.ts'

/** A cut is all that the sink of a subtask has seen up to a checkpoint, so the newest cut of each subtask says everything. */
interface Cut extends TallyPart {
  readonly subtask: number
}

/** A sink that adds up, and the totals that were committed. */
export interface CommittedTally<T> {
  readonly sink: Sink<T, Cut>
  parts(): readonly TallyPart[]
}

export function committedTally<T>(startAt: number, numberOf: (result: T) => number): CommittedTally<T> {
  const committed = new Map<number, Cut>()
  const sink: Sink<T, Cut> = {
    kind: 'tally',
    createWriter({ subtask }) {
      const tally = new Tally(startAt)
      let cut = 0
      return {
        write(result) {
          tally.add(numberOf(result))
        },
        prepareCommit() {
          const part = tally.part()
          // Nothing new: the end of the last part must stay the end.
          if (part.results === cut) return []
          cut = part.results
          return [{ subtask, ...part }]
        },
        close() {},
      }
    },
    createCommitter: () => ({
      open() {},
      commit(cuts) {
        for (const cut of cuts) committed.set(cut.subtask, cut)
      },
    }),
  }
  return { sink, parts: () => [...committed.values()] }
}
