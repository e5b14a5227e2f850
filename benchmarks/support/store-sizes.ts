import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const CLI = join(import.meta.dirname, '..', '..', 'src', 'cli', 'main.ts')

/** What lies in the state file of a job that runs or rests. */
export interface StoreSizes {
  readonly fileBytes: number
  /** Pages of the base that are in use. */
  readonly baseBytes: number
  /** Changes that wait to be taken into the base. */
  readonly deltaBytes: number
}

/** As the command line shows them. @throws Error when it cannot */
export function storeSizes(stateDirectory: string): StoreSizes {
  const args = ['checkpoints', 'show', '--json', '--state-directory', stateDirectory]
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--conditions=@sluice/source', CLI, ...args], {
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`the sizes of the store cannot be asked for: ${stdout}${stderr}`)
  const { fileBytes, baseBytes, deltaBytes } = (JSON.parse(stdout) as { readonly sizes: StoreSizes }).sizes
  return { fileBytes, baseBytes, deltaBytes }
}
