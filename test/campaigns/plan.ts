import type { RunOptions } from '../../src/index.ts'
import { generator } from '../scenarios/ledger.ts'
import { ORDERED_WAYS, type Order, type OrderedKind, PLACES } from './ordered-fault.ts'

/*
 * What a campaign will do, drawn from its seed and from nothing that happens: each start of a round has numbers of its own, so what came before does not
 * change what comes after. When a fault meets the job is up to the machine.
 */

export const FAULT_KINDS = [
  'kill',
  'savepoint',
  'pause',
  'rival',
  'takeover',
  'throw',
  'exit',
  'loop',
  'memory',
  'disk',
  'damage',
] as const
export type FaultKind = (typeof FAULT_KINDS)[number]
export const BARRIER_MODES = ['aligned', 'unaligned', 'aligned-then-unaligned'] as const
export type BarrierMode = (typeof BARRIER_MODES)[number]

/** When: behind so many checkpoints of this start, and then so much later. */
export interface Moment {
  readonly checkpoints: number
  readonly delayMs: number
}

export type Fault = { readonly moment: Moment } & (
  | { readonly kind: 'kill' }
  /** Ctrl-C; a kill cuts it short after a while, or it comes to its end. */
  | { readonly kind: 'savepoint'; readonly cutShortMs?: number | undefined }
  | { readonly kind: 'pause'; readonly forMs: number }
  /** While it is halted the job is started once more, and refused. */
  | { readonly kind: 'rival'; readonly options: RunOptions }
  /** While it is halted one that cannot see it takes its state over; then the first goes on. */
  | { readonly kind: 'takeover'; readonly options: RunOptions; readonly goesOn: Moment }
  | { readonly kind: OrderedKind; readonly order: Order }
  /** The disk is full for a while; the process may be killed meanwhile. */
  | { readonly kind: 'disk'; readonly forMs: number; readonly killed: boolean }
)

/** One start of the job, and what happens to it. */
export interface Step {
  readonly options: RunOptions
  readonly faults: readonly Fault[]
  /** What is stored is damaged before the start: it is refused, and after the repair it goes on. */
  readonly damaged: boolean
  /** Goes on from the savepoint, if the start before has left one. */
  readonly fromSavepoint: boolean
}

export interface PlanSettings {
  readonly seed: number
  readonly kinds: readonly FaultKind[]
  /** The same at every start; otherwise drawn. */
  readonly barriers?: BarrierMode | undefined
  /** The round lies on a small disk of its own. */
  readonly onSmallDisk: boolean
}

const DAMAGED_SHARE = 0.2
/** Shorter than the longest pause: a process that was halted is not one that hangs. */
const WATCHDOG_MS = 3_000
const PAUSE_MS_MAX = 4_500
const ORDERED = Object.keys(ORDERED_WAYS) as OrderedKind[]

/** Start number `number` of a round, counted from 0. */
export function stepOf(settings: PlanSettings, number: number): Step {
  const draw = new Draw(settings.seed * 65_537 + number)
  const kinds = settings.kinds.filter((kind) => kind !== 'disk' || settings.onSmallDisk)
  const before = kinds.filter((kind) => !['kill', 'savepoint', 'damage'].includes(kind))
  const count = before.length === 0 ? 0 : draw.of([0, 0, 1, 1, 2])
  const faults = Array.from({ length: count }, () => faultOf(draw, settings, draw.of(before)))
  const last = faultOf(draw, settings, kinds.includes('savepoint') && draw.chance(0.15) ? 'savepoint' : 'kill')
  const limited = (options: RunOptions): RunOptions => ({ ...options, ...limitsOf(options, faults) })
  const drawn = {
    options: limited(optionsOf(draw, settings)),
    // Whoever takes the job over in between meets the faults behind that.
    faults: [...faults.map((fault) => ('options' in fault ? { ...fault, options: limited(fault.options) } : fault)), last],
    damaged: draw.chance(DAMAGED_SHARE) && number > 0 && kinds.includes('damage'),
    fromSavepoint: draw.chance(0.5),
  }
  return number === 0 ? behindACheckpoint(drawn) : drawn
}

/** The first start comes to a checkpoint, whatever the machine: otherwise one that is quick may have nothing to go back to every time. */
function behindACheckpoint(step: Step): Step {
  const [first, ...others] = step.faults
  const moment = { checkpoints: 1, delayMs: first!.moment.delayMs % 100 }
  return { ...step, faults: [{ ...first!, moment }, ...others] }
}

/** What the process needs for its faults. Where everything runs in one thread, no other is there to see that it hangs. */
function limitsOf({ workers }: RunOptions, faults: readonly Fault[]): RunOptions {
  const ordered = faults.some(({ kind }) => kind === 'exit' || kind === 'loop' || kind === 'memory')
  const watched = faults.some(({ kind }) => kind === 'loop' || kind === 'pause')
  return { workers: ordered ? Math.max(1, workers ?? 1) : (workers ?? 1), ...(watched ? { watchdog: WATCHDOG_MS } : {}) }
}

function faultOf(draw: Draw, settings: PlanSettings, kind: FaultKind): Fault {
  const moment = momentOf(draw)
  if (kind === 'savepoint') return { kind, moment, cutShortMs: draw.chance(0.4) ? draw.below(300) : undefined }
  if (kind === 'pause') return { kind, moment, forMs: draw.chance(0.25) ? PAUSE_MS_MAX : draw.below(1_500) }
  if (kind === 'rival') return { kind, moment, options: optionsOf(draw, settings) }
  if (kind === 'takeover') return { kind, moment, options: optionsOf(draw, settings), goesOn: momentOf(draw) }
  if (kind === 'disk') return { kind, moment, forMs: 200 + draw.below(2_000), killed: draw.chance(0.4) }
  const ordered = ORDERED.find((each) => each === kind)
  if (ordered === undefined) return { kind: 'kill', moment }
  return { kind: ordered, moment, order: { place: draw.of(PLACES), way: draw.of(ORDERED_WAYS[ordered]) } }
}

/** At the beginning, in the midst of it, or just behind a checkpoint, when it is committed and folded. */
function momentOf(draw: Draw): Moment {
  const share = draw.chance(0.45) ? 'early' : draw.chance(0.4) ? 'late' : 'checkpoint'
  if (share === 'early') return { checkpoints: 0, delayMs: 20 + draw.below(600) }
  if (share === 'late') return { checkpoints: 0, delayMs: 300 + draw.below(2_500) }
  return { checkpoints: draw.of([1, 1, 2, 3, 5]), delayMs: draw.chance(0.7) ? draw.below(25) : 0 }
}

function optionsOf(draw: Draw, { barriers }: PlanSettings): RunOptions {
  const mode = barriers ?? draw.of(BARRIER_MODES)
  const minPause = draw.of([0, 0, 15])
  return {
    parallelism: draw.of([1, 2, 3]),
    workers: draw.of([0, 1, 1, 2, 2, 2]),
    checkpoint: {
      every: 20 + draw.below(180),
      mode,
      retain: draw.of([1, 2, 3]),
      minPause,
      ...(mode === 'aligned' && minPause === 0 ? { maxConcurrent: draw.of([1, 2, 3]) } : {}),
      ...(mode === 'aligned-then-unaligned' ? { alignmentTimeout: 20 } : {}),
    },
    ...(draw.chance(0.5) ? { stateMemory: '32kb' } : {}),
  }
}

/** Chance from a seed. */
class Draw {
  readonly #random: () => number

  constructor(seed: number) {
    this.#random = generator(seed)
  }

  of<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.#random() * choices.length)]!
  }

  chance(share: number): boolean {
    return this.#random() < share
  }

  below(limit: number): number {
    return Math.floor(this.#random() * limit)
  }
}
