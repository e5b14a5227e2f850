import { readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'

/*
 * A transcript is a text file of blocks: command lines, `----`, the output that is expected, a blank line. Lines that begin with `#`
 * belong to the reader. With UPDATE_TRANSCRIPTS=1 the output is written instead of compared; read the difference before keeping it.
 */

/** A command line: its verb, its words in order, and its `name=value` pairs. */
export class Command {
  readonly verb: string
  readonly #words: readonly string[]
  readonly #options = new Map<string, string>()

  constructor(line: string) {
    const [verb, ...rest] = line.match(/(?:[^\s"]|"[^"]*")+/g)!.map((part) => part.replaceAll('"', ''))
    this.verb = verb!
    this.#words = rest.filter((part) => !part.includes('='))
    for (const part of rest.filter((candidate) => candidate.includes('='))) {
      this.#options.set(part.slice(0, part.indexOf('=')), part.slice(part.indexOf('=') + 1))
    }
  }

  word(index: number): string {
    const word = this.#words[index]
    if (word === undefined) throw new Error(`'${this.verb}' needs ${index + 1} words`)
    return word
  }

  integer(index: number): number {
    return number(this.word(index))
  }

  option(name: string, otherwise: string): string {
    return this.#options.get(name) ?? otherwise
  }

  numeric(name: string, otherwise: number): number {
    return number(this.option(name, String(otherwise)))
  }
}

function number(text: string): number {
  const value = Number(text)
  if (Number.isNaN(value)) throw new Error(`not a number: ${text}`)
  return value
}

/** Answers one command with the lines it puts out. */
export type Machine = (command: Command) => readonly string[]

/** A test for each scenario of a transcript; a scenario begins with a line of `# ` and its name, and gets a machine of its own. */
export function testTranscript(file: URL, create: () => Machine): void {
  const scenarios = readFileSync(file, 'utf8').split(/^(?=# )/m)
  const outcomes = scenarios.map((text) => replay(text, create()))
  if (process.env['UPDATE_TRANSCRIPTS'] === '1') writeFileSync(file, outcomes.join(''))
  scenarios.forEach((text, index) => {
    test(text.slice(2, text.indexOf('\n')), () => {
      expect(outcomes[index]).toBe(process.env['UPDATE_TRANSCRIPTS'] === '1' ? outcomes[index] : text)
    })
  })
}

/** The text of a scenario with the output that its commands give now. */
function replay(text: string, machine: Machine): string {
  const blocks = text.trimEnd().split(/\n\n+/)
  return `${blocks.map((block) => replayBlock(block, machine)).join('\n\n')}\n\n`
}

function replayBlock(block: string, machine: Machine): string {
  const lines = block.split('\n')
  const border = lines.indexOf('----')
  const given = border < 0 ? lines : lines.slice(0, border)
  const commands = given.filter((line) => line !== '' && !line.startsWith('#'))
  if (commands.length === 0) return block
  return [...given, '----', ...commands.flatMap((line) => machine(new Command(line)))].join('\n')
}
