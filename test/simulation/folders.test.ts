import { generate, job, writeCsv, writeJsonLines, writeText } from 'sluice'
import { simulate } from 'sluice/testing'
import { describe, expect, test } from 'vitest'
import type { OutputCheck } from '../../src/testing/simulation/invariants.ts'
import { SeededRandom } from '../../src/testing/simulation/random.ts'
import { SimulatedFiles } from '../../src/testing/simulation/simulated-files.ts'
import { VisibleFiles } from '../../src/testing/simulation/visible-files.ts'
import { JOBS } from './jobs.ts'

describe('a job with folder sinks', () => {
  test('shows what is in the files of every kind', async () => {
    function numbers() {
      const numbers = job('numbers')
      const all = numbers.from(generate({ count: 3, at: (n) => ({ n, text: `number "${n}"` }) }))
      all.to(writeJsonLines('a'))
      all.to(writeCsv('b'))
      all.map(({ text }) => text).to(writeText('c/d'))
      return numbers
    }
    const seen: unknown[] = []
    const check = (outputs: ReadonlyMap<string, readonly unknown[]>): undefined => void seen.push(Object.fromEntries(outputs))
    const verdict = await simulate(numbers, { seed: 1, faults: [], parallelism: 1, check })
    expect(verdict.violations).toEqual([])
    const texts = [0, 1, 2].map((n) => `number "${n}"`)
    expect(seen).toEqual([
      {
        'write-json-lines-1': texts.map((text, n) => ({ n, text })),
        'write-csv-1': texts.map((text, n) => ({ n: String(n), text })),
        'write-text-1': texts,
      },
    ])
  })

  test.each([
    ['power', 40],
    ['crash', 40],
  ] as const)('that dies of %s at any one of its points violates nothing', async (kind, least) => {
    const faults = kind === 'power' ? [kind] : []
    const { points } = await simulate(JOBS['seldom']!, { seed: 4, faults: [], parallelism: 1 })
    expect(points).toBeGreaterThan(least)
    for (let crashAt = 1; crashAt <= points; crashAt++) {
      const verdict = await simulate(JOBS['seldom']!, { seed: 4, faults, parallelism: 1, crashAt })
      expect({ crashAt, violations: verdict.violations }).toEqual({ crashAt, violations: [] })
    }
  })

  test.each(['power', 'tamper', 'target', 'full', 'stall', 'takeover'] as const)(
    'under nothing but %s and crashes violates nothing',
    async (kind) => {
      for (let seed = 1; seed <= 20; seed++) {
        const { violations } = await simulate(JOBS['folders']!, { seed, faults: ['crash', kind] })
        expect({ seed, violations }).toEqual({ seed, violations: [] })
      }
    },
  )

  test.each([
    ['seldom', 256, 'two processes that make the same commit'],
    ['folders', 605, 'promises that end in a timer'],
  ])('of %s violates nothing any more under seed %i: %s', async (name, seed) => {
    expect((await simulate(JOBS[name]!, { seed })).violations).toEqual([])
  })
})

describe('a reader of visible files', () => {
  /** A folder with one file, and what is said when something else happens to it. */
  function reader(act: (files: SimulatedFiles, visible: VisibleFiles) => void, name = 'part-0-1.txt', text = 'a\n') {
    const reports: string[] = []
    const shown: unknown[] = []
    const files = new SimulatedFiles(new SeededRandom(1))
    files.makeFolder('/simulated/out')
    const visible = new VisibleFiles({
      files,
      output: { onVisible: (_: string, records: readonly unknown[]) => shown.push(...records) } as unknown as OutputCheck,
      report: (invariant) => reports.push(invariant),
      latest: () => 1,
    })
    visible.watch('/simulated/out', 'out')
    files.create(`/simulated/out/${name}`).append(Buffer.from(text))
    visible.look()
    act(files, visible)
    visible.look()
    return { reports, shown }
  }

  test('reads what is there, once', () => {
    expect(reader(() => undefined)).toEqual({ reports: [], shown: ['a'] })
  })

  test('does not see hidden files', () => {
    expect(reader(() => undefined, '.part-0-1.txt')).toEqual({ reports: [], shown: [] })
  })

  test.each<[string, (files: SimulatedFiles, visible: VisibleFiles) => void]>([
    ['grows', (files) => files.file('/simulated/out/part-0-1.txt').append(Buffer.from('b\n'))],
    ['goes', (files) => files.remove('/simulated/out/part-0-1.txt')],
    [
      'is replaced',
      (files) => {
        files.create('/simulated/out/.b').append(Buffer.from('b\n'))
        files.rename('/simulated/out/.b', '/simulated/out/part-0-1.txt')
      },
    ],
  ])('is told of a file that %s', (_, act) => {
    expect(reader(act).reports[0]).toBe('what is visible stays as it is')
  })

  test('bears that a name goes with power that was not on the disk, if it comes back', () => {
    const goes = (files: SimulatedFiles, visible: VisibleFiles): void => {
      const undoable = visible.undoable()
      files.remove('/simulated/out/part-0-1.txt')
      visible.look(undoable)
    }
    const lost = reader((files, visible) => {
      goes(files, visible)
      visible.atEnd()
    })
    expect(lost.reports).toEqual(['nothing is lost'])
    const back = reader((files, visible) => {
      goes(files, visible)
      files.create('/simulated/out/part-0-1.txt').append(Buffer.from('a\n'))
      visible.look()
      visible.atEnd()
    })
    expect(back).toEqual({ reports: [], shown: ['a'] })
    const otherwise = reader((files, visible) => {
      goes(files, visible)
      files.create('/simulated/out/part-0-1.txt').append(Buffer.from('b\n'))
    })
    expect(otherwise.reports).toEqual(['what is visible stays as it is'])
  })

  test('is told of a checkpoint that is not complete, and of what is torn', () => {
    expect(reader(() => undefined, 'part-0-2.txt').reports).toEqual(['nothing uncommitted is visible'])
    expect(reader(() => undefined, 'notes.txt').reports).toEqual(['nothing uncommitted is visible'])
    expect(reader(() => undefined, 'part-0-1.txt', 'a\nb').reports).toEqual(['nothing is lost'])
    expect(reader(() => undefined, 'part-0-1.jsonl', '{"a":1\n').reports).toEqual(['nothing is lost'])
    expect(reader(() => undefined, 'part-0-1.txt', 'a\n\0\0\n').reports).toEqual(['nothing is lost'])
  })
})
