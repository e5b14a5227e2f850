#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { nearest } from './arguments.ts'
import type { Command } from './command.ts'
import { exitCodeOf, UsageError } from './exit-codes.ts'
import { Output } from './output.ts'

/*
 * The command line. Each command is loaded when it is called: `run` must live on when native code ends the job's process, and so must never
 * load any of it.
 */

interface CommandEntry {
  readonly summary: string
  readonly load: () => Promise<Command>
}

const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  run: {
    summary: 'run a job, and start it again when its process dies',
    load: async () => (await import('./commands/run.ts')).runCommand,
  },
  status: {
    summary: 'how a job is',
    load: async () => (await import('./commands/status.ts')).statusCommand,
  },
  checkpoints: {
    summary: 'the checkpoints of a job',
    load: async () => (await import('./commands/checkpoints.ts')).checkpointsCommand,
  },
  savepoint: {
    summary: 'write the state of a running job to a folder of its own',
    load: async () => (await import('./commands/savepoint.ts')).savepointCommand,
  },
  stop: {
    summary: 'end a running job behind one more checkpoint',
    load: async () => (await import('./commands/stop.ts')).stopCommand,
  },
  state: {
    summary: 'look into the state of a job or savepoint',
    load: async () => (await import('./commands/state.ts')).stateCommand,
  },
  check: {
    summary: 'whether an edited job can go on with what is stored',
    load: async () => (await import('./commands/check.ts')).checkCommand,
  },
}

// Whoever reads has heard enough, as `head` has.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
process.exitCode = await main(process.argv.slice(2))

async function main(given: readonly string[]): Promise<number> {
  const [name, ...args] = given
  const output = new Output(wantsJson(given))
  try {
    if (name === undefined || name === '--help' || name === '-h' || name === 'help') return say(help())
    if (name === '--version' || name === '-v') return sayVersion(output)
    if (!Object.hasOwn(COMMANDS, name)) throw unknown(name)
    const command = await COMMANDS[name]!.load()
    if (asksForHelp(name, args)) return say(command.help)
    return await command.run(args, output)
  } catch (error) {
    output.error(error)
    return exitCodeOf(error)
  }
}

function say(text: string): number {
  process.stdout.write(`${text}\n`)
  return 0
}

function sayVersion(output: Output): number {
  output.result({ version: version() }, version)
  return 0
}

/** The stdout of `run` is the job's, and so are the flags behind its file. */
function wantsJson(given: readonly string[]): boolean {
  return given[0] !== 'run' && own(given).includes('--json')
}

function asksForHelp(name: string, args: readonly string[]): boolean {
  return name === 'run' ? args[0] === '--help' : own(args).includes('--help')
}

/** Arguments before `--`. */
function own(args: readonly string[]): readonly string[] {
  const end = args.indexOf('--')
  return end < 0 ? args : args.slice(0, end)
}

function unknown(name: string): UsageError {
  if (name.startsWith('-')) return new UsageError(`a command comes before ${name}`, 'sluice --help says which there are')
  const likely = nearest(name, Object.keys(COMMANDS))
  const hint = likely === undefined ? `there are: ${Object.keys(COMMANDS).join(', ')}` : `did you mean 'sluice ${likely}'?`
  return new UsageError(`there is no command '${name}'`, hint)
}

function help(): string {
  const names = Object.keys(COMMANDS)
  const width = Math.max(...names.map((name) => name.length))
  const lines = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`)
  return [
    'usage: sluice <command> [arguments] [flags]',
    '',
    ...lines,
    '',
    'sluice <command> --help says more. Every command takes --json.',
    'exit codes: 0 done, 1 failed, 2 wrong usage, 3 no such job, 4 not running, 5 damaged or incompatible',
  ].join('\n')
}

/** Compiled files lie one folder deeper than the sources. */
function version(): string {
  const depth = import.meta.url.endsWith('.ts') ? '../..' : '../../..'
  const manifest = JSON.parse(readFileSync(new URL(`${depth}/package.json`, import.meta.url), 'utf8')) as { version: string }
  return manifest.version
}
