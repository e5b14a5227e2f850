import { isMainThread } from 'node:worker_threads'

const said = new Set<string>()

/** Says something about the job as written, on stderr and once. Worker threads build it too, and need not say it again. */
export function warn(message: string): void {
  if (!isMainThread || said.has(message)) return
  said.add(message)
  process.emitWarning(message, 'SluiceWarning')
}
