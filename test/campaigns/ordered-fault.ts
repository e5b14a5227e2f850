import { existsSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/*
 * Faults that only the inside of a job can make. The campaign leaves an order in the job's folder; the first function that comes to the place it names
 * takes the order away, so it is carried out once, whichever thread, attempt or process that is.
 */

/** Kinds, and how each of them may come about. */
export const ORDERED_WAYS = {
  throw: ['error', 'recursion'],
  exit: ['exit', 'reject'],
  loop: ['loop', 'wait'],
  memory: ['objects', 'map', 'strings'],
} as const

export type OrderedKind = keyof typeof ORDERED_WAYS
export type OrderedWay = (typeof ORDERED_WAYS)[OrderedKind][number]
/** Functions of the job in which it may happen. */
export const PLACES = ['window', 'process', 'chain', 'async', 'join'] as const
export type Place = (typeof PLACES)[number]

export interface Order {
  readonly place: Place
  readonly way: OrderedWay
}

const FILE = 'order.json'
/** So many records pass between two looks for an order. */
const LOOK_EVERY = 32

export function leaveOrder(folder: string, order: Order): void {
  writeFileSync(join(folder, FILE), JSON.stringify(order))
}

export function isOrderLeft(folder: string): boolean {
  return existsSync(join(folder, FILE))
}

/** Takes back what nobody has carried out. */
export function withdrawOrder(folder: string): void {
  rmSync(join(folder, FILE), { force: true })
}

/** To be called by a function of the job with each of its records. */
export function followOrder(folder: string, place: Place, id: number): void {
  if (id % LOOK_EVERY !== 0 || !isOrderLeft(folder)) return
  const way = takeOrder(join(folder, FILE), place)
  if (way !== undefined) WAYS[way]()
}

function takeOrder(path: string, place: Place): OrderedWay | undefined {
  try {
    const order = JSON.parse(readFileSync(path, 'utf8')) as Order
    if (order.place !== place) return undefined
    unlinkSync(path)
    return order.way
  } catch {
    // It is just being written, or another thread was quicker.
    return undefined
  }
}

const kept: unknown[] = []

const WAYS: Readonly<Record<OrderedWay, () => unknown>> = {
  error: () => {
    throw new Error('a fault that was ordered')
  },
  recursion: function again(): number {
    return 1 + Number(again())
  },
  exit: () => process.exit(3),
  reject: () => Promise.reject(new Error('nobody waits for this')),
  loop: () => {
    for (;;) kept.length = 0
  },
  wait: () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0),
  objects: () => {
    for (;;) kept.push({ number: kept.length, text: String(kept.length) })
  },
  map: () => {
    const grown = new Map<number, number>()
    for (let number = 0; ; number++) grown.set(number, number)
  },
  strings: () => {
    for (;;) kept.push(`${kept.length}`.repeat(500).toUpperCase())
  },
}
