import { spawnSync } from 'node:child_process'
import { availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os'

/** Where and with what a result came about: figures of two environments cannot be compared. */
export interface Environment {
  readonly takenAt: string
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
  readonly kernel: string
  readonly node: string
  readonly v8: string
  readonly nodeFlags: readonly string[]
  readonly command: string
  /** Commit, with `+changes` when the engine's sources differ from it; `unknown` outside a repository. */
  readonly revision: string
  /** Processes that wanted a core in the minute before: anything near the number of cores means the machine was not ours alone. */
  readonly loadBefore: number
}

export function describeEnvironment(): Environment {
  return {
    takenAt: new Date().toISOString(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: `${type()} ${release()} ${process.arch}`,
    node: process.version,
    v8: process.versions.v8,
    nodeFlags: process.execArgv,
    command: `npm run bench -- ${commandLine(process.argv.slice(2)).join(' ')}`,
    revision: revision(),
    loadBefore: loadavg()[0]!,
  }
}

/** Without where the results go, which changes nothing about them. */
function commandLine(args: readonly string[]): readonly string[] {
  return args.filter((arg, index) => arg !== '--out' && args[index - 1] !== '--out')
}

export function environmentLine(environment: Environment): string {
  const { cpu, cores, memoryGiB, kernel, node, revision } = environment
  return `${cpu}, ${cores} cores, ${memoryGiB} GiB, ${kernel}, Node ${node}, revision ${revision}`
}

/** Processor time of the whole machine, all cores together. */
export interface MachineUsage {
  readonly busySeconds: number
  readonly idleSeconds: number
}

/** Since the machine's start, or since `before`. */
export function machineUsage(before: MachineUsage = { busySeconds: 0, idleSeconds: 0 }): MachineUsage {
  let [busyMs, idleMs] = [0, 0]
  for (const { times } of cpus()) {
    busyMs += times.user + times.nice + times.sys + times.irq
    idleMs += times.idle
  }
  return { busySeconds: busyMs / 1000 - before.busySeconds, idleSeconds: idleMs / 1000 - before.idleSeconds }
}

/** See `Environment`; asked again at the end, it tells whether the engine was edited while it was measured. */
export function revision(): string {
  const head = git('rev-parse', '--short', 'HEAD')
  if (head === undefined) return 'unknown'
  return git('status', '--porcelain', '--', ':/src', ':/operators') === '' ? head : `${head}+changes`
}

function git(...args: readonly string[]): string | undefined {
  const { status, stdout } = spawnSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8' })
  return status === 0 ? stdout.trim() : undefined
}
