import { SluiceError } from '../core/errors.ts'
import type { RunOptions } from './settings.ts'

const SWITCHES = {
  '--fresh': 'fresh',
  '--overwrite': 'overwrite',
  '--claim': 'claim',
  '--allow-dropped-state': 'allowDroppedState',
  '--quiet': 'quiet',
  '--json': 'json',
} as const

/** Flags whose value is taken as it is written. */
const TEXTS = { '--state-directory': 'stateDirectory', '--savepoint-directory': 'savepointDirectory', '--from': 'from' } as const

/**
 * The options that follow the job file on the command line. Flags that are not Sluice's are left to the user's program.
 * @throws SluiceError `INVALID_OPTION` for a flag of Sluice's without its value
 */
export function flagsOf(args: readonly string[]): RunOptions {
  const options: Record<string, unknown> = {}
  for (let index = 0; index < args.length; index++) {
    const [flag, inline] = split(args[index]!)
    if (flag === '--') break
    const value = (): string => {
      const given = inline ?? args[++index]
      if (given === undefined) throw new SluiceError('INVALID_OPTION', `${flag} needs a value`)
      return given
    }
    if (Object.hasOwn(SWITCHES, flag)) {
      if (inline !== undefined) throw new SluiceError('INVALID_OPTION', `${flag} takes no value`)
      options[SWITCHES[flag as keyof typeof SWITCHES]] = true
    } else if (Object.hasOwn(TEXTS, flag)) options[TEXTS[flag as keyof typeof TEXTS]] = value()
    else if (flag === '--parallelism') options['parallelism'] = whole(flag, value())
    else if (flag === '--workers') options['workers'] = whole(flag, value())
    else if (flag === '--state-memory') options['stateMemory'] = numberOrText(value())
    else if (flag === '--checkpoint-every') options['checkpoint'] = { every: numberOrText(value()) }
  }
  return options as RunOptions
}

function split(arg: string): readonly [string, string | undefined] {
  const equals = arg.startsWith('--') ? arg.indexOf('=') : -1
  return equals < 0 ? [arg, undefined] : [arg.slice(0, equals), arg.slice(equals + 1)]
}

function whole(flag: string, value: string): number {
  if (/^\d+$/.test(value)) return Number(value)
  throw new SluiceError('INVALID_OPTION', `${flag} takes a whole number, not ${JSON.stringify(value)}`)
}

/** A length or size without a unit is a number; whether what has one can be read, the settings say. */
function numberOrText(value: string): number | string {
  return /^\d+$/.test(value) ? Number(value) : value
}
