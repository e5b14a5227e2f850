import { parseArgs } from 'node:util'
import { messageOf } from '../core/errors.ts'
import type { Duration } from '../core/time.ts'
import { durationMs } from '../core/time.ts'
import { UsageError } from './exit-codes.ts'

/** A flag of a command. */
export interface Flag {
  /** What its value is called in the help; absent for one that is only there or not. A `duration` and a `number` are checked at once. */
  readonly value?: string
  readonly help: string
}

/** How a command is called. */
export interface Usage {
  /** The command with its own name, such as `savepoint`, or `checkpoints ls`. */
  readonly command: string
  /** The positional arguments as the help shows them, such as `[<job>]`. */
  readonly positionals: string
  readonly minimum: number
  readonly maximum: number
  readonly summary: string
  /** Further lines of the help. */
  readonly explanation?: string
  readonly flags: Readonly<Record<string, Flag>>
}

/** What a command was called with. */
export interface Arguments {
  readonly positionals: readonly string[]
  /** The value of a flag. */
  text(flag: string): string | undefined
  /** Whether a flag without a value is there. */
  has(flag: string): boolean
  /** The value of a flag that is a whole number, or a duration in milliseconds. */
  number(flag: string): number | undefined
}

const LONGEST_TIMER_MS = 2 ** 31 - 1

/** Flags of every command. */
const COMMON: Readonly<Record<string, Flag>> = {
  json: { help: 'one JSON document on stdout' },
  help: { help: 'this text' },
}

/** @throws UsageError */
export function parseArguments(args: readonly string[], usage: Usage): Arguments {
  const flags = { ...usage.flags, ...COMMON }
  const { values, positionals } = parsed(args, usage, flags)
  checkValues(values, usage)
  checkCount(positionals, usage)
  const numbers = numbersOf(values, usage)
  return {
    positionals,
    text: (name) => values[name] as string | undefined,
    has: (name) => values[name] === true,
    number: (name) => numbers.get(name),
  }
}

function parsed(args: readonly string[], usage: Usage, flags: Readonly<Record<string, Flag>>) {
  const options = Object.fromEntries(
    Object.entries(flags).map(([name, { value }]) => [
      name,
      value === undefined ? { type: 'boolean' as const } : { type: 'string' as const },
    ]),
  )
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true })
  } catch (error) {
    throw misused(error, usage, flags)
  }
}

function misused(error: unknown, usage: Usage, flags: Readonly<Record<string, Flag>>): UsageError {
  const [message = ''] = messageOf(error).split(/\.\s/)
  const given = /'([^' ]+)/.exec(message)?.[1] ?? ''
  if (message.endsWith('ambiguous')) {
    return new UsageError(`${usage.command}: what follows ${given} begins with a dash`, `write such a value as in ${given}=-5`)
  }
  if ((error as { code?: unknown }).code !== 'ERR_PARSE_ARGS_UNKNOWN_OPTION') {
    return new UsageError(`${usage.command}: ${message}`, helpHint(usage))
  }
  const likely = nearest(given, Object.keys(flags).map(dashed))
  return new UsageError(`${usage.command} has no flag ${given}`, `${flagHint(given, likely)}${helpHint(usage)}`)
}

/** A negative number may be a key. */
function flagHint(given: string, likely: string | undefined): string {
  if (/^-\d/.test(given)) return 'what begins with a dash and is no flag comes behind --; '
  return likely === undefined ? '' : `did you mean ${likely}? `
}

/** In scripts an empty value is a variable that is not set, and never what was meant. */
function checkValues(values: Readonly<Record<string, unknown>>, usage: Usage): void {
  const empty = Object.keys(values).find((name) => values[name] === '')
  if (empty !== undefined) throw new UsageError(`${usage.command}: the value of ${dashed(empty)} is empty`, helpHint(usage))
}

function checkCount(positionals: readonly string[], usage: Usage): void {
  if (positionals.length < usage.minimum) {
    throw new UsageError(`${usage.command} needs ${usage.positionals}`, helpHint(usage))
  }
  if (positionals.length > usage.maximum) {
    throw new UsageError(`${usage.command} takes no '${positionals[usage.maximum]}'`, helpHint(usage))
  }
}

function helpHint(usage: Usage): string {
  return `see sluice ${usage.command} --help`
}

const NUMBERS: Readonly<Record<string, (text: string, flag: string) => number>> = { duration: milliseconds, number: whole }

function numbersOf(values: Readonly<Record<string, unknown>>, usage: Usage): ReadonlyMap<string, number> {
  const numbers = new Map<string, number>()
  for (const [name, { value = '' }] of Object.entries(usage.flags)) {
    const [read, text] = [NUMBERS[value], values[name]]
    if (read === undefined || typeof text !== 'string') continue
    try {
      numbers.set(name, read(text, dashed(name)))
    } catch (error) {
      throw new UsageError(`${usage.command}: ${messageOf(error)}`, helpHint(usage))
    }
  }
  return numbers
}

/** What is longer than any timer can wait is for as long as one can: 24 days. */
function milliseconds(text: string, flag: string): number {
  return Math.min(durationMs(/^\d+$/.test(text) ? Number(text) : (text as Duration), flag), LONGEST_TIMER_MS)
}

function whole(text: string, flag: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new Error(`${flag} takes a whole number, not ${JSON.stringify(text)}`)
}

function dashed(name: string): string {
  return `--${name}`
}

/** The help of a command. */
export function helpOf(usage: Usage): string {
  const flags = Object.entries({ ...usage.flags, ...COMMON }).map(
    ([name, { value, help }]) => [value === undefined ? dashed(name) : `${dashed(name)} <${value}>`, help] as const,
  )
  const width = Math.max(...flags.map(([flag]) => flag.length))
  const lines = flags.map(([flag, help]) => `  ${flag.padEnd(width)}  ${help}`)
  const call = ['sluice', usage.command, usage.positionals, '[flags]'].filter((part) => part !== '').join(' ')
  const explanation = usage.explanation === undefined ? [] : [usage.explanation, '']
  return [`usage: ${call}`, '', usage.summary, '', ...explanation, 'flags:', ...lines].join('\n')
}

/** The word that was probably meant: the nearest one, when it is near. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const distances = known.map((each) => [distance(word, each), each] as const).sort(([a], [b]) => a - b)
  const [best] = distances
  return best !== undefined && best[0] <= Math.max(1, Math.floor(word.length / 3)) ? best[1] : undefined
}

/** Letters to insert, remove and replace (Levenshtein). */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let i = 1; i <= from.length; i++) {
    const next = [i]
    for (let j = 1; j <= to.length; j++) {
      const replaced = row[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[to.length]!
}
