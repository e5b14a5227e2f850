import type { Sink } from 'sluice'
import {
  collect,
  generate,
  job,
  listState,
  mapState,
  sessionWindow,
  slidingWindow,
  tumblingWindow,
  valueState,
  writeCsv,
  writeJsonLines,
  writeText,
} from 'sluice'
import type { CheckpointView, JobBuilder } from 'sluice/testing'

/*
 * Jobs for the simulator: small, with everything that a checkpoint has to hold, and with output that does not depend on the order in which records of
 * different splits come. Event time is never late: the bound is wider than all of it, so that windows and timers fire at the end or by how far all have come.
 */

interface Reading {
  readonly id: number
  readonly key: number
  readonly at: number
}

/** Records of a stream, a little out of order. */
function reading(stream: number, keys: number): (index: number) => Reading {
  return (index) => ({ id: index * 10 + stream, key: (index * 7 + stream) % keys, at: index * 13 + ((index * 31) % 40) })
}

/** In a simulation another sink takes its place. */
function shown<T>(): Sink<T> {
  return collect<T>([]) as Sink<T>
}

/** Close behind the records of a split. */
const CLOSE = { maxOutOfOrderness: 41 } as const

const ALL = { maxOutOfOrderness: 100_000 } as const

export const JOBS: Readonly<Record<string, JobBuilder>> = {
  /** Keyed state, one exchange. */
  count() {
    const counting = job('count')
    counting
      .from(generate({ count: 200, at: (index) => index }))
      .keyBy((n) => n % 7)
      .count()
      .to(shown())
    return counting
  },
  windows() {
    const windows = job('windows')
    const readings = windows.from(generate({ count: 150, at: reading(0, 5) })).withTimestamps(({ at }) => at, ALL)
    const keyed = readings.keyBy(({ key }) => key)
    const sum = { create: () => 0, add: (total: number, { id }: Reading) => total + id }
    keyed.window(tumblingWindow(100)).aggregate(sum).to(shown())
    keyed.window(slidingWindow(200, 100)).aggregate(sum).to(shown())
    return windows
  },
  /** A watermark close behind the records, from one reader: nothing is late, as long as nothing overtakes it. */
  tight() {
    const tight = job('tight')
    const readings = tight
      .from(generate({ count: 200, at: reading(0, 5) }))
      .withParallelism(1)
      .withTimestamps(({ at }) => at, { maxOutOfOrderness: 41 })
      .withParallelism(1)
    const sums = readings
      .keyBy(({ key }) => key)
      .window(tumblingWindow(60))
      .aggregate({ create: () => 0, add: (total: number, { id }: Reading) => total + id })
    sums.to(shown())
    sums.late.to(shown())
    return tight
  },
  /** Hardly any records: what is on its way at a checkpoint is often nothing but the end of time. */
  brief() {
    const brief = job('brief')
    const readings = brief.from(generate({ count: 6, at: reading(0, 3) })).withTimestamps(({ at }) => at, ALL)
    const total = { create: () => 0, add: (sum: number, { value }: { value: number }) => sum + value }
    readings
      .map(({ key, id }) => ({ key, value: id }))
      .keyBy(({ key }) => key)
      .window(tumblingWindow(50))
      .aggregate(total)
      .keyBy(({ window }) => window.start)
      .window(tumblingWindow(100))
      .aggregate(total)
      .keyBy(({ value }) => value % 2)
      .window(tumblingWindow(1_000))
      .aggregate(total)
      .to(shown())
    return brief
  },
  /** Watermarks close behind the records of every split, and how many records come too late: none, whoever is faster. */
  tide() {
    const tide = job('tide')
    const sums = tide
      .from(generate({ count: 200, at: reading(0, 5) }))
      .withTimestamps(({ at }) => at, { maxOutOfOrderness: 41 })
      .keyBy(({ key }) => key)
      .window(tumblingWindow(60))
      .aggregate({ create: () => 0, add: (total: number, { id }: Reading) => total + id })
    sums.to(shown())
    sums.late.to(shown())
    return tide
  },
  /** The records of a key come in their order, through two exchanges: what is out of it is shown, and never is. */
  ordered() {
    const ordered = job('ordered')
    const numbers = ordered.from(generate({ count: 200, at: (index) => index })).withParallelism(1)
    const inOrder = numbers
      .keyBy((n) => n % 6)
      .process({
        state: { last: valueState<number>() },
        *onRecord(n: number, { state }) {
          if (n <= (state.last.get() ?? -1)) yield `${n} behind ${state.last.get()}`
          state.last.set(n)
          yield n
        },
      })
    inOrder
      .keyBy((n) => (typeof n === 'number' ? n % 6 : -1))
      .process({
        state: { last: valueState<number>() },
        *onRecord(n: number | string, { state }) {
          if (typeof n !== 'number' || n <= (state.last.get() ?? -1)) yield `${n} behind ${state.last.get()}`
          else state.last.set(n)
        },
      })
      .to(shown())
    return ordered
  },
  /** So many keys that a snapshot is written in several slices. */
  wide() {
    const wide = job('wide', { maxParallelism: 4 })
    wide
      .from(generate({ count: 900, at: (index) => (index * 7) % 450 }))
      .keyBy((n) => n)
      .count()
      .to(shown())
    return wide
  },
  sessions() {
    const sessions = job('sessions')
    const readings = sessions.from(generate({ count: 150, at: reading(0, 6) })).withTimestamps(({ at }) => at, ALL)
    readings
      .keyBy(({ key }) => key)
      .window(sessionWindow(60))
      .aggregate({
        create: () => 0,
        add: (total: number, { id }: Reading) => total + id,
        merge: (a: number, b: number) => a + b,
      })
      .to(shown())
    return sessions
  },
  timers() {
    const timers = job('timers')
    timers
      .from(generate({ count: 150, at: reading(0, 6) }))
      .withTimestamps(({ at }) => at, ALL)
      .keyBy(({ key }) => key)
      .process({
        state: { sum: valueState<number>() },
        onRecord({ id, at }: Reading, context) {
          context.state.sum.set((context.state.sum.get() ?? 0) + id)
          context.timers.eventTime(Math.ceil((at + 1) / 200) * 200)
        },
        *onTimer(time, context) {
          yield { key: context.key, time, sum: context.state.sum.get() }
        },
      })
      .to(shown())
    return timers
  },
  joins() {
    const joins = job('joins')
    const [left, right] = [1, 2].map((stream) =>
      joins
        .from(generate({ count: 80, at: reading(stream, 8) }))
        .withTimestamps(({ at }) => at, ALL)
        .keyBy(({ key }) => key),
    )
    left!.intervalJoin(right!, { lower: -50, upper: 50 }, (a, b) => ({ a: a.id, b: b.id })).to(shown())
    return joins
  },
  /** Calls to a service that takes its time, fails and does not answer; with a time limit and without, in order and out of it, by key. */
  services({ service }) {
    const services = job('services')
    const twice = service('twice', ({ id }: Reading) => id * 2)
    const readings = services.from(generate({ count: 100, at: reading(0, 6) })).withTimestamps(({ at }) => at, ALL)
    const patient = { retry: { attempts: 5, delay: 5 }, timeout: 'none' } as const
    readings.asyncMap(twice, { concurrency: 4, timeout: 60 }).to(shown())
    readings
      .keyBy(({ key }) => key)
      .asyncMap(twice, { ...patient, timeout: 100 })
      .to(shown())
    readings
      .rebalance()
      .asyncMap(twice, { ...patient, concurrency: 3, timeout: 150, ordered: false })
      .keyBy((id) => id % 3)
      .window(tumblingWindow(100))
      .aggregate({ create: () => 0, add: (total: number, id: number) => total + id })
      .to(shown())
    return services
  },
  /** Asynchronous calls, in order and out of it. */
  calls() {
    const calls = job('calls')
    const twice = async ({ id }: Reading): Promise<number> => {
      await undefined
      return id * 2
    }
    const readings = calls.from(generate({ count: 120, at: reading(0, 6) }))
    readings.asyncMap(twice, { concurrency: 5 }).to(shown())
    readings.rebalance().asyncMap(twice, { concurrency: 3, ordered: false }).to(shown())
    return calls
  },
  /** Three exchanges in a row. */
  shuffles() {
    const shuffles = job('shuffles')
    shuffles
      .from(generate({ count: 120, at: (index) => index }))
      .map((n) => n + 1)
      .rebalance()
      .map((n) => n * 3)
      .keyBy((n) => n % 11)
      .count()
      .map(({ key, count }) => `${key} ${count}`)
      .rebalance()
      .map((line) => `${line}!`)
      .to(shown())
    return shuffles
  },
  /** Two parts that restart by themselves. */
  parts() {
    const parts = job('parts')
    parts
      .from(generate({ count: 120, at: (index) => index }))
      .keyBy((n) => n % 5)
      .count()
      .to(shown())
    parts
      .from(generate({ count: 120, at: (index) => -index }))
      .map((n) => n * 2)
      .to(shown())
    return parts
  },
  unions() {
    const unions = job('unions')
    const [a, b] = [0, 1_000].map((first) => unions.from(generate({ count: 80, at: (index) => first + index })))
    a!
      .union(b!)
      .keyBy((n) => n % 9)
      .count()
      .to(shown())
    return unions
  },
  /** Output in folders, of every kind: simulated files under the sinks themselves. */
  folders() {
    const folders = job('folders')
    const readings = folders.from(generate({ count: 120, at: reading(0, 5) }))
    const counts = readings.keyBy(({ key }) => key).count()
    counts.to(writeJsonLines('out/counts'))
    readings.rebalance().to(writeCsv('out/readings', { columns: ['id', 'key', 'at'] }))
    readings.map(({ id }) => `number ${id}`).to(writeText('out/numbers'))
    return folders
  },
  /** A folder behind an operator with little to say: most checkpoints have nothing for it. */
  seldom() {
    const seldom = job('seldom')
    seldom
      .from(generate({ count: 150, at: reading(0, 4) }))
      .withTimestamps(({ at }) => at, ALL)
      .keyBy(({ key }) => key)
      .window(tumblingWindow(500))
      .count()
      .to(writeJsonLines('windows'))
    return seldom
  },
  /** Timers whose time comes all along, and not only at the end: what has fired is forgotten, and nothing fires twice. */
  alarms() {
    const alarms = job('alarms')
    alarms
      .from(generate({ count: 200, at: reading(0, 5) }))
      .withTimestamps(({ at }) => at, CLOSE)
      .keyBy(({ key }) => key)
      .process({
        state: { sums: mapState<number, number>() },
        onRecord({ id, at }: Reading, { state, timers }) {
          const time = (Math.floor(at / 60) + 1) * 60 - 1
          state.sums.set(time, (state.sums.get(time) ?? 0) + id)
          timers.eventTime(time)
        },
        *onTimer(time, { key, state }) {
          yield { key, time, sum: state.sums.get(time) ?? 'fired before' }
          state.sums.delete(time)
        },
      })
      .to(shown())
    return alarms
  },
  /** Sessions that come to their end all along. */
  visits() {
    const visits = job('visits')
    const sums = visits
      .from(generate({ count: 200, at: reading(0, 6) }))
      .withTimestamps(({ at }) => at, CLOSE)
      .keyBy(({ key }) => key)
      .window(sessionWindow(60))
      .aggregate({ create: () => 0, add: (total: number, { id }: Reading) => total + id, merge: (a: number, b: number) => a + b })
    sums.to(shown())
    sums.late.to(shown())
    return visits
  },
  /** Joins that forget all along. */
  pairs() {
    const pairs = job('pairs')
    const [left, right] = [1, 2].map((stream) =>
      pairs
        .from(generate({ count: 100, at: reading(stream, 4) }))
        .withTimestamps(({ at }) => at, CLOSE)
        .keyBy(({ key }) => key),
    )
    left!.intervalJoin(right!, { lower: -50, upper: 50 }, (a, b) => ({ a: a.id, b: b.id })).to(shown())
    return pairs
  },
  /** Lists, maps, and values that come and go, at the end of time. */
  shelves() {
    const shelves = job('shelves')
    const keyed = shelves
      .from(generate({ count: 200, at: reading(0, 20) }))
      .withTimestamps(({ at }) => at, ALL)
      .keyBy(({ key }) => key)
    keyed
      .process({
        state: { ids: listState<number>(), byRest: mapState<number, number>(), flag: valueState<number>() },
        onRecord({ id }: Reading, { state, timers }) {
          state.ids.add(id)
          state.byRest.set(id % 3, (state.byRest.get(id % 3) ?? 0) + 1)
          state.flag.set(id)
          state.flag.clear()
          timers.eventTime(1_000_000)
        },
        *onTimer(_, { key, state }) {
          const ids = [...state.ids.get()].sort((a, b) => a - b)
          yield { key, ids, rests: [0, 1, 2].map((rest) => state.byRest.get(rest) ?? 0), flag: state.flag.get() ?? 'none' }
        },
      })
      .to(shown())
    keyed
      .reduce((a, b) => ({ id: a.id + b.id, key: a.key, at: a.at }))
      .map(() => 1)
      .to(shown())
    return shelves
  },
  /** Numbers in few groups, of which now nearly all change and now a few, and which go at the end of their time: snapshots and base have images and rows in turn. */
  tables() {
    const tables = job('tables', { maxParallelism: 4 })
    const spanOf = ({ at }: Reading): number => Math.floor(at / 600)
    tables
      .from(generate({ count: 300, at: reading(0, 30) }))
      .withTimestamps(({ at }) => at, CLOSE)
      .keyBy((each) => 100 * spanOf(each) + (spanOf(each) % 2 === 0 ? each.key : each.key % 3))
      .process({
        state: { sum: valueState<number>() },
        onRecord(each: Reading, { state, timers }) {
          state.sum.set((state.sum.get() ?? 0) + each.id)
          timers.eventTime(600 * (spanOf(each) + (each.key % 2 === 0 ? 1 : 2)))
        },
        *onTimer(_, { key, state }) {
          yield { key, sum: state.sum.get() ?? 'none' }
          state.sum.clear()
        },
      })
      .to(shown())
    return tables
  },
  /** Sessions by the clock: each record is in one, whenever that was. */
  clocks() {
    const clocks = job('clocks')
    const keyed = clocks.from(generate({ count: 150, at: reading(0, 5) })).keyBy(({ key }) => key)
    const each = ({ key, count }: { key: unknown; count: number }): string[] => Array.from({ length: count }, () => `${key}`)
    keyed
      .window(sessionWindow(6, { time: 'processing' }))
      .count()
      .flatMap(each)
      .to(shown())
    keyed
      .window(tumblingWindow(10, { time: 'processing' }))
      .count()
      .flatMap(each)
      .to(shown())
    return clocks
  },
  /** Broadcast state, as it is at the end of time. */
  rules() {
    const rules = job('rules')
    const broadcast = rules
      .from(generate({ count: 30, at: reading(1, 7) }))
      .withTimestamps(({ at }) => at, ALL)
      .broadcast()
    rules
      .from(generate({ count: 100, at: reading(0, 6) }))
      .withTimestamps(({ at }) => at, ALL)
      .keyBy(({ key }) => key)
      .connect(broadcast)
      .process({
        state: { sum: valueState<number>() },
        broadcast: { rules: mapState<number, boolean>() },
        onLeft({ id }: Reading, { state, timers }) {
          state.sum.set((state.sum.get() ?? 0) + id)
          timers.eventTime(1_000_000)
        },
        onRight({ id }: Reading, { broadcast }) {
          broadcast.rules.set(id, true)
        },
        *onTimer(_, { key, state, broadcast }) {
          yield { key, sum: state.sum.get(), rules: [...broadcast.rules.keys()].sort((a, b) => a - b).join() }
        },
      })
      .to(shown())
    return rules
  },
  /** Order through asynchronous calls. */
  queues({ service }) {
    const queues = job('queues')
    const same = service('same', (n: number) => n)
    const patient = { retry: { attempts: 5, delay: 5 }, timeout: 100 } as const
    const numbers = queues.from(generate({ count: 120, at: (index) => index })).withParallelism(1)
    const checked = {
      state: { last: valueState<number>() },
      *onRecord(n: number, { state }: { state: { last: { get(): number | undefined; set(n: number): void } } }) {
        if (n <= (state.last.get() ?? -1)) yield `${n} behind ${state.last.get()}`
        state.last.set(n)
      },
    }
    numbers
      .keyBy((n) => n % 6)
      .asyncMap(same, { ...patient, concurrency: 8 })
      .keyBy((n) => n % 6)
      .process(checked)
      .to(shown())
    numbers
      .asyncMap(same, { ...patient, concurrency: 5 })
      .withParallelism(1)
      .keyBy((n) => n % 6)
      .process(checked)
      .to(shown())
    return queues
  },
  /** So many timers of a key that not all of them are in memory, and some that are taken back long after they were set. */
  agenda() {
    const agenda = job('agenda', { maxParallelism: 512 })
    agenda
      .from(generate({ count: 300, at: (n) => n }))
      .withParallelism(1)
      .withTimestamps((n) => n, ALL)
      .withParallelism(1)
      .keyBy((n) => n % 3)
      .process({
        onRecord(n: number, { timers }) {
          timers.eventTime(1_000_000 + n)
          if (n >= 60 && n % 5 === 0) timers.deleteEventTime(1_000_000 + n - 60)
        },
        *onTimer(time) {
          yield time
        },
      })
      .to(shown())
    return agenda
  },
  /** Order through a union, whose senders are forward ones. */
  confluence() {
    const confluence = job('confluence')
    const [a, b] = [0, 1].map((stream) => confluence.from(generate({ count: 120, at: (n) => ({ stream, n }) })))
    a!
      .union(b!)
      .map((record) => record)
      .keyBy(({ stream, n }) => `${stream} ${n % 12}`)
      .process({
        state: { last: valueState<number>() },
        *onRecord({ n }: { n: number }, { state }) {
          if (n <= (state.last.get() ?? -1)) yield `${n} behind ${state.last.get()}`
          state.last.set(n)
        },
      })
      .to(shown())
    return confluence
  },
  /** Records that a function cannot take, on each way into an operator. */
  mishaps() {
    const mishaps = job('mishaps', { onBadRecord: 'dead-letter', deadLetterSink: shown() })
    const refusing = (rest: number) => (n: number) => {
      if (n % 11 === rest) throw new Error(`no ${n}`)
      return n
    }
    mishaps
      .from(generate({ count: 200, at: (n) => n }))
      .withTimestamps((n) => (n % 11 === 1 ? Number.NaN : n), ALL)
      .map(refusing(2))
      .asyncMap(async (n) => refusing(3)(n), { concurrency: 4 })
      .flatMap(function* (n) {
        yield n
        yield refusing(4)(n) + 1000
      })
      .keyBy((n) => (n % 11 === 5 ? (undefined as unknown as number) : n % 6))
      .process({
        state: { count: valueState<number>() },
        *onRecord(n: number, { state, key }) {
          const count = (state.count.get() ?? 0) + (refusing(6)(n) >= 0 ? 1 : 0)
          state.count.set(count)
          yield { key, count }
        },
      })
      .to(shown())
    return mishaps
  },
  /** Two parts that restart by themselves, and write to folders. */
  annexes() {
    const annexes = job('annexes')
    annexes
      .from(generate({ count: 100, at: (index) => index }))
      .keyBy((n) => n % 5)
      .count()
      .to(writeJsonLines('out/counts'))
    annexes
      .from(generate({ count: 100, at: (index) => -index }))
      .map((n) => `${n * 2}`)
      .to(writeText('out/numbers'))
    return annexes
  },
}

/** What holds of the checkpoints of a job. */
export const CHECKS: Readonly<Record<string, (checkpoint: CheckpointView) => string | undefined>> = {
  count: countsOfPrefix({ count: 200, at: (index) => index, keyOf: (record) => record % 7 }),
  parts: countsOfPrefix({ count: 120, at: (index) => index, keyOf: (record) => record % 5 }),
  wide: countsOfPrefix({ count: 900, at: (index) => (index * 7) % 450, keyOf: (record) => record }),
}

/** Each count is that of the records before the positions of the splits, without those that were on their way. */
function countsOfPrefix({
  count,
  at,
  keyOf,
}: {
  count: number
  at: (index: number) => number
  keyOf: (record: number) => number
}) {
  return (checkpoint: CheckpointView): string | undefined => {
    const expected = new Map<number, number>()
    const add = (record: number, times: number): void => {
      expected.set(keyOf(record), (expected.get(keyOf(record)) ?? 0) + times)
    }
    for (const { split, position } of checkpoint.splits('generate-1')) {
      const { first, step } = split as { readonly first: number; readonly step: number }
      const end = Math.min(count, (position as number | undefined) ?? first)
      for (let index = first; index < end; index += step) add(at(index), 1)
    }
    for (const record of checkpoint.inFlight) add(record as number, -1)
    const counts = checkpoint.state('count-1', 'count')
    for (const [key, times] of expected) {
      const own = counts.get(key) ?? 0
      if (own !== times) return `key ${key} was counted ${own} times, and ${times} records of it lie before the positions`
    }
    return undefined
  }
}
