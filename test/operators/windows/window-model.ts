import type { TimeWindow } from '../../../operators/windows/assigners.ts'

/** What a fired window of the model holds. */
export interface Fired extends TimeWindow {
  readonly values: readonly number[]
}

export interface ModelWindows {
  readonly sizeMs: number
  readonly slideMs: number
  readonly offsetMs: number
  readonly latenessMs: number
}

/** The windows that a time falls into, oldest first, by trying all that lie near. */
export function windowsOf(time: number, { sizeMs, slideMs, offsetMs }: Omit<ModelWindows, 'latenessMs'>): TimeWindow[] {
  const windows: TimeWindow[] = []
  const middle = Math.round((time - offsetMs) / slideMs)
  const around = Math.ceil(sizeMs / slideMs) + 2
  for (let n = middle - around; n <= middle + around; n++) {
    const start = offsetMs + n * slideMs
    if (start <= time && time < start + sizeMs) windows.push({ start, end: start + sizeMs })
  }
  return windows
}

/** The aligned windows of a single key: every record kept, every window folded anew, every rule written out. */
export class KeyModel {
  readonly #windows: ModelWindows
  readonly #records: { readonly window: TimeWindow; readonly value: number }[] = []
  readonly late: number[] = []
  watermark = Number.NEGATIVE_INFINITY

  constructor(windows: ModelWindows) {
    this.#windows = windows
  }

  record(value: number, time: number): Fired[] {
    const open = windowsOf(time, this.#windows).filter(({ end }) => end - 1 + this.#windows.latenessMs > this.watermark)
    if (open.length === 0) this.late.push(value)
    for (const window of open) this.#records.push({ window, value })
    return open.filter(({ end }) => end - 1 <= this.watermark).map((window) => this.#fire(window))
  }

  onWatermark(watermark: number): Fired[] {
    if (watermark <= this.watermark) return []
    const due = this.#starts().filter((start) => {
      const last = start + this.#windows.sizeMs - 1
      return last > this.watermark && last <= watermark
    })
    this.watermark = watermark
    return due.map((start) => this.#fire({ start, end: start + this.#windows.sizeMs }))
  }

  /** By the clock: nothing is late, and a window that fires is forgotten. */
  recordAt(value: number, nowMs: number): void {
    for (const window of windowsOf(nowMs, this.#windows)) this.#records.push({ window, value })
  }

  onClock(nowMs: number): Fired[] {
    const due = this.#starts().filter((start) => start + this.#windows.sizeMs <= nowMs)
    const fired = due.map((start) => this.#fire({ start, end: start + this.#windows.sizeMs }))
    const kept = this.#records.filter(({ window }) => !due.includes(window.start))
    this.#records.splice(0, this.#records.length, ...kept)
    return fired
  }

  #starts(): number[] {
    return [...new Set(this.#records.map(({ window }) => window.start))].sort((a, b) => a - b)
  }

  #fire(window: TimeWindow): Fired {
    const values = this.#records.filter((record) => record.window.start === window.start).map((record) => record.value)
    return { ...window, values }
  }
}
