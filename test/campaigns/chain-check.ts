import { type InputShape, lengthOf, type Measure, recordOf, type StreamName } from './records.ts'

/** A line of an output that chains the records of each key. */
export interface Link {
  readonly key: string
  /** Counts the records of the key, from 1. */
  readonly number: number
  readonly id: number
  /** Of all amounts of the key so far. */
  readonly sum: number
  /** The id of the record before it. */
  readonly before: number | null
}

/** What a stream with chains is. */
export interface ChainedStream {
  readonly stream: StreamName
  readonly input: InputShape
  /** Number i is read in split i modulo that. */
  readonly splits: number
}

/**
 * Reads committed links in the order in which they became visible. Every loss, doubling and change of order shows at one link: it names the record
 * before it, and sums go on. Two splits may interleave in any way, but whichever it was, state, output and positions must tell the same story.
 */
export class ChainCheck {
  readonly #chained: ChainedStream
  readonly #last = new Map<string, Link>()
  /** The newest id by key and split. */
  readonly #lastOfSplit = new Map<string, number>()
  readonly #seen = new Set<number>()

  constructor(chained: ChainedStream) {
    this.#chained = chained
  }

  /** What is wrong with a link, if anything is. */
  take(link: Link): string | undefined {
    const last = this.#last.get(link.key)
    const trouble = this.#record(link) ?? linkTrouble(last, link) ?? this.#sum(last, link)
    this.#last.set(link.key, link)
    return trouble === undefined ? undefined : `${trouble}: ${JSON.stringify(link)} after ${JSON.stringify(last ?? null)}`
  }

  /** What is wrong with the record that a link is about. */
  #record({ key, id }: Link): string | undefined {
    const { stream, input, splits } = this.#chained
    if (this.#seen.size === this.#seen.add(id).size) return `record ${id} counts twice`
    const record: Measure | undefined = id < lengthOf(stream, input) ? recordOf(stream, input, id) : undefined
    if (record?.user !== key) return `there is no record ${id} of ${key}`
    const split = `${id % splits} ${key}`
    const earlier = this.#lastOfSplit.get(split) ?? -1
    this.#lastOfSplit.set(split, id)
    return earlier > id ? `records ${id} and ${earlier} of one split have changed places` : undefined
  }

  #sum(last: Link | undefined, { id, sum }: Link): string | undefined {
    const expected = (last?.sum ?? 0) + recordOf(this.#chained.stream, this.#chained.input, id).amount
    return sum === expected ? undefined : `its sum is not ${expected}`
  }

  /** Records that should have been there by the end. */
  missing(): readonly number[] {
    const { stream, input } = this.#chained
    return Array.from({ length: lengthOf(stream, input) }, (_, id) => id).filter((id) => !this.#seen.has(id))
  }
}

function linkTrouble(last: Link | undefined, { number, before }: Link): string | undefined {
  const expected = (last?.number ?? 0) + 1
  if (number > expected) return `links ${expected} to ${number - 1} are missing`
  if (number < expected) return `link ${number} comes again`
  return before === (last?.id ?? null) ? undefined : 'it names another record before it'
}
