import type { Environment } from './environment.ts'

/** What all pictures have in common: size, colours, words. */
export const WIDTH = 760
export const INK = '#1f2933'
export const MUTED = '#616e7c'
export const GRID = '#e4e7eb'
/** For series and bars, in turn; told apart also without colours by their order and names. */
export const COLOURS = ['#0b69a3', '#c65d07', '#2f8132', '#8d2b8d', '#8d6708', '#52606d'] as const

export interface PictureText {
  readonly title: string
  /** Below the title: what was measured, and how; broken into lines where they are long. */
  readonly notes: readonly string[]
  readonly environment: Environment
}

/** Characters of a line below the title. */
const LINE = 108

/** Where the words below the title end. */
export function topOf({ notes }: PictureText): number {
  return 48 + 17 * notes.flatMap(broken).length
}

function broken(note: string): readonly string[] {
  const lines: string[] = []
  for (const word of note.split(' ')) {
    const last = lines.at(-1)
    if (last === undefined || last.length + word.length >= LINE) lines.push(word)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines
}

/** An SVG file with title, notes and machine around what `body` draws. */
export function picture(words: PictureText, height: number, body: readonly string[]): string {
  const { cpu, cores, node, revision, takenAt } = words.environment
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img"`,
    `  font-family="'DejaVu Sans', Verdana, Arial, sans-serif" font-size="13" fill="${INK}">`,
    `<title>${escapeXml(words.title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text(24, 32, words.title, { size: 18, weight: 'bold' }),
    ...words.notes.flatMap(broken).map((line, index) => text(24, 52 + 17 * index, line, { fill: MUTED, size: 12 })),
    ...body,
    text(24, height - 12, `${cpu}, ${cores} cores, Node ${node}, revision ${revision}, ${takenAt.slice(0, 10)}`, {
      fill: MUTED,
      size: 11,
    }),
    '</svg>',
    '',
  ].join('\n')
}

export interface TextStyle {
  readonly anchor?: 'middle' | 'end'
  readonly fill?: string
  readonly size?: number
  readonly weight?: 'bold'
  readonly transform?: string
}

export function text(x: number, y: number, words: string, style: TextStyle = {}): string {
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

/** A path of straight strokes. */
export function stroke(path: string, colour: string, more = ''): string {
  return `<path d="${path}" stroke="${colour}" fill="none"${more === '' ? '' : ` ${more}`}/>`
}

export function escapeXml(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

export function at(coordinate: number): string {
  return coordinate.toFixed(1)
}

/** Even steps that are easy to read, from `from` to beyond `to`. */
export function niceTicks(from: number, to: number, most = 6): readonly number[] {
  const step = niceStep((to - from) / most)
  const first = Math.floor(from / step + 1e-9)
  const last = Math.ceil(to / step - 1e-9)
  return Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step)
}

/** The smallest of 1, 2, 5, 10, ... that is not below `least`. */
function niceStep(least: number): number {
  if (!(least > 0)) return 1
  const power = 10 ** Math.floor(Math.log10(least))
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least * (1 - 1e-9))!
}
