import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { nearest, parseArguments } from '../../src/cli/arguments.ts'
import { EXIT } from '../../src/cli/exit-codes.ts'
import { bytes, table } from '../../src/cli/output.ts'
import { sluice } from './command-line.ts'

const COMMANDS = ['run', 'status', 'checkpoints', 'savepoint', 'stop', 'state', 'check']

function read(path: string): string {
  return readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
}

test('without a command, and with --help, it says which there are', async () => {
  const [none, asked] = await Promise.all([sluice([]), sluice(['--help'])])
  expect(none).toEqual(asked)
  expect(asked).toMatchObject({ code: 0, stderr: '' })
  for (const command of COMMANDS) expect(asked.stdout).toContain(`\n  ${command} `)
})

test('--version is that of the package', async () => {
  const { version } = JSON.parse(read('package.json')) as { version: string }
  expect(await sluice(['--version'])).toMatchObject({ code: 0, stdout: `${version}\n` })
  expect(JSON.parse((await sluice(['--version', '--json'])).stdout)).toEqual({ version })
})

test.each(COMMANDS)('%s --help explains its flags', async (command) => {
  const { code, stdout, stderr } = await sluice([command, '--help'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toContain(`usage: sluice ${command}`)
  expect(stdout).toContain('--json')
})

describe('wrong usage ends with 2 and says what was meant', () => {
  const wrong: readonly (readonly [readonly string[], string])[] = [
    [['stauts'], "did you mean 'sluice status'?"],
    [['explode'], 'there are: run, status'],
    [['toString'], 'there are: run, status'],
    [['status', '--state-dir', 'x'], 'see sluice status --help'],
    [['status', '--timeot', '5s'], 'did you mean --timeout?'],
    [['status', '--timeout'], 'see sluice status --help'],
    [['status', '--timeout', 'soon'], 'see sluice status --help'],
    [['status', 'a', 'b'], 'see sluice status --help'],
    [['status', '--timeout', '-5s'], 'write such a value as in --timeout=-5'],
    [['status', '--state-directory='], 'see sluice status --help'],
    [['savepoint', '--directory', ''], 'see sluice savepoint --help'],
    [['state', 'get', 'count-1', 'count', '-3'], 'what begins with a dash and is no flag comes behind --'],
    [['state', 'get', 'count-1', 'count', '{"$bigint":"x"}'], 'see sluice state get --help'],
    [['checkpoints', 'show', 'words', 'lines'], 'A checkpoint is named by its number'],
    [['--json-please', 'status'], 'sluice --help says which there are'],
    [['run', '.'], 'give the path of the job file'],
    [['check', '.'], 'give the path of the job file'],
    [['stop', '--no-savepoint', '--directory', 'x'], 'leave one out'],
    [['run'], 'see sluice run --help'],
    [['run', 'no-such-job.ts'], 'give the path of the job file'],
    [['run', '--max-restarts', 'many', 'job.ts'], 'see sluice run --help'],
    [['check'], 'see sluice check --help'],
    [['check', 'no-such-job.ts'], 'give the path of the job file'],
    [['checkpoints'], 'there are: ls'],
    [['checkpoints', 'l'], "did you mean 'sluice checkpoints ls'?"],
  ]
  test.each(wrong)('%j', async (args, hint) => {
    const { code, stdout, stderr } = await sluice(args)
    expect(stderr).toMatch(/^sluice: .+\nhint: .+\n$/)
    expect(stderr).toContain(hint)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  })

  test('also when no command was given with --json', async () => {
    const { code, stdout, stderr } = await sluice(['--json'])
    expect({ code, stderr }).toEqual({ code: 2, stderr: '' })
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'INVALID_OPTION' } })
  })

  test('as one JSON document with --json', async () => {
    const { code, stdout, stderr } = await sluice(['status', '--json', '--what'])
    expect({ code, stderr }).toEqual({ code: 2, stderr: '' })
    expect(JSON.parse(stdout)).toEqual({
      error: { code: 'INVALID_OPTION', message: 'status has no flag --what', hint: 'see sluice status --help' },
    })
  })
})

test('every exit code is explained in docs/cli.md, and no other', () => {
  const explained = [...read('docs/cli.md').matchAll(/^\| `(\d+)` \|/gm)].map(([, code]) => Number(code))
  expect(explained).toEqual(Object.values(EXIT))
})

test('every command has a heading in docs/cli.md', () => {
  const headings = [...read('docs/cli.md').matchAll(/^## `sluice ([a-z]+)/gm)].map(([, name]) => name)
  expect(headings).toEqual(COMMANDS)
})

describe('flags and docs/cli.md', () => {
  const sections = new Map(
    read('docs/cli.md')
      .split(/^## /m)
      .map((section) => [/^`sluice ([a-z]+)/.exec(section)?.[1] ?? '', section]),
  )
  /** What is said once for all commands, and flags of the job itself. */
  const shared = ['json', 'help', 'state-directory', 'fresh', 'overwrite', 'from', 'claim']

  test.each(COMMANDS)('%s: all that there are are explained, and no others', async (command) => {
    const { stdout } = await sluice([command, '--help'])
    const flags = [...stdout.matchAll(/^ {2}--([a-z-]+)/gm)].map(([, flag]) => flag!)
    const explained = [...sections.get(command)!.matchAll(/`--([a-z-]+)/g)].map(([, flag]) => flag!)
    const own = (all: readonly string[]): readonly string[] => [...new Set(all)].filter((flag) => !shared.includes(flag)).sort()
    expect(own(explained)).toEqual(own(flags))
  })
})

test('a duration may be milliseconds', () => {
  const usage = {
    command: 'x',
    positionals: '',
    minimum: 0,
    maximum: 0,
    summary: '',
    flags: { wait: { value: 'duration', help: '' } },
  }
  expect(parseArguments(['--wait', '250'], usage).number('wait')).toBe(250)
  expect(parseArguments(['--wait=2m'], usage).number('wait')).toBe(120_000)
  expect(parseArguments([], usage).number('wait')).toBeUndefined()
  // Longer than a timer can be.
  expect(parseArguments(['--wait', '999999h'], usage).number('wait')).toBe(2 ** 31 - 1)
})

test('the nearest word is one that is near', () => {
  expect(nearest('savepiont', COMMANDS)).toBe('savepoint')
  expect(nearest('xyz', COMMANDS)).toBeUndefined()
  expect(nearest('x', [])).toBeUndefined()
})

test('tables are as wide as they must be', () => {
  expect(
    table(
      ['name', 'in'],
      [
        ['a-long-name', '1,000'],
        ['b', '7'],
      ],
      ['in'],
    ),
  ).toBe(['name            in', 'a-long-name  1,000', 'b                7'].join('\n'))
  expect(bytes(1023)).toBe('1023 B')
  expect(bytes(1536)).toBe('1.5 KiB')
})
