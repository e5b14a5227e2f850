import { isatty } from 'node:tty'
import { type InspectOptions, inspect } from 'node:util'
import { messageOf, SluiceError } from '../../src/core/errors.ts'
import type { Sink, SinkCommitter, SinkCommitterContext, SinkWriter } from '../../src/core/sink.ts'
import { CommitLedger, type SequencedCommittable } from './commit-ledger.ts'

/** The lines of one interval of one subtask. */
export interface PrintedText extends SequencedCommittable {
  readonly text: string
}

/**
 * Prints records to the standard output, one line each: strings as they are, everything else as `console.log` shows it.
 *
 * ```ts
 * job('watch').from(readText('server.log')).filter((line) => line.includes('ERROR')).to(print())
 * ```
 *
 * Lines appear when the checkpoint that contains them is complete, and are stored in it until then: this is for people to read, not
 * for bulk. A terminal cannot be asked what it has shown already, so if the process dies between printing and noting that it printed,
 * the next start prints these lines once more.
 */
export function print(): Sink<unknown, PrintedText> {
  return {
    kind: 'print',
    createWriter: ({ subtask }) => new PrintWriter(subtask),
    createCommitter: (context) => new PrintCommitter(context),
  }
}

class PrintWriter implements SinkWriter<unknown, PrintedText> {
  readonly #subtask: number
  readonly #inspectOptions = inspectOptions()
  #text = ''

  constructor(subtask: number) {
    this.#subtask = subtask
  }

  write(value: unknown): void {
    this.#text += `${typeof value === 'string' ? value : inspect(value, this.#inspectOptions)}\n`
  }

  prepareCommit(checkpoint: number): readonly PrintedText[] {
    const text = this.#text
    this.#text = ''
    return text === '' ? [] : [{ subtask: this.#subtask, checkpoint, text }]
  }

  close(): void {
    this.#text = ''
  }
}

class PrintCommitter implements SinkCommitter<PrintedText> {
  readonly #context: SinkCommitterContext
  readonly #ledger = new CommitLedger()
  readonly #ignore = () => {}

  constructor(context: SinkCommitterContext) {
    this.#context = context
  }

  open(): void {
    // A broken pipe is told twice, to the callback of the write and as an event. The callback is enough, and an event that nobody
    // listens to would end the process. Removing first keeps it to one listener however often an attempt starts.
    process.stdout.off('error', this.#ignore)
    process.stdout.on('error', this.#ignore)
  }

  async commit(committables: readonly PrintedText[]): Promise<void> {
    for (const committable of this.#ledger.open(committables)) {
      await this.#print(committable.text)
      this.#ledger.close(committable)
    }
  }

  close(): void {
    process.stdout.off('error', this.#ignore)
  }

  #print(text: string): Promise<void> {
    return new Promise((resolve, reject) => {
      process.stdout.write(text, (cause) => {
        if (cause === null || cause === undefined) return resolve()
        const { operator } = this.#context
        reject(new SluiceError('OUTPUT_UNWRITABLE', `Cannot print: ${messageOf(cause)}`, { cause, operator }))
      })
    })
  }
}

function inspectOptions(): InspectOptions {
  // Asked of the descriptor, because the `process.stdout` of a worker thread does not know that it ends in a terminal.
  const colors = isatty(1) && !process.env.NO_COLOR
  return { colors, depth: 5, breakLength: Number.POSITIVE_INFINITY, compact: true }
}
