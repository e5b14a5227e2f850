import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

const PROGRAM = join(import.meta.dirname, 'allocating.ts')
/** Room for 2,500 bytes a record between two collections. */
const NEW_SPACE = ['--min-semi-space-size=128', '--max-semi-space-size=128']

/** Bytes that the engine takes of the heap, by what they are taken for. Counted, not timed, and the same in each run. */
export function allocations(): readonly { readonly name: string; readonly bytes: number }[] {
  // What is allocated depends on what the compiler has made part of what, and in one thread it does that always at the same places.
  const flags = ['--conditions=@sluice/source', '--expose-gc', '--single-threaded', ...NEW_SPACE]
  const printed = execFileSync(process.execPath, [...flags, PROGRAM], { encoding: 'utf8' })
  const figures = JSON.parse(printed) as Readonly<Record<string, number>>
  return Object.entries(figures).map(([name, bytes]) => ({ name, bytes }))
}
