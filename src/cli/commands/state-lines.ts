import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { exitCodeOf } from '../exit-codes.ts'
import { errorDocument } from '../output.ts'

/**
 * Many results, which nobody holds in memory together: a line for each, or, with `--json`, one document with a list in it.
 */
export class ResultLines {
  readonly #target: Writable
  readonly #list: string | undefined
  #count = 0

  /** @param list the name of the list in the document; `undefined` for lines */
  constructor(target: Writable, list: string | undefined) {
    this.#target = target
    this.#list = list
  }

  /**
   * Gives `produce` what it writes each result with. In a document that has begun, an error stands behind the results that came before it.
   * Returns what the process ends with.
   */
  async from(produce: (write: (line: string) => Promise<void>) => Promise<unknown>): Promise<number> {
    try {
      await produce((line) => this.#write(line))
    } catch (error) {
      if (this.#list === undefined || this.#count === 0) throw error
      await this.#put(`\n],"error":${JSON.stringify(errorDocument(error))}}\n`)
      return exitCodeOf(error)
    }
    if (this.#list !== undefined) await this.#put(this.#count === 0 ? `{"${this.#list}":[]}\n` : '\n]}\n')
    return 0
  }

  async #write(line: string): Promise<void> {
    const before = this.#list === undefined ? '' : this.#count === 0 ? `{"${this.#list}":[\n` : ',\n'
    this.#count++
    await this.#put(`${before}${line}${this.#list === undefined ? '\n' : ''}`)
  }

  async #put(text: string): Promise<void> {
    if (!this.#target.write(text)) await once(this.#target, 'drain')
  }
}
