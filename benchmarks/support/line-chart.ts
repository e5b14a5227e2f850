import type { PictureText } from './svg.ts'
import { at, COLOURS, GRID, INK, MUTED, niceTicks, picture, stroke, text, topOf, WIDTH } from './svg.ts'

/** One curve. */
export interface Series {
  readonly name: string
  /** `low` and `high` draw a bar through the point. */
  readonly points: readonly { readonly x: number; readonly y: number; readonly low?: number; readonly high?: number }[]
  /** Without dots, for many points. */
  readonly thin?: boolean
}

export interface Axis {
  readonly label: string
  readonly format: (value: number) => string
  readonly log?: boolean
  /** What the axis has marks at; easy steps by default, and the values of the points on a logarithmic one. */
  readonly ticks?: readonly number[]
  /** The axis reaches this far at least. */
  readonly include?: readonly number[]
}

export interface LineChart extends PictureText {
  readonly x: Axis
  readonly y: Axis
  readonly series: readonly Series[]
  /** Places on the x axis to point at. */
  readonly marks?: readonly number[]
}

const LEFT = 84
const RIGHT = 732
const PLOT_HEIGHT = 260

/** Curves over a common axis, as an SVG file. */
export function lineChart(chart: LineChart): string {
  const top = topOf(chart) + 26
  const bottom = top + PLOT_HEIGHT
  const points = chart.series.flatMap(({ points }) => points)
  const x = scaleOf(
    chart.x,
    points.map((point) => point.x),
    LEFT + 8,
    RIGHT - 8,
  )
  const y = scaleOf(
    chart.y,
    points.flatMap((point) => [point.y, point.low ?? point.y, point.high ?? point.y]),
    bottom,
    top,
  )
  return picture(chart, bottom + 76, [
    ...legend(chart.series, top - 14),
    ...y.ticks.flatMap((tick) => [
      stroke(`M${LEFT} ${at(y.of(tick))}H${RIGHT}`, tick === 0 ? INK : GRID),
      text(LEFT - 8, y.of(tick) + 4, chart.y.format(tick), { anchor: 'end', fill: MUTED }),
    ]),
    ...x.ticks.flatMap((tick) => [
      stroke(`M${at(x.of(tick))} ${bottom}v5`, INK),
      text(x.of(tick), bottom + 19, chart.x.format(tick), { anchor: 'middle', fill: MUTED }),
    ]),
    ...(chart.marks ?? []).map((mark) => stroke(`M${at(x.of(mark))} ${top}V${bottom}`, MUTED, 'stroke-dasharray="2 4"')),
    ...chart.series.flatMap((series, index) => curve(series, colour(index), x.of, y.of)),
    text((LEFT + RIGHT) / 2, bottom + 40, chart.x.label, { anchor: 'middle' }),
    text(0, 0, chart.y.label, { anchor: 'middle', transform: `translate(20 ${(top + bottom) / 2}) rotate(-90)` }),
  ])
}

interface Scale {
  readonly of: (value: number) => number
  readonly ticks: readonly number[]
}

function scaleOf(axis: Axis, values: readonly number[], from: number, to: number): Scale {
  const all = [...values, ...(axis.include ?? [])]
  const [least, most] = [Math.min(...all), Math.max(...all)]
  const ticks = axis.ticks ?? (axis.log ? [...new Set(values)] : niceTicks(least, most))
  const [first, last] = [Math.min(least, ...ticks), Math.max(most, ...ticks)]
  const place = axis.log ? Math.log : (value: number): number => value
  const length = place(last) - place(first)
  return {
    ticks,
    of: (value) => (length === 0 ? (from + to) / 2 : from + ((place(value) - place(first)) / length) * (to - from)),
  }
}

function legend(series: readonly Series[], y: number): readonly string[] {
  const each = Math.min(190, (WIDTH - 2 * 24) / series.length)
  return series.flatMap(({ name }, index) => [
    stroke(`M${at(24 + index * each)} ${at(y - 4)}h18`, colour(index), 'stroke-width="3"'),
    text(48 + index * each, y, name, { fill: colour(index) }),
  ])
}

function curve({ points, thin }: Series, ink: string, x: Scale['of'], y: Scale['of']): readonly string[] {
  const line = points.map((point) => `${at(x(point.x))},${at(y(point.y))}`).join(' ')
  const bars = points.flatMap(({ x: place, low, high }) =>
    low === undefined || high === undefined
      ? []
      : [stroke(`M${at(x(place))} ${at(y(low))}V${at(y(high))}`, ink, 'opacity="0.5"')],
  )
  const dots = thin ? [] : points.map((point) => `<circle cx="${at(x(point.x))}" cy="${at(y(point.y))}" r="4" fill="${ink}"/>`)
  return [`<polyline points="${line}" fill="none" stroke="${ink}" stroke-width="${thin ? 1.5 : 2}"/>`, ...bars, ...dots]
}

function colour(index: number): string {
  return COLOURS[index % COLOURS.length]!
}
