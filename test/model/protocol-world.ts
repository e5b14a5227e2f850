import type { AlignmentMode } from '../../src/checkpoint/barrier-aligner.ts'
import { BarrierAligner } from '../../src/checkpoint/barrier-aligner.ts'
import type { CoordinatorCommand } from '../../src/checkpoint/checkpoint-coordinator.ts'
import { CheckpointCoordinator } from '../../src/checkpoint/checkpoint-coordinator.ts'
import { CommitLedger } from '../../src/checkpoint/commit-ledger.ts'
import type { StoredCommittable } from '../../src/checkpoint/manifest.ts'
import { Replayed } from './replayed.ts'

/*
 * The checkpoint protocol in the small, for looking at everything that can happen: sources that send numbered records to tasks, tasks that count
 * them and send the count to one sink, and the main thread. Coordinator, aligners and ledger are the engine's own; around them is what the
 * engine's threads, channels and store do with them, one indivisible step at a time. Which step comes next is up to the explorer.
 *
 * Where only one order of steps can be told from another, one of them is enough: a step that nothing else can take away, that changes nothing
 * durable and whose effect is the same whenever it comes is taken at once. With timeouts there are hardly any such steps, and none is taken so.
 *
 * What is checked in every state: no record is visible twice, no count of a task is, and nothing is visible that no durable manifest holds. At the
 * end everything is visible, and no other state is without a next step.
 */
export interface WorldSize {
  readonly sources: number
  readonly tasks: number
  readonly recordsPerSource: number
  /** Periodic checkpoints, beside the final one. */
  readonly checkpoints: number
  readonly crashes: number
  /** Checkpoints that are given up because their time is over. */
  readonly timeouts: number
  /** Default: `exactly-once`. */
  readonly alignment?: AlignmentMode
}

type Element = { readonly record: string; readonly count: number } | { readonly barrier: number } | 'end'

/** What the main thread says to a subtask. */
type Order = { readonly trigger: number } | { readonly abort: number }

/** What a subtask says to the main thread. */
type Report = { readonly acknowledge: number; readonly share: Share } | 'ended'

/** A subtask's share of a checkpoint: how far a source has read, what a task has counted, what the sink has staged. */
type Share = { readonly position: number } | { readonly counted: readonly string[] } | { readonly staged: readonly string[] }

interface Manifest {
  readonly checkpoint: number
  readonly shares: Readonly<Record<string, Share>>
  readonly committables: readonly StoredCommittable[]
}

interface Subtask {
  readonly orders: readonly Order[]
  readonly reports: readonly Report[]
  readonly position: number
  readonly counted: readonly string[]
  readonly staged: readonly string[]
  readonly aligner: Replayed<BarrierAligner>
  readonly ends: number
  readonly ended: boolean
}

/** Everything that a crash takes away. */
interface Volatile {
  readonly subtasks: Readonly<Record<string, Subtask>>
  readonly channels: Readonly<Record<string, readonly Element[]>>
  readonly coordinator: Replayed<CheckpointCoordinator>
  readonly ledger: Replayed<CommitLedger>
  readonly shares: Readonly<Record<number, Readonly<Record<string, Share>>>>
  readonly running: number
  readonly nowMs: number
  readonly lastCheckpoint: number
  /** Committed at the target, and not noted in the ledger. */
  readonly unnoted: boolean
  readonly finished: boolean
}

/** Everything that it does not. */
interface Durable {
  readonly manifest: Manifest
  readonly usedCheckpoint: number
  readonly visible: readonly string[]
  /** Committables whose records are visible. */
  readonly committed: readonly string[]
  readonly crashes: number
  readonly timeouts: number
  readonly triggered: number
}

const INTERVAL_MS = 10
const TIMEOUT_MS = 1_000

/** Something that can happen. */
export interface Step {
  readonly name: string
  readonly next: () => ProtocolWorld
}

export class ProtocolWorld {
  readonly #size: WorldSize
  readonly #volatile: Volatile
  readonly #durable: Durable

  private constructor(size: WorldSize, durable: Durable, volatile: Volatile) {
    this.#size = size
    this.#durable = durable
    this.#volatile = volatile
  }

  static begin(size: WorldSize): ProtocolWorld {
    const shares: Record<string, Share> = {}
    for (let source = 0; source < size.sources; source++) shares[`source-${source}`] = { position: 0 }
    const manifest = { checkpoint: 0, shares, committables: [] }
    const durable = { manifest, usedCheckpoint: 0, visible: [], committed: [], crashes: 0, timeouts: 0, triggered: 0 }
    return new ProtocolWorld(size, durable, restored(size, durable))
  }

  /** The same for worlds from which the same can happen. */
  get key(): string {
    const { coordinator, ledger, subtasks, ...volatile } = this.#volatile
    const described = Object.entries(subtasks).map(([name, { aligner, ...subtask }]) => [name, subtask, held(aligner.now)])
    const flights = coordinator.now.inFlight.map(({ checkpoint, missing, final }) => [checkpoint, missing, final])
    const listed = ledger.now.listedBy(Number.POSITIVE_INFINITY).map(nameOf)
    const due = ledger.now.due().flatMap(({ committables }) => committables.map(nameOf))
    return JSON.stringify([described, flights, listed, due, { ...volatile, nowMs: 0 }, this.#durable])
  }

  get isOver(): boolean {
    return this.#volatile.finished && !this.#volatile.unnoted && this.#volatile.ledger.now.due().length === 0
  }

  /** What is wrong here, if anything is. */
  get violation(): string | undefined {
    const { visible, committed, manifest } = this.#durable
    const records = visible.map((each) => each.split('=')[0]!)
    if (new Set(records).size !== records.length) return `a record is visible twice: ${visible.join(' ')}`
    const counts = visible.map((each) => `${taskOfRecord(each.split('=')[0]!, this.#size)}:${each.split('=')[1]}`)
    if (new Set(counts).size !== counts.length)
      return `a task has counted from a state that it did not have: ${visible.join(' ')}`
    const early = committed.find((id) => Number(id.split('@')[1]) > manifest.checkpoint)
    if (early !== undefined) return `${early} is visible, and the newest durable checkpoint is ${manifest.checkpoint}`
    const all = this.#size.sources * this.#size.recordsPerSource
    if (this.isOver && visible.length !== all) return `the job has finished, and ${all - visible.length} records are not visible`
    return undefined
  }

  /** Everything that can happen now, of steps that come to the same one. */
  steps(): readonly Step[] {
    if (this.isOver) return []
    const forced = this.#size.timeouts === 0 ? this.#forcedStep() : undefined
    if (forced !== undefined) return [forced]
    const steps = [...this.#subtaskSteps(), ...this.#mainSteps()]
    if (this.#durable.crashes < this.#size.crashes) steps.push({ name: 'crash', next: () => this.#crash() })
    return steps
  }

  #forcedStep(): Step | undefined {
    for (const [name, subtask] of Object.entries(this.#volatile.subtasks)) {
      // An acknowledgement, or an end, that is not the last one missing is only counted.
      const [report] = subtask.reports
      const last =
        report === 'ended' ? this.#volatile.running === 1 : this.#volatile.coordinator.now.pending?.missing.length === 1
      if (report !== undefined && !last) return { name: `main hears ${name}`, next: () => this.#hearReport(name) }
      if (name.startsWith('source')) continue
      for (const [channel, from] of this.#inputsOf(name).entries()) {
        const [element] = this.#volatile.channels[`${from}>${name}`]!
        if (element === undefined || subtask.aligner.now.isHeld(channel)) continue
        // The sink does not mind in which order records come, and a barrier or an end at the head of a channel only waits for the others.
        if (name === 'sink' || typeof element === 'string' || 'barrier' in element) {
          return { name: `${name} takes from ${from}`, next: () => this.#take(name, from, channel) }
        }
      }
    }
    return undefined
  }

  // The subtasks

  #subtaskSteps(): Step[] {
    const steps: Step[] = []
    for (const [name, subtask] of Object.entries(this.#volatile.subtasks)) {
      if (subtask.orders.length > 0) steps.push({ name: `${name} hears`, next: () => this.#hear(name) })
      if (name.startsWith('source')) {
        if (!subtask.ended) steps.push({ name: `${name} reads`, next: () => this.#read(name) })
        continue
      }
      this.#inputsOf(name).forEach((from, channel) => {
        if (this.#volatile.channels[`${from}>${name}`]!.length === 0 || subtask.aligner.now.isHeld(channel)) return
        steps.push({ name: `${name} takes from ${from}`, next: () => this.#take(name, from, channel) })
      })
    }
    return steps
  }

  #inputsOf(name: string): readonly string[] {
    const [count, kind] = name === 'sink' ? [this.#size.tasks, 'task'] : [this.#size.sources, 'source']
    return Array.from({ length: count }, (_, index) => `${kind}-${index}`)
  }

  #outputsOf(name: string): readonly string[] {
    if (name === 'sink') return []
    return name.startsWith('task') ? ['sink'] : Array.from({ length: this.#size.tasks }, (_, index) => `task-${index}`)
  }

  #read(name: string): ProtocolWorld {
    const subtask = this.#volatile.subtasks[name]!
    if (subtask.position === this.#size.recordsPerSource) return this.#end(name)
    const record = `${name.slice('source-'.length)}.${subtask.position}`
    const read = this.#with(name, { position: subtask.position + 1 })
    return read.#send(name, `task-${taskOfRecord(record, this.#size)}`, { record, count: 0 })
  }

  #end(name: string): ProtocolWorld {
    let next = this.#with(name, { ended: true }).#report(name, 'ended')
    for (const to of this.#outputsOf(name)) next = next.#send(name, to, 'end')
    return next
  }

  #hear(name: string): ProtocolWorld {
    const [order, ...orders] = this.#volatile.subtasks[name]!.orders
    const heard = this.#with(name, { orders })
    if ('abort' in order!) return heard.#align(name, (aligner) => aligner.onAbort(order.abort)).world
    return name.startsWith('source') && order!.trigger > this.#volatile.lastCheckpoint
      ? heard.#snapshot(name, order!.trigger)
      : heard
  }

  #take(name: string, from: string, channel: number): ProtocolWorld {
    const [element, ...rest] = this.#volatile.channels[`${from}>${name}`]!
    const taken = this.#copy({ channels: { ...this.#volatile.channels, [`${from}>${name}`]: rest } })
    const subtask = this.#volatile.subtasks[name]!
    if (element === 'end') {
      const ends = subtask.ends + 1
      const counted = taken.#with(name, { ends })
      return ends === this.#inputsOf(name).length ? counted.#end(name) : counted
    }
    if ('barrier' in element!) {
      const { world, result } = taken.#align(name, (aligner) => aligner.onBarrier(channel, element.barrier))
      return result === true ? world.#snapshot(name, element.barrier) : world
    }
    if (name === 'sink') return taken.#with(name, { staged: [...subtask.staged, `${element!.record}=${element!.count}`].sort() })
    const counted = [...subtask.counted, element!.record]
    return taken.#with(name, { counted }).#send(name, 'sink', { record: element!.record, count: counted.length })
  }

  /** Cut, barrier and snapshot in one step. */
  #snapshot(name: string, checkpoint: number): ProtocolWorld {
    const { position, counted, staged } = this.#volatile.subtasks[name]!
    const share: Share = name === 'sink' ? { staged } : name.startsWith('source') ? { position } : { counted }
    let next = this.#with(name, { staged: [] }).#report(name, { acknowledge: checkpoint, share })
    for (const to of this.#outputsOf(name)) next = next.#send(name, to, { barrier: checkpoint })
    return next
  }

  // The main thread

  #mainSteps(): Step[] {
    const { coordinator, subtasks, ledger, unnoted } = this.#volatile
    const { triggered, timeouts } = this.#durable
    const steps: Step[] = []
    for (const [name, { reports }] of Object.entries(subtasks)) {
      if (reports.length === 0) continue
      steps.push({ name: `main hears ${name}`, next: () => this.#hearReport(name) })
    }
    const pending = coordinator.now.pending !== undefined
    const isDue = coordinator.now.deadlineMs < Number.POSITIVE_INFINITY && !pending && triggered < this.#size.checkpoints
    if (isDue) steps.push({ name: 'main triggers', next: () => this.#tick(coordinator.now.deadlineMs) })
    if (pending && timeouts < this.#size.timeouts) steps.push({ name: 'time is over', next: () => this.#expire() })
    if (!unnoted && ledger.now.due().length > 0) steps.push({ name: 'the target commits', next: () => this.#commit() })
    if (unnoted) steps.push({ name: 'main notes the commit', next: () => this.#noteCommit() })
    return steps
  }

  #tick(nowMs: number): ProtocolWorld {
    const triggered = this.#copy({ nowMs }, { triggered: this.#durable.triggered + 1 })
    return triggered.#coordinate((coordinator) => coordinator.onTick(nowMs))
  }

  #expire(): ProtocolWorld {
    const nowMs = this.#volatile.nowMs + TIMEOUT_MS
    const over = this.#copy({ nowMs }, { timeouts: this.#durable.timeouts + 1 })
    return over.#coordinate((coordinator) => coordinator.onTick(nowMs))
  }

  #hearReport(name: string): ProtocolWorld {
    const [report, ...reports] = this.#volatile.subtasks[name]!.reports
    const heard = this.#with(name, { reports })
    const { nowMs, running } = this.#volatile
    if (report === 'ended') {
      const ended = heard.#copy({ running: running - 1 })
      return running > 1 ? ended : ended.#coordinate((coordinator) => coordinator.onEnding(nowMs))
    }
    const { acknowledge: checkpoint, share } = report!
    const committables = 'staged' in share && share.staged.length > 0 ? [Buffer.from(share.staged.join(' '))] : []
    const shares = { ...this.#volatile.shares, [checkpoint]: { ...this.#volatile.shares[checkpoint], [name]: share } }
    const prepared =
      name === 'sink' && checkpoint > heard.#durable.manifest.checkpoint
        ? heard.#books((ledger) => ledger.onPrepared('sink', 0, checkpoint, committables))
        : heard
    return prepared.#copy({ shares }).#coordinate((coordinator) => coordinator.onAcknowledge(checkpoint, `${name}/0`, nowMs))
  }

  #coordinate(call: (coordinator: CheckpointCoordinator) => readonly CoordinatorCommand[]): ProtocolWorld {
    const { next: coordinator, result } = this.#volatile.coordinator.call(call)
    let next = this.#copy({ coordinator })
    for (const command of result) next = next.#obey(command)
    return next
  }

  #obey(command: CoordinatorCommand): ProtocolWorld {
    switch (command.type) {
      case 'trigger': {
        const usedCheckpoint = Math.max(this.#durable.usedCheckpoint, command.checkpoint)
        return this.#copy({}, { usedCheckpoint }).#order({ trigger: command.checkpoint })
      }
      case 'abort':
        return this.#order({ abort: command.checkpoint })
      case 'store':
        return this.#store(command.checkpoint)
      case 'finished':
        return this.#copy({ finished: true })
      default:
        throw new Error(`the coordinator says ${command.type}`)
    }
  }

  #store(checkpoint: number): ProtocolWorld {
    const { shares, ledger, nowMs } = this.#volatile
    const manifest = { checkpoint, shares: shares[checkpoint]!, committables: ledger.now.listedBy(checkpoint) }
    return this.#copy({}, { manifest })
      .#books((book) => book.onCompleted(checkpoint))
      .#coordinate((coordinator) => coordinator.onStored(checkpoint, nowMs))
  }

  #commit(): ProtocolWorld {
    let next = this.#copy({ unnoted: true })
    for (const committable of this.#volatile.ledger.now.due().flatMap(({ committables }) => committables)) {
      const { visible, committed } = next.#durable
      if (committed.includes(nameOf(committable))) continue
      const records = Buffer.from(committable.bytes).toString().split(' ')
      next = next.#copy({}, { visible: [...visible, ...records], committed: [...committed, nameOf(committable)] })
    }
    return next
  }

  #noteCommit(): ProtocolWorld {
    const noted = this.#copy({ unnoted: false })
    return noted.#books((ledger) => {
      // What became due meanwhile has not been committed.
      for (const due of ledger.due()) {
        const committables = due.committables.filter((each) => this.#durable.committed.includes(nameOf(each)))
        ledger.onCommitted({ ...due, committables })
      }
    })
  }

  #crash(): ProtocolWorld {
    const durable = { ...this.#durable, crashes: this.#durable.crashes + 1 }
    return new ProtocolWorld(this.#size, durable, restored(this.#size, durable))
  }

  // Changes

  #copy(volatile: Partial<Volatile>, durable: Partial<Durable> = {}): ProtocolWorld {
    return new ProtocolWorld(this.#size, { ...this.#durable, ...durable }, { ...this.#volatile, ...volatile })
  }

  #with(name: string, change: Partial<Subtask>): ProtocolWorld {
    const { subtasks } = this.#volatile
    return this.#copy({ subtasks: { ...subtasks, [name]: { ...subtasks[name]!, ...change } } })
  }

  #align<R>(name: string, call: (aligner: BarrierAligner) => R): { readonly world: ProtocolWorld; readonly result: R } {
    const { next, result } = this.#volatile.subtasks[name]!.aligner.call(call)
    return { world: this.#with(name, { aligner: next }), result }
  }

  #books(call: (ledger: CommitLedger) => void): ProtocolWorld {
    return this.#copy({ ledger: this.#volatile.ledger.call(call).next })
  }

  #send(from: string, to: string, element: Element): ProtocolWorld {
    const channel = `${from}>${to}`
    return this.#copy({ channels: { ...this.#volatile.channels, [channel]: [...this.#volatile.channels[channel]!, element] } })
  }

  #report(name: string, report: Report): ProtocolWorld {
    return this.#with(name, { reports: [...this.#volatile.subtasks[name]!.reports, report] })
  }

  #order(order: Order): ProtocolWorld {
    let next: ProtocolWorld = this
    for (const name of Object.keys(this.#volatile.subtasks)) {
      if ('trigger' in order && !name.startsWith('source')) continue
      next = next.#with(name, { orders: [...next.#volatile.subtasks[name]!.orders, order] })
    }
    return next
  }
}

/** A job that begins with the newest durable manifest. */
function restored(size: WorldSize, { manifest, usedCheckpoint }: Durable): Volatile {
  const names = [
    ...Array.from({ length: size.sources }, (_, index) => `source-${index}`),
    ...Array.from({ length: size.tasks }, (_, index) => `task-${index}`),
    'sink',
  ]
  const inputs = (name: string): number => (name === 'sink' ? size.tasks : name.startsWith('task') ? size.sources : 0)
  const subtasks = names.map((name): [string, Subtask] => {
    const share = manifest.shares[name]
    return [
      name,
      {
        orders: [],
        reports: [],
        position: share !== undefined && 'position' in share ? share.position : 0,
        counted: share !== undefined && 'counted' in share ? share.counted : [],
        staged: [],
        aligner: new Replayed(() => new BarrierAligner(inputs(name), usedCheckpoint, size.alignment)),
        ends: 0,
        ended: false,
      },
    ]
  })
  const channels = names.flatMap((from) => names.map((to): [string, readonly Element[]] => [`${from}>${to}`, []]))
  const options = {
    intervalMs: INTERVAL_MS,
    timeoutMs: TIMEOUT_MS,
    minPauseMs: 0,
    tolerableFailures: 100,
    maxConcurrent: 1,
    alignmentTimeoutMs: Number.POSITIVE_INFINITY,
  }
  const subtaskNames = names.map((name) => `${name}/0`)
  return {
    subtasks: Object.fromEntries(subtasks),
    channels: Object.fromEntries(channels),
    coordinator: new Replayed(() => new CheckpointCoordinator(options, subtaskNames, usedCheckpoint, 0)),
    ledger: new Replayed(() => new CommitLedger(manifest.committables, manifest.checkpoint)),
    shares: {},
    running: names.length,
    nowMs: 0,
    lastCheckpoint: usedCheckpoint,
    unnoted: false,
    finished: false,
  }
}

/** Records go to tasks in turn. */
function taskOfRecord(record: string, { tasks }: WorldSize): number {
  const [source, number] = record.split('.').map(Number)
  return (source! + number!) % tasks
}

function held(aligner: BarrierAligner): readonly boolean[] {
  return [0, 1].map((channel) => aligner.isHeld(channel))
}

function nameOf({ subtask, checkpoint, bytes }: StoredCommittable): string {
  return `${subtask}:${Buffer.from(bytes).toString()}@${checkpoint}`
}
