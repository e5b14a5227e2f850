import { spawnSync } from 'node:child_process'
import type { Stream } from 'sluice'
import { items, job, mapState, onWatermark, output, readCsv, readText, tumblingWindow, valueState } from 'sluice'
import { end, record, runOperator, second, testDriver } from 'sluice/testing'
import { describe, expect, test } from 'vitest'

/*
 * What the compiler refuses and `node job.ts`, which does not ask it, must refuse as well.
 */

const number = (): Stream<number> => job('mistakes').from(items([1]))
const unchecked = <T>(value: unknown): T => value as T

describe('an async function where a plain one is expected is refused, and pointed to asyncMap:', () => {
  const rejecting = async (): Promise<never> => {
    throw new Error('nobody waits for this')
  }
  test.each<[string, (input: Stream<number>) => Stream<unknown>]>([
    ['map', (input) => input.map(rejecting)],
    ['filter', (input) => input.filter(unchecked(rejecting))],
    ['flatMap', (input) => input.flatMap(unchecked(rejecting))],
    ['process', (input) => input.process({ onRecord: unchecked<() => void>(rejecting) })],
    ['keyed process', (input) => input.keyBy((n) => n).process({ onRecord: unchecked<() => void>(rejecting) })],
    ['split', (input) => input.split(unchecked<{ a: (n: number) => boolean }>({ a: rejecting })).a],
  ])('%s', async (_, build) => {
    await expect(runOperator(build, [record(1), end()])).rejects.toMatchObject({
      code: 'OPERATOR_FAILED',
      hint: expect.stringContaining('asyncMap'),
    })
  })

  test('an async generator', async () => {
    const handlers = unchecked<{ onRecord: () => Iterable<number> }>({
      async *onRecord() {
        yield 1
      },
    })
    await expect(runOperator((input: Stream<number>) => input.process(handlers), [record(1)])).rejects.toMatchObject({
      code: 'OPERATOR_FAILED',
      message: expect.stringContaining('async iterator'),
    })
  })
})

describe('is refused when the job is built:', () => {
  const keyed = () => number().keyBy((n) => n)
  test.each<[string, () => unknown, string]>([
    ['a window function without brackets', () => keyed().window(unchecked(tumblingWindow)), "tumblingWindow('1h')"],
    ['a length in place of windows', () => keyed().window(unchecked('1h')), "tumblingWindow('1h')"],
    ['a trigger without brackets', () => keyed().window(tumblingWindow(1), { trigger: unchecked(onWatermark) }), 'onWatermark()'],
    ['a trigger by name', () => keyed().window(tumblingWindow(1), { trigger: unchecked('watermark') }), 'onWatermark()'],
    ['what is no source', () => job('none').from(unchecked<never>('file.txt')), 'enumerate(...)'],
    [
      'a source without a name',
      () => job('none').from(unchecked<never>({ enumerate: () => [], open: () => undefined })),
      'kind: "its-name"',
    ],
    ['what is no sink', () => number().to(unchecked({ writer: {}, committer: {} })), 'createWriter(...)'],
    ['an option that readCsv has not', () => readCsv('a.csv', unchecked({ separator: ';' })), 'delimiter'],
    ['an option that readText has not', () => readText('a.txt', unchecked({ encoding: 'latin1' })), 'splitBytes'],
    ['windows longer than all dates', () => tumblingWindow(1e17), 'globalWindow()'],
    ['process without onRecord', () => number().process(unchecked<never>({})), 'onRecord'],
    ['keyed process without onRecord', () => keyed().process(unchecked<never>({ onrecord: () => [] })), 'onRecord'],
    [
      'connect with one handler',
      () =>
        keyed()
          .connect(keyed())
          .process(unchecked<never>({ onLeft: () => [] })),
      'onRight',
    ],
  ])('%s', (name, build, hint) => {
    // Both sides of a connect must be of one job.
    if (name.startsWith('connect')) {
      const one = job('one').from(items([1]))
      expect(() =>
        one
          .keyBy((n) => n)
          .connect(one.keyBy((n) => n))
          .process(unchecked<never>({ onLeft: () => [] })),
      ).toThrow(expect.objectContaining({ code: 'INVALID_OPTION', hint: expect.stringContaining(hint) }))
    } else expect(build).toThrow(expect.objectContaining({ code: 'INVALID_OPTION', hint: expect.stringContaining(hint) }))
  })
})

describe('state and timers without a key', () => {
  test('a timer in open is refused: no restore would know of it', () => {
    const early = job('early')
    early
      .from(items([1]))
      .keyBy((n) => n)
      .process({
        open: (ctx) => unchecked<{ timers: { eventTime(time: number): void } }>(ctx).timers.eventTime(5),
        onRecord: () => [],
      })
    expect(() => testDriver(early)).toThrow(expect.objectContaining({ code: 'STATE_WITHOUT_KEY' }))
  })

  test('a walk over keys inside a walk over keys gives the outer one its key back', async () => {
    const build = (left: Stream<string>, right: Stream<string>) =>
      left
        .keyBy((key) => key)
        .connect(right.broadcast())
        .process({
          state: { v: valueState<string>(), w: valueState<string>() },
          broadcast: { rules: mapState<string, string>() },
          onLeft(key, ctx) {
            ctx.state.v.set(`v${key}`)
            ctx.state.w.set(`w${key}`)
          },
          *onRight(_, ctx) {
            const seen: unknown[] = []
            ctx.forEachKey('v', (key, v) => {
              ctx.forEachKey('w', (inner, w) => seen.push([key, inner, w.get()]))
              seen.push([key, v.get()])
            })
            yield seen.length
          },
        })
    const { outcomes } = await runOperator(build, [record('a'), record('b'), second('go'), end()])
    expect(outcomes.filter((outcome) => 'value' in outcome)).toEqual([{ output: 'main', value: 6, timestamp: undefined }])
  })
})

describe('a side output that nobody declared', () => {
  const stray = unchecked<(value: unknown, ctx: { emitTo(side: string, value: unknown): void }) => void>(
    (value: unknown, ctx: { emitTo(side: string, value: unknown): void }) => ctx.emitTo('typo', value),
  )
  test.each<[string, (input: Stream<number>) => Stream<unknown>]>([
    ['process', (input) => input.process({ side: { odd: output<number>() }, onRecord: unchecked<() => void>(stray) })],
    [
      'keyed process',
      (input) => input.keyBy((n) => n).process({ side: { odd: output<number>() }, onRecord: unchecked<() => void>(stray) }),
    ],
    [
      'connect',
      (input) =>
        input
          .connect(input)
          .process({ side: { odd: output<number>() }, onLeft: unchecked<() => void>(stray), onRight: () => [] }),
    ],
  ])('of %s does not swallow its records', async (_, build) => {
    await expect(runOperator(build, [record(1)])).rejects.toMatchObject({ code: 'INVALID_OPTION', hint: 'declared are: odd' })
  })
})

test('a date that is a key cannot be changed by who asks for it', async () => {
  const { outcomes } = await runOperator(
    (input: Stream<number>) =>
      input
        .keyBy((n) => new Date(n))
        .process({
          state: { count: valueState<number>() },
          *onRecord(_, ctx) {
            ctx.state.count.set((ctx.state.count.get() ?? 0) + 1)
            ctx.key.setTime(0)
            yield ctx.state.count.get()
          },
        }),
    [record(5), record(5), record(5)],
    { restoreAfter: 'all' },
  )
  expect(outcomes.flatMap((outcome) => ('value' in outcome ? [outcome.value] : []))).toEqual([1, 2, 3])
})

test('onCount in a window of time says that it drops the rest, unless it is told what to do with it', () => {
  const program = `
    import { collect, items, job, onCount, tumblingWindow } from 'sluice'
    const keyed = job('counts').from(items([1])).withTimestamps((n) => n).keyBy((n) => n)
    for (const options of [undefined, { endOfWindow: 'ignore' }, { endOfWindow: 'fire' }])
      keyed.window(tumblingWindow(10), { trigger: onCount(7, options) }).count().to(collect([]))`
  const flags = ['--conditions=@sluice/source', '--input-type=module', '--eval', program]
  const { stderr, status } = spawnSync(process.execPath, flags, { encoding: 'utf8', cwd: import.meta.dirname })
  expect([status, stderr.match(/SluiceWarning: .*/g)]).toEqual([
    0,
    [
      "SluiceWarning: onCount(7) does not fire at the end of a tumbling window: what comes after the last full count is dropped. Write onCount(7, { endOfWindow: 'fire' }) to have it, or { endOfWindow: 'ignore' } to say so",
    ],
  ])
})
