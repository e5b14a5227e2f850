import type { FileHandle } from 'node:fs/promises'
import { open } from 'node:fs/promises'
import type { ExportOptions } from '../../checkpoint/state-export.ts'
import { messageOf, SluiceError } from '../../core/errors.ts'
import type { Arguments, Usage } from '../arguments.ts'
import { EXIT } from '../exit-codes.ts'
import { STATE_DIRECTORY_FLAG } from '../job-folder.ts'
import type { Output } from '../output.ts'
import { count } from '../output.ts'
import { ResultLines } from './state-lines.ts'
import { SOURCE_EXPLANATION, withState } from './state-source.ts'

/** What is written to a file at once. */
const BLOCK_CHARACTERS = 1 << 16

export const EXPORT_USAGE: Usage = {
  command: 'state export',
  positionals: '[<state>]',
  minimum: 0,
  maximum: 1,
  summary: 'All entries of keyed state, each as a line of JSON: operator, state, key, window or time, value.',
  explanation: [
    SOURCE_EXPLANATION,
    'What JSON does not have is written as {"$bigint":"1"}, {"$date":"..."}, {"$map":[[key,value]]} and so on. With --json it is one document.',
  ].join('\n'),
  flags: {
    operator: { value: 'operator', help: 'only the states of this one' },
    state: { value: 'name', help: 'only states of this name' },
    limit: { value: 'number', help: 'at most so many entries of each state' },
    output: { value: 'file', help: 'where to write the lines; it must not be there yet; default: stdout' },
    'state-directory': STATE_DIRECTORY_FLAG,
  },
}

export async function exportStates(args: Arguments, output: Output): Promise<number> {
  const file = args.text('output')
  const options = optionsOf(args)
  return await withState(args.positionals[0], args.text('state-directory'), async (reader) => {
    const { exportState } = await import('../../checkpoint/state-export.ts')
    if (file === undefined) {
      const lines = new ResultLines(process.stdout, output.json ? 'entries' : undefined)
      return await lines.from((write) => exportState(reader, write, options))
    }
    const entries = await writtenTo(file, (write) => exportState(reader, write, options))
    const { checkpoint } = reader
    output.result({ checkpoint, entries, file }, () => `${count(entries)} entries of checkpoint ${checkpoint} are in ${file}`)
    return EXIT.ok
  })
}

/** Gives lines to be written, and returns how many. */
type Produce = (write: (line: string) => Promise<void>) => Promise<number>

/** State is for its owner alone, and so is the file. */
async function writtenTo(file: string, produce: Produce): Promise<number> {
  try {
    const handle = await open(file, 'wx', 0o600)
    try {
      return await writtenInBlocks(handle, produce)
    } finally {
      await handle.close()
    }
  } catch (error) {
    // What the state is read with says itself what is wrong with it.
    if (error instanceof SluiceError) throw error
    throw new SluiceError('OUTPUT_UNWRITABLE', `cannot write to ${file}: ${messageOf(error)}`, {
      cause: error,
      hint: 'give the path of a file that is not there yet, in a folder that is',
    })
  }
}

async function writtenInBlocks(handle: FileHandle, produce: Produce): Promise<number> {
  let text = ''
  const entries = await produce(async (line) => {
    text += `${line}\n`
    if (text.length < BLOCK_CHARACTERS) return
    await handle.appendFile(text)
    text = ''
  })
  await handle.appendFile(text)
  return entries
}

function optionsOf(args: Arguments): ExportOptions {
  const [operator, state, limit] = [args.text('operator'), args.text('state'), args.number('limit')]
  return {
    ...(operator === undefined ? {} : { operator }),
    ...(state === undefined ? {} : { state }),
    ...(limit === undefined ? {} : { limit }),
  }
}
