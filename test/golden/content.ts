import type { CheckpointRecord } from '../../src/checkpoint/checkpoint-history.ts'
import type { Manifest } from '../../src/checkpoint/manifest.ts'
import type { Savepoint } from '../../src/checkpoint/savepoint.ts'
import type { StateReader } from '../../src/checkpoint/state-reader.ts'
import type { StoredCheckpoints } from '../../src/checkpoint/stored-checkpoints.ts'
import { taggedJson } from '../../src/checkpoint/tagged-json.ts'

/*
 * What golden files say, decoded and as JSON. The script that wrote them keeps it beside them, and the test decodes again and compares.
 */

/** Everything that a state folder holds. */
export async function contentOfStore(
  store: StoredCheckpoints,
  readerOf: (checkpoint: number) => Promise<StateReader>,
): Promise<unknown> {
  const checkpoints: unknown[] = []
  for (const id of store.retained()) {
    const manifest = store.manifest(id)
    const reader = await readerOf(id)
    const unfolded = store.unfolded(manifest).map(({ checkpoint, sequence }) => [checkpoint, sequence])
    checkpoints.push({ manifest: taggedJson(manifest), unfolded, state: await contentOfState(reader) })
    await reader.close()
  }
  const { run, attempt, finished, latestCheckpoint, committedThrough, foldedThrough } = store
  const meta = { run, attempt, finished, latestCheckpoint, committedThrough, foldedThrough, registry: store.registry() }
  return { meta: taggedJson(meta), history: store.history().map(recordOf), checkpoints }
}

function recordOf(record: CheckpointRecord): unknown {
  return taggedJson(record)
}

/** Everything that a savepoint holds, but for what its writer did not choose: when, where, and by which version of sluice. */
export async function contentOfSavepoint({ index, manifest }: Savepoint, reader: StateReader): Promise<unknown> {
  const { createdAtMs: _, engine: __, ...rest } = index
  const content = { index: taggedJson(rest), manifest: manifestOf(manifest), state: await contentOfState(reader) }
  await reader.close()
  return content
}

function manifestOf(manifest: Manifest): unknown {
  return taggedJson(manifest)
}

/** All entries of keyed state, what operators keep beside it, and how far sources have read. */
export async function contentOfState(reader: StateReader): Promise<unknown> {
  const states: unknown[] = []
  for (const { operator, state, kind } of reader.states()) {
    const entries: unknown[] = []
    // As they are stored, stamps included.
    for await (const entry of reader.entries(operator, state, { raw: true })) entries.push(taggedJson(entry))
    states.push({ operator, state, kind, entries })
  }
  const { operators } = reader.summary
  const own = operators.map(({ id }) => ({ operator: id, states: taggedJson(reader.operatorState(id)) }))
  return { states, own, sources: taggedJson(reader.sources()) }
}
