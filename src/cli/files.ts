import type { Stats } from 'node:fs'
import { statSync } from 'node:fs'
import { UsageError } from './exit-codes.ts'

/** What a path leads to, if it is a file. What cannot be looked at is none: its name may be too long, or a folder on the way closed. */
export function fileAt(path: string): Stats | undefined {
  try {
    const found = statSync(path)
    return found.isFile() ? found : undefined
  } catch {
    return undefined
  }
}

/** @throws UsageError when there is no such file */
export function checkJobFile(path: string): void {
  if (fileAt(path) === undefined) throw new UsageError(`there is no file ${path}`, 'give the path of the job file, as for node')
}
