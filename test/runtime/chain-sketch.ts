import fc from 'fast-check'
import { filterOperator } from '../../operators/filter.ts'
import { flatMapOperator } from '../../operators/flat-map.ts'
import { mapOperator } from '../../operators/map.ts'
import type { RecordContext } from '../../operators/record-context.ts'
import { splitOperator } from '../../operators/split.ts'
import { timestampsOperator } from '../../operators/timestamps.ts'
import { isFaultOfRecord } from '../../src/core/bad-record.ts'
import { locateError } from '../../src/core/errors.ts'
import type { OperatorContext, Receiver, RecordCell } from '../../src/core/operator.ts'
import { NO_TIMESTAMP } from '../../src/core/time.ts'
import type { ChannelWriter } from '../../src/protocol/channel.ts'
import { Signals } from '../../src/protocol/signals.ts'
import { KeyingReceiver, TolerantReceiver, WriteTo } from '../../src/runtime/chain-receivers.ts'
import {
  BroadcastExchange,
  FanOut,
  ForwardExchange,
  HashExchange,
  NOWHERE,
  OutputChannel,
  RebalanceExchange,
} from '../../src/runtime/output.ts'
import type { LoopSurroundings } from '../../src/runtime/record-loop.ts'

/** A receiver and everything behind it, as plain data. */
export type ChainSketch =
  | { readonly verb: 'hash' | 'forward' | 'rebalance' | 'broadcast' | 'sink' | 'nowhere' | 'opaque' }
  | { readonly verb: 'map' | 'filter' | 'flatMap' | 'timestamps' | 'key'; readonly behind: ChainSketch }
  | { readonly verb: 'split' | 'fanOut'; readonly branches: readonly ChainSketch[] }

/** What a function of the job does at a call, beside what it is for. */
export type Incident = 'throw' | 'promise' | 'full' | 'behind' | 'urgent' | 'null'

export const chainSketch: fc.Arbitrary<ChainSketch> = fc.letrec<{ chain: ChainSketch }>((tie) => ({
  chain: fc.oneof(
    { maxDepth: 7, depthSize: 'max' },
    fc.record({
      verb: fc.constantFrom('hash', 'forward', 'rebalance', 'broadcast', 'sink', 'nowhere', 'opaque'),
    }) as fc.Arbitrary<ChainSketch>,
    {
      weight: 6,
      arbitrary: fc.record({
        verb: fc.constantFrom('map', 'filter', 'flatMap', 'timestamps', 'key'),
        behind: tie('chain'),
      }) as fc.Arbitrary<ChainSketch>,
    },
    {
      weight: 1,
      arbitrary: fc.record({
        verb: fc.constantFrom('split', 'fanOut'),
        branches: fc.array(tie('chain'), { minLength: 1, maxLength: 3 }),
      }) as fc.Arbitrary<ChainSketch>,
    },
  ),
})).chain

/** A chain built from its sketch, out of the engine's own parts, that notes every call of a function of the job and everything that leaves it. */
export class TracedChain {
  readonly trace: unknown[] = []
  readonly surroundings: LoopSurroundings
  readonly head: Receiver
  readonly #incidents: ReadonlyMap<number, Incident>
  readonly #isTolerant: boolean
  readonly #cell: RecordCell = { timestamp: NO_TIMESTAMP, split: -1 }
  readonly #counters: { records: number }[] = []
  #calls = 0
  #operators = 0

  /** @param isTolerant bad records are passed over */
  constructor(sketch: ChainSketch, incidents: ReadonlyMap<number, Incident>, isTolerant = false) {
    this.#incidents = incidents
    this.#isTolerant = isTolerant
    this.surroundings = { cell: this.#cell, backpressure: { full: false, behind: false }, signals: new Signals(1) }
    this.head = this.#build(sketch)
  }

  /** Records that its sinks have counted. */
  get written(): readonly number[] {
    return this.#counters.map(({ records }) => records)
  }

  #build(sketch: ChainSketch): Receiver {
    const id = `${sketch.verb}-${this.#operators++}`
    const receiver = this.#make(id, sketch)
    if (!this.#isTolerant || sketch.verb === 'sink' || sketch.verb === 'fanOut') return receiver
    return new TolerantReceiver(receiver, this.#cell, (value, error) => {
      if (!isFaultOfRecord(error, id)) throw error
      this.trace.push([id, 'passed over', value, error.message, this.#cell.timestamp])
    })
  }

  #make(id: string, sketch: ChainSketch): Receiver {
    switch (sketch.verb) {
      case 'map':
        return mapOperator((value, record) => this.#call(id, value, record, Number(value) + 1))(this.#context(id, sketch.behind))
      case 'filter':
        return filterOperator((value, record) => this.#call(id, value, record, Number(value) % 3))(
          this.#context(id, sketch.behind),
        )
      case 'flatMap':
        return flatMapOperator((value, record) => this.#several(id, value, record))(this.#context(id, sketch.behind))
      case 'timestamps': {
        const create = timestampsOperator((value, record) => this.#call(id, value, record, Number(value) + 0.5) as number, {
          maxOutOfOrderness: 2,
        })
        return create(this.#context(id, sketch.behind))
      }
      case 'key': {
        const context = this.#context(id, sketch.behind)
        const setKey = (key: unknown) => void this.trace.push([id, 'key', key])
        const keys = { setKey, prepareKeys: (_: readonly unknown[], from: number) => from, useKey: unused }
        return new KeyingReceiver(keys, (value) => this.#call(id, value, undefined, value), context.output, context)
      }
      case 'split': {
        const [rest, ...others] = sketch.branches.map((branch) => this.#build(branch))
        const names = others.map((_, place) => `branch${place}`)
        const branches = names.map((name, place) => [
          name,
          (value: unknown, record: RecordContext) =>
            this.#call(`${id}.${name}`, value, record, Number(value) % (place + 2) === 0),
        ])
        const context = this.#contextOf(id, rest!, new Map(names.map((name, place) => [`side:${name}`, others[place]!])))
        return splitOperator(Object.fromEntries(branches) as never)(context)
      }
      case 'fanOut':
        return new FanOut(sketch.branches.map((branch) => this.#build(branch)))
      case 'sink': {
        const link = { records: 0, failure: (error: unknown) => locateError(error, { operator: id, subtask: 0 }) }
        this.#counters.push(link)
        const write = (value: unknown): void => void this.#call(id, value, undefined, undefined)
        return new WriteTo({ write, prepareCommit: () => [], close: () => undefined }, link)
      }
      case 'nowhere':
        return NOWHERE
      case 'opaque':
        return { onRecord: (value) => void this.#call(id, value, undefined, undefined) }
      case 'hash': {
        const failure = (error: unknown) => locateError(error, { operator: id, subtask: 0 })
        const keyOf = (value: unknown): unknown => this.#call(id, value, undefined, value)
        return new HashExchange(this.#channels(id, 3), this.#cell, { keyOf, failure }, 128)
      }
      case 'forward':
        return new ForwardExchange(this.#channels(id, 1), this.#cell)
      case 'rebalance':
        return new RebalanceExchange(this.#channels(id, 2), this.#cell)
      case 'broadcast':
        return new BroadcastExchange(this.#channels(id, 2), this.#cell)
    }
  }

  /** What a function of the job returns for a record, after everything else that it does. */
  #call(id: string, value: unknown, record: RecordContext | undefined, result: unknown): unknown {
    const incident = this.#incidents.get(this.#calls++)
    this.trace.push([id, value, this.#cell.timestamp, record?.timestamp, incident])
    if (incident === 'throw') throw new TypeError(`${id} has failed`)
    if (incident === 'promise') return Promise.resolve(result)
    if (incident === 'null') return null
    if (incident === 'full') this.surroundings.backpressure.full = true
    if (incident === 'behind') this.surroundings.backpressure.behind = true
    if (incident === 'urgent') this.surroundings.signals.urgent++
    return result
  }

  /** An array, or for every other record a generator that may fail between two results. */
  #several(id: string, value: unknown, record: RecordContext): Iterable<unknown> {
    const count = Number(value) % 4
    const results = Array.from({ length: count }, (_, place) => Number(value) * 2 + place)
    const returned = this.#call(id, value, record, results) as Iterable<unknown>
    const one = (result: unknown): unknown => this.#call(`${id}.next`, result, record, result)
    return returned === results && Number(value) % 2 === 0 ? results.values().map(one) : returned
  }

  #context(id: string, behind: ChainSketch): OperatorContext {
    return this.#contextOf(id, this.#build(behind), new Map())
  }

  #contextOf(operatorId: string, output: Receiver, sides: ReadonlyMap<string, Receiver>): OperatorContext {
    const trace = this.trace
    return {
      operatorId,
      subtask: 0,
      parallelism: 1,
      clock: { now: () => 0 },
      cell: this.#cell,
      output,
      side: (tag) => sides.get(tag)!,
      keyed: undefined,
      timed: false,
      watermark: 7,
      emitWatermark: (watermark) => void trace.push([operatorId, 'watermark', watermark]),
      emitIdle: (idle) => void trace.push([operatorId, 'idle', idle]),
      hasRoom: true,
      hold: () => undefined,
      wake: () => undefined,
      late: () => undefined,
      failure: (error) => locateError(error, { operator: operatorId, subtask: 0 }),
      passesOverBadRecords: false,
      refuse: (_, error) => {
        throw locateError(error, { operator: operatorId, subtask: 0 })
      },
    }
  }

  #channels(id: string, count: number): OutputChannel[] {
    return Array.from({ length: count }, (_, place) => {
      const writer: ChannelWriter = {
        write: (element) => void this.#call(`${id}.${place}`, element, undefined, undefined),
        full: false,
        waiting: 0,
        batchRecords: 2,
        flush: () => true,
      }
      return new OutputChannel(writer, this.surroundings.backpressure, (error) =>
        locateError(error, { operator: id, subtask: place }),
      )
    })
  }
}

function unused(): never {
  throw new Error('no key was prepared')
}
