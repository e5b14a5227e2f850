import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'

/** Which process it is, also after its number has been given to another one. */
export interface ProcessIdentity {
  readonly pid: number
  readonly host: string
  /** When the kernel says it started; absent where the kernel does not say. */
  readonly startedTicks?: string
  /** The boot of the machine it runs under. */
  readonly boot?: string
}

export function thisProcess(): ProcessIdentity {
  const started = startTicks(process.pid)
  const boot = bootId()
  return {
    pid: process.pid,
    host: hostname(),
    ...(started === undefined ? {} : { startedTicks: started }),
    ...(boot === undefined ? {} : { boot }),
  }
}

/**
 * Whether that process still runs. One of another machine cannot be seen from here and counts as alive. One of another container of the same
 * machine cannot be seen either, but counts as dead: containers change their names when they are made anew, and should the other one live
 * after all, the number of the attempt fences it off.
 */
export function isAlive(identity: ProcessIdentity): boolean {
  // The same host under another boot has restarted since, and nothing that ran then runs now.
  if (identity.boot !== bootId()) return identity.host !== hostname()
  try {
    process.kill(identity.pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
  const started = startTicks(identity.pid)
  return started === undefined || identity.startedTicks === undefined || started === identity.startedTicks
}

/** Field 22 of /proc/<pid>/stat; the name in field 2 may hold spaces and brackets, so the count begins behind its last bracket. */
function startTicks(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // A zombie has died; only its parent does not know yet.
    return fields[0] === 'Z' ? 'zombie' : fields[19]
  } catch {
    return undefined
  }
}

function bootId(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return undefined
  }
}
