import { messageOf } from '../core/errors.ts'
import { keyGroupOf } from '../core/key-groups.ts'
import { rowKey } from '../state/base-rows.ts'
import type { StateIdentity } from '../state/delta-chunk.ts'
import { readDelta } from '../state/delta-reader.ts'
import { keyFromBytes } from '../state/key-bytes.ts'
import { valueFromBytes } from '../state/row-value.ts'
import type { Manifest, StoredDelta } from './manifest.ts'
import { problemOfStore } from './page-check.ts'
import type { Savepoint } from './savepoint.ts'
import { unreadableSavepoint } from './savepoint-index.ts'
import { Slices } from './slices.ts'
import { StateOverlay } from './state-overlay.ts'
import { mergedRows, wholeRange } from './state-rows.ts'
import type { RegisteredState } from './stored-base.ts'
import { StoredInstant } from './stored-rows.ts'

/*
 * Reads everything by which a job would go on, and says what of it is damaged. What always holds:
 *
 * 1. Everything is of one instant, also while the job runs and writes.
 * 2. One damaged thing hides no other: each manifest, chunk and state is proved by itself.
 * 3. Other work goes on between its steps, and nothing is changed.
 */

/** Something that cannot be used as it is. */
export interface Damage {
  /** Such as `checkpoint 12`, `chunk 12/3 of 'count-1'`, or `state 'count' of 'count-1'`. */
  readonly where: string
  readonly problem: string
}

/** What was read, and what is wrong with it. */
export interface Verification {
  /** Those whose manifests were decoded or tried. */
  readonly checkpoints: readonly number[]
  /** Chunks that the base does not hold yet, of all these checkpoints. */
  readonly chunks: number
  /** Rows of the base, and in chunks; removals are among the latter. */
  readonly rows: number
  readonly damage: readonly Damage[]
}

/**
 * Reads the state of a job: which pages of its file refer to which; the manifest of a checkpoint, or of all that are kept; the chunks that these name and the base does not hold; and the
 * whole base.
 * @throws SluiceError `JOB_UNKNOWN`, `INVALID_OPTION` when that checkpoint is not kept, `STORE_FAILED`, `CHECKPOINT_UNREADABLE` when the file is none
 */
export async function verifyStore(stateFolder: string, checkpoint?: number): Promise<Verification> {
  const problem = problemOfStore(stateFolder)
  if (problem !== undefined) return damagedFile(problem)
  const instant = StoredInstant.open(stateFolder)
  try {
    return await new StoreVerifier(instant).verify(checkpoint)
  } finally {
    await instant.close()
  }
}

/** Nothing else is read: the library would be ended by a signal at that page. */
function damagedFile(problem: string): Verification {
  return {
    checkpoints: [],
    chunks: 0,
    rows: 0,
    damage: [{ where: 'the state file', problem: `${problem}, so nothing else was read` }],
  }
}

class StoreVerifier {
  readonly #instant: StoredInstant
  readonly #slices = new Slices()
  readonly #damage: Damage[] = []
  readonly #proved = new Set<string>()
  #maxParallelism: number | undefined
  #rows = 0

  constructor(instant: StoredInstant) {
    this.#instant = instant
  }

  async verify(checkpoint: number | undefined): Promise<Verification> {
    const kept = this.#instant.retained()
    // Only to say that it is not there: its own manifest is read below.
    if (checkpoint !== undefined && !kept.includes(checkpoint)) this.#instant.manifest(checkpoint)
    const checkpoints = checkpoint === undefined ? kept : [checkpoint]
    const { importing } = this.#instant
    if (importing !== undefined) this.#note('the base', `the import of the savepoint ${importing} was interrupted`)
    for (const each of checkpoints) await this.#verifyCheckpoint(each)
    for (const state of this.#instant.states()) await this.#verifyState(state)
    return { checkpoints, chunks: this.#proved.size, rows: this.#rows, damage: this.#damage }
  }

  async #verifyCheckpoint(checkpoint: number): Promise<void> {
    const manifest = this.#manifest(checkpoint)
    if (manifest === undefined) return
    this.#maxParallelism = manifest.maxParallelism
    for (const delta of this.#instant.unfolded(manifest)) {
      const name = `chunk ${delta.checkpoint}/${delta.sequence} of '${delta.operator}'`
      // Most chunks are named by several manifests.
      if (this.#proved.has(name)) continue
      this.#proved.add(name)
      this.#attempt(name, () => this.#verifyChunk(delta, manifest))
      await this.#slices.pause()
    }
  }

  #manifest(checkpoint: number): Manifest | undefined {
    return this.#attempt(`checkpoint ${checkpoint}`, () => {
      return this.#instant.manifest(checkpoint)
    })
  }

  #verifyChunk(delta: StoredDelta, { maxParallelism }: Manifest): void {
    this.#rows += checkedRows(this.#instant.chunk(delta), maxParallelism)
  }

  async #verifyState(state: RegisteredState): Promise<void> {
    const where = `state '${state.name}' (${state.kind}) of '${state.operator}'`
    let [damaged, first] = [0, '']
    try {
      for await (const row of mergedRows(this.#instant, new StateOverlay(), state, wholeRange(state))) {
        this.#rows++
        const problem = problemOf(state, row.group, row.namespace, row.key, row.value, this.#maxParallelism, row.position)
        if (problem !== undefined && damaged++ === 0) first = problem
        await this.#slices.pause()
      }
    } catch (error) {
      this.#note(where, `its rows cannot be read: ${messageOf(error)}`)
    }
    if (damaged > 0) this.#note(where, `${damaged} of its rows cannot be read; of the first one ${first}`)
  }

  #attempt<R>(where: string, action: () => R): R | undefined {
    try {
      return action()
    } catch (error) {
      this.#note(where, messageOf(error))
      return undefined
    }
  }

  #note(where: string, problem: string): void {
    this.#damage.push({ where, problem })
  }
}

/** Reads a savepoint: its files, and in them every key and value. The first damage ends it: behind it nothing has its place. */
export async function verifySavepoint(savepoint: Savepoint): Promise<Verification> {
  const slices = new Slices()
  const { path, index, manifest } = savepoint
  let [chunks, rows] = [0, 0]
  const damage: Damage[] = []
  try {
    for await (const { bytes, file, offset } of savepoint.chunks()) {
      chunks++
      try {
        rows += checkedRows(bytes, manifest.maxParallelism)
      } catch (error) {
        const { name } = index.files[file]!
        throw unreadableSavepoint(path, name, `in its chunk at byte ${offset} ${messageOf(error)}`, error)
      }
      await slices.pause()
    }
  } catch (error) {
    damage.push({ where: `savepoint ${path}`, problem: messageOf(error) })
  }
  return { checkpoints: [manifest.checkpoint], chunks, rows, damage }
}

/** How many rows a chunk has. @throws Error when one of them is none */
function checkedRows(bytes: Uint8Array, maxParallelism: number): number {
  let rows = 0
  readDelta(bytes, {
    row: (state, group, namespace, key, value) => {
      rows++
      const problem = problemOf(state, group, namespace, key, value, maxParallelism)
      if (problem !== undefined) throw new Error(`row ${rows} of '${state.name}': ${problem}`)
    },
    drop: () => undefined,
  })
  return rows
}

/**
 * Why a row is none; `undefined` when it is sound. A key that is in a group which is not its own would never be found again.
 * @param position where the base has it: a key that was replaced by its hash must have that hash
 */
function problemOf(
  state: StateIdentity,
  group: number,
  namespace: number,
  key: Uint8Array,
  value: Uint8Array | undefined,
  maxParallelism: number | undefined,
  position?: Buffer,
): string | undefined {
  try {
    const decoded = keyFromBytes(key)
    if (value !== undefined) valueFromBytes(value)
    if (maxParallelism !== undefined && keyGroupOf(decoded, maxParallelism) !== group) return 'the key is in the wrong key group'
  } catch (error) {
    return `it cannot be decoded: ${messageOf(error)}`
  }
  const isPlaced = position === undefined || rowKey(0, state, group, namespace, key).equals(position)
  return isPlaced ? undefined : 'the key does not have the hash under which it lies'
}
