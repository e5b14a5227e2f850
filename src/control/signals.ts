const SIGNALS = ['SIGINT', 'SIGTERM'] as const

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
