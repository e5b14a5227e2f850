import { styleText } from 'node:util'
import type { CheckpointRecord } from '../checkpoint/checkpoint-history.ts'
import type { SluiceError } from '../core/errors.ts'
import type { ExecutionPlan } from '../graph/execution-plan.ts'
import { subtaskNames, taskOfSubtask } from '../graph/execution-plan.ts'
import type { Counter } from '../protocol/counters.ts'
import { SubtaskCounters } from '../protocol/counters.ts'
import type { TaskStatus } from './job-control.ts'

const TABLE_EVERY_MS = 500
const LINE_EVERY_MS = 5_000

/** What a task did since the last look. */
interface TaskRate {
  readonly id: string
  readonly operators: string
  readonly recordsIn: number
  readonly recordsOut: number
  readonly inPerSecond: number
  readonly outPerSecond: number
  readonly busyPercent: number
  readonly watermark: number
  readonly late: number
  readonly bad: number
}

interface Table {
  (text: string): void
  clear(): void
  done(): void
}

/**
 * Shows the running job on stderr: a live table on a terminal, a plain line every few seconds without one, JSON lines when asked. stdout
 * belongs to the job's own output.
 */
export class Progress {
  readonly #plan: ExecutionPlan
  readonly #mode: 'quiet' | 'json' | 'table' | 'lines'
  #table: Table | undefined
  readonly #startedMs = performance.now()
  #rows: readonly { readonly counters: SubtaskCounters; readonly task: string }[] = []
  #before = new Map<string, { readonly recordsIn: number; readonly recordsOut: number; readonly busyMs: number }>()
  #beforeMs = performance.now()
  #followedMs = performance.now()
  #timer: NodeJS.Timeout | undefined
  #lastCheckpoint = 'no checkpoint yet'
  #pending: () => { readonly checkpoint: number; readonly missing: readonly string[] } | undefined = () => undefined

  constructor(plan: ExecutionPlan, mode: 'quiet' | 'json' | 'human') {
    this.#plan = plan
    this.#mode = mode !== 'human' ? mode : process.stderr.isTTY && process.env['CI'] === undefined ? 'table' : 'lines'
  }

  /** Loads what draws the table, when there is a terminal to draw it on. */
  async prepare(): Promise<void> {
    if (this.#mode !== 'table') return
    const { createLogUpdate } = await import('log-update')
    this.#table = createLogUpdate(process.stderr)
  }

  /** An attempt runs: show its counters from now on. */
  follow(
    counters: SharedArrayBuffer,
    pending: () => { readonly checkpoint: number; readonly missing: readonly string[] } | undefined,
  ): void {
    this.#pending = pending
    this.#rows = subtaskNames(this.#plan).map((name, index) => ({
      counters: new SubtaskCounters(counters, index),
      task: taskOfSubtask(name),
    }))
    this.#before = new Map()
    this.#beforeMs = performance.now()
    this.#followedMs = this.#beforeMs
    clearInterval(this.#timer)
    if (this.#mode === 'quiet') return
    this.#timer = setInterval(() => this.#show(), this.#mode === 'table' ? TABLE_EVERY_MS : LINE_EVERY_MS)
    this.#timer.unref()
  }

  checkpoint({ checkpoint, durationMs, bytes }: Pick<CheckpointRecord, 'checkpoint' | 'durationMs' | 'bytes'>): void {
    this.#lastCheckpoint = `checkpoint ${checkpoint} took ${Math.round(durationMs)} ms`
    if (this.#mode === 'json')
      this.#json({ event: 'checkpoint', checkpoint, durationMs: Math.round(10 * durationMs) / 10, bytes })
  }

  /** @param tasks those that start again, when the others run on */
  failed(error: SluiceError, delayMs: number, tasks?: readonly string[]): void {
    const part = tasks === undefined ? {} : { tasks }
    if (this.#mode === 'json') return this.#json({ event: 'restart', code: error.code, message: error.message, delayMs, ...part })
    const what = tasks === undefined ? 'restarting' : `restarting ${tasks.join(', ')} alone`
    this.note(`${error.message}; ${what} from the last checkpoint in ${(delayMs / 1000).toFixed(1)} s`)
  }

  /** The first one of an operator and subtask. */
  badRecord({ code, message, operator, subtask }: SluiceError): void {
    if (this.#mode === 'json') return this.#json({ event: 'bad-record', code, message, operator, subtask })
    this.note(`passed over a bad record, more of '${operator}' are only counted: ${message}`)
  }

  /** A line that stays on the screen. */
  note(message: string): void {
    if (this.#mode === 'quiet') return
    if (this.#mode === 'json') return this.#json({ event: 'note', message })
    this.#table?.clear()
    process.stderr.write(`${this.#plan.job}: ${message}\n`)
  }

  ended(status: string, records: { readonly in: number; readonly out: number; readonly bad: number }, savepoint?: string): void {
    const seconds = (performance.now() - this.#startedMs) / 1000
    if (this.#mode === 'json') {
      const left = savepoint === undefined ? {} : { savepoint }
      const bad = records.bad === 0 ? {} : { badRecords: records.bad }
      return this.#json({ event: 'ended', status, recordsIn: records.in, recordsOut: records.out, ...bad, seconds, ...left })
    }
    if (this.#mode === 'table' && this.#rows.length > 0) this.#show()
    this.#table?.done()
    const from = savepoint === undefined ? '' : `, or anywhere with --from ${savepoint}`
    const resume = status === 'stopped' ? `; run the same command again to resume${from}` : ''
    const counts = `${count(records.in)} records read, ${count(records.out)} written${records.bad === 0 ? '' : `, ${count(records.bad)} bad`}`
    this.note(`${status} after ${seconds.toFixed(1)} s, ${counts}${resume}`)
  }

  close(): void {
    clearInterval(this.#timer)
    this.#table?.done()
  }

  #show(): void {
    const tasks = this.#rates()
    const pending = this.#pending()
    const checkpoint =
      pending === undefined
        ? this.#lastCheckpoint
        : `checkpoint ${pending.checkpoint} waits for ${pending.missing.length} subtasks`
    if (this.#mode === 'json') return this.#json({ event: 'progress', tasks, checkpoint })
    if (this.#table !== undefined) return this.#table(renderTable(this.#plan.job, tasks, checkpoint))
    const source = tasks[0]!
    this.note(`${count(source.recordsIn)} records read, ${count(source.inPerSecond)}/s, ${checkpoint}`)
  }

  /** What each task has done so far. */
  tasks(): readonly TaskStatus[] {
    return this.#plan.tasks.map((task) => {
      const rows = this.#rows.filter((row) => row.task === task.id).map((row) => row.counters)
      const sum = (counter: Counter): number => rows.reduce((total, row) => total + row.get(counter), 0)
      const watermark = Math.min(...rows.map((row) => row.get('watermark')))
      const elapsedMs = Math.max(1, performance.now() - this.#followedMs)
      return {
        id: task.id,
        operators: task.operators.map((operator) => operator.id),
        recordsIn: sum('recordsIn'),
        recordsOut: sum('recordsOut'),
        busyPercent: Math.min(100, (100 * sum('busyMs')) / elapsedMs / Math.max(1, rows.length)),
        watermark:
          watermark === Number.POSITIVE_INFINITY
            ? rows.length === 0
              ? null
              : 'end'
            : Number.isFinite(watermark)
              ? watermark
              : null,
        late: sum('late'),
        bad: sum('bad'),
      }
    })
  }

  #rates(): readonly TaskRate[] {
    const nowMs = performance.now()
    const seconds = Math.max(0.001, (nowMs - this.#beforeMs) / 1000)
    this.#beforeMs = nowMs
    return this.#plan.tasks.map((task) => {
      const rows = this.#rows.filter((row) => row.task === task.id).map((row) => row.counters)
      const sum = (counter: Counter): number => rows.reduce((total, row) => total + row.get(counter), 0)
      const current = { recordsIn: sum('recordsIn'), recordsOut: sum('recordsOut'), busyMs: sum('busyMs') }
      const before = this.#before.get(task.id) ?? { recordsIn: 0, recordsOut: 0, busyMs: 0 }
      this.#before.set(task.id, current)
      return {
        id: task.id,
        operators: task.operators.map((operator) => operator.id).join(' > '),
        recordsIn: current.recordsIn,
        recordsOut: current.recordsOut,
        // A task that has started again counts from its checkpoint on.
        inPerSecond: Math.max(0, current.recordsIn - before.recordsIn) / seconds,
        outPerSecond: Math.max(0, current.recordsOut - before.recordsOut) / seconds,
        busyPercent: Math.min(100, Math.max(0, current.busyMs - before.busyMs) / seconds / 10 / Math.max(1, rows.length)),
        watermark: Math.min(...rows.map((row) => row.get('watermark'))),
        late: sum('late'),
        bad: sum('bad'),
      }
    })
  }

  #json(fields: Readonly<Record<string, unknown>>): void {
    process.stderr.write(`${JSON.stringify({ job: this.#plan.job, ...fields })}\n`)
  }
}

function renderTable(job: string, tasks: readonly TaskRate[], checkpoint: string): string {
  const anyBad = tasks.some(({ bad }) => bad > 0)
  const header = ['operators', 'in/s', 'out/s', 'busy', 'watermark', 'late', ...(anyBad ? ['bad'] : [])]
  const rows = tasks.map((task) => [
    shorten(task.operators, 48),
    count(task.inPerSecond),
    count(task.outPerSecond),
    `${task.busyPercent.toFixed(0)} %`,
    instant(task.watermark),
    count(task.late),
    ...(anyBad ? [count(task.bad)] : []),
  ])
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)))
  const line = (cells: readonly string[]): string =>
    cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('  ')
  return [styleText('bold', job), styleText('dim', line(header)), ...rows.map(line), styleText('dim', checkpoint)].join('\n')
}

function shorten(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 3)}...`
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

function instant(watermark: number): string {
  if (watermark === Number.POSITIVE_INFINITY) return 'end'
  const date = new Date(watermark)
  return Number.isFinite(watermark) && watermark !== 0 && !Number.isNaN(date.getTime()) ? date.toISOString().slice(0, 19) : '-'
}
