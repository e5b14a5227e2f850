import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { collect, items, job } from 'sluice'
import { describe, expect, onTestFinished, test } from 'vitest'
import { splitOperator } from '../../operators/split.ts'
import { locateError } from '../../src/core/errors.ts'
import type { OperatorContext } from '../../src/core/operator.ts'
import { graphOf } from '../../src/dsl/job.ts'

/** A split operator, and what goes to each of its outputs. */
function split(branches: Parameters<typeof splitOperator>[0]) {
  const outputs: Record<string, unknown[]> = {}
  const receiver = (name: string) => ({ onRecord: (value: unknown) => void (outputs[name] ??= []).push(value) })
  const context = {
    output: receiver('main'),
    side: receiver,
    cell: { timestamp: 5, split: -1 },
    watermark: 3,
    subtask: 0,
    failure: (error: unknown) => locateError(error, { operator: 'split-1', subtask: 0 }),
  } as unknown as OperatorContext
  return { operator: splitOperator(branches)(context), outputs }
}

describe('a record', () => {
  test('goes to the first branch that accepts it, else to the rest', () => {
    const { operator, outputs } = split({ small: (n: number) => n < 10, even: (n: number) => n % 2 === 0 })
    for (const n of [1, 12, 13, 4, 15]) operator.onRecord(n)
    expect(outputs).toEqual({ 'side:small': [1, 4], 'side:even': [12], main: [13, 15] })
  })

  test('is not shown to predicates behind the one that accepts it', () => {
    const asked: string[] = []
    const ask =
      (name: string, accepted: unknown) => (_: never, context: { timestamp: number | undefined; watermark: number }) => {
        asked.push(`${name} ${context.timestamp} ${context.watermark}`)
        return accepted
      }
    const { operator } = split({ no: ask('no', 0), yes: ask('yes', 'yes'), never: ask('never', true) })
    operator.onRecord('a')
    expect(asked).toEqual(['no 5 3', 'yes 5 3'])
  })

  test('on which a predicate throws fails the job with its place', () => {
    const { operator } = split({
      broken: () => {
        throw new TypeError('no such field')
      },
    })
    expect(() => operator.onRecord('a')).toThrow(
      expect.objectContaining({
        code: 'OPERATOR_FAILED',
        operator: 'split-1',
        message: expect.stringContaining('no such field'),
      }),
    )
  })

  test('is in one branch only, whatever the predicates', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(30)),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 }),
        (values, divisors) => {
          const names = divisors.map((_, index) => `branch ${index}`)
          const { operator, outputs } = split(
            Object.fromEntries(divisors.map((divisor, index) => [names[index]!, (n: number) => n % divisor === 1])),
          )
          for (const value of values) operator.onRecord(value)
          const model = (value: number) => divisors.findIndex((divisor) => value % divisor === 1)
          names.forEach((name, index) => {
            expect(outputs[`side:${name}`] ?? []).toEqual(values.filter((value) => model(value) === index))
          })
          expect(outputs['main'] ?? []).toEqual(values.filter((value) => model(value) < 0))
        },
      ),
    )
  })
})

describe('branches', () => {
  const stream = () => job('split').from(items([1, 2, 3]))

  test.each([
    ['without any', {}, 'predicate for each branch'],
    ['called rest', { rest: () => true }, "'rest'"],
    ['called by a number', { late: () => true, 5: () => true }, "'5'"],
    ['without a function', { late: 5 }, "'late'"],
    ['that are no object', undefined, 'predicate for each branch'],
  ])('%s are refused', (_, branches, message) => {
    expect(() => stream().split(branches as never)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining(message) }),
    )
  })

  test('are one operator, whose settings name them in their order', () => {
    const own = job('split')
    const { b, a, rest } = own.from(items([1])).split({ b: (n) => n === 1, a: (n) => n === 2 })
    for (const each of [a, b, rest]) each.map((n) => n)
    const { nodes } = graphOf(own)
    expect(nodes.map(({ kind }) => kind)).toEqual(['items', 'split', 'map', 'map', 'map'])
    expect(nodes[1]!.settings).toEqual({ branches: ['b', 'a'] })
    expect(nodes.slice(2).map(({ inputs }) => inputs[0]!.output)).toEqual(['side:a', 'side:b', 'main'])
  })

  test('that nobody reads are dropped, and the others are read by any number', async () => {
    const [low, twice, rest]: number[][] = [[], [], []]
    const stateDirectory = mkdtempSync(join(tmpdir(), 'sluice-split-'))
    onTestFinished(() => rmSync(stateDirectory, { recursive: true }))
    const own = job('split-run', { workers: 0, parallelism: 1, stateDirectory })
    const branches = own.from(items([1, 2, 3, 4, 5])).split({ low: (n) => n < 2, middle: (n) => n < 4 })
    branches.low.to(collect(low!))
    branches.low.map((n) => n * 2).to(collect(twice!))
    branches.rest.to(collect(rest!))
    await own.run({ quiet: true })
    expect([low, twice, rest]).toEqual([[1], [2], [4, 5]])
  })
})
