import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ListState, MapState, ValueState } from 'sluice'
import {
  collect,
  items,
  job,
  listState,
  mapState,
  output,
  reducingState,
  tumblingWindow,
  valueState,
  writeJsonLines,
} from 'sluice'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { BroadcastHandlers } from '../../../operators/connect/broadcast-connect.ts'
import { broadcastConnectOperator } from '../../../operators/connect/broadcast-connect.ts'
import type { KeyedBroadcastHandlers } from '../../../operators/connect/keyed-broadcast-connect.ts'
import { keyedBroadcastConnectOperator } from '../../../operators/connect/keyed-broadcast-connect.ts'
import type { StateOptions } from '../../../operators/keyed/state.ts'
import type { OperatorContext } from '../../../src/core/operator.ts'
import type { Stream } from '../../../src/dsl/stream.ts'
import { KeyedBackend } from '../../../src/state/keyed-backend.ts'
import { checkOperator, end, record, runOperator, second, testDriver, watermark } from '../../../src/testing/index.ts'

interface Rule {
  readonly name: string
  readonly most: number
}

/** Values of the outcomes. */
function values(outcomes: readonly object[]): readonly unknown[] {
  return outcomes.flatMap((outcome) => ('value' in outcome ? [outcome.value] : []))
}

describe('connect with a broadcast stream', () => {
  const check = (numbers: Stream<number>, rules: Stream<Rule>) => {
    const checked = numbers.connect(rules.broadcast()).process({
      broadcast: { rules: mapState<string, Rule>() },
      side: { rules: output<number>() },
      *onLeft(n, ctx) {
        for (const rule of ctx.broadcast.rules.values()) if (n > rule.most) yield `${n} is against ${rule.name}`
      },
      onRight(rule, ctx) {
        if (rule.most < 0) ctx.broadcast.rules.delete(rule.name)
        else ctx.broadcast.rules.set(rule.name, rule)
        ctx.emitTo('rules', ctx.broadcast.rules.size)
      },
    })
    return { main: checked, rules: checked.side.rules }
  }

  test('shows the records what the broadcast side has written, through saves and restores', async () => {
    const rule = (name: string, most: number) => second({ name, most })
    const { outcomes } = await checkOperator(check, [
      record(5),
      rule('five', 5),
      record(5),
      record(6),
      rule('three', 3),
      record(6),
      rule('five', -1),
      record(6),
      rule('three', 7),
      record(7),
      record(8),
      end(),
    ])
    expect(values(outcomes)).toEqual([
      1,
      '6 is against five',
      2,
      '6 is against five',
      '6 is against three',
      1,
      '6 is against three',
      1,
      '8 is against three',
    ])
  })

  test('gives every subtask every rule, and a whole copy also after a change of parallelism', async () => {
    const scaled = job('scaled')
    const [numbers, rules] = [items<number>([]), items<Rule>([])]
    const [out, sizes] = [writeJsonLines<string>('out'), writeJsonLines<number>('sizes')]
    const checked = check(scaled.from(numbers).rebalance(), scaled.from(rules))
    checked.main.to(out)
    checked.rules.to(sizes)
    const driver = testDriver(scaled, { parallelism: 3 })
    driver.send({ name: 'five', most: 5 }, { to: rules })
    driver.send({ name: 'six', most: 6 }, { to: rules })
    expect([...driver.output(sizes)].sort()).toEqual([1, 1, 1, 2, 2, 2])
    let expected = 0
    for (const parallelism of [undefined, 5, 2, 1, 4]) {
      await driver.checkpoint()
      driver.crashAndRestore(parallelism === undefined ? {} : { parallelism })
      driver.sendAll([7, 7, 7, 7, 7, 7, 7, 7, 7, 7], { to: numbers })
      expected += 20
      expect(driver.output(out).length).toBe(expected)
    }
    expect(new Set(driver.output(out))).toEqual(new Set(['7 is against five', '7 is against six']))
  })

  test('takes the copy of a former subtask in turn when the parallelism changes', async () => {
    const scaled = job('copies')
    const [asked, rules] = [items<number>([]), items<string>([])]
    const out = writeJsonLines<unknown>('out')
    const copies = scaled
      .from(asked)
      .rebalance()
      .connect(scaled.from(rules).broadcast())
      .process({
        broadcast: { owner: mapState<string, number>() },
        onLeft: (_, ctx) => [[ctx.subtask, ctx.broadcast.owner.get('owner')]],
        // Against the contract, so that the copies can be told apart.
        onRight: (_, ctx) => ctx.broadcast.owner.set('owner', ctx.subtask),
      })
    copies.to(out)
    const driver = testDriver(scaled, { parallelism: 3 })
    driver.send('rule', { to: rules })
    await driver.checkpoint()
    const owners = (parallelism: number): readonly unknown[] => {
      const before = driver.output(out).length
      driver.sendAll(
        Array.from({ length: parallelism }, () => 0),
        { to: asked, subtask: 0 },
      )
      return driver.output(out).slice(before).toSorted()
    }
    expect(owners(3)).toEqual([
      [0, 0],
      [1, 1],
      [2, 2],
    ])
    driver.crashAndRestore({ parallelism: 5 })
    await driver.checkpoint()
    expect(owners(5)).toEqual([
      [0, 0],
      [1, 1],
      [2, 2],
      [3, 0],
      [4, 1],
    ])
  })

  test('copies what goes in and what comes out', async () => {
    const { outcomes } = await runOperator(
      (left: Stream<number>, right: Stream<number>) =>
        left.connect(right.broadcast()).process({
          broadcast: { lists: mapState<readonly string[], number[]>() },
          onLeft(n, ctx) {
            const list = ctx.broadcast.lists.get(['a'])!
            list.push(n)
            for (const each of ctx.broadcast.lists.values()) each.push(n)
            for (const [key, each] of ctx.broadcast.lists.entries()) {
              each.push(n)
              ;(key as string[]).push('b')
            }
            for (const key of ctx.broadcast.lists.keys()) (key as string[]).push('c')
            return [[ctx.broadcast.lists.get(['a']), [...ctx.broadcast.lists.keys()], ctx.broadcast.lists.has(['a', 'b'])]]
          },
          onRight(n, ctx) {
            const list = [n]
            ctx.broadcast.lists.set(['a'], list)
            list.push(99)
            ctx.broadcast.lists.get(['a'])!.push(98)
          },
        }),
      [second(1), record(2), record(3)],
    )
    expect(values(outcomes)).toEqual([
      [[1], [['a']], false],
      [[1], [['a']], false],
    ])
  })

  test('knows the keys of a map by value', async () => {
    const { outcomes } = await checkOperator(
      (left: Stream<number>, right: Stream<[unknown, number]>) =>
        left.connect(right.broadcast()).process({
          broadcast: { map: mapState<unknown, number>() },
          onLeft: (_, ctx) => [[...ctx.broadcast.map.entries()]],
          onRight: ([key, value], ctx) => ctx.broadcast.map.set(key, value),
        }),
      [
        second([1, 1]),
        second(['1', 2]),
        second([[1, 'a'], 3]),
        second([[1, 'a'], 4]),
        second([new Date(7), 5]),
        second([new Date(7), 6]),
        second([0, 7]),
        second([-0, 8]),
        record(1),
      ],
    )
    expect(values(outcomes)).toEqual([
      [
        [1, 1],
        ['1', 2],
        [[1, 'a'], 4],
        [new Date(7), 6],
        [0, 8],
      ],
    ])
  })

  test.each(['set', 'delete', 'clear'] as const)('refuses %s outside onRight, also where no compiler looks', async (verb) => {
    const build = (left: Stream<number>, right: Stream<number>) =>
      left.connect(right.broadcast()).process({
        broadcast: { rules: mapState<string, number>() },
        onLeft(_, ctx) {
          ;(ctx.broadcast.rules as unknown as Record<string, (key: string, value: number) => void>)[verb]!('a', 1)
        },
        onRight: () => {},
      })
    await expect(runOperator(build, [record(1)])).rejects.toMatchObject({
      code: 'STATE_READ_ONLY',
      operator: 'connect-broadcast-1',
      message: `${verb} on the broadcast state 'rules' outside onRight: it can only be read there`,
    })
  })

  test('brings entries of an earlier version to that of today', () => {
    const made = (states: MapState<string, unknown>[], options: StateOptions<unknown>) => {
      const context = { subtask: 1, operatorId: 'connect-broadcast-1', failure: (error: unknown) => error }
      const operator = broadcastConnectOperator({
        broadcast: { rules: mapState<string, unknown>(options) },
        onLeft: () => {},
        onRight: (_: unknown, { broadcast }: { readonly broadcast: { readonly rules: MapState<string, unknown> } }) =>
          void states.push(broadcast.rules),
      } as BroadcastHandlers)(context as unknown as OperatorContext)
      operator.onSecond!(1)
      return operator
    }
    const [first, second]: MapState<string, unknown>[][] = [[], []]
    const before = made(first!, {})
    first![0]!.set('a', 1)
    const migrate = (old: unknown, version: number) => ({ most: old, from: version })
    made(second!, { version: 3, migrate }).restore!([before.snapshot!()], false)
    expect([...second![0]!.entries()]).toEqual([['a', { most: 1, from: 1 }]])
    expect(() => made([], { version: 2 }).restore!([before.snapshot!()], false)).toThrow(
      expect.objectContaining({ code: 'STATE_INCOMPATIBLE', operator: 'connect-broadcast-1', subtask: 1 }),
    )
  })

  test('refuses broadcast state that is no map, or has a ttl, when the job is built', () => {
    const build = (broadcast: object) => () => {
      const built = job('built')
      const numbers = built.from(items([1]))
      numbers.connect(numbers.broadcast()).process({
        broadcast: broadcast as { rules: ReturnType<typeof mapState<string, number>> },
        onLeft: () => {},
        onRight: () => {},
      })
    }
    expect(build({ rules: valueState() })).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', hint: 'write broadcast: { rules: mapState<...>() }' }),
    )
    expect(build({ rules: mapState({ ttl: '1h' }) })).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', hint: 'leave the ttl out and delete entries in onRight' }),
    )
  })

  test('refuses keyBy of a broadcast stream: one wants one subtask, the other all', () => {
    const keyed = job('keyed')
      .from(items([1]))
      .broadcast()
    expect(() => keyed.keyBy((n) => n).count()).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', hint: expect.stringContaining('keyed.connect(rules.broadcast())') }),
    )
  })
})

interface Visit {
  readonly user: string
  readonly page: string
}

/** Visits of a user, against limits that may come later; `ask` rules report all users of the subtask. */
function visits(input: Stream<Visit>, rules: Stream<Rule>) {
  return input
    .keyBy((visit) => visit.user)
    .connect(rules.broadcast())
    .process({
      state: { visits: valueState<number>(), pages: listState<string>() },
      broadcast: { limits: mapState<string, number>() },
      *onLeft(visit, ctx) {
        const count = (ctx.state.visits.get() ?? 0) + 1
        ctx.state.visits.set(count)
        ctx.state.pages.add(visit.page)
        if (ctx.timestamp !== undefined) ctx.timers.eventTime(ctx.timestamp + 10)
        if (count > (ctx.broadcast.limits.get('visits') ?? 100)) yield `${ctx.key} is over`
      },
      *onRight(rule, ctx) {
        if (rule.name === 'forget') ctx.forEachKey('visits', (_, state) => state.clear())
        else if (rule.name === 'pages') {
          const found: string[] = []
          ctx.forEachKey('pages', (user, pages) => found.push(`${user}: ${pages.get().join(' ')}`))
          yield found.sort().join(', ')
        } else {
          ctx.broadcast.limits.set(rule.name, rule.most)
          const over: string[] = []
          ctx.forEachKey('visits', (user, state) => {
            if (state.get()! > rule.most) over.push(user)
            state.set(state.get()! + 1)
          })
          yield* over.sort().map((user) => `${user} was over`)
        }
      },
      *onTimer(time, ctx) {
        yield `${ctx.key} at ${time}, limit ${ctx.broadcast.limits.get('visits')}`
        ctx.state.visits.clear()
        ctx.state.pages.clear()
      },
    })
}

describe('connect of a keyed stream with a broadcast one', () => {
  const visit = (user: string, page: string, at?: number) => record({ user, page }, at)

  test('has state and timers for each key, and visits all keys from the broadcast side', async () => {
    const happenings = [
      visit('ann', 'x', 1),
      visit('bob', 'x', 2),
      visit('ann', 'y', 3),
      second({ name: 'pages', most: 0 }),
      second({ name: 'visits', most: 1 }),
      visit('bob', 'z', 4),
      second({ name: 'forget', most: 0 }),
      visit('ann', 'z', 5),
      second({ name: 'pages', most: 0 }),
      watermark(12),
      second({ name: 'pages', most: 0 }),
      end(),
    ]
    const { outcomes } = await checkOperator(visits, happenings, { emptyAtEnd: true })
    expect(values(outcomes)).toEqual([
      'ann: x y, bob: x',
      'ann was over',
      'bob is over',
      'ann: x y z, bob: x z',
      'ann at 11, limit 1',
      'bob at 12, limit 1',
      '',
      'ann at 13, limit 1',
      'bob at 14, limit 1',
      'ann at 15, limit 1',
    ])
  })

  test('reaches each key in exactly one subtask, before and after a change of parallelism', async () => {
    const scaled = job('scaled')
    const [input, rules] = [items<Visit>([]), items<Rule>([])]
    const out = writeJsonLines<string>('out')
    visits(scaled.from(input), scaled.from(rules)).to(out)
    const driver = testDriver(scaled, { parallelism: 3 })
    const users = Array.from({ length: 50 }, (_, index) => `user ${index}`)
    driver.sendAll(
      users.map((user) => ({ user, page: 'x' })),
      { to: input },
    )
    let seen = 0
    for (const parallelism of [3, 2, 7]) {
      await driver.checkpoint()
      driver.crashAndRestore({ parallelism })
      driver.send({ name: 'pages', most: 0 }, { to: rules })
      const answers = driver.output<string>(out).slice(seen)
      seen += answers.length
      expect(answers.length).toBe(parallelism)
      expect(answers.flatMap((answer) => answer.split(', ')).sort()).toEqual(users.map((user) => `${user}: x`).sort())
    }
  })

  test('lets a visit clear, replace and clear again, and comes to an end', async () => {
    const build = (input: Stream<string>, rules: Stream<number>) =>
      input
        .keyBy((word) => word)
        .connect(rules.broadcast())
        .process({
          state: { count: valueState<number>(), sum: reducingState<number>((a, b) => a + b) },
          onLeft(_, ctx) {
            ctx.state.count.set(1)
            ctx.state.sum.add(1)
          },
          onRight(_, ctx) {
            const seen: string[] = []
            ctx.forEachKey('count', (key, count) => {
              count.clear()
              count.set(2)
              if (key === 'b') count.clear()
              seen.push(key)
            })
            return [seen.sort().join()]
          },
        })
    const { outcomes, state } = await checkOperator(build, [record('a'), record('b'), second(1), second(1)])
    expect(values(outcomes)).toEqual(['a,b', 'a'])
    expect(state).toEqual({ entries: 3, timers: 0 })
  })

  test('does not visit what has expired', async () => {
    const build = (input: Stream<string>, rules: Stream<number>) =>
      input
        .keyBy((word) => word)
        .connect(rules.broadcast())
        .process({
          state: {
            value: valueState<number>({ ttl: 10 }),
            list: listState<number>({ ttl: 10 }),
            map: mapState<number, number>({ ttl: 10 }),
          },
          onLeft(_, ctx) {
            ctx.state.value.set(1)
            ctx.state.list.add(1)
            ctx.state.map.set(1, 1)
          },
          onRight(_, ctx) {
            const seen: string[] = []
            ctx.forEachKey('value', (key) => seen.push(`value ${key}`))
            ctx.forEachKey('list', (key) => seen.push(`list ${key}`))
            ctx.forEachKey('map', (key) => seen.push(`map ${key}`))
            return [seen.sort().join()]
          },
        })
    const { outcomes } = await checkOperator(build, [
      record('a', 1),
      record('b', 5),
      second(1, 5),
      watermark(11),
      second(1, 12),
      watermark(15),
      second(1, 16),
      end(),
    ])
    expect(values(outcomes)).toEqual(['list a,list b,map a,map b,value a,value b', 'list b,map b,value b', ''])
  })

  test('does not visit what has expired and is still waiting for its removal', () => {
    const [keyed, clock, seen] = [
      new KeyedBackend({ groups: { first: 0, last: 127 }, maxParallelism: 128 }),
      { ms: 0 },
      [] as string[],
    ]
    const context = {
      ...{
        operatorId: 'connect-broadcast-1',
        subtask: 0,
        parallelism: 1,
        watermark: Number.NEGATIVE_INFINITY,
        timed: false,
        keyed,
      },
      ...{ cell: { timestamp: Number.NaN, split: -1 }, clock: { now: () => clock.ms }, output: { onRecord: () => {} } },
      failure: (error: unknown) => error,
    } as unknown as OperatorContext
    const ttl = { ttl: 10 } as const
    interface States {
      readonly value: ValueState<number>
      readonly list: ListState<number>
      readonly map: MapState<number, number>
    }
    const operator = keyedBroadcastConnectOperator({
      state: { value: valueState<number>(ttl), list: listState<number>(ttl), map: mapState<number, number>(ttl) },
      onLeft(_, { state }: { readonly state: States }) {
        state.value.set(1)
        state.list.add(1)
        state.map.set(1, 1)
      },
      onRight(_, ctx: { forEachKey(name: string, visit: (key: string) => void): void }) {
        for (const name of ['value', 'list', 'map']) ctx.forEachKey(name, (key) => seen.push(`${name} ${key} at ${clock.ms}`))
      },
    } as KeyedBroadcastHandlers)(context)
    operator.open!()
    keyed.setKey('a')
    operator.onRecord(1)
    for (const ms of [9, 10]) {
      clock.ms = ms
      operator.onSecond!(1)
    }
    expect(seen).toEqual(['value a at 9', 'list a at 9', 'map a at 9'])
  })

  test('refuses a handle that outlives its visit, and names that are not declared', async () => {
    const build =
      (use: (ctx: { forEachKey(name: 'count', visit: (key: string, handle: { set(n: number): void }) => void): void }) => void) =>
      (input: Stream<string>, rules: Stream<number>) =>
        input
          .keyBy((word) => word)
          .connect(rules.broadcast())
          .process({
            state: { count: valueState<number>() },
            onLeft: (_, ctx) => ctx.state.count.set(1),
            onRight: (_, ctx) => use(ctx),
          })
    const happenings = [record('a'), second(1)]
    const kept = build((ctx) => {
      let handle: { set(n: number): void } | undefined
      ctx.forEachKey('count', (_, count) => {
        handle = count
      })
      handle!.set(2)
    })
    await expect(runOperator(kept, happenings)).rejects.toMatchObject({ code: 'STATE_WITHOUT_KEY' })
    const unknown = build((ctx) => ctx.forEachKey('sum' as 'count', () => {}))
    await expect(runOperator(unknown, happenings)).rejects.toMatchObject({ code: 'INVALID_OPTION', hint: 'declared are: count' })
  })

  test('has no key, state or timers in onRight', async () => {
    const build = (input: Stream<string>, rules: Stream<number>) =>
      input
        .keyBy((word) => word)
        .connect(rules.broadcast())
        .process({
          state: { count: valueState<number>() },
          onLeft: () => {},
          onRight: (_, ctx) => [['key', 'state', 'timers'].map((name) => name in ctx)],
        })
    const { outcomes } = await runOperator(build, [record('a'), second(1)])
    expect(values(outcomes)).toEqual([[false, false, false]])
  })
})

describe('rules without timestamps', () => {
  let folder: string

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-rules-'))
  })

  afterEach(() => {
    rmSync(folder, { recursive: true, force: true })
  })

  test.each([1, 2])('do not hold back the watermark, at parallelism %i', async (parallelism) => {
    const windowed = job('windowed', { workers: 0, parallelism, stateDirectory: folder })
    const readings = Array.from({ length: 200 }, (_, at) => ({ at, key: `k${at % 3}` }))
    const watermarks: number[] = []
    const counts: { key: string; start: number; count: number }[] = []
    // Endless as far as the readings are concerned: a rule is there, and the stream ends only after the windows have fired.
    const rules = windowed.from({
      kind: 'gated',
      enumerate: () => [{}],
      open: () => {
        let given = false
        return {
          poll() {
            if (!given) {
              given = true
              return ['rule']
            }
            return counts.length >= 3 * 19 ? null : []
          },
          position: () => null,
        }
      },
    })
    windowed
      .from(items(readings))
      .withTimestamps((reading) => reading.at)
      .keyBy((reading) => reading.key)
      .connect(rules.broadcast())
      .process({
        broadcast: { rules: mapState<string, boolean>() },
        onLeft: (reading) => [reading],
        onRight: (rule, ctx) => ctx.broadcast.rules.set(rule, true),
      })
      .keyBy((reading) => reading.key)
      .window(tumblingWindow(10))
      .count()
      .map(({ key, window, count }, ctx) => {
        watermarks.push(ctx.watermark)
        const result = { key, start: window.start, count }
        counts.push(result)
        return result
      })
      .to(collect<{ key: string; start: number; count: number }>([]))
    await windowed.run({ quiet: true })
    const expected = new Map<string, number>()
    for (const { key, at } of readings) {
      const name = `${key} ${Math.floor(at / 10) * 10}`
      expected.set(name, (expected.get(name) ?? 0) + 1)
    }
    expect(new Map(counts.map(({ key, start, count }) => [`${key} ${start}`, count]))).toEqual(expected)
    // The windows fired while the rules had not ended: at the end of all input the watermark would be infinite.
    expect(watermarks.filter(Number.isFinite).length).toBeGreaterThan(0)
  })
})
