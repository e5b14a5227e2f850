import { messageOf } from '../../core/errors.ts'
import type { Arguments, Usage } from '../arguments.ts'
import { EXIT, UsageError } from '../exit-codes.ts'
import { STATE_DIRECTORY_FLAG } from '../job-folder.ts'
import type { Output } from '../output.ts'
import { SOURCE_EXPLANATION, withState } from './state-source.ts'

export const GET_USAGE: Usage = {
  command: 'state get',
  positionals: '<operator> <name> <key> [<state>]',
  minimum: 3,
  maximum: 4,
  summary: 'The value that a key has in a keyed state, as JSON.',
  explanation: [
    SOURCE_EXPLANATION,
    'A key that reads as JSON is that: 7 is a number, true a boolean, ["a",1] a tuple; everything else is text, and \'"7"\' is the text 7. A key is',
    'the same only when its type is. Other keys are written as they are exported: {"$bigint":"7"}, {"$date":"2026-11-23T10:00:00.000Z"}.',
    'A key that begins with a dash, and what follows it, comes behind --. Ends with 1 when the key has no value.',
  ].join('\n'),
  flags: {
    window: {
      value: 'milliseconds',
      help: 'start of the window, of states that have a value for each; may be negative as in --window=-5',
    },
    'state-directory': STATE_DIRECTORY_FLAG,
  },
}

export async function getState(args: Arguments, output: Output): Promise<number> {
  const [operator, state, text, source] = args.positionals as readonly [string, string, string, string?]
  const key = keyOf(text)
  const window = windowOf(args.text('window'))
  return await withState(source, args.text('state-directory'), async (reader) => {
    const { taggedJson } = await import('../../checkpoint/tagged-json.ts')
    const value = await reader.get(operator, state, key, window)
    // In state there may be `undefined`, which no one can tell from nothing by its value.
    const found = value !== undefined
    const document = found ? { value: taggedJson(value) } : {}
    output.result({ checkpoint: reader.checkpoint, operator, state, key: taggedJson(key), found, ...document }, () =>
      found ? JSON.stringify(taggedJson(value), null, 2) : `${text} has no value in '${state}' of '${operator}'`,
    )
    return found ? EXIT.ok : EXIT.failed
  })
}

function windowOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const window = Number(text)
  if (text.trim() !== '' && !Number.isNaN(window)) return window
  throw new UsageError(`state get: --window takes milliseconds, not ${JSON.stringify(text)}`, 'see sluice state get --help')
}

/** @throws UsageError when it looks like a key that JSON does not have, and is none */
function keyOf(text: string): unknown {
  try {
    return untagged(parsed(text))
  } catch (error) {
    throw new UsageError(`state get: ${text} is no key: ${messageOf(error)}`, 'see sluice state get --help')
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return text
  }
}

/** The keys that JSON does not have. */
function untagged(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(untagged)
  if (typeof value !== 'object' || value === null) return value
  const { $bigint: digits, $date: instant, $number: number } = value as Readonly<Record<string, unknown>>
  if (typeof digits === 'string') return BigInt(digits)
  if (typeof instant === 'string') return new Date(instant)
  return typeof number === 'string' ? Number(number) : value
}
