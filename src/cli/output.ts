import { messageOf, SluiceError, toWireError } from '../core/errors.ts'

/**
 * Where a command says what it found. With `--json` stdout is exactly one JSON document, also when the command fails; without it, text for
 * people, and errors on stderr.
 */
export class Output {
  readonly json: boolean

  constructor(json: boolean) {
    this.json = json
  }

  /** The one result of a command: `document` for programs, or the text for people. */
  result(document: unknown, text: () => string): void {
    process.stdout.write(this.json ? `${JSON.stringify(document, null, 2)}\n` : `${text()}\n`)
  }

  error(error: unknown): void {
    if (this.json) process.stdout.write(`${JSON.stringify({ error: errorDocument(error) }, null, 2)}\n`)
    else process.stderr.write(errorText(error))
  }
}

/** What programs are told of an error: no stacks, which are nobody's interface. */
export function errorDocument(error: unknown): Readonly<Record<string, unknown>> {
  const { code, message, operator, subtask, hint } = toWireError(error, 'CONTROL_FAILED')
  return { code, message, operator, subtask, hint }
}

/** `sluice: message`, and what can be done about it. What is not a `SluiceError` is a mistake of this program, and shows where. */
export function errorText(error: unknown): string {
  if (!(error instanceof SluiceError)) return `sluice: ${error instanceof Error ? error.stack : messageOf(error)}\n`
  return `sluice: ${error.message}\n${error.hint === undefined ? '' : `hint: ${error.hint}\n`}`
}

/** Columns under their titles, as wide as they must be; those of numbers on the right. */
export function table(titles: readonly string[], rows: readonly (readonly string[])[], numbers: readonly string[] = []): string {
  const widths = titles.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => (numbers.includes(titles[column]!) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
      .join('  ')
      .trimEnd()
  return [titles, ...rows].map(line).join('\n')
}

/** `1,234,567`. */
export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

/** `2026-11-23T10:00:00.000Z`. */
export function instant(milliseconds: number): string {
  const date = new Date(milliseconds)
  return Number.isNaN(date.getTime()) ? String(milliseconds) : date.toISOString()
}

export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const
  let [rest, unit] = [value, 0]
  for (; rest >= 1024 && unit < units.length - 1; unit++) rest /= 1024
  return `${unit === 0 ? rest : rest.toFixed(1)} ${units[unit]!}`
}
