const SIGNALS = ['SIGINT', 'SIGTERM'] as const
const FIRST_LOOK_MS = 500
const LOOK_EVERY_MS = 10_000

/** Calls `stop` on the first Ctrl-C; the second one ends the process at once. Returns what takes the handlers away again. */
export function onInterrupt(stop: () => void): () => void {
  let asked = false
  const handler = (signal: NodeJS.Signals): void => {
    if (asked) process.exit(signal === 'SIGINT' ? 130 : 143)
    asked = true
    stop()
  }
  for (const signal of SIGNALS) process.on(signal, handler)
  return () => {
    for (const signal of SIGNALS) process.off(signal, handler)
  }
}

/** What is known of a stop that is under way. */
export interface StopWatch {
  /** Sinks of which something is still to be committed. */
  committing(): readonly string[]
  /** A line for the person who watches the job. */
  say(message: string): void
}

/**
 * Says what a stop waits for that takes its time, soon and then every few seconds: a commit that never comes back cannot be given up, because two
 * must not overlap, but whoever has asked for the stop can choose not to wait. Returns what ends that.
 */
export function watchStop({ committing, say }: StopWatch): () => void {
  const look = (): void => {
    const sinks = committing().map((sink) => `'${sink}'`)
    if (sinks.length > 0) say(`waiting for the commit of ${listed(sinks)}; press Ctrl-C again to stop at once`)
  }
  const first = setTimeout(look, FIRST_LOOK_MS).unref()
  const others = setInterval(look, LOOK_EVERY_MS).unref()
  return () => {
    clearTimeout(first)
    clearInterval(others)
  }
}

/** `'a', 'b' and 'c'`. */
function listed(names: readonly string[]): string {
  return names.length < 2 ? names.join() : `${names.slice(0, -1).join(', ')} and ${names.at(-1)!}`
}
