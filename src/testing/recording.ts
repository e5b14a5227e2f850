import type { Operator, OperatorContext } from '../core/operator.ts'
import type { Sink, SinkCommitter, SinkWriter, SinkWriterContext } from '../core/sink.ts'

/** What came to a sink: a result with its event time (`undefined` for none), or the watermark behind it. */
export type Recorded =
  | { readonly sink: string; readonly value: unknown; readonly timestamp: number | undefined }
  | { readonly sink: string; readonly watermark: number }

interface Entry {
  readonly recorded: Recorded
  /** The checkpoint whose barrier came behind it; absent as long as none has. */
  checkpoint: number | undefined
}

/** Names what a writer has staged: everything that came to it between two barriers. */
interface Staged {
  readonly writer: string
  readonly checkpoint: number
}

/**
 * Everything that came to the sinks of a test, in the order in which it came. What always holds:
 *
 * - A writer stages; a barrier cuts; only the commit of a complete checkpoint makes visible, as in any other sink.
 * - Whoever goes back to a checkpoint forgets what came behind its barriers, and nothing else. So each result is there once.
 */
export class Recording {
  #entries: Entry[] = []
  #visible: Recorded[] = []
  readonly #open = new Map<string, Entry[]>()
  readonly #staged = new Map<string, readonly Entry[]>()

  /** Everything that has come. */
  get all(): readonly Recorded[] {
    return this.#entries.map((entry) => entry.recorded)
  }

  /** What commits have made visible, in the order of the commits. */
  get visible(): readonly Recorded[] {
    return this.#visible
  }

  /** Forgets what came behind the barriers of `checkpoint`, all of which has been committed. */
  rewind(checkpoint: number): void {
    this.#entries = this.#entries.filter((entry) => entry.checkpoint !== undefined && entry.checkpoint <= checkpoint)
    this.#open.clear()
    this.#staged.clear()
  }

  /** A sink that writes here. It takes what a `Recorder` makes of records. */
  sink(kind: string): Sink<unknown> {
    return {
      kind,
      createWriter: (context) => this.#writer(context),
      createCommitter: () => this.#committer() as SinkCommitter,
    }
  }

  #writer({ operator, subtask }: SinkWriterContext): SinkWriter<unknown, Staged> {
    const writer = `${operator}/${subtask}`
    return {
      write: (recorded) => {
        const entry: Entry = { recorded: recorded as Recorded, checkpoint: undefined }
        this.#entries.push(entry)
        const open = this.#open.get(writer)
        if (open === undefined) this.#open.set(writer, [entry])
        else open.push(entry)
      },
      prepareCommit: (checkpoint) => this.#cut(writer, checkpoint),
      close: () => undefined,
    }
  }

  #cut(writer: string, checkpoint: number): readonly Staged[] {
    const open = this.#open.get(writer)
    if (open === undefined) return []
    this.#open.delete(writer)
    for (const entry of open) entry.checkpoint = checkpoint
    this.#staged.set(stageName({ writer, checkpoint }), open)
    return [{ writer, checkpoint }]
  }

  #committer(): SinkCommitter<Staged> {
    return {
      open: () => undefined,
      commit: (committables) => {
        for (const committable of committables) {
          const name = stageName(committable)
          // Absent when it has been committed before: a restore commits again what the checkpoint lists.
          for (const entry of this.#staged.get(name) ?? []) this.#visible.push(entry.recorded)
          this.#staged.delete(name)
        }
      },
    }
  }
}

function stageName({ writer, checkpoint }: Staged): string {
  return `${checkpoint}/${writer}`
}

/** How results are noted. */
export interface RecorderOptions {
  /** What is kept of a value. */
  readonly look: (value: unknown) => unknown
  /** Whether watermarks are noted too. */
  readonly watermarks: boolean
  /** Whether each result waits for room: after each one the recorder asks for a pause. */
  readonly oneSlot: boolean
}

/** Before a sink of a recording: puts the event time beside each result. */
export class Recorder implements Operator {
  readonly #context: OperatorContext
  readonly #sink: string
  readonly #options: RecorderOptions

  constructor(context: OperatorContext, sink: string, options: RecorderOptions) {
    this.#context = context
    this.#sink = sink
    this.#options = options
  }

  onRecord(value: unknown): void {
    const { timestamp } = this.#context.cell
    this.#note({ sink: this.#sink, value: this.#options.look(value), timestamp: Number.isNaN(timestamp) ? undefined : timestamp })
    if (this.#options.oneSlot) this.#context.hold()
  }

  onWatermark(watermark: number): boolean {
    if (this.#options.watermarks) this.#note({ sink: this.#sink, watermark })
    return true
  }

  #note(recorded: Recorded): void {
    this.#context.output.onRecord(recorded)
  }
}
