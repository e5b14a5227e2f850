import { SluiceError } from '../core/errors.ts'
import type { Duration } from '../core/time.ts'
import type { RunOptions } from './settings.ts'

const SWITCHES = { '--fresh': 'fresh', '--overwrite': 'overwrite', '--quiet': 'quiet', '--json': 'json' } as const

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
    } else if (flag === '--parallelism') options['parallelism'] = whole(flag, value())
    else if (flag === '--workers') options['workers'] = whole(flag, value())
    else if (flag === '--state-directory') options['stateDirectory'] = value()
    else if (flag === '--checkpoint-every') options['checkpoint'] = { every: duration(value()) }
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

function duration(value: string): Duration | 'off' {
  return /^\d+$/.test(value) ? Number(value) : (value as Duration | 'off')
}
