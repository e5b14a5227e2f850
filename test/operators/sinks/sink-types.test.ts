import { expect, test } from 'vitest'
import { collect, print, writeCsv, writeJsonLines, writeText } from '../../../operators/sinks/index.ts'
import type { Sink } from '../../../src/core/sink.ts'

interface Flight {
  readonly origin: string
  readonly delay: number
}

/** A stream's `to`, as far as the types of sinks go. */
interface Stream<T> {
  to(sink: Sink<T>): Sink<T>
}

function streamOf<T>(): Stream<T> {
  return { to: (sink) => sink }
}

test('sinks fit the streams of their records, without annotations', () => {
  const flights = streamOf<Flight>()
  expect(flights.to(writeJsonLines('out')).kind).toBe('writeJsonLines')
  expect(flights.to(writeJsonLines<Flight>('out')).kind).toBe('writeJsonLines')
  expect(flights.to(writeCsv('out', { columns: ['origin', 'delay'] })).kind).toBe('writeCsv')
  expect(flights.to(collect<Flight>([])).kind).toBe('collect')
  expect(flights.to(print()).kind).toBe('print')
  expect(streamOf<string>().to(writeText('out')).kind).toBe('writeText')
  expect(streamOf<number>().to(writeJsonLines('out')).kind).toBe('writeJsonLines')

  const sink = writeJsonLines('out')
  const collected: Flight[] = []
  expect([flights.to(sink), flights.to(collect(collected))]).toHaveLength(2)
})

test('sinks of other records do not', () => {
  const flights = streamOf<Flight>()
  // @ts-expect-error a flight is not a string
  flights.to(writeText('out'))
  // @ts-expect-error a number has no columns
  streamOf<number>().to(writeCsv('out'))
  // @ts-expect-error the array is not one of flights
  flights.to(collect<string>([]))
  expect(flights).toBeDefined()
})
