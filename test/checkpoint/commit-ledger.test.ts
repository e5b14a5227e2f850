import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CommitLedger } from '../../src/checkpoint/commit-ledger.ts'
import type { StoredCommittable } from '../../src/checkpoint/manifest.ts'

const bytes = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(text))

/** A committable as `sink/subtask@checkpoint:content`. */
function named({ operator, subtask, checkpoint, bytes: content }: StoredCommittable): string {
  return `${operator}/${subtask}@${checkpoint}:${Buffer.from(content).toString()}`
}

function dueIn(ledger: CommitLedger): Record<string, readonly string[]> {
  return Object.fromEntries(ledger.due().map((due) => [due.operator, due.committables.map(named)]))
}

describe('the commit ledger', () => {
  test('nothing is due before its checkpoint is complete', () => {
    const ledger = new CommitLedger([], 0)
    ledger.onPrepared('out', 0, 1, [bytes('a')])
    expect(ledger.due()).toEqual([])
    ledger.onCompleted(1)
    expect(dueIn(ledger)).toEqual({ out: ['out/0@1:a'] })
  })

  test('what has been committed is forgotten', () => {
    const ledger = new CommitLedger([], 0)
    ledger.onPrepared('out', 0, 1, [bytes('a')])
    ledger.onCompleted(1)
    for (const due of ledger.due()) ledger.onCommitted(due)
    expect(ledger.due()).toEqual([])
    expect(ledger.listedBy(1)).toEqual([])
  })

  test('what a sink prepared after the last complete checkpoint is forgotten when its region starts again', () => {
    const ledger = new CommitLedger([], 0)
    ledger.onPrepared('out', 0, 1, [bytes('a')])
    ledger.onCompleted(1)
    ledger.onPrepared('out', 0, 2, [bytes('b')])
    ledger.onPrepared('other', 0, 2, [bytes('c')])
    ledger.onRestarted(new Set(['out']))
    ledger.onPrepared('out', 0, 3, [bytes('again')])
    expect(ledger.listedBy(3).map(named)).toEqual(['out/0@1:a', 'other/0@2:c', 'out/0@3:again'])
  })

  test('the committables of an aborted checkpoint go with the next one, oldest first', () => {
    const ledger = new CommitLedger([], 0)
    ledger.onPrepared('out', 1, 1, [bytes('aborted')])
    ledger.onPrepared('out', 0, 2, [bytes('b')])
    ledger.onPrepared('out', 1, 2, [bytes('c')])
    expect(ledger.listedBy(2).map(named)).toEqual(['out/1@1:aborted', 'out/0@2:b', 'out/1@2:c'])
    ledger.onCompleted(2)
    expect(dueIn(ledger)).toEqual({ out: ['out/1@1:aborted', 'out/0@2:b', 'out/1@2:c'] })
  })

  test('a manifest lists what is prepared up to its checkpoint, and nothing of the next one', () => {
    const ledger = new CommitLedger([], 0)
    ledger.onPrepared('out', 0, 2, [bytes('late')])
    ledger.onPrepared('out', 0, 1, [bytes('early')])
    expect(ledger.listedBy(1).map(named)).toEqual(['out/0@1:early'])
    expect(ledger.listedBy(2).map(named)).toEqual(['out/0@1:early', 'out/0@2:late'])
  })

  test('a manifest lists again what is due and not known to be committed', () => {
    const ledger = new CommitLedger([], 0)
    ledger.onPrepared('out', 0, 1, [bytes('a')])
    ledger.onCompleted(1)
    ledger.onPrepared('out', 0, 2, [bytes('b')])
    expect(ledger.listedBy(2).map(named)).toEqual(['out/0@1:a', 'out/0@2:b'])
  })

  test('preparing the same twice is in the book once, in its last meaning', () => {
    const ledger = new CommitLedger([], 0)
    ledger.onPrepared('out', 0, 1, [bytes('a'), bytes('b')])
    ledger.onPrepared('out', 0, 1, [bytes('c'), bytes('d')])
    expect(ledger.listedBy(1).map(named)).toEqual(['out/0@1:c', 'out/0@1:d'])
  })

  test('committing the same twice does nothing', () => {
    const ledger = new CommitLedger([], 0)
    ledger.onPrepared('out', 0, 1, [bytes('a')])
    ledger.onCompleted(1)
    const [due] = ledger.due()
    ledger.onCommitted(due!)
    ledger.onPrepared('out', 0, 2, [bytes('b')])
    ledger.onCommitted(due!)
    expect(ledger.listedBy(2).map(named)).toEqual(['out/0@2:b'])
  })

  test('a commit that ends after the next checkpoint was prepared takes nothing of that one with it', () => {
    const ledger = new CommitLedger([], 0)
    ledger.onPrepared('out', 0, 1, [bytes('a')])
    ledger.onCompleted(1)
    const [due] = ledger.due()
    ledger.onPrepared('out', 0, 2, [bytes('b')])
    ledger.onCompleted(2)
    ledger.onCommitted(due!)
    expect(dueIn(ledger)).toEqual({ out: ['out/0@2:b'] })
  })

  test('sinks are due separately', () => {
    const ledger = new CommitLedger([], 0)
    ledger.onPrepared('one', 0, 1, [bytes('a')])
    ledger.onPrepared('two', 0, 1, [bytes('b')])
    ledger.onPrepared('none', 0, 1, [])
    ledger.onCompleted(1)
    expect(dueIn(ledger)).toEqual({ one: ['one/0@1:a'], two: ['two/0@1:b'] })
    ledger.onCommitted(ledger.due().find((due) => due.operator === 'one')!)
    expect(dueIn(ledger)).toEqual({ two: ['two/0@1:b'] })
  })

  test('what a restored manifest lists is due at once, several of one subtask in their order', () => {
    const restored = [
      { operator: 'out', subtask: 1, checkpoint: 4, bytes: bytes('x') },
      { operator: 'out', subtask: 1, checkpoint: 4, bytes: bytes('y') },
      { operator: 'out', subtask: 0, checkpoint: 3, bytes: bytes('w') },
    ]
    const ledger = new CommitLedger(restored, 4)
    expect(dueIn(ledger)).toEqual({ out: ['out/0@3:w', 'out/1@4:x', 'out/1@4:y'] })
    for (const due of ledger.due()) ledger.onCommitted(due)
    expect(ledger.listedBy(99)).toEqual([])
  })

  test('nothing may be prepared for a checkpoint that is already complete', () => {
    const ledger = new CommitLedger([], 3)
    expect(() => ledger.onPrepared('out', 0, 3, [bytes('a')])).toThrow('broken invariant')
    expect(() => ledger.onCompleted(3)).toThrow('broken invariant')
  })

  test('through aborts, slow commits and crashes, everything prepared is committed, and never before its checkpoint is complete', () => {
    const step = fc.constantFrom('complete', 'complete', 'abort', 'commit', 'crash')
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 3 }), (steps, subtasks) => {
        let ledger = new CommitLedger([], 0)
        let manifest: readonly StoredCommittable[] = []
        let [completed, id] = [0, 0]
        const committed = new Set<string>()
        const lost = new Set<string>()
        const all = new Set<string>()
        let sinceManifest: string[] = []
        const commit = (): void => {
          for (const due of ledger.due()) {
            for (const committable of due.committables) {
              expect(committable.checkpoint).toBeLessThanOrEqual(completed)
              committed.add(named(committable))
            }
            ledger.onCommitted(due)
          }
        }
        for (const action of steps) {
          if (action === 'commit') commit()
          else if (action === 'crash') {
            // What no manifest lists was staged in vain: its records are read again.
            for (const name of sinceManifest) lost.add(name)
            sinceManifest = []
            ledger = new CommitLedger(manifest, completed)
          } else {
            id++
            for (let subtask = 0; subtask < subtasks; subtask++) {
              ledger.onPrepared('out', subtask, id, [bytes('x')])
              sinceManifest.push(`out/${subtask}@${id}:x`)
              all.add(`out/${subtask}@${id}:x`)
            }
            if (action === 'abort') continue
            manifest = ledger.listedBy(id)
            completed = id
            sinceManifest = []
            ledger.onCompleted(id)
          }
        }
        ledger = new CommitLedger(manifest, completed)
        commit()
        for (const name of sinceManifest) lost.add(name)
        for (const name of all) expect(committed.has(name)).toBe(!lost.has(name))
      }),
    )
  })
})
