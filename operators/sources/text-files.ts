import type { Source, SplitReader } from '../../src/core/source.ts'
import { cutLines, type FileOptions, type FileSourcePosition, type FileSourceSplit, fileSource } from './file-source.ts'
import { type FileSplit, LineReader } from './line-reader.ts'
import type { Paths } from './paths.ts'

/** @see FileOptions */
export interface TextOptions extends FileOptions {}

/**
 * A source of the lines of text files, in UTF-8, without their line ends. Lines end in `\n` or `\r\n`; empty lines are records too.
 *
 * @example
 * job('errors').from(readText('logs/*.log')).filter((line) => line.includes('ERROR')).to(writeText('out'))
 */
export function readText(paths: Paths, options: TextOptions = {}): Source<string, FileSourceSplit, FileSourcePosition> {
  return fileSource(paths, options, {
    kind: 'readText',
    cut: cutLines,
    open: (split, position, follow) => new TextReader(split, position, follow),
  })
}

class TextReader implements SplitReader<string, number> {
  readonly #lines: LineReader
  readonly #follow: boolean

  constructor(split: FileSplit, position: number | undefined, follow: boolean) {
    this.#lines = new LineReader(split, position, follow)
    this.#follow = follow
  }

  poll(max: number): readonly string[] | null {
    const lines = this.#lines
    const batch: string[] = []
    while (batch.length < max && lines.nextOfBatch(batch.length)) batch.push(lines.text())
    return batch.length > 0 || this.#follow ? batch : null
  }

  position(): number {
    return this.#lines.position
  }

  close(): void {
    this.#lines.close()
  }
}
