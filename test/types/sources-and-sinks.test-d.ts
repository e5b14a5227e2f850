import type { Sink, Source, Stream } from 'sluice'
import {
  collect,
  generate,
  items,
  job,
  print,
  readCsv,
  readJsonLines,
  readParquet,
  readText,
  writeCsv,
  writeJsonLines,
  writeText,
} from 'sluice'
import { type Equal, expectType, type Flight, type ItemOf, streamOf } from './expect.ts'

/* What a source reads is what the stream carries. */
{
  const sources = job('sources')
  const numbers = sources.from(items([1, 2, 3]))
  expectType<Equal<typeof numbers, Stream<number>>>()
  const pairs = sources.from(items(new Map([['a', 1]])))
  expectType<Equal<ItemOf<typeof pairs>, [string, number]>>()
  const made = sources.from(generate({ count: 10, at: (i) => ({ id: i, even: i % 2 === 0 }) }))
  expectType<Equal<ItemOf<typeof made>, { id: number; even: boolean }>>()
  const lines = sources.from(readText(['a.txt', 'b/*.txt']))
  expectType<Equal<typeof lines, Stream<string>>>()
  const flights = sources.from(readJsonLines<Flight>('flights/*.jsonl', { follow: true }))
  expectType<Equal<typeof flights, Stream<Flight>>>()
  // Without a type nothing is known, so nothing is promised.
  const unknown = sources.from(readJsonLines('flights/*.jsonl'))
  expectType<Equal<typeof unknown, Stream<unknown>>>()
  const cells = sources.from(readCsv('flights.csv'))
  expectType<Equal<typeof cells, Stream<Record<string, string>>>>()
  const rows = sources.from(readParquet<Flight>('flights.parquet'))
  expectType<Equal<typeof rows, Stream<Flight>>>()
  // @ts-expect-error one number is not many
  items(5)
  // @ts-expect-error nothing makes the records
  generate({ count: 10 })
  // @ts-expect-error a path is text
  readText(5)
  // @ts-expect-error no such option
  readText('a.txt', { folow: true })
  // @ts-expect-error a list is not a source
  sources.from([1, 2, 3])
}

/* A source of one's own */
{
  const ticks: Source<{ at: number }, string, number> = {
    kind: 'ticks',
    enumerate: () => ['only'],
    open: (split, position = 0) => {
      expectType<Equal<typeof split, string>>()
      return { poll: (max) => Array.from({ length: max }, (_, index) => ({ at: position + index })), position: () => position }
    },
  }
  const stream = job('ticks').from(ticks)
  expectType<Equal<typeof stream, Stream<{ at: number }>>>()
}

/* A sink takes what the stream carries. */
{
  const flights = streamOf<Flight>()
  flights
    .to(print())
    .to(writeJsonLines('out/json'))
    .to(writeCsv('out/csv', { columns: ['origin'] }))
  flights.to(collect<Flight>([]))
  streamOf<string>().to(writeText('out')).to(print()).to(writeJsonLines('out'))
  streamOf<'a' | 'b'>().to(writeText('out'))
  const shared = writeJsonLines('out/both')
  flights.to(shared)
  // A sink that takes more kinds of records takes these too.
  const anything: Sink<unknown> = print()
  const located = collect<{ readonly origin: string }>([])
  flights.to(anything)
  flights.to(located)
  // @ts-expect-error a flight is not text
  flights.to(writeText('out'))
  // @ts-expect-error neither is a number
  streamOf<number>().to(writeText('out'))
  // @ts-expect-error text has no columns
  streamOf<string>().to(writeCsv('out'))
  // @ts-expect-error an array of something else
  flights.to(collect<string>([]))
  // @ts-expect-error there may be nothing
  streamOf<string | undefined>().to(writeText('out'))
  // @ts-expect-error a source is not a sink
  flights.to(readText('a.txt'))
  // @ts-expect-error no such option
  flights.to(writeCsv('out', { colums: ['origin'] }))
}
