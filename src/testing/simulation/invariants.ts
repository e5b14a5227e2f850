import type { Manifest } from '../../checkpoint/manifest.ts'
import { encodeValue } from '../../core/value-codec.ts'
import type { Violation } from './violation.ts'

/** What is visible at each sink, as often as it is: the bytes of each record, as text. */
export type Outputs = ReadonlyMap<string, ReadonlyMap<string, number>>

/** Compares what becomes visible with what an undisturbed run shows. */
export class OutputCheck {
  readonly #expected: Outputs | undefined
  readonly #visible = new Map<string, Map<string, number>>()
  readonly values = new Map<string, unknown[]>()
  readonly #report: (invariant: Violation['invariant'], message: string) => void

  /** @param expected absent for the run that finds out */
  constructor(expected: Outputs | undefined, report: (invariant: Violation['invariant'], message: string) => void) {
    this.#expected = expected
    this.#report = report
  }

  get outputs(): Outputs {
    return this.#visible
  }

  onVisible(sink: string, records: readonly unknown[]): void {
    const visible = this.#visible.get(sink) ?? new Map<string, number>()
    this.#visible.set(sink, visible)
    const values = this.values.get(sink) ?? []
    this.values.set(sink, values)
    for (const record of records) {
      const bytes = Buffer.from(encodeValue(record)).toString('latin1')
      const times = (visible.get(bytes) ?? 0) + 1
      visible.set(bytes, times)
      values.push(record)
      const allowed = this.#expected?.get(sink)?.get(bytes) ?? 0
      if (this.#expected === undefined || times <= allowed) continue
      this.#report(
        'nothing is doubled',
        `'${sink}' shows ${JSON.stringify(record)} ${times} times, and an undisturbed run ${allowed} times`,
      )
    }
  }

  /** The job has come to its end. */
  atEnd(): void {
    for (const [sink, records] of this.#expected ?? []) {
      let [missing, lost] = ['', 0]
      for (const [bytes, times] of records) {
        const short = times - (this.#visible.get(sink)?.get(bytes) ?? 0)
        if (short > 0 && lost === 0) missing = bytes
        lost += Math.max(0, short)
      }
      if (lost > 0)
        this.#report(
          'nothing is lost',
          `'${sink}' lacks ${lost} records of an undisturbed run, such as ${JSON.stringify(missing)}`,
        )
    }
  }
}

/** Compares each complete checkpoint with the one before it. */
export class ManifestCheck {
  readonly #report: (invariant: Violation['invariant'], message: string) => void
  #before: Manifest | undefined

  constructor(report: (invariant: Violation['invariant'], message: string) => void) {
    this.#report = report
  }

  onManifest(manifest: Manifest): void {
    const before = this.#before
    this.#before = manifest
    if (before === undefined) return
    if (manifest.attempt < before.attempt) {
      this.#report(
        'one attempt completes checkpoints',
        `attempt ${manifest.attempt} completes checkpoint ${manifest.checkpoint} after attempt ${before.attempt} has completed ${before.checkpoint}`,
      )
    }
    this.#rises('records', 'positions never go back', before, manifest)
    this.#rises('watermark', 'watermarks never go back', before, manifest)
  }

  #rises(what: 'records' | 'watermark', invariant: Violation['invariant'], before: Manifest, manifest: Manifest): void {
    const now = totals(manifest, what)
    for (const [operator, then] of totals(before, what)) {
      const own = now.get(operator)
      if (own === undefined || own >= then) continue
      const was = `${then} in checkpoint ${before.checkpoint} and ${own} in ${manifest.checkpoint}`
      this.#report(invariant, `the ${what} of '${operator}': ${was}`)
    }
  }
}

/** Of all subtasks of each operator: records together, the least of the watermarks. */
function totals(manifest: Manifest, what: 'records' | 'watermark'): ReadonlyMap<string, number> {
  const totals = new Map<string, number>()
  for (const { operators } of manifest.subtasks) {
    for (const operator of operators) {
      const known = totals.get(operator.operator)
      const own = operator[what]
      totals.set(operator.operator, known === undefined ? own : what === 'records' ? known + own : Math.min(known, own))
    }
  }
  return totals
}
