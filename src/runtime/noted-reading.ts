import { assert } from '../core/assert.ts'
import type { SplitState } from '../protocol/messages.ts'
import type { Reading, SourceReading } from './split-reading.ts'

/** Batches that are noted together: each note is one write to the disk. */
const BATCHES_AT_ONCE = 16

interface NotedBatch {
  readonly split: number
  readonly records: readonly unknown[]
}

/**
 * Reads at most once (`guarantee: 'at-most-once'`): how far a source has been read is on the disk before the first of those records is handed on,
 * so that no start reads them again. What always holds:
 *
 * 1. No record leaves `next` before the position behind it has been noted.
 * 2. One note is under way at a time; what is read meanwhile waits for the next one.
 * 3. `idle` is true only when everything that was noted has been handed on: a barrier waits for that, or an orderly stop would lose records.
 */
export class NotedReading implements SourceReading {
  readonly #reading: SourceReading
  readonly #note: (sequence: number, splits: readonly SplitState[]) => void
  readonly #wake: () => void
  #polled: NotedBatch[] = []
  #released: NotedBatch[] = []
  #noting: { readonly sequence: number; readonly batches: NotedBatch[] } | undefined
  #sequence = 0
  #ended = false
  #split = -1
  #shown: readonly number[]

  /** @param note asks for the positions to be written; `onNoted` says that they are */
  constructor(reading: SourceReading, note: (sequence: number, splits: readonly SplitState[]) => void, wake: () => void) {
    this.#reading = reading
    this.#note = note
    this.#wake = wake
    this.#shown = reading.reading
  }

  next(max: number): Reading {
    const batch = this.#released.shift()
    if (batch !== undefined) {
      this.#split = batch.split
      return { type: 'records', records: batch.records }
    }
    const found = this.#poll(max)
    this.#noteNext()
    if (!this.idle) return { type: 'waiting' }
    return this.#ended ? { type: 'end' } : { type: found }
  }

  #poll(max: number): 'nothing' | 'waiting' {
    while (max > 0 && !this.#ended && this.#polled.length < BATCHES_AT_ONCE) {
      const read = this.#reading.next(max)
      if (read.type === 'end') this.#ended = true
      else if (read.type !== 'records') return read.type
      else {
        this.#polled.push({ split: this.#reading.split, records: read.records })
        this.#reading.handedOn()
      }
    }
    return 'nothing'
  }

  #noteNext(): void {
    if (this.#noting !== undefined || this.#polled.length === 0) return
    this.#noting = { sequence: ++this.#sequence, batches: this.#polled }
    this.#polled = []
    this.#note(this.#sequence, this.#reading.positions())
  }

  end(): void {
    this.#ended = true
  }

  onNoted(sequence: number): void {
    assert(this.#noting?.sequence === sequence, `note ${sequence} is written, ${this.#noting?.sequence} was asked for`)
    this.#released.push(...this.#noting.batches)
    this.#noting = undefined
    this.#wake()
  }

  get idle(): boolean {
    return this.#released.length === 0 && this.#noting === undefined && this.#polled.length === 0
  }

  get split(): number {
    return this.#split
  }

  // As long as records wait, the splits are those that they came from: time must not run ahead of them.

  get reading(): readonly number[] {
    if (this.idle) this.#shown = this.#reading.reading
    return this.#shown
  }

  takeChange(): boolean {
    return this.idle && this.#reading.takeChange()
  }

  listenedMs(split: number): number {
    return this.#reading.listenedMs(split)
  }

  holdBack(held: (split: number) => boolean): void {
    this.#reading.holdBack(held)
  }

  block(): void {
    this.#reading.block()
  }

  unblock(): void {
    this.#reading.unblock()
  }

  handedOn(): void {}

  positions(): readonly SplitState[] {
    return this.#reading.positions()
  }

  close(): void {
    this.#reading.close()
  }
}
