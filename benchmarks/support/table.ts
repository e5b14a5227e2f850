import type { Spread } from './statistics.ts'

/** Rows of text in columns; the first column is a name, the others are figures. */
export function renderTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)))
  const line = (cells: readonly string[]): string =>
    cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('  ')
  return `${[line(header), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n')}\n`
}

/** 2137654 -> `2.14 M`. */
export function perSecond(value: number): string {
  return value >= 1e6 ? `${(value / 1e6).toFixed(2)} M` : value >= 1e3 ? `${(value / 1e3).toFixed(1)} k` : value.toFixed(0)
}

export function percent(ratio: number): string {
  return `${(100 * ratio).toFixed(1)} %`
}

/** `median (min - max)`. */
export function spreadIn({ median, min, max }: Spread, format: (value: number) => string): string {
  return `${format(median)} (${format(min)} - ${format(max)})`
}
