import { createInterface } from 'node:readline'
import { openState } from 'sluice/state'
import { openSavepoint } from '../../src/checkpoint/savepoint.ts'
import { verifySavepoint, verifyStore } from '../../src/checkpoint/verification.ts'
import { readStoredGraph, readStoredJob, withCheckpoints } from '../../src/cli/stored.ts'
import { SluiceError } from '../../src/core/errors.ts'
import { runFolderJob } from './folder-job.ts'

/*
 * Reads and runs damaged folders, one after the other, in a process that may die of it. For each line of its input, the path of a folder, it writes
 * a line when it begins with something and one when that has come to an end.
 */

type Action = (folder: string) => Promise<unknown>

const ACTIONS: Readonly<Record<string, Action>> = {
  status: (folder) => readStoredJob(stateOf(folder)),
  check: (folder) => readStoredGraph({ stateFolder: stateOf(folder) }),
  ls: (folder) =>
    withCheckpoints(stateOf(folder), (store) => [
      store.history(),
      store.sizes(),
      store.retained().map((id) => store.manifest(id)),
    ]),
  verify: (folder) => verifyStore(stateOf(folder)),
  read: (folder) => readAll(stateOf(folder)),
  run: (folder) => runFolderJob({ folder }),
  'run with threads': (folder) => runFolderJob({ folder, workers: 2, module: threadsOf(folder) }),
  'read again': (folder) => readAll(stateOf(folder)),
  'verify a savepoint': (folder) => verifySavepoint(openSavepoint(folder)),
  'read a savepoint': (folder) => readAll(folder),
  'run from a savepoint': (folder) => runFolderJob({ folder: `${folder}-run`, from: folder }),
}

function stateOf(folder: string): string {
  return `${folder}/state/hostile`
}

function threadsOf(folder: string): string {
  const url = new URL('folder-threads.ts', import.meta.url)
  url.searchParams.set('folder', folder)
  return url.href
}

/** Everything that a reader gives. */
async function readAll(folder: string): Promise<number> {
  const reader = await openState(folder)
  try {
    let rows = 0
    reader.sources()
    for (const { operator, state } of reader.states()) {
      reader.operatorState(operator)
      for await (const _ of reader.entries(operator, state)) rows++
      await reader.get(operator, state, 'key-7').catch(onlyCoded)
    }
    return rows
  } finally {
    await reader.close()
  }
}

function onlyCoded(error: unknown): void {
  if (!(error instanceof SluiceError)) throw error
}

/** What must be as it was whatever a file says. */
function polluted(): string | undefined {
  for (const prototype of [Object.prototype, Array.prototype, Function.prototype, Map.prototype]) {
    const names = Object.keys(prototype)
    if (names.length > 0) return names.join(', ')
  }
  return undefined
}

function outcomeOf(error: unknown): string {
  if (error instanceof SluiceError) return error.code
  return `UNCODED ${error instanceof Error ? error.stack : String(error)}`
}

async function perform(action: string, folder: string): Promise<string> {
  try {
    const result = await ACTIONS[action]!(folder)
    return polluted() ?? (action.startsWith('verify') ? verdict(result as { damage: readonly unknown[] }) : 'ok')
  } catch (error) {
    return polluted() ?? outcomeOf(error)
  }
}

function verdict({ damage }: { readonly damage: readonly unknown[] }): string {
  return damage.length === 0 ? 'ok' : 'damaged'
}

// Nobody is there any more who wants to know.
process.stdout.on('error', () => process.exit(1))
process.on('unhandledRejection', (error) => say({ unhandled: outcomeOf(error) }))
process.on('uncaughtException', (error) => say({ unhandled: outcomeOf(error) }))

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

for await (const line of createInterface({ input: process.stdin })) {
  const { folder, actions } = JSON.parse(line) as { readonly folder: string; readonly actions: readonly string[] }
  for (const action of actions) {
    say({ begins: action })
    say({ action, outcome: await perform(action, folder) })
  }
  say({ done: folder })
}
process.exit(0)
