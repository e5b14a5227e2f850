import type { StateReader } from '../../checkpoint/state-reader.ts'
import type { Arguments, Usage } from '../arguments.ts'
import { EXIT } from '../exit-codes.ts'
import { STATE_DIRECTORY_FLAG } from '../job-folder.ts'
import type { Output } from '../output.ts'
import { count, instant, table } from '../output.ts'
import { SOURCE_EXPLANATION, withState } from './state-source.ts'

export const LS_USAGE: Usage = {
  command: 'state ls',
  positionals: '[<state>]',
  minimum: 0,
  maximum: 1,
  summary: 'The keyed states of a checkpoint or savepoint, and how far its sources had been read.',
  explanation: SOURCE_EXPLANATION,
  flags: {
    count: { help: 'also how many entries each has; reads all of them' },
    'state-directory': STATE_DIRECTORY_FLAG,
  },
}

export async function listStates(args: Arguments, output: Output): Promise<number> {
  await withState(args.positionals[0], args.text('state-directory'), async (reader) => {
    const { checkpoint, completedAtMs } = reader.summary
    const states = args.has('count') ? await counted(reader) : reader.states()
    const sources = sourcesOf(reader)
    output.result({ checkpoint, completedAtMs, states, sources }, () => {
      const rows = states.map((each) => [
        each.operator,
        each.state,
        each.kind,
        'entries' in each ? count(Number(each.entries)) : '',
      ])
      const progress = sources.map((each) => `source ${each.operator}: ${each.done} of ${each.splits} splits read to their end`)
      const listed = states.length === 0 ? 'no keyed state' : table(['operator', 'state', 'kind', 'entries'], rows, ['entries'])
      return [
        `checkpoint ${checkpoint}, of ${instant(completedAtMs)}`,
        '',
        listed,
        ...(progress.length > 0 ? ['', ...progress] : []),
      ].join('\n')
    })
  })
  return EXIT.ok
}

async function counted(reader: StateReader) {
  const states = []
  for (const each of reader.states()) states.push({ ...each, entries: await reader.count(each.operator, each.state) })
  return states
}

function sourcesOf(reader: StateReader) {
  const splits = reader.sources()
  return [...new Set(splits.map(({ operator }) => operator))].map((operator) => {
    const own = splits.filter((split) => split.operator === operator)
    return { operator, splits: own.length, done: own.filter(({ done }) => done).length }
  })
}
