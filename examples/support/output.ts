import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The committed records of a JSON-lines folder; hidden files are not output. */
export function readOutput<T>(folder: string): T[] {
  const files = readdirSync(folder).filter((name) => !name.startsWith('.'))
  return files.flatMap((name) => {
    const lines = readFileSync(join(folder, name), 'utf8').split('\n')
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as T)
  })
}

/** Rows in columns, numbers to the right. */
export function printTable(header: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => String(row[column]).length)))
  const line = (cells: readonly (string | number)[]): string =>
    cells
      .map((cell, column) => (column === 0 ? String(cell).padEnd(widths[column]!) : String(cell).padStart(widths[column]!)))
      .join('   ')
  console.log(`  ${line(header)}`)
  for (const row of rows) console.log(`  ${line(row)}`)
}
