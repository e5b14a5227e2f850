import type { StateChange } from '../../checkpoint/state-diff.ts'
import type { Arguments, Usage } from '../arguments.ts'
import { STATE_DIRECTORY_FLAG } from '../job-folder.ts'
import type { Output } from '../output.ts'
import { ResultLines } from './state-lines.ts'
import { SOURCE_EXPLANATION, withState } from './state-source.ts'

export const DIFF_USAGE: Usage = {
  command: 'state diff',
  positionals: '<before> <after>',
  minimum: 2,
  maximum: 2,
  summary: 'What two states have not in common: a line of JSON for each entry that was added, removed or changed.',
  explanation: SOURCE_EXPLANATION,
  flags: { 'state-directory': STATE_DIRECTORY_FLAG },
}

export async function compareStates(args: Arguments, output: Output): Promise<number> {
  const [before, after] = args.positionals as readonly [string, string]
  const directory = args.text('state-directory')
  const { diffStates } = await import('../../checkpoint/state-diff.ts')
  const { taggedJson } = await import('../../checkpoint/tagged-json.ts')
  const lineOf = ({ operator, state, change, ...entry }: StateChange): string => {
    const values = Object.entries(entry).map(([name, value]) => [name, taggedJson(value)] as const)
    return JSON.stringify({ change, operator, state, ...Object.fromEntries(values) })
  }
  return await withState(before, directory, (a) =>
    withState(after, directory, (b) =>
      new ResultLines(process.stdout, output.json ? 'changes' : undefined).from(async (write) => {
        for await (const change of diffStates(a, b)) await write(lineOf(change))
      }),
    ),
  )
}
