import { messageOf } from '../../src/core/errors.ts'
import type { Source, SplitReader } from '../../src/core/source.ts'
import { cutLines, type FileOptions, type FileSourcePosition, type FileSourceSplit, fileSource } from './file-source.ts'
import { excerpt, malformed } from './files.ts'
import { type FileSplit, LineReader } from './line-reader.ts'
import type { Paths } from './paths.ts'

/** @see FileOptions */
export interface JsonLinesOptions extends FileOptions {}

/**
 * A source of files with one JSON value per line (`.jsonl`, `.ndjson`). Blank lines are passed over. The type is taken on trust.
 *
 * @example
 * interface Order { id: string; amount: number }
 * job('revenue').from(readJsonLines<Order>('orders/*.jsonl')).filter((order) => order.amount > 0).to(print())
 */
export function readJsonLines<T = unknown>(
  paths: Paths,
  options: JsonLinesOptions = {},
): Source<T, FileSourceSplit, FileSourcePosition> {
  return fileSource(paths, options, {
    kind: 'readJsonLines',
    cut: cutLines,
    open: (split, position, follow) => new JsonLinesReader<T>(split, position, follow),
  })
}

class JsonLinesReader<T> implements SplitReader<T, number> {
  readonly #lines: LineReader
  readonly #follow: boolean

  constructor(split: FileSplit, position: number | undefined, follow: boolean) {
    this.#lines = new LineReader(split, position, follow)
    this.#follow = follow
  }

  poll(max: number): readonly T[] | null {
    const lines = this.#lines
    const batch: T[] = []
    while (batch.length < max && lines.nextOfBatch(batch.length)) {
      if (lines.isEmpty) continue
      lines.show()
      try {
        // The strings of what is parsed are their own: they do not hold on to the text.
        batch.push(JSON.parse(lines.shown.slice(lines.shownFrom, lines.shownEnd)))
      } catch (error) {
        const text = lines.text()
        if (text.trim() === '') continue
        if (batch.length === 0) throw malformed(lines, problem(text, error), { cause: error, record: text })
        // The records before the bad one are handed on first, and it has the next answer to itself.
        lines.seek(lines.offset)
        break
      }
    }
    return batch.length > 0 || this.#follow ? batch : null
  }

  position(): number {
    return this.#lines.position
  }

  close(): void {
    this.#lines.close()
  }
}

function problem(text: string, error: unknown): string {
  return `not JSON: ${excerpt(text)} (${messageOf(error)})`
}
