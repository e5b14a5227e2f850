import type { JobRun } from './job-run.ts'

/*
 * How a process ended, and what that means. It may end with what was done to it, and with nothing else.
 */

/** 128 and the number of a signal, as it comes through a process between. */
const SIGNAL_CODES = 128

/** The savepoint whose import a kill has cut short, as the refusal of the next start names it. */
export function interruptedImport({ outcome }: JobRun): string | undefined {
  return outcome?.code === 'SAVEPOINT_UNREADABLE'
    ? /import it again with --from (\S+?),/.exec(outcome.hint ?? '')?.[1]
    : undefined
}

/** The savepoint that it has left, when it was stopped. */
export function leftSavepoint({ ending, events }: JobRun): string | undefined {
  return ending?.code === 0 ? events.findLast(({ event }) => event === 'ended')?.savepoint : undefined
}

/**
 * Restarts and an end that nobody has brought about.
 * @param isFinished whether the job has come to its end, in this process or another one
 */
export function troublesOf(run: JobRun, isFinished: boolean): readonly string[] {
  const restarts = run.events.filter(({ event, code }) => event === 'restart' && !run.excuses.has(code ?? ''))
  const asked = restarts.map((each) => `a restart that nobody asked for: ${JSON.stringify(each)}`)
  // Two processes were there, and the other one came to the end.
  if (isFinished && run.outcome?.code === 'OUTPUT_OF_ANOTHER_RUN') return asked
  const end = troubleAtEnd(run)
  return end === undefined ? asked : [...asked, `process ${run.pid} ${end}`]
}

function troubleAtEnd(run: JobRun): string | undefined {
  const { code, signal } = run.ending!
  if (signal !== null || code! > SIGNAL_CODES) {
    return mayDieOf(signal, run) ? undefined : `died of ${signal ?? code}: ${run.complaints.join('\n')}`
  }
  if (code !== 0 && (run.excuses.has(run.outcome?.code ?? '') || interruptedImport(run) !== undefined)) return undefined
  // What the engine of JavaScript says about a heap that is full.
  const complaints = run.mayDie ? [] : run.complaints
  if (code === 0 && complaints.length === 0) return undefined
  return `ended with ${code}: ${JSON.stringify(run.outcome ?? null)} ${complaints.join('\n')}`
}

/** Before it listens to Ctrl-C, a process dies of it; then it has said nothing yet. */
function mayDieOf(signal: NodeJS.Signals | null, run: JobRun): boolean {
  if (run.wasSent('SIGKILL') || run.mayDie) return true
  return signal === 'SIGINT' && run.wasSent(signal) && run.events.length === 0
}
