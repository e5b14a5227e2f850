const offsetMs = Number(process.hrtime.bigint() / 1000n) / 1000 - performance.now()

/** Milliseconds on a clock that never goes back and that all threads and processes of the machine share. */
export function monotonicMs(): number {
  return performance.now() + offsetMs
}
