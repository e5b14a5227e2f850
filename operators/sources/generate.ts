import { SluiceError } from '../../src/core/errors.ts'
import type { Source, SourceContext, SplitReader } from '../../src/core/source.ts'

/** How `generate` makes its records. */
export interface GenerateOptions<T> {
  /** Records in all; without it the source never ends. */
  readonly count?: number
  /** Records per second, over all subtasks together; without it as fast as they are taken. */
  readonly rate?: number
  /** Record number `i`, counted from 0. The same `i` must give the same record: a restart makes some of them again. */
  readonly at: (i: number) => T
}

/** The numbers `first`, `first + step`, `first + 2 * step`, ... */
export interface GenerateSplit {
  readonly first: number
  readonly step: number
}

/**
 * A source of made-up records: record `i` is whatever `at(i)` returns.
 *
 * The subtasks take the numbers in turn. Under `rate` each of them sends its even share; after a restart the pace starts anew, so
 * time spent down is not caught up on.
 *
 * @example
 * job('load').from(generate({ count: 1_000_000, rate: 50_000, at: (i) => ({ id: i, amount: i % 100 }) })).to(print())
 */
export function generate<T>(options: GenerateOptions<T>): Source<T, GenerateSplit, number> {
  check(options)
  const { count, rate } = options
  return {
    kind: 'generate',
    settings: count === undefined ? {} : { count },
    // Splits interleave; after a restart with fewer subtasks one of them must not run ahead of the other, or never end before it.
    inTurn: true,
    enumerate: ({ parallelism }) => Array.from({ length: parallelism }, (_, first) => ({ first, step: parallelism })),
    open(split, position, context) {
      const reader = new GenerateReader(options, split, position ?? split.first)
      return rate === undefined ? reader : new PacedReader(reader, rate / split.step, context)
    },
  }
}

function check(options: GenerateOptions<unknown>): void {
  const { count, rate, at } = options
  if (typeof at !== 'function') throw invalid('at', at, 'a function of the record number')
  if (count !== undefined && !(Number.isSafeInteger(count) && count >= 0))
    throw invalid('count', count, 'a whole number, 0 or more')
  if (rate !== undefined && !(Number.isFinite(rate) && rate > 0)) throw invalid('rate', rate, 'records per second, more than 0')
}

function invalid(option: string, value: unknown, expected: string): SluiceError {
  return new SluiceError('INVALID_OPTION', `generate: ${option} is ${String(value)}, expected ${expected}`)
}

class GenerateReader<T> implements SplitReader<T, number> {
  readonly #at: (i: number) => T
  readonly #count: number
  readonly #step: number
  #next: number

  constructor(options: GenerateOptions<T>, split: GenerateSplit, next: number) {
    this.#at = options.at
    this.#count = options.count ?? Number.POSITIVE_INFINITY
    this.#step = split.step
    this.#next = next
  }

  get ended(): boolean {
    return this.#next >= this.#count
  }

  poll(max: number): readonly T[] | null {
    if (this.ended) return null
    const at = this.#at
    const step = this.#step
    const end = Math.min(this.#count, this.#next + max * step)
    const batch: T[] = []
    let i = this.#next
    for (; i < end; i += step) batch.push(at(i))
    this.#next = i
    return batch
  }

  position(): number {
    return this.#next
  }
}

/** Lets records through as they fall due. It never waits: what is not due yet is simply not there yet. */
class PacedReader<T> implements SplitReader<T, number> {
  readonly #reader: GenerateReader<T>
  readonly #context: SourceContext
  readonly #perMillisecond: number
  readonly #startedAt: number
  #sent = 0

  constructor(reader: GenerateReader<T>, perSecond: number, context: SourceContext) {
    this.#reader = reader
    this.#context = context
    this.#perMillisecond = perSecond / 1000
    this.#startedAt = context.now()
  }

  poll(max: number): readonly T[] | null {
    if (this.#reader.ended) return null
    const due = Math.floor((this.#context.now() - this.#startedAt) * this.#perMillisecond) - this.#sent
    if (due <= 0) return []
    const batch = this.#reader.poll(Math.min(max, due))
    this.#sent += batch?.length ?? 0
    return batch
  }

  position(): number {
    return this.#reader.position()
  }
}
