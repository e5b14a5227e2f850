import type { BadRecordSettings } from '../core/bad-record.ts'
import { BAD_RECORDS } from '../core/bad-record.ts'
import { SluiceError } from '../core/errors.ts'
import type { Json } from '../core/json.ts'
import { shown } from '../core/shown.ts'
import type { Sink } from '../core/sink.ts'
import type { Source } from '../core/source.ts'
import type { GraphInput, GraphNode, InputSide, NodeBody, PartitioningKind, StreamGraph } from '../graph/stream-graph.ts'
import { MAIN_OUTPUT } from '../graph/stream-graph.ts'

/** An output of a node, as a stream handle holds it. */
export interface OutputReference {
  readonly node: number
  readonly output: string
  /** How its readers are to get the records, when the stream says so itself. */
  readonly partitioning?: 'rebalance' | 'broadcast'
}

/** One side of an operator: what it reads, and by which key. */
export interface DraftInput {
  readonly outputs: readonly OutputReference[]
  readonly side?: InputSide
  readonly keyOf?: ((value: unknown) => unknown) | undefined
}

/** What a verb says about the node it adds. */
export interface NodeDraft {
  readonly kind: string
  readonly body: NodeBody
  readonly settings?: Json
  readonly sides?: readonly string[]
  readonly assignsTimestamps?: boolean
  readonly dropsTimestamps?: boolean
  readonly needsTimestamps?: boolean
  readonly alignmentGroup?: string
}

/** Collects the nodes of a job in the order in which the program makes them. All streams of a job share one. */
export class GraphBuilder {
  readonly #job: string
  readonly #nodes: GraphNode[] = []

  constructor(job: string) {
    this.#job = job
  }

  addSource(source: Source<unknown>): OutputReference {
    checkMembers('from', 'a source', source, ['enumerate', 'open'])
    const settings = asJson(source.settings)
    return this.add({ kind: kebab(source.kind), body: { type: 'source', source }, settings }, [])
  }

  addSink(sink: Sink<unknown>, inputs: readonly OutputReference[]): void {
    checkMembers('to', 'a sink', sink, ['createWriter', 'createCommitter'])
    this.add({ kind: kebab(sink.kind), body: { type: 'sink', sink }, settings: asJson(sink.settings) }, [{ outputs: inputs }])
  }

  add(draft: NodeDraft, inputs: readonly DraftInput[]): OutputReference {
    const index = this.#nodes.length
    this.#nodes.push({ ...draft, settings: draft.settings ?? null, index, inputs: inputs.flatMap(graphInputs) })
    return { node: index, output: MAIN_OUTPUT }
  }

  name(node: number, name: string): void {
    if (typeof name !== 'string' || !/^[\w.:-]{1,128}$/.test(name)) {
      throw new SluiceError('INVALID_OPTION', `${shown(name)} is not a name for an operator`, {
        hint: "use letters, digits and '-_.:'",
      })
    }
    this.#nodes[node]!.name = name
  }

  parallelism(node: number, parallelism: number): void {
    if (!Number.isInteger(parallelism) || parallelism < 1 || parallelism > 32_768) {
      throw new SluiceError('INVALID_OPTION', `withParallelism takes a whole number of 1 or more, not ${shown(parallelism)}`)
    }
    this.#nodes[node]!.parallelism = parallelism
  }

  graph(badRecords: BadRecordSettings = { onBadRecord: 'fail' }): StreamGraph {
    const { onBadRecord } = badRecords
    const graph = { job: this.#job, nodes: [...this.#nodes], onBadRecord }
    if (onBadRecord === 'dead-letter') graph.nodes.push(deadLetters(badRecords.deadLetterSink as Sink<unknown>, this.#nodes))
    return graph
  }
}

/** The last node, and by a name of its own: so the ids of all others are those that they have without it. */
function deadLetters(sink: Sink<unknown>, nodes: readonly GraphNode[]): GraphNode {
  const senders = nodes.filter(({ body }) => body.type !== 'sink')
  return {
    index: nodes.length,
    kind: kebab(sink.kind),
    name: 'dead-letters',
    body: { type: 'sink', sink },
    settings: asJson(sink.settings),
    inputs: senders.map(({ index }) => ({ node: index, output: BAD_RECORDS, partitioning: 'forward' })),
  }
}

/** Refuses what is no source or sink when the job is built, and not with what it lacks. @throws SluiceError `INVALID_OPTION` */
function checkMembers(verb: string, what: string, given: object, functions: readonly string[]): void {
  const members = given as Readonly<Record<string, unknown>> | null | undefined
  const missing = functions.find((name) => typeof members?.[name] !== 'function')
  if (missing === undefined && typeof members?.['kind'] === 'string') return
  const lack = typeof members === 'object' && members !== null ? `${what} without ${missing ?? 'kind'}` : shown(given)
  throw new SluiceError('INVALID_OPTION', `${verb}() takes ${what}, not ${lack}`, {
    hint: `one of your own is an object of { kind: "its-name", ${functions.map((name) => `${name}(...) {...}`).join(', ')} }`,
  })
}

function graphInputs({ outputs, side, keyOf }: DraftInput): readonly GraphInput[] {
  return outputs.map((reference) => ({
    node: reference.node,
    output: reference.output,
    partitioning: partitioningOf(reference, keyOf !== undefined),
    ...(side === undefined ? {} : { side }),
    ...(keyOf === undefined ? {} : { keyOf }),
  }))
}

function partitioningOf({ partitioning }: OutputReference, keyed: boolean): PartitioningKind {
  if (!keyed) return partitioning ?? 'forward'
  if (partitioning !== 'broadcast') return 'hash'
  throw new SluiceError('INVALID_OPTION', 'keyBy sends each record to one subtask, broadcast to all of them', {
    hint: 'leave one of them out; rules that every subtask needs beside keyed records are joined with keyed.connect(rules.broadcast())',
  })
}

/** `readJsonLines` -> `read-json-lines`. */
function kebab(kind: string): string {
  return kind.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`).replace(/[^\w-]/g, '-')
}

/** Settings as they would come out of a plan that was written to a file. */
function asJson(settings: Readonly<Record<string, unknown>> | undefined): Json {
  return settings === undefined ? null : (JSON.parse(JSON.stringify(settings)) as Json)
}
