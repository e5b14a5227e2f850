/**
 * A machine that can be gone back to: the calls so far, from which it is made again. The machines of the engine remember and cannot be copied; two
 * worlds that share a past each replay it.
 */
export class Replayed<T> {
  readonly #create: () => T
  readonly #calls: readonly ((machine: T) => unknown)[]
  #machine: T | undefined

  constructor(create: () => T, calls: readonly ((machine: T) => unknown)[] = [], machine?: T) {
    this.#create = create
    this.#calls = calls
    this.#machine = machine
  }

  /** For looking only. */
  get now(): T {
    return (this.#machine ??= this.#replay())
  }

  /** The machine after one more call; this one stays as it is. */
  call<R>(call: (machine: T) => R): { readonly next: Replayed<T>; readonly result: R } {
    const machine = this.#replay()
    const result = call(machine)
    return { next: new Replayed(this.#create, [...this.#calls, call], machine), result }
  }

  #replay(): T {
    const machine = this.#create()
    for (const call of this.#calls) call(machine)
    return machine
  }
}
