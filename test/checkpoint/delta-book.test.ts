import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DeltaBook } from '../../src/checkpoint/delta-book.ts'
import type { StoredDelta } from '../../src/checkpoint/manifest.ts'

function deltaOf(checkpoint: number, sequence: number, length = 10): StoredDelta {
  return { operator: 'count-1', checkpoint, sequence, firstGroup: 0, lastGroup: 127, rows: 1, length, crc32: 0 }
}

const namesOf = (deltas: readonly StoredDelta[]): readonly string[] =>
  deltas.map(({ checkpoint, sequence }) => `${checkpoint}/${sequence}`)

describe('the book of changes', () => {
  test('lists what was stored up to a checkpoint, checkpoint by checkpoint and in the order of their storing', () => {
    const book = new DeltaBook([deltaOf(1, 0)])
    // Subtasks are not all in the same checkpoint.
    book.onStored([deltaOf(3, 0)])
    book.onStored([deltaOf(2, 0), deltaOf(2, 1)])
    book.onStored([deltaOf(3, 1)])
    expect(namesOf(book.listedBy(2, -1))).toEqual(['1/0', '2/0', '2/1'])
    expect(namesOf(book.listedBy(3, -1))).toEqual(['1/0', '2/0', '2/1', '3/0', '3/1'])
  })

  test('keeps what was sent for a checkpoint that was aborted for the next one', () => {
    const book = new DeltaBook([])
    book.onStored([deltaOf(4, 0)])
    book.onStored([deltaOf(5, 0)])
    expect(namesOf(book.listedBy(5, -1))).toEqual(['4/0', '5/0'])
  })

  test('does not list what the base holds, and forgets it when it is told', () => {
    const book = new DeltaBook([deltaOf(1, 0), deltaOf(2, 0)])
    book.onStored([deltaOf(3, 0)])
    expect(namesOf(book.listedBy(3, 1))).toEqual(['2/0', '3/0'])
    book.onFolded(2)
    expect(namesOf(book.listedBy(3, -1))).toEqual(['3/0'])
    book.onFolded(1)
    expect(namesOf(book.listedBy(3, -1))).toEqual(['3/0'])
  })

  test('forgets what the operators of a region sent after the checkpoint that they start again from, and nothing else', () => {
    const other = (checkpoint: number, sequence: number): StoredDelta => ({
      ...deltaOf(checkpoint, sequence),
      operator: 'sum-1',
    })
    const book = new DeltaBook([deltaOf(1, 0)])
    book.onStored([deltaOf(2, 0), other(2, 1), deltaOf(3, 0), other(3, 1), deltaOf(4, 0)])
    expect(namesOf(book.onRestarted(new Set(['count-1', 'sink-1']), 2))).toEqual(['3/0', '4/0'])
    expect(namesOf(book.listedBy(4, -1))).toEqual(['1/0', '2/0', '2/1', '3/1'])
  })

  test('counts the bytes of a checkpoint', () => {
    const book = new DeltaBook([deltaOf(1, 0, 1_000)])
    book.onStored([deltaOf(2, 0, 7), deltaOf(2, 1, 8)])
    book.onStored([deltaOf(3, 0, 100)])
    expect([book.bytesOf(1), book.bytesOf(2), book.bytesOf(4)]).toEqual([1_000, 15, 0])
  })

  test('does not touch the lists that it is given or has given out', () => {
    const restored = [deltaOf(2, 0), deltaOf(1, 0)]
    const book = new DeltaBook(restored)
    const listed = book.listedBy(9, -1)
    book.onStored([deltaOf(3, 0)])
    book.onFolded(9)
    expect(namesOf(restored)).toEqual(['2/0', '1/0'])
    expect(namesOf(listed)).toEqual(['1/0', '2/0'])
  })

  test('whatever is stored and folded, a list is every change in between, in order', () => {
    const step = fc.record({ checkpoint: fc.nat(8), count: fc.integer({ min: 1, max: 3 }), folds: fc.boolean() })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), fc.nat(9), (steps, checkpoint) => {
        const book = new DeltaBook([])
        const all: StoredDelta[] = []
        const sequences = new Map<number, number>()
        let folded = -1
        for (const { checkpoint: of, count, folds } of steps) {
          if (folds) {
            folded = Math.max(folded, of - 4)
            book.onFolded(folded)
            continue
          }
          for (let index = 0; index < count; index++) {
            const sequence = sequences.get(of) ?? 0
            sequences.set(of, sequence + 1)
            const delta = deltaOf(of, sequence)
            all.push(delta)
            book.onStored([delta])
          }
        }
        const expected = all.filter((delta) => delta.checkpoint <= checkpoint && delta.checkpoint > folded)
        expect(book.listedBy(checkpoint, folded)).toEqual(
          expected.toSorted((a, b) => a.checkpoint - b.checkpoint || a.sequence - b.sequence),
        )
      }),
    )
  })
})
