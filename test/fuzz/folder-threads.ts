import { runFolderJob } from './folder-job.ts'

/** What worker threads import: the job of the folder that is named in the address of this module. */
await runFolderJob({ folder: new URL(import.meta.url).searchParams.get('folder')!, workers: 2, module: import.meta.url })
