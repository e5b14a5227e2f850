import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { ChainCheck, type ChainedStream, type Link } from './chain-check.ts'
import { LineCheck } from './line-check.ts'

/*
 * A reader of committed output, beside the job. It knows nothing of the engine but what is promised of the folders of a sink: what is visible is
 * complete, and stays as it is. What must hold at every moment:
 *
 * 1. A file that was visible is visible for ever, with the same bytes.
 * 2. Every line is whole.
 * 3. No line is there that an undisturbed run does not write, and none more often.
 * 4. Chains have no gaps: what comes later in a key is never visible before what comes earlier.
 */

const LOOK_EVERY_MS = 100
/** Of each output. */
const DIFFERENCES_MAX = 3

export interface ExpectedOutput {
  /** By output. */
  readonly lines: ReadonlyMap<string, readonly string[]>
  readonly chains: ReadonlyMap<string, ChainedStream>
}

export class OutputWatcher {
  readonly #folder: string
  readonly #checks: ReadonlyMap<string, LineCheck | ChainCheck>
  /** What was read, by output and name of the file. */
  readonly #seen = new Map<string, Map<string, string>>()
  readonly differences: string[] = []
  looks = 0
  lines = 0

  constructor(folder: string, { lines, chains }: ExpectedOutput) {
    this.#folder = folder
    const byLines = [...lines].map(([output, expected]) => [output, new LineCheck(expected)] as const)
    const byChains = [...chains].map(([output, chained]) => [output, new ChainCheck(chained)] as const)
    this.#checks = new Map<string, LineCheck | ChainCheck>([...byLines, ...byChains])
  }

  /** Looks again and again, until it is told to end. */
  async watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.look()
      await delay(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined)
    }
  }

  look(): void {
    this.looks++
    if (!existsSync(this.#folder)) return
    for (const output of readdirSync(this.#folder)) this.#lookAt(output)
  }

  /** The job has come to its end: nothing may be missing, hidden or changed. */
  finish(): void {
    this.look()
    for (const [output, texts] of this.#seen) this.#readAgain(output, texts)
    for (const [output, check] of this.#checks) {
      const missing = check instanceof LineCheck ? check.missing() : missingOf(check)
      if (missing !== undefined) this.#differ(output, missing)
    }
  }

  #readAgain(output: string, texts: ReadonlyMap<string, string>): void {
    const folder = join(this.#folder, output)
    const hidden = readdirSync(folder).filter((name) => checkpointOf(name) === undefined)
    if (hidden.length > 0) this.#differ(output, `files are left that are no output: ${hidden.join(', ')}`)
    for (const [name, text] of texts) {
      if (readFileSync(join(folder, name), 'utf8') !== text)
        this.#differ(`${output}/${name}`, 'has changed since it became visible')
    }
  }

  #lookAt(output: string): void {
    const names = visibleNames(join(this.#folder, output))
    const texts = this.#seen.get(output) ?? new Map<string, string>()
    this.#seen.set(output, texts)
    for (const name of names) if (!texts.has(name)) this.#read(output, name, texts)
    if (texts.size === names.length) return
    for (const gone of texts.keys().filter((name) => !names.includes(name))) {
      texts.delete(gone)
      this.#differ(`${output}/${gone}`, 'was visible and is gone')
    }
  }

  #read(output: string, name: string, texts: Map<string, string>): void {
    const path = `${output}/${name}`
    const text = readFileSync(join(this.#folder, path), 'utf8')
    texts.set(name, text)
    if (!text.endsWith('\n')) this.#differ(path, `its last line is torn: ${text.slice(-200)}`)
    const lines = text.split('\n').filter((line) => line !== '')
    this.lines += lines.length
    for (const line of lines) {
      const trouble = troubleOf(this.#checks.get(output), line, path)
      if (trouble !== undefined) this.#differ(path, trouble)
    }
  }

  #differ(where: string, what: string): void {
    const difference = `${where}: ${what}`
    const [output] = where.split('/')
    // The first ones tell; the others mostly follow from them.
    const earlier = this.differences.filter((each) => each.startsWith(`${output}/`) || each.startsWith(`${output}: `))
    if (earlier.length < DIFFERENCES_MAX) this.differences.push(difference)
  }
}

/** The files of committed output, in the order of their checkpoints. */
function visibleNames(folder: string): readonly string[] {
  const newest = Math.max(...readdirSync(folder).map((name) => checkpointOf(name) ?? 0))
  // A folder that changes while it is listed may show the later one of two files alone; the earlier one has its name by then.
  const visible = readdirSync(folder).filter((name) => !name.startsWith('.') && (checkpointOf(name) ?? 0) <= newest)
  return visible.sort((a, b) => (checkpointOf(a) ?? 0) - (checkpointOf(b) ?? 0))
}

/** The checkpoint that a committed file belongs to, if it has the name of one. */
function checkpointOf(name: string): number | undefined {
  const checkpoint = /^part-\d+-(\d+)\.\w+$/.exec(name)?.[1]
  return checkpoint === undefined ? undefined : Number(checkpoint)
}

function troubleOf(check: LineCheck | ChainCheck | undefined, line: string, path: string): string | undefined {
  try {
    const value: unknown = JSON.parse(line)
    if (check === undefined) return `an output that no undisturbed run has: ${line}`
    return check instanceof LineCheck ? check.take(line, path) : check.take(value as Link)
  } catch {
    return `a line that is torn: ${line}`
  }
}

function missingOf(check: ChainCheck): string | undefined {
  const missing = check.missing()
  return missing.length === 0 ? undefined : `${missing.length} records are missing: ${missing.slice(0, 10).join(', ')}`
}
