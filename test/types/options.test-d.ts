import type { Duration, ErrorCode, JobOptions } from 'sluice'
import { job, SluiceError } from 'sluice'
import { type Equal, expectType } from './expect.ts'

/* Options of a job */
{
  job('plain')
  job('all', {
    parallelism: 4,
    maxParallelism: 128,
    workers: 0,
    guarantee: 'exactly-once',
    checkpoint: { every: '10s', timeout: '10m', minPause: 0, tolerableFailures: 0, retain: 1, mode: 'aligned' },
    stateDirectory: '.sluice',
    restart: { strategy: 'exponential', initial: '1s', max: '1m', factor: 1.5, jitter: 0.1, attempts: 10 },
  })
  job('off', { checkpoint: { every: 'off' }, restart: { strategy: 'none' } })
  job('fixed', { restart: { strategy: 'fixed', delay: '1s', attempts: 3 } })
  job('rate', { restart: { strategy: 'rate', failures: 3, interval: '1m', delay: '1s' } })
  // @ts-expect-error a job has a name
  job()
  // @ts-expect-error no such option
  job('typo', { paralelism: 2 })
  // @ts-expect-error no such option
  job('typo', { checkpoints: { every: '1s' } })
  // @ts-expect-error no such option
  job('typo', { checkpoint: { interval: '1s' } })
  // @ts-expect-error not a duration
  job('typo', { checkpoint: { every: '1 second' } })
  // @ts-expect-error not a duration
  job('typo', { checkpoint: { every: 'never' } })
  // @ts-expect-error text is not a number
  job('typo', { parallelism: '2' })
  // @ts-expect-error no such guarantee
  job('typo', { guarantee: 'exactly once' })
  // @ts-expect-error no such strategy
  job('typo', { restart: { strategy: 'linear' } })
  // @ts-expect-error an option of another strategy
  job('typo', { restart: { strategy: 'fixed', factor: 2 } })
  // @ts-expect-error the strategy is not said
  job('typo', { restart: { attempts: 3 } })
}

/* Options of a run */
{
  const options = job('options')
  const runs = () => [
    options.run(),
    options.run({ module: import.meta.url, parallelism: 2, fresh: true, overwrite: true, quiet: true }),
    // @ts-expect-error no such option
    options.run({ fresch: true }),
    // @ts-expect-error a module is a path or a URL in text
    options.run({ module: new URL(import.meta.url) }),
  ]
  expectType<Equal<ReturnType<typeof runs>[number], ReturnType<typeof options.run>>>()
  // @ts-expect-error only a run has this
  job('typo', { fresh: true })
}

/* Durations */
{
  const accepted: Duration[] = [0, 250, '250ms', '5s', '10m', '1h', '1d', '0.5s']
  expectType<Equal<(typeof accepted)[number], Duration>>()
  // @ts-expect-error
  const words: Duration = '30 minutes'
  // @ts-expect-error
  const capital: Duration = '5M'
  // @ts-expect-error
  const several: Duration = '1h30m'
  // @ts-expect-error
  const empty: Duration = ''
  void [words, capital, several, empty]
}

/* Errors have codes that the compiler knows. */
{
  const isMalformed = (error: unknown) => error instanceof SluiceError && error.code === 'MALFORMED_RECORD'
  expectType<Equal<ReturnType<typeof isMalformed>, boolean>>()
  // @ts-expect-error no such code
  const unknownCode = (error: SluiceError) => error.code === 'MALFORMED'
  void unknownCode
  expectType<Equal<SluiceError['code'], ErrorCode>>()
  expectType<Equal<SluiceError['subtask'], number | undefined>>()
}

/* Options may be put together elsewhere. */
{
  const options: JobOptions = { parallelism: 2 }
  job('shared', { ...options, workers: 1 })
}
