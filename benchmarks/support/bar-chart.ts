import type { PictureText } from './svg.ts'
import { at, GRID, INK, picture, stroke, text, topOf } from './svg.ts'
import { perSecond } from './table.ts'

/*
 * Horizontal bars in panels, as an SVG file: medians with whiskers from the slowest to the fastest run. Each panel has an axis of its own that
 * begins at 0, because panels show different work.
 */

export interface BarChart extends PictureText {
  readonly panels: readonly BarPanel[]
  /** Of the values; by default they are so many a second. */
  readonly format?: (value: number) => string
}

export interface BarPanel {
  readonly title: string
  readonly bars: readonly Bar[]
}

export interface Bar {
  readonly label: string
  /** Per second. */
  readonly median: number
  readonly min: number
  readonly max: number
  /** Behind the value, such as a ratio. */
  readonly note?: string
  /** The bar that the others are compared with. */
  readonly ours?: boolean
}

const LABELS_RIGHT = 268
const BARS_RIGHT = 560
const ROW = 24
const BAR = 13
const PANEL_GAP = 46

const OURS = '#0b69a3'
const THEIRS = '#9aa5b1'

export function barChart(chart: BarChart): string {
  const lines: string[] = []
  let y = topOf(chart) + 8
  for (const panel of chart.panels) {
    lines.push(...drawPanel(panel, y, chart.format ?? perSecond))
    y += PANEL_GAP + ROW * panel.bars.length
  }
  return picture(chart, y + 24, lines)
}

function drawPanel({ title, bars }: BarPanel, top: number, format: (value: number) => string): readonly string[] {
  const highest = Math.max(...bars.map((bar) => bar.max))
  const xOf = (value: number): number => LABELS_RIGHT + (value / highest) * (BARS_RIGHT - LABELS_RIGHT)
  const bottom = top + 12 + ROW * bars.length
  return [
    text(24, top, title, { weight: 'bold' }),
    stroke(`M${LABELS_RIGHT} ${top + 8}V${bottom}`, GRID),
    ...bars.map((bar, index) => drawBar(bar, top + 12 + ROW * index, xOf, format)),
  ]
}

type Place = (value: number) => number

function drawBar(
  { label, median, min, max, note, ours }: Bar,
  top: number,
  xOf: Place,
  format: (value: number) => string,
): string {
  const [middle, low, high] = [top + ROW / 2, xOf(min), xOf(max)]
  const colour = ours ? OURS : THEIRS
  const value = `${format(median)}${note === undefined ? '' : `   ${note}`}`
  return [
    text(LABELS_RIGHT - 8, middle + 4, label, { anchor: 'end', ...(ours ? { weight: 'bold' } : {}) }),
    `<rect x="${LABELS_RIGHT}" y="${at(middle - BAR / 2)}" width="${at(xOf(median) - LABELS_RIGHT)}" height="${BAR}" fill="${colour}"/>`,
    stroke(`M${at(low)} ${at(middle)}H${at(high)}M${at(low)} ${at(middle - 4)}v8M${at(high)} ${at(middle - 4)}v8`, INK),
    text(high + 10, middle + 4, value, { fill: ours ? OURS : INK }),
  ].join('\n')
}
