/** A way to do a work. */
export interface Contestant {
  readonly name: string
  /** Ours, or what it is compared with. */
  readonly ours?: boolean
  /** Does all of the work, and says how many records or bytes it was. @throws Error when the result is wrong */
  run(): Promise<Amount> | Amount
}

export interface Amount {
  readonly records: number
  readonly bytes: number
}

/** Several ways to do the same work. */
export interface Work {
  readonly name: string
  readonly contestants: readonly Contestant[]
}

/** Counts records, and adds up one number of each. */
export class Tally {
  records = 0
  sum = 0

  add(batch: readonly unknown[]): void {
    for (const record of batch) this.sum += Number((record as { readonly price: number | string }).price)
    this.records += batch.length
  }

  check(records: number, sum: number, what: string): void {
    if (this.records === records && this.sum === sum) return
    throw new Error(`${what}: ${this.records} records with a sum of ${this.sum}, expected ${records} with ${sum}`)
  }
}
