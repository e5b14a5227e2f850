import { perSecond } from './table.ts'

/*
 * Horizontal bars in panels, as an SVG file: medians with whiskers from the slowest to the fastest run. Each panel has an axis of its own that
 * begins at 0, because panels show different work.
 */

export interface BarChart {
  readonly title: string
  /** Lines below the title. */
  readonly subtitle: readonly string[]
  readonly panels: readonly BarPanel[]
  readonly footer: string
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

const WIDTH = 760
const LABELS_RIGHT = 268
const BARS_RIGHT = 560
const ROW = 24
const BAR = 13
const TOP = 56
const PANEL_GAP = 46

const INK = '#1f2933'
const MUTED = '#616e7c'
const GRID = '#e4e7eb'
const OURS = '#0b69a3'
const THEIRS = '#9aa5b1'

export function barChart({ title, subtitle, panels, footer }: BarChart): string {
  const lines: string[] = []
  let y = TOP + 17 * subtitle.length
  for (const panel of panels) {
    lines.push(...drawPanel(panel, y))
    y += PANEL_GAP + ROW * panel.bars.length
  }
  const height = y + 24
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img"`,
    `  font-family="'DejaVu Sans', Verdana, Arial, sans-serif" font-size="12" fill="${INK}">`,
    `<title>${escapeXml(title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text(24, 32, title, `font-size="18" font-weight="bold"`),
    ...subtitle.map((words, index) => text(24, 52 + 17 * index, words, `fill="${MUTED}"`)),
    ...lines,
    text(24, height - 14, footer, `fill="${MUTED}" font-size="11"`),
    '</svg>',
    '',
  ].join('\n')
}

function drawPanel({ title, bars }: BarPanel, top: number): readonly string[] {
  const highest = Math.max(...bars.map((bar) => bar.max))
  const xOf = (value: number): number => LABELS_RIGHT + (value / highest) * (BARS_RIGHT - LABELS_RIGHT)
  const bottom = top + 12 + ROW * bars.length
  return [
    text(24, top, title, 'font-weight="bold" font-size="13"'),
    `<path d="M${LABELS_RIGHT} ${top + 8}V${bottom}" stroke="${GRID}" fill="none"/>`,
    ...bars.map((bar, index) => drawBar(bar, top + 12 + ROW * index, xOf)),
  ]
}

function drawBar({ label, median, min, max, note, ours }: Bar, top: number, xOf: (value: number) => number): string {
  const [middle, low, high] = [top + ROW / 2, xOf(min), xOf(max)]
  const colour = ours ? OURS : THEIRS
  const value = `${perSecond(median)}${note === undefined ? '' : `   ${note}`}`
  return [
    text(LABELS_RIGHT - 8, middle + 4, label, `text-anchor="end"${ours ? ' font-weight="bold"' : ''}`),
    `<rect x="${LABELS_RIGHT}" y="${at(middle - BAR / 2)}" width="${at(xOf(median) - LABELS_RIGHT)}" height="${BAR}" fill="${colour}"/>`,
    `<path d="M${at(low)} ${at(middle)}H${at(high)}M${at(low)} ${at(middle - 4)}v8M${at(high)} ${at(middle - 4)}v8" stroke="${INK}" fill="none"/>`,
    text(high + 10, middle + 4, value, `fill="${ours ? OURS : INK}"`),
  ].join('\n')
}

function text(x: number, y: number, words: string, attributes: string): string {
  return `<text x="${at(x)}" y="${at(y)}" ${attributes} xml:space="preserve">${escapeXml(words)}</text>`
}

function escapeXml(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

function at(coordinate: number): string {
  return coordinate.toFixed(1)
}
