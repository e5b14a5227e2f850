import type { IntervalResult, SettingResult } from '../interval.ts'

/*
 * Throughput against the interval between checkpoints, as an SVG file: medians with bars from the slowest to the fastest run. The interval
 * has a logarithmic axis; `off` stands to the right of it, and its median goes through the whole picture as a dashed line.
 */

const WIDTH = 760
const HEIGHT = 440
const PLOT = { left: 84, right: 728, top: 84, bottom: 352 }
/** Where the logarithmic part of the axis ends and `off` begins. */
const LOG_RIGHT = 592
const OFF_X = 672

const INK = '#1f2933'
const MUTED = '#616e7c'
const GRID = '#e4e7eb'
const ACCENT = '#0b69a3'
const OFF = '#8d6708'

export function intervalChart(result: IntervalResult): string {
  const { settings } = result
  const highest = Math.max(...settings.map((setting) => setting.recordsPerSecond.max))
  const step = niceStep(highest / 4)
  const top = step * Math.ceil((highest * 1.05) / step)
  const yOf = (value: number): number => PLOT.bottom - (value / top) * (PLOT.bottom - PLOT.top)
  const xOf = logScale(settings.flatMap(({ intervalSeconds }) => (intervalSeconds === null ? [] : [intervalSeconds])))
  const timed = settings.filter((setting) => setting.intervalSeconds !== null)
  const off = settings.find((setting) => setting.intervalSeconds === null)!
  const line = timed
    .map((setting) => `${at(xOf(setting.intervalSeconds!))},${at(yOf(setting.recordsPerSecond.median))}`)
    .join(' ')
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img"`,
    `  font-family="'DejaVu Sans', Verdana, Arial, sans-serif" font-size="13" fill="${INK}">`,
    '<title>Throughput against the interval between checkpoints</title>',
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    text(PLOT.left, 32, 'Throughput against the interval between checkpoints', { size: 18, weight: 'bold' }),
    ...heading(result).map((words, index) => text(PLOT.left, 52 + 17 * index, words, { fill: MUTED, size: 12 })),
    ...horizontalGrid(step, top, yOf),
    `<path d="M${PLOT.left} ${PLOT.bottom}H${LOG_RIGHT}M${LOG_RIGHT + 18} ${PLOT.bottom}H${PLOT.right}" stroke="${INK}" fill="none"/>`,
    `<path d="M${LOG_RIGHT - 4} ${PLOT.bottom + 6}l8 -12m2 12l8 -12" stroke="${MUTED}" fill="none"/>`,
    `<path d="M${PLOT.left} ${at(yOf(off.recordsPerSecond.median))}H${PLOT.right}" stroke="${OFF}" stroke-dasharray="5 4" fill="none"/>`,
    `<polyline points="${line}" fill="none" stroke="${ACCENT}" stroke-width="2"/>`,
    ...timed.map((setting) => point(setting, xOf(setting.intervalSeconds!), yOf, ACCENT)),
    point(off, OFF_X, yOf, OFF),
    text((PLOT.left + PLOT.right) / 2, 402, 'interval between checkpoints (log scale)', { anchor: 'middle' }),
    text(0, 0, 'records per second, million', {
      anchor: 'middle',
      transform: `translate(28 ${(PLOT.top + PLOT.bottom) / 2}) rotate(-90)`,
    }),
    text(PLOT.left, 428, footer(result), { fill: MUTED, size: 11 }),
    '</svg>',
    '',
  ].join('\n')
}

function heading({ parameters }: IntervalResult): readonly string[] {
  const { keys, parallelism, records, repetitions } = parameters
  return [
    `Running count of ${keys.toLocaleString('en-US')} string keys behind one exchange, parallelism ${parallelism}, exactly-once, synced to disk.`,
    `${(records / 1e6).toFixed(1)} M records a run, ${repetitions} runs each: medians, bars from slowest to fastest, and the share of off.`,
  ]
}

function footer({ environment }: IntervalResult): string {
  const { cpu, cores, node, revision, takenAt } = environment
  return `${cpu}, ${cores} cores, Node ${node}, revision ${revision}, ${takenAt.slice(0, 10)}`
}

function horizontalGrid(step: number, top: number, yOf: (value: number) => number): readonly string[] {
  const lines: string[] = []
  for (let value = 0; value <= top * 1.001; value += step) {
    const y = at(yOf(value))
    lines.push(`<path d="M${PLOT.left} ${y}H${PLOT.right}" stroke="${GRID}" fill="none"/>`)
    lines.push(text(PLOT.left - 10, Number(y) + 4, (value / 1e6).toFixed(step < 1e5 ? 2 : 1), { anchor: 'end', fill: MUTED }))
  }
  return lines
}

/** A setting: its bar, its dot, its name on the axis and its share of `off`. */
function point(setting: SettingResult, x: number, yOf: (value: number) => number, colour: string): string {
  const { min, max, median } = setting.recordsPerSecond
  const [low, high] = [yOf(min), yOf(max)]
  const name = setting.intervalSeconds === null ? 'off' : setting.every.replace(/^(\d+)/, '$1 ')
  const value = setting.intervalSeconds === null ? `${(median / 1e6).toFixed(2)} M` : `${(100 * setting.ratio).toFixed(1)} %`
  return [
    `<path d="M${at(x)} ${at(low)}V${at(high)}M${at(x - 6)} ${at(low)}h12M${at(x - 6)} ${at(high)}h12" stroke="${colour}" fill="none"/>`,
    `<circle cx="${at(x)}" cy="${at(yOf(median))}" r="4.5" fill="${colour}"/>`,
    text(x, low + 20, value, { anchor: 'middle', fill: colour }),
    `<path d="M${at(x)} ${PLOT.bottom}v5" stroke="${INK}" fill="none"/>`,
    text(x, PLOT.bottom + 21, name, { anchor: 'middle' }),
  ].join('\n')
}

function logScale(seconds: readonly number[]): (value: number) => number {
  const [least, most] = [Math.log(Math.min(...seconds)), Math.log(Math.max(...seconds))]
  const [from, to] = [PLOT.left + 56, LOG_RIGHT - 56]
  return (value) => (most === least ? (from + to) / 2 : from + ((Math.log(value) - least) / (most - least)) * (to - from))
}

/** The smallest of 1, 2, 5, 10, ... that is not below `least`. */
function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least))
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least)!
}

interface TextStyle {
  readonly anchor?: 'middle' | 'end'
  readonly fill?: string
  readonly size?: number
  readonly weight?: 'bold'
  readonly transform?: string
}

function text(x: number, y: number, words: string, style: TextStyle): string {
  const attributes = [
    `x="${at(x)}" y="${at(y)}"`,
    style.anchor && `text-anchor="${style.anchor}"`,
    style.fill && `fill="${style.fill}"`,
    style.size && `font-size="${style.size}"`,
    style.weight && `font-weight="${style.weight}"`,
    style.transform && `transform="${style.transform}"`,
  ].filter(Boolean)
  return `<text ${attributes.join(' ')}>${escapeXml(words)}</text>`
}

function escapeXml(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

function at(coordinate: number): string {
  return coordinate.toFixed(1)
}
