/**
 * The names that folder sinks give to their files, and how to recognise them again: `.part-3-0.k7x2.4.csv.staged` is the first file
 * that subtask 3 staged in attempt 4 of run `k7x2`; `part-3-12.csv` is what subtask 3 wrote up to checkpoint 12.
 *
 * ```ts
 * isFinalName(finalName(3, 12, 'csv'), 'csv') // true
 * ```
 */
export function finalName(subtask: number, checkpoint: number, extension: string): string {
  return `part-${subtask}-${checkpoint}.${extension}`
}

/** Whether a visible file is, by its name, output of a folder sink with this extension. */
export function isFinalName(name: string, extension: string): boolean {
  return name.endsWith(`.${extension}`) && /^part-\d+-\d+$/.test(name.slice(0, -extension.length - 1))
}

/** What tells the staged files of one sink from each other. */
export interface StagedNameParts {
  readonly subtask: number
  /** Counts the files of one writer, from 0. The checkpoint is not known yet when the file is made. */
  readonly file: number
  readonly run: string
  readonly attempt: number
  readonly extension: string
}

/** The hidden name of a file that is not committed yet. */
export function stagedName({ subtask, file, run, attempt, extension }: StagedNameParts): string {
  return `.part-${subtask}-${file}.${safe(run)}.${attempt}.${extension}.staged`
}

/** Whether a staged file is of the same run and a later attempt than this one. */
export function isStagedLater(name: string, run: string, attempt: number): boolean {
  const [, ownRun, number] = /^\.part-\d+-\d+\.([A-Za-z0-9_-]+)\.(\d+)\./.exec(name) ?? []
  return ownRun === safe(run) && Number(number) > attempt
}

/** A run's name is the engine's business; whatever it is made of must not lead out of the folder. */
function safe(run: string): string {
  return run.replaceAll(/[^A-Za-z0-9_-]/g, '_')
}

/** Whether a hidden file was staged by a folder sink, of this run or any other. */
export function isStagedName(name: string): boolean {
  return /^\.part-\d+-\d+\..*\.staged$/.test(name)
}
