import { SluiceError } from './errors.ts'

/** Whether an error of the file system says that there is no room. */
export function isNoSpace(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code
  return code === 'ENOSPC' || code === 'EDQUOT'
}

/** @param place the operator that wanted to write, if one did */
export function diskFull(
  what: string,
  folder: string,
  cause: unknown,
  place: { readonly operator?: string; readonly subtask?: number } = {},
): SluiceError {
  return new SluiceError('DISK_FULL', `${what}: the disk of ${folder} is full`, {
    ...place,
    cause,
    hint: 'make room; the job goes on from its last checkpoint, nothing that was complete is lost',
  })
}
