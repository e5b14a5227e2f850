import type { Stream } from 'sluice'
import { items, job } from 'sluice'

/** Whether two types are the same, and not only assignable to each other: `any` equals nothing but itself. */
export type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

/** What a stream carries. */
export type ItemOf<S> = S extends Stream<infer T> ? T : never

/** Does not compile unless its argument is `true`: `expectType<Equal<ItemOf<typeof delays>, number>>()`. */
export function expectType<_Check extends true>(): void {}

/** A stream of a type, for the checks; nothing runs it. */
export function streamOf<T>(): Stream<T> {
  return job('types').from(items<T>([]))
}

export interface Flight {
  readonly date: Date
  readonly delay: number
  readonly origin: string
  readonly destination: string
  /** Not known for each flight. */
  readonly gate?: string
}

export interface Payment {
  readonly card: string
  readonly country: string
  readonly amount: number
  readonly at: number
}

export interface Alert {
  readonly card: string
  readonly from: string
  readonly to: string
}
