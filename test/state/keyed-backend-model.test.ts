import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { DeltaBook } from '../../src/checkpoint/delta-book.ts'
import type { StoredDelta } from '../../src/checkpoint/manifest.ts'
import { canonicalKey, compareKeys, keyGroupOf } from '../../src/core/key-groups.ts'
import type { Key, TableForm } from '../../src/core/keyed-state.ts'
import type { StateIdentity } from '../../src/state/delta-chunk.ts'
import { readDelta } from '../../src/state/delta-reader.ts'
import { keyFromBytes } from '../../src/state/key-bytes.ts'
import { KeyedBackend } from '../../src/state/keyed-backend.ts'
import { valueFromBytes } from '../../src/state/row-value.ts'
import { baseRows, MemoryOperatorBase } from '../../src/state/state-base.ts'
import { walked } from './backends.ts'

/*
 * Random lives of a keyed backend beside a model of plain maps: changes, barriers, snapshots that are written in pieces, checkpoints that fail,
 * folds that stop in the middle, evictions, crashes and restores with another number of subtasks. So that a few keys suffice, the clock
 * is asked at every row, and timers are read two at a time.
 */
vi.mock('../../src/state/epochs.ts', async (original) => ({
  ...(await original<typeof import('../../src/state/epochs.ts')>()),
  ROWS_PER_LOOK: 1,
  TIMERS_AT_ONCE: 2,
  TIMERS_PER_GROUP: 1,
  IMAGE_ROWS_MIN: 1,
  SCANNED_FROM: 2,
}))

const MAX_PARALLELISM = 4
/** In one group a tuple, in another a number beside text: these cannot be images. */
const KEYS: readonly Key[] = ['a', 'b', ['a', 1], '1', 'd', 2, 'e', 'f', 'g', 'h']
const TABLES = ['plain', 'formed', 'numbers', 'declared'] as const
const QUEUES = ['event', 'processing'] as const
type Queue = (typeof QUEUES)[number]

interface Cell {
  n: number
}

const FORM: TableForm<Cell> = {
  version: 3,
  stamps: undefined,
  store: ({ n }) => [n],
  restore: (stored) => ({ n: (stored as readonly number[])[0]! }),
}

const DECLARED: TableForm<number> = {
  version: 1,
  stamps: undefined,
  store: (n) => n,
  restore: (stored) => stored as number,
}

/** Values of the last two tables lie in them as they are, and their groups may be written and stored as images. */
function packed(name: string, n: number): Cell | number {
  return name === 'numbers' || name === 'declared' ? n : { n }
}

function numberIn(value: Cell | number | undefined): number | undefined {
  return typeof value === 'object' ? value.n : value
}

interface Entry {
  readonly key: Key
  readonly n: number
}

interface Waiting {
  readonly time: number
  readonly key: Key
}

/** What a subtask should hold: all of it in maps by canonical key. */
class Model {
  readonly tables: ReadonlyMap<string, Map<unknown, Entry>> = new Map(TABLES.map((name) => [name, new Map()]))
  readonly panes = new Map<number, Map<unknown, Entry>>()
  readonly timers: Readonly<Record<Queue, Map<string, Waiting>>> = { event: new Map(), processing: new Map() }

  /** What belongs to these groups, of all the models given. */
  static of(models: readonly Model[], first = 0, last = MAX_PARALLELISM - 1): Model {
    const copy = new Model()
    const isOwn = (key: Key): boolean => groupOf(key) >= first && groupOf(key) <= last
    for (const model of models) {
      for (const [name, entries] of model.tables) {
        for (const [canonical, entry] of entries) if (isOwn(entry.key)) copy.tables.get(name)!.set(canonical, entry)
      }
      for (const [window, entries] of model.panes) {
        for (const entry of entries.values()) if (isOwn(entry.key)) copy.setPane(window, entry.key, entry.n)
      }
      for (const queue of QUEUES) {
        for (const [id, timer] of model.timers[queue]) if (isOwn(timer.key)) copy.timers[queue].set(id, timer)
      }
    }
    return copy
  }

  setPane(window: number, key: Key, n: number): void {
    const entries = this.panes.get(window) ?? new Map<unknown, Entry>()
    this.panes.set(window, entries.set(canonicalKey(key), { key, n }))
  }

  due(queue: Queue, until = Number.POSITIVE_INFINITY): Waiting | undefined {
    const due = [...this.timers[queue].values()].filter(({ time }) => time <= until)
    return due.sort(
      (a, b) => a.time - b.time || groupOf(a.key) - groupOf(b.key) || compareKeys(canonicalKey(a.key), canonicalKey(b.key)),
    )[0]
  }

  /** Everything as rows of a base, in text. */
  rows(): readonly string[] {
    const rows: string[] = []
    for (const [name, entries] of this.tables) {
      for (const { key, n } of entries.values())
        rows.push(rowText('table', name, 0, key, name === 'formed' ? [n] : packed(name, n)))
    }
    for (const [window, entries] of this.panes) {
      for (const { key, n } of entries.values()) rows.push(rowText('pane', 'panes', window, key, { n }))
    }
    for (const queue of QUEUES) {
      for (const { key, time } of this.timers[queue].values()) rows.push(rowText(`${queue}-timer`, '', time, key, undefined))
    }
    return rows.sort()
  }
}

function groupOf(key: Key): number {
  return keyGroupOf(key, MAX_PARALLELISM)
}

function nameOf(key: unknown): string {
  return `${typeof key} ${String(canonicalKey(key))}`
}

function timerId(time: number, key: Key): string {
  return `${time} ${nameOf(key)}`
}

function rowText(kind: string, name: string, namespace: number, key: unknown, value: unknown): string {
  return `${kind} ${name} ${namespace} ${nameOf(key)} = ${JSON.stringify(value)}`
}

function rowsOf(base: MemoryOperatorBase): readonly string[] {
  const rows: string[] = []
  for (const state of base.states()) {
    for (let group = 0; group < MAX_PARALLELISM; group++) {
      for (const { namespace, key, value } of baseRows(base, state, group)) {
        rows.push(rowText(state.kind, state.name, namespace, keyFromBytes(key), valueFromBytes(value).value))
      }
    }
  }
  return rows.sort()
}

interface Checkpoint {
  readonly id: number
  /** The models of the subtasks as their barriers found them. */
  readonly frozen: Map<Subtask, Model>
  readonly written: Set<Subtask>
}

/** One subtask: the backend under test, and what it should hold. */
class Subtask {
  readonly first: number
  readonly last: number
  readonly backend: KeyedBackend
  readonly model: Model
  readonly keys: readonly Key[]
  /** The checkpoint whose snapshot it is writing, and the rows that are in it. */
  writing: { readonly checkpoint: Checkpoint; readonly rows: Set<string> } | undefined
  newest = 0

  constructor(first: number, last: number, base: MemoryOperatorBase, restored: number, models: readonly Model[]) {
    this.first = first
    this.last = last
    this.backend = new KeyedBackend({ groups: { first, last }, maxParallelism: MAX_PARALLELISM, base, restored })
    this.model = Model.of(models, first, last)
    this.keys = KEYS.filter((key) => groupOf(key) >= first && groupOf(key) <= last)
    this.backend.table('plain')
    this.backend.table('formed', FORM)
    this.backend.table('numbers')
    this.backend.table('declared', DECLARED)
    this.backend.panes('panes')
    this.backend.timers()
  }

  table(place: number) {
    const name = TABLES[place % 4]!
    return { name, table: this.backend.table<Cell | number>(name), entries: this.model.tables.get(name)! }
  }

  get panes() {
    return this.backend.panes<Cell>('panes')
  }

  setTimer(queue: Queue, time: number, key: Key, on: boolean): void {
    const timers = this.backend.timers()
    if (queue === 'event') on ? timers.setEventTime(time) : timers.deleteEventTime(time)
    else on ? timers.setProcessingTime(time) : timers.deleteProcessingTime(time)
    if (on) this.model.timers[queue].set(timerId(time, key), { time, key })
    else this.model.timers[queue].delete(timerId(time, key))
  }

  fire(queue: Queue, until: number, most: number, change: number): void {
    const timers = this.backend.timers()
    let left = most
    const onFire = (time: number): void => {
      const expected = this.model.due(queue, until)
      const key = this.backend.key as Key
      expect(timerId(time, key)).toBe(expected && timerId(expected.time, expected.key))
      this.model.timers[queue].delete(timerId(time, key))
      // The handler changes what is near.
      if (change % 5 === 1) this.setTimer(queue, time, key, left % 2 === 0)
      if (change % 5 === 2) this.setTimer(queue, time + 1, key, true)
      if (change % 5 === 3) this.setTimer(queue, time + 1, key, false)
      if (change % 5 === 4) this.setCell(change, key, time)
    }
    const proceed = (): boolean => left-- > 0
    const done =
      queue === 'event' ? timers.fireEventTime(until, onFire, proceed) : timers.fireProcessingTime(until, onFire, proceed)
    expect(done).toBe(this.model.due(queue, until) === undefined)
  }

  setCell(place: number, key: Key, n: number): void {
    const { name, table, entries } = this.table(place)
    table.set(packed(name, n))
    entries.set(canonicalKey(key), { key, n })
  }

  /** Everything that can be seen. */
  check(): void {
    const { backend, model } = this
    for (const [place] of TABLES.entries()) {
      const { name, table, entries } = this.table(place)
      for (const key of this.keys) {
        backend.setKey(key)
        expect(table.has(), name).toBe(entries.has(canonicalKey(key)))
        expect(numberIn(table.get()), name).toBe(entries.get(canonicalKey(key))?.n)
      }
      this.checkKeys(place)
    }
    this.checkWindows()
    for (const window of model.panes.keys()) this.checkPane(window)
    this.checkNext()
  }

  checkKeys(place: number): void {
    const { name, entries } = this.table(place)
    const seen: unknown[] = []
    this.backend.forEachKey(name, (key) => seen.push(canonicalKey(key)))
    const expected = [...entries.values()].sort(
      (a, b) => groupOf(a.key) - groupOf(b.key) || compareKeys(canonicalKey(a.key), canonicalKey(b.key)),
    )
    expect(seen).toEqual(expected.map(({ key }) => canonicalKey(key)))
  }

  checkWindows(): void {
    const ascending = (a: number, b: number): number => a - b
    expect([...this.panes.windows()].sort(ascending)).toEqual([...this.model.panes.keys()].sort(ascending))
  }

  checkPane(window: number): void {
    const entries = [...walked(this.panes.entries(window))]
    for (const { key, group } of entries) expect(group).toBe(groupOf(key as Key))
    const seen = entries.map(({ key, value }) => `${nameOf(key)} = ${value.n}`)
    const expected = [...(this.model.panes.get(window)?.values() ?? [])].map(({ key, n }) => `${nameOf(key)} = ${n}`)
    expect(seen.sort()).toEqual(expected.sort())
    for (const key of this.keys) {
      this.backend.setKey(key)
      const expectedOne = this.model.panes.get(window)?.get(canonicalKey(key))
      expect(this.panes.has(window)).toBe(expectedOne !== undefined)
      expect(this.panes.get(window)?.n).toBe(expectedOne?.n)
    }
  }

  checkNext(): void {
    const timers = this.backend.timers()
    expect(timers.nextEventTime()).toBe(this.model.due('event')?.time ?? Number.POSITIVE_INFINITY)
    expect(timers.nextProcessingTime()).toBe(this.model.due('processing')?.time ?? Number.POSITIVE_INFINITY)
  }
}

/** All subtasks of an operator, and the store around them. */
class World {
  readonly base = new MemoryOperatorBase()
  subtasks: readonly Subtask[]
  #book = new DeltaBook([])
  readonly #bytes = new Map<string, Uint8Array>()
  readonly #sequences = new Map<number, number>()
  #checkpoints: Checkpoint[] = []
  #lastId = 0
  #completed = { id: 0, models: [] as readonly Model[] }
  /** What the manifest of the newest complete checkpoint lists. */
  #listed: readonly StoredDelta[] = []
  #folded = 0
  #fold: { readonly through: number; readonly deltas: readonly StoredDelta[]; next: number } | undefined

  constructor(parts: number) {
    this.subtasks = this.#make(parts, 0, [])
  }

  #make(parts: number, restored: number, models: readonly Model[]): readonly Subtask[] {
    const size = MAX_PARALLELISM / parts
    return Array.from(
      { length: parts },
      (_, part) => new Subtask(part * size, (part + 1) * size - 1, this.base, restored, models),
    )
  }

  barrier(subtask: Subtask): void {
    this.write(subtask, Number.POSITIVE_INFINITY)
    let checkpoint = this.#checkpoints.at(-1)
    if (checkpoint === undefined || subtask.newest >= checkpoint.id) {
      checkpoint = { id: ++this.#lastId, frozen: new Map(), written: new Set() }
      this.#checkpoints.push(checkpoint)
    }
    subtask.backend.freeze(checkpoint.id)
    subtask.newest = checkpoint.id
    subtask.writing = { checkpoint, rows: new Set() }
    checkpoint.frozen.set(subtask, Model.of([subtask.model]))
  }

  /** Writes so many rows of a subtask's snapshot, and stores what is ready. */
  write(subtask: Subtask, rows: number): void {
    const { writing } = subtask
    if (writing === undefined) return
    let left = rows
    const done = subtask.backend.encode(() => --left <= 0)
    const { id } = writing.checkpoint
    for (const { bytes, firstGroup, lastGroup, rows: count } of subtask.backend.takeChunks()) {
      noteRows(bytes, writing.rows, subtask)
      const sequence = this.#sequences.get(id) ?? 0
      this.#sequences.set(id, sequence + 1)
      this.#bytes.set(`${id}/${sequence}`, bytes)
      const stored = {
        operator: 'o',
        checkpoint: id,
        sequence,
        firstGroup,
        lastGroup,
        rows: count,
        length: bytes.length,
        crc32: 0,
      }
      this.#book.onStored([stored])
    }
    if (!done) return
    writing.checkpoint.written.add(subtask)
    subtask.writing = undefined
  }

  /** Completes the newest checkpoint that all subtasks have written; older ones are over. */
  complete(): void {
    const checkpoint = this.#checkpoints.findLast(({ written }) => written.size === this.subtasks.length)
    if (checkpoint === undefined) return
    const { id } = checkpoint
    this.#checkpoints = this.#checkpoints.filter((other) => other.id > id)
    this.#listed = this.#book.listedBy(id, this.#folded)
    this.#completed = { id, models: [...checkpoint.frozen.values()] }
    this.checkStored()
  }

  /** The newest complete checkpoint, as it is stored, holds what was there at its barriers. */
  checkStored(): void {
    const stored = this.base.copy()
    for (const delta of this.#unfolded()) stored.apply(this.#bytesOf(delta))
    expect(rowsOf(stored)).toEqual(Model.of(this.#completed.models).rows())
  }

  /** A checkpoint from its first barrier to its last row. */
  settle(): void {
    for (const subtask of this.subtasks) this.barrier(subtask)
    for (const subtask of this.subtasks) this.write(subtask, Number.POSITIVE_INFINITY)
    this.complete()
  }

  /** A checkpoint that not all have written yet will never be complete. */
  abort(): void {
    this.#checkpoints.shift()
  }

  #unfolded(): readonly StoredDelta[] {
    return this.#listed.filter((delta) => delta.checkpoint > this.#folded)
  }

  #bytesOf({ checkpoint, sequence }: StoredDelta): Uint8Array {
    return this.#bytes.get(`${checkpoint}/${sequence}`)!
  }

  fold(steps: number): void {
    for (let step = 0; step < steps; step++) {
      if (this.#fold === undefined && this.#completed.id <= this.#folded) return
      this.#fold ??= { through: this.#completed.id, deltas: this.#unfolded(), next: 0 }
      const { deltas, through } = this.#fold
      const delta = deltas[this.#fold.next++]
      if (delta !== undefined) this.base.apply(this.#bytesOf(delta))
      else {
        this.#folded = through
        this.#fold = undefined
        this.#book.onFolded(through)
      }
    }
  }

  tell(subtask: Subtask): void {
    subtask.backend.onFolded(this.#folded)
  }

  /** All memory is lost: new subtasks begin with the newest complete checkpoint. A fold that was under way begins anew. */
  crash(parts: number, overlapping: boolean): void {
    const { id, models } = this.#completed
    this.#fold = undefined
    this.#checkpoints = []
    this.#lastId += 10
    const unfolded = this.#unfolded()
    this.#book = new DeltaBook(unfolded)
    this.subtasks = this.#make(parts, id, models)
    for (const { backend, first, last } of this.subtasks) {
      const own = unfolded.filter((delta) => !overlapping || (delta.firstGroup <= last && delta.lastGroup >= first))
      for (const delta of own) backend.apply(this.#bytesOf(delta))
      if (own.length === 0) backend.onFolded(id)
      backend.settleForms()
    }
  }
}

/** No row is in one snapshot twice, whatever the order of its chunks, none beside the image of its group, and what is dropped is said before all rows. */
function noteRows(bytes: Uint8Array, rows: Set<string>, { first, last }: Subtask): void {
  const note = (state: StateIdentity, group: number, namespace: number, key: Uint8Array): void => {
    const row = `${state.kind} ${state.name} ${group} ${namespace} ${nameOf(keyFromBytes(key))}`
    expect(rows).not.toContain(row)
    expect(rows).not.toContain(`image ${state.name} ${group}`)
    rows.add(row)
    expect(group >= first && group <= last).toBe(true)
  }
  readDelta(bytes, {
    row: note,
    drop: () => expect([...rows]).toEqual([]),
    image: (state, group, image) => {
      const others = `${state.kind} ${state.name} ${group} `
      expect([...rows].filter((row) => row.startsWith(others))).toEqual([])
      for (const { namespace, key } of image.sortedRows()) note(state, group, namespace, key)
      rows.add(`image ${state.name} ${group}`)
    },
  })
}

const STEPS = [
  'set',
  'set',
  'set',
  'edit',
  'edit',
  'get',
  'delete',
  'delete',
  'come-and-go',
  'come-and-go',
  'keys',
  'pane-set',
  'pane-set',
  'pane-set',
  'pane-edit',
  'pane-get',
  'pane-entries',
  'pane-drop',
  'pane-fire',
  'windows',
  'timer-set',
  'timer-set',
  'timer-set',
  'timer-delete',
  'timer-delete',
  'fire',
  'next',
  'barrier',
  'barrier',
  'write',
  'write',
  'write',
  'write-all',
  'write-all',
  'complete',
  'cut',
  'cut',
  'cut',
  'finish',
  'finish',
  'finish',
  'abort',
  'fold',
  'fold',
  'fold-all',
  'tell',
  'tell',
  'evict',
  'evict',
  'evict-all',
  'settle',
  'settle',
  'crash',
  'crash',
  'crash-in-fold',
  'check',
] as const

const step = fc.record({
  type: fc.constantFrom(...STEPS),
  subtask: fc.nat(1),
  key: fc.nat(20),
  place: fc.nat(9),
  n: fc.nat(6),
  setsKey: fc.boolean(),
})
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

function take(world: World, { type, subtask: which, key: keyPlace, place, n, setsKey }: Step): void {
  const subtask = world.subtasks[which % world.subtasks.length]!
  const { backend, model, panes } = subtask
  // Several steps of one key in a row are as many as one record takes.
  const key = setsKey || backend.key === undefined ? subtask.keys[keyPlace % subtask.keys.length]! : (backend.key as Key)
  const canonical = canonicalKey(key)
  const { name, table, entries } = subtask.table(place)
  const window = 10 * (place % 4)
  const queue = QUEUES[place % 2]!
  if (setsKey || backend.key === undefined) backend.setKey(key)
  switch (type) {
    case 'set':
      return subtask.setCell(place, key, n)
    case 'edit': {
      const cell = table.edit()
      const before = numberIn(cell)
      expect(before).toBe(entries.get(canonical)?.n)
      if (cell === undefined || before === undefined) return
      if (typeof cell === 'object') cell.n += 10
      else table.set(before + 10)
      entries.set(canonical, { key, n: before + 10 })
      return
    }
    case 'get':
      expect(numberIn(table.get()), name).toBe(entries.get(canonical)?.n)
      return expect(table.has(), name).toBe(entries.has(canonical))
    case 'delete':
      table.delete()
      entries.delete(canonical)
      return
    case 'come-and-go': {
      if (table.has()) return
      const { size } = backend
      subtask.setCell(place, key, n)
      table.delete()
      entries.delete(canonical)
      // Whether the base, a snapshot under way, or nobody knows of the key: memory has nothing more to remember of it than before.
      expect(backend.size).toBeLessThanOrEqual(size)
      return expect(table.has(), name).toBe(false)
    }
    case 'keys':
      return subtask.checkKeys(place)
    case 'pane-set':
      panes.set(window, { n })
      return model.setPane(window, key, n)
    case 'pane-edit': {
      const cell = panes.edit(window)
      expect(cell?.n).toBe(model.panes.get(window)?.get(canonical)?.n)
      if (cell === undefined) return
      cell.n += 10
      return model.setPane(window, key, cell.n)
    }
    case 'pane-get':
      expect(panes.get(window)?.n).toBe(model.panes.get(window)?.get(canonical)?.n)
      return expect(panes.has(window)).toBe(model.panes.get(window)?.has(canonical) === true)
    case 'pane-entries':
      return subtask.checkPane(window)
    case 'pane-fire':
      // Whoever fires a window may do with its values what it likes, and drops it.
      for (const { value } of walked(panes.entries(window))) value.n += 1000
      panes.drop(window)
      model.panes.delete(window)
      return
    case 'pane-drop':
      panes.drop(window)
      model.panes.delete(window)
      return
    case 'windows':
      return subtask.checkWindows()
    case 'timer-set':
      return subtask.setTimer(queue, n, key, true)
    case 'timer-delete':
      return subtask.setTimer(queue, n, key, false)
    case 'fire':
      return subtask.fire(queue, n, place, keyPlace)
    case 'next':
      return subtask.checkNext()
    case 'barrier':
      return world.barrier(subtask)
    case 'write':
      return world.write(subtask, 1 + n)
    case 'write-all':
      for (const each of world.subtasks) {
        if (each.writing === undefined && n > 3) world.barrier(each)
        world.write(each, Number.POSITIVE_INFINITY)
      }
      return
    case 'cut':
      for (const each of world.subtasks) if (each.writing === undefined) world.barrier(each)
      return
    case 'finish':
      for (const each of world.subtasks) world.write(each, Number.POSITIVE_INFINITY)
      return world.complete()
    case 'complete':
      return world.complete()
    case 'abort':
      return world.abort()
    case 'settle':
      world.settle()
      world.fold(1000)
      for (const each of world.subtasks) {
        world.tell(each)
        if (n % 2 === 0) each.backend.evict(1000)
      }
      return
    case 'crash-in-fold':
      world.settle()
      world.fold(n)
      return world.crash(place % 2 === 0 ? 1 : 2, setsKey)
    case 'fold':
      return world.fold(1 + (n % 3))
    case 'fold-all':
      world.fold(1000)
      for (const each of world.subtasks) if (place % 3 !== 0) world.tell(each)
      return
    case 'tell':
      return world.tell(subtask)
    case 'evict':
      return void backend.evict(n)
    case 'evict-all':
      return void backend.evict(1000)
    case 'crash':
      world.crash(n % 2 === 0 ? 1 : 2, setsKey)
      if (place > 4) for (const each of world.subtasks) each.check()
      return
    case 'check':
      return subtask.check()
  }
}

function live(steps: readonly Step[], parts: number, checksAlways: boolean): void {
  const world = new World(parts)
  for (const each of steps) {
    take(world, each)
    if (checksAlways) for (const subtask of world.subtasks) subtask.check()
  }
  for (const subtask of world.subtasks) subtask.check()
  world.checkStored()
  world.crash(parts, true)
  for (const subtask of world.subtasks) subtask.check()
}

const RUNS = Number(process.env['MODEL_RUNS'] ?? 300)

describe('the keyed backend and a model of it', () => {
  test.each([
    ['seen through every single step', true, 60],
    ['looked at only where a step does, so that memory knows little', false, 60],
    ['over long lives', false, 400],
  ])('are alike, %s', (_, checksAlways, maxLength) => {
    fc.assert(
      fc.property(fc.array(step, { maxLength, size: 'max' }), fc.constantFrom(1, 2), (steps, parts) =>
        live(steps, parts, checksAlways),
      ),
      { numRuns: maxLength > 100 ? Math.ceil(RUNS / 3) : RUNS },
    )
  })
})
