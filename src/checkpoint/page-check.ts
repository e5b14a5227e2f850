import { environmentPath } from './environment.ts'
import { checkStoreFile, problemOfFile } from './store-file.ts'

/*
 * A look at all pages of a store's file that its tables refer to. It costs a read of the whole file, so it is for those who check, and not for every start.
 */

/** For who is about to write much. @throws SluiceError `CHECKPOINT_UNREADABLE` when a page of a job's file is missing or wrong */
export function checkStorePages(stateFolder: string): void {
  checkStoreFile(environmentPath(stateFolder), { isWhole: true })
}

/** What is wrong with the file of a job, as far as that can be said without what its rows mean. */
export function problemOfStore(stateFolder: string): string | undefined {
  return problemOfFile(environmentPath(stateFolder), { isWhole: true })
}
