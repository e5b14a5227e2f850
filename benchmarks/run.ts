import { parseArgs } from 'node:util'
import { files } from './files.ts'
import { guard } from './guard.ts'
import { interval } from './interval.ts'
import { latency } from './latency.ts'
import { micro } from './micro.ts'
import { nexmark } from './nexmark.ts'
import { peers } from './peers.ts'
import { recovery } from './recovery.ts'
import { scale } from './scale.ts'
import { size } from './size.ts'
import type { Benchmark, BenchmarkOptions } from './support/benchmark.ts'
import { UsageError, whole } from './support/benchmark.ts'

const BENCHMARKS: readonly Benchmark[] = [interval, scale, latency, recovery, size, micro, files, nexmark, peers, guard]

const USAGE = `usage: npm run bench -- <name> [--quick] [--json] [--out <folder>]

${BENCHMARKS.map(describe).join('\n')}

  --quick              a few seconds: shows that it runs and verifies, its figures mean little
  --json               write the results to files also of a quick run; a full one does so by itself
  --out <folder>       where to; implies --json (default: benchmarks/results)
  --keys <n>           distinct keys, where there is one number of them
  --records <n>        records of a run, where that is not bounded by time
  --repetitions <n>    rounds of all settings, at most
  --minutes <n>        how long it may take; rounds are made as long as another one fits in
`

function describe({ name, question, flags = {} }: Benchmark): string {
  const own = Object.entries(flags).map(([flag, words]) => `             --${flag} ${words}`)
  return [`  ${name.padEnd(10)} ${question}`, ...own].join('\n')
}

/** 0: done, 1: the benchmark failed, 2: the command line is wrong. */
async function main(args: readonly string[]): Promise<number> {
  try {
    const [name, options] = parse(args)
    if (name === undefined) {
      process.stdout.write(USAGE)
      return 0
    }
    const benchmark = BENCHMARKS.find((candidate) => candidate.name === name)
    if (benchmark === undefined) throw new UsageError(`there is no benchmark '${name}'`)
    await benchmark.run(options)
    // One that judges what it measured says so by itself.
    return Number(process.exitCode ?? 0)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    process.stderr.write(`bench: ${error.message}\n\n${USAGE}`)
    return 2
  }
}

function parse(args: readonly string[]): readonly [string | undefined, BenchmarkOptions] {
  const own = Object.keys(BENCHMARKS.find(({ name }) => args.includes(name))?.flags ?? {})
  const { values, positionals } = parsed(args, own)
  if (positionals.length > 1) throw new UsageError(`one benchmark at a time, not ${positionals.join(', ')}`)
  const texts = values as Readonly<Record<string, string | undefined>>
  const options: BenchmarkOptions = {
    quick: values.quick ?? false,
    json: values.json ?? values.out !== undefined,
    out: values.out ?? `${import.meta.dirname}/results`,
    records: whole(values.records, '--records'),
    keys: whole(values.keys, '--keys'),
    repetitions: whole(values.repetitions, '--repetitions'),
    minutes: whole(values.minutes, '--minutes'),
    flags: Object.fromEntries(own.map((flag) => [flag, texts[flag]])),
  }
  return [positionals[0], options]
}

function parsed(args: readonly string[], own: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        ...Object.fromEntries(own.map((flag) => [flag, { type: 'string' as const }])),
        quick: { type: 'boolean' },
        json: { type: 'boolean' },
        out: { type: 'string' },
        records: { type: 'string' },
        keys: { type: 'string' },
        repetitions: { type: 'string' },
        minutes: { type: 'string' },
      },
    })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

// What a benchmark has started ends with it.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
process.exitCode = await main(process.argv.slice(2))
