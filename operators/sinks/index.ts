/**
 * The built-in sinks.
 *
 * ```ts
 * import { writeJsonLines } from 'sluice'
 *
 * hourly.to(writeJsonLines('out/hourly'))
 * ```
 */
export { type CollectedValues, collect } from './collect.ts'
export { type WriteCsvOptions, writeCsv } from './csv.ts'
export { writeJsonLines } from './json-lines.ts'
export { type PrintedText, print } from './print.ts'
export type { StagedFile } from './staged-files.ts'
export { writeText } from './text-lines.ts'
