import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { job } from 'sluice'
import { QUERIES } from './catalogue.ts'
import { constantRate } from './generator/options.ts'
import { nexmarkEvents } from './source.ts'
import type { Total } from './tally.ts'
import { Tally } from './tally.ts'

/*
 * One run of one query.
 *
 *   node --conditions=@sluice/source benchmarks/nexmark/job.ts --query q5 --events 1000000 --generators 2 --rate 100000 \
 *     --parallelism 2 --checkpoint-every 1s --state-directory /tmp/state --fresh --quiet
 *
 * Prints one JSON line. Worker threads import this file with the same command line, so they build the same graph.
 */

/** What one run says about itself. */
export interface NexmarkOutcome extends Total {
  /** The file that the engine was loaded from, seen from the repository: a build of another day must not pass for the sources. */
  readonly engine: string
  readonly events: number
  /** From the moment at which the sinks are open, just before the first event, to that at which the last rows were committed. */
  readonly seconds: number
  /** Processor time of the process, all its threads, from the call of `run()`. */
  readonly cpuSeconds: number
  /** Completed checkpoints, the final one included. */
  readonly checkpoints: number
}

const { values: flags } = parseArgs({
  options: {
    query: { type: 'string', default: 'q0' },
    events: { type: 'string', default: '1000000' },
    generators: { type: 'string', default: '2' },
    rate: { type: 'string', default: '100000' },
  },
  strict: false,
})
const query = QUERIES.find(({ name }) => name === flags.query)
if (query === undefined) throw new Error(`--query takes ${QUERIES.map(({ name }) => name).join(', ')}, not '${flags.query}'`)
const options = constantRate(Number(flags.events), Number(flags.generators), Number(flags.rate))

const tally = new Tally(query)
const nexmark = job(`nexmark-${query.name}`, { parallelism: 2 })
query.build(nexmark.from(nexmarkEvents(options)).withTimestamps((event) => event.dateTime)).to(tally)

const cpuBefore = process.cpuUsage()
const result = await nexmark.run()
const cpu = process.cpuUsage(cpuBefore)
const root = join(import.meta.dirname, '..', '..')
const outcome: NexmarkOutcome = {
  engine: relative(root, fileURLToPath(import.meta.resolve('sluice'))).replaceAll(sep, '/'),
  events: result.recordsIn,
  seconds: (tally.lastCommitMs - tally.openedAtMs) / 1000,
  cpuSeconds: (cpu.user + cpu.system) / 1e6,
  checkpoints: result.checkpoints,
  ...tally.total,
}
console.log(JSON.stringify(outcome))
