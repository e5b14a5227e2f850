/**
 * How late did each airport run in each hour of 2001? Three million real flights, read as a stream.
 *
 * The file is sorted by schedule, but what counts is when a plane really left: schedule plus delay. So the disorder is real. A flight that
 * leaves seventeen hours late moves the time ahead for all others, and those that come more than a day behind it are late: they go to an
 * output of their own.
 *
 *     npm start
 *     kill -9 it at any moment and start it again: the output is the same
 */
import { fileURLToPath } from 'node:url'
import { job, readParquet, tumblingWindow, writeJsonLines } from 'sluice'
import { printTable, readOutput } from './support/output.ts'

interface Flight {
  date: Date
  delay: number
  distance: number
  origin: string
  destination: string
}

interface AirportHour {
  airport: string
  hour: string
  flights: number
  minutes: number
  worst: number
}

const flights = fileURLToPath(new URL('../node_modules/vega-datasets/data/flights-3m.parquet', import.meta.url))
const MINUTE = 60_000

const delays = job('flight-delays', { checkpoint: { every: '1s' } })

const hourly = delays
  .from(readParquet<Flight>(flights))
  // One reader, so that the flights come in one order and the same ones are late in every run.
  .withParallelism(1)
  .withTimestamps((flight) => flight.date.getTime() + flight.delay * MINUTE, { maxOutOfOrderness: '1d' })
  .withParallelism(1)
  .keyBy((flight) => flight.origin)
  .window(tumblingWindow('1h'))
  .aggregate({
    create: () => ({ flights: 0, minutes: 0, worst: 0 }),
    add: (sum, flight) => ({
      flights: sum.flights + 1,
      minutes: sum.minutes + Math.max(0, flight.delay),
      worst: Math.max(sum.worst, flight.delay),
    }),
    result: (sum, { key, window }): AirportHour => ({
      airport: key,
      hour: new Date(window.start).toISOString().slice(0, 16),
      ...sum,
    }),
  })

hourly.to(writeJsonLines('out/flight-delays/hourly'))
hourly.late.to(writeJsonLines('out/flight-delays/late'))

const { status, recordsIn } = await delays.run()

if (status === 'finished') {
  const hours = readOutput<AirportHour>('out/flight-delays/hourly')
  const late = readOutput<Flight>('out/flight-delays/late').length
  const inTime = hours.reduce((sum, hour) => sum + hour.flights, 0)
  const worst = hours
    .filter((hour) => hour.flights >= 20)
    .sort((a, b) => b.minutes / b.flights - a.minutes / a.flights)
    .slice(0, 10)
  console.log(`\n${recordsIn.toLocaleString('en-US')} flights in ${hours.length.toLocaleString('en-US')} airport-hours.`)
  console.log('The worst hours to leave (20 flights or more):\n')
  printTable(
    ['airport', 'hour', 'flights', 'mean delay', 'worst'],
    worst.map((hour) => [
      hour.airport,
      hour.hour.replace('T', ' '),
      hour.flights,
      `${Math.round(hour.minutes / hour.flights)} min`,
      `${hour.worst} min`,
    ]),
  )
  console.log(
    `\n${inTime.toLocaleString('en-US')} flights are counted above; ${late.toLocaleString('en-US')} came too late for their hour.`,
  )
  console.log('All of it: out/flight-delays/hourly/*.jsonl, and the late flights: out/flight-delays/late/*.jsonl')
}
