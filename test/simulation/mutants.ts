/** A bug that somebody could have made: what stands in a file, and what stands there instead. */
export interface Mutant {
  readonly name: string
  /** The job that it is looked for in, where others cannot show it. Default: all of them. */
  readonly job?: string
  readonly changes: readonly { readonly file: string; readonly find: string; readonly replace: string }[]
}

const CHECKPOINTING = 'src/control/checkpointing.ts'
const TASK = 'src/runtime/task.ts'
const FILE_WRITER = 'operators/sinks/staged-file-writer.ts'
const FILE_COMMITTER = 'operators/sinks/staged-file-committer.ts'
const FOLDERS = 'operators/sinks/folders.ts'

/*
 * Known bugs of checkpointing engines, each planted by itself. What the simulator does not find of these it would not find of anybody's.
 */
export const MUTANTS: readonly Mutant[] = [
  {
    name: 'a commit is made before the manifest is durable',
    changes: [
      {
        file: CHECKPOINTING,
        find: '    if (!this.#store(manifest, record)) return\n',
        replace:
          '    committers.ledger.onCompleted(checkpoint)\n    this.#commit()\n    if (!this.#store(manifest, record)) return\n',
      },
      { file: CHECKPOINTING, find: '    committers.ledger.onCompleted(checkpoint)\n    observer', replace: '    observer' },
    ],
  },
  {
    name: 'the memory of a chunk is used again before the chunk is written',
    changes: [
      {
        file: 'src/checkpoint/checkpoint-store.ts',
        find: '      this.#buffered.push({ key: [checkpoint, sequence], bytes, written })\n',
        replace: '      this.#buffered.push({ key: [checkpoint, sequence], bytes, written })\n      written(bytes)\n',
      },
    ],
  },
  {
    name: 'a checkpoint counts as complete although its manifest could not be written',
    changes: [
      {
        file: CHECKPOINTING,
        find: '    if (!this.#store(manifest, record)) return\n',
        replace: '    this.#store(manifest, record)\n',
      },
    ],
  },
  {
    name: 'the barrier goes out behind the records that follow the snapshot',
    changes: [
      {
        file: TASK,
        find: "    for (const output of outputs) output.sendControl({ kind: 'barrier', checkpoint })\n",
        replace: '    this.lateBarrier = checkpoint\n',
      },
      {
        file: TASK,
        find: '    const worked = this.#work()\n',
        replace: '    const late = this.lateBarrier\n    const worked = this.#work()\n',
      },
      {
        file: TASK,
        find: '    return worked || wrote || recorded\n',
        replace:
          "    if (late === 0) return worked || wrote || recorded\n    for (const output of this.#parts.outputs) output.sendControl({ kind: 'barrier', checkpoint: late })\n    this.lateBarrier = 0\n    return true\n",
      },
      { file: TASK, find: '  get state(): TaskState {', replace: '  lateBarrier = 0\n\n  get state(): TaskState {' },
    ],
  },
  {
    name: 'channels are not aligned',
    changes: [
      {
        file: 'src/checkpoint/barrier-aligner.ts',
        find: "      if (this.#mode === 'exactly-once') this.#held[channel] = true\n",
        replace: '',
      },
    ],
  },
  {
    name: 'an entry of a snapshot under way is changed before it is written',
    job: 'wide',
    changes: [
      {
        file: 'src/state/grouped-table.ts',
        find: '    else if (group.epoch(number) === frozen) this.#snapshots.write(this.#surroundings.early, group, number)\n',
        replace: '',
      },
    ],
  },
  {
    name: 'an entry changes before the image of its group is taken',
    changes: [
      {
        file: 'src/state/grouped-table.ts',
        find: '    if (group.awaitsImage) group.remember(number)\n    else if (',
        replace: '    if (!group.awaitsImage && ',
      },
    ],
  },
  {
    name: 'an entry comes before the image of its group is taken',
    changes: [
      {
        file: 'src/state/table-group.ts',
        find: '      this.#before?.note(number, 0, 0)\n',
        replace: '',
      },
    ],
  },
  {
    name: 'an image is taken of what is not whole in memory',
    job: 'tables',
    changes: [
      {
        file: 'src/state/table-snapshots.ts',
        find: ' && this.#isWhole(group.ofGroup)',
        replace: '',
      },
    ],
  },
  {
    name: 'a restored image hides nothing of the base',
    job: 'tables',
    changes: [
      {
        file: 'src/state/grouped-table.ts',
        find: '      this.#inBase[group] = false\n',
        replace: '',
      },
    ],
  },
  {
    name: 'rows that come to an image in the base are lost',
    job: 'tables',
    changes: [
      {
        file: 'src/checkpoint/base-row-writer.ts',
        find: '      if (rows!.put(key, value)) continue\n',
        replace: '      if (key.length > 0 || rows!.put(key, value)) continue\n',
      },
    ],
  },
  {
    name: 'nobody asks whether the attempt is still the newest',
    changes: [
      {
        file: 'src/checkpoint/store-writes.ts',
        find: '    if (attempt === this.claim?.attempt && run === this.claim?.run) return\n',
        replace: '    if (attempt !== undefined && run !== undefined) return\n',
      },
    ],
  },
  {
    name: 'the position of a source is taken behind the barrier',
    changes: [
      {
        file: TASK,
        find: '    this.#takeSnapshot(checkpoint, undefined)\n    return true\n  }\n\n  #stepSource',
        replace:
          '    const early = this.#parts.reading!.positions()\n    this.early = early\n    this.#takeSnapshot(checkpoint, undefined)\n    return true\n  }\n\n  early: unknown\n\n  #stepSource',
      },
      {
        file: TASK,
        find: '    return [{ ...source!, records: this.#recordsRead, splits: reading.positions() }, ...rest]\n',
        replace:
          '    const splits = (this.early as ReturnType<typeof reading.positions>) ?? reading.positions()\n    const next = reading.next(1)\n    if (next.type === "records") { this.#recordsRead += next.records.length; this.#batch = { values: next.records, timestamps: undefined }; this.#batchIndex = 0; this.#channel = 0; this.#receiver = this.#chain.head; return [{ ...source!, records: this.#recordsRead, splits: reading.positions() }, ...rest] }\n    return [{ ...source!, records: this.#recordsRead, splits }, ...rest]\n',
      },
    ],
  },
  {
    name: 'the watermark of an operator is not restored',
    changes: [
      {
        file: 'src/checkpoint/restore.ts',
        find: '  const watermark = minimum(sources.map((share) => share.operator.watermark))\n',
        replace: '  const watermark = WATERMARK_NONE\n',
      },
    ],
  },
  {
    name: 'what was prepared for the next checkpoint is committed with this one',
    changes: [
      {
        file: 'src/checkpoint/commit-ledger.ts',
        find: '      if (committable.checkpoint > this.#completed) continue\n',
        replace: '      if (committable.checkpoint > this.#completed + 1) continue\n',
      },
    ],
  },
  {
    name: 'what dead attempts have staged is not aborted',
    changes: [
      {
        file: 'src/control/committers.ts',
        find: "      await located(operator, 'OUTPUT_UNWRITABLE', () => committer.open({ ...how, pending: decoded(own) }))\n",
        replace: '      if (how.attempt < 0) await committer.open({ ...how, pending: decoded(own) })\n',
      },
    ],
  },
  {
    name: 'what was staged for an aborted checkpoint is forgotten',
    changes: [
      {
        file: 'src/checkpoint/commit-ledger.ts',
        find: '    this.#completed = checkpoint\n  }\n\n  /** These sinks',
        replace:
          '    this.#completed = checkpoint\n    for (const [id, [first]] of this.#prepared) if (first !== undefined && first.checkpoint < checkpoint) this.#prepared.delete(id)\n  }\n\n  /** These sinks',
      },
    ],
  },
  {
    name: 'changes that were written for an aborted checkpoint are forgotten',
    changes: [
      {
        file: 'src/checkpoint/delta-book.ts',
        find: '    const listed = this.#deltas.filter((delta) => delta.checkpoint <= checkpoint && delta.checkpoint > foldedThrough)\n',
        replace:
          '    const listed = this.#deltas.filter((delta) => (delta.checkpoint === checkpoint || this.listed.has(delta.checkpoint)) && delta.checkpoint > foldedThrough)\n    this.listed.add(checkpoint)\n',
      },
      {
        file: 'src/checkpoint/delta-book.ts',
        find: '  onStored(deltas',
        replace: '  readonly listed = new Set<number>()\n\n  onStored(deltas',
      },
    ],
  },
  {
    name: 'a region that starts again keeps what its sinks had prepared',
    job: 'parts',
    changes: [{ file: CHECKPOINTING, find: '    committers.ledger.onRestarted(operators)\n', replace: '' }],
  },
  {
    name: 'a region that starts again keeps the changes that it had written',
    job: 'parts',
    changes: [
      {
        file: CHECKPOINTING,
        find: '    store.forgetDeltas(this.#deltas.onRestarted(operators, store.latestCheckpoint!))\n',
        replace: '',
      },
    ],
  },
  {
    name: 'what is on its way is not part of an unaligned snapshot',
    changes: [
      {
        file: 'src/runtime/channel-recorder.ts',
        find: '    this.#batches[channel]!.push({',
        replace: '    if (channel >= 0) return\n    this.#batches[channel]!.push({',
      },
    ],
  },
  {
    name: 'watermarks overtake what was on its way to the middle of a chain',
    job: 'tight',
    changes: [{ file: 'src/runtime/operator-chain.ts', find: '    this.#openFrom(place)\n', replace: '    this.#openFrom(0)\n' }],
  },
  {
    name: 'a base that is folded beyond the oldest kept checkpoint',
    changes: [
      {
        file: 'src/checkpoint/checkpoint-store.ts',
        find: '    return this.retained().slice(0, -retain)\n',
        replace: '    return this.retained().slice(0, -retain + 1 === 0 ? undefined : -retain + 1)\n',
      },
    ],
  },
  {
    name: 'a watermark in flight to what is the middle of a chain now is forgotten',
    job: 'brief',
    changes: [
      {
        file: 'src/runtime/chain-link.ts',
        find: '    this.emitWatermark(watermark)\n  }\n\n  receiveWatermark',
        replace:
          '    this.#emittedWatermark = watermark\n    for (const { exchange } of this.#exchanges) for (const channel of exchange.channels) channel.addWatermark(watermark)\n  }\n\n  receiveWatermark',
      },
    ],
  },
  {
    name: 'a subtask is silent whose results are under way',
    job: 'services',
    changes: [
      {
        file: 'src/checkpoint/restore.ts',
        find: '  if (operator.watermark === WATERMARK_END) return operator.pending === true\n',
        replace: '  if (operator.watermark === WATERMARK_END) return false\n',
      },
    ],
  },
  {
    name: 'a task goes on although its output is full',
    changes: [
      {
        file: TASK,
        find: '    while (index < values.length && !backpressure.full) {\n',
        replace: '    while (index < values.length) {\n',
      },
      {
        file: TASK,
        find: '    if (this.#parts.backpressure.full && !this.#flushFull()) return false\n',
        replace: '',
      },
    ],
  },
  {
    name: 'a chunk that is corrupt is taken as it is',
    changes: [
      {
        file: 'src/checkpoint/stored-checkpoints.ts',
        find: '    if (stored.byteLength !== length || crc32(stored) !== delta.crc32)\n',
        replace: '    if (stored.byteLength !== length && crc32(stored) !== delta.crc32)\n',
      },
    ],
  },
  {
    name: 'a manifest that is corrupt is taken as it is',
    changes: [
      {
        file: 'src/checkpoint/manifest.ts',
        find: '  return checksumOf(bytes, body) === view.getUint32(8, true) ? undefined',
        replace: '  return checksumOf(bytes, body) >= 0 ? undefined',
      },
    ],
  },
  {
    name: 'an entry is evicted before the base holds it',
    changes: [
      {
        file: 'src/state/grouped-table.ts',
        find: '      else if ((flags & LIVE) !== 0 && this.#epochs.isInBase(entries.epoch(number))) {',
        replace: '      else if ((flags & LIVE) !== 0 && this.#epochs.frozen >= 0) {',
      },
    ],
  },
  {
    name: 'one subtask is not waited for',
    changes: [
      {
        file: 'src/checkpoint/checkpoint-coordinator.ts',
        find: '    if (missing.size === 0) return this.#storeNext()\n',
        replace: '    if (missing.size <= 1) return this.#storeNext()\n',
      },
      {
        file: 'src/checkpoint/checkpoint-coordinator.ts',
        find: '    const index = flights.findIndex((flight) => flight.missing.size === 0)\n',
        replace: '    const index = flights.findIndex((flight) => flight.missing.size <= 1)\n',
      },
    ],
  },
  {
    name: 'the watermark of a task is that of its fastest channel',
    changes: [
      {
        file: 'src/runtime/watermark-merger.ts',
        find: '        if (channel.watermark < minimum) minimum = channel.watermark\n',
        replace: '        if (minimum === WATERMARK_END || channel.watermark > minimum) minimum = channel.watermark\n',
      },
    ],
  },
  {
    name: 'the changes of one key group are left out when parallelism changes',
    changes: [
      {
        file: 'src/checkpoint/restore.ts',
        find: 'delta.firstGroup <= groups.last && delta.lastGroup >= groups.first)',
        replace: 'delta.firstGroup < groups.last && delta.lastGroup >= groups.first)',
      },
    ],
  },
  {
    name: 'a commit that failed counts as made',
    changes: [
      {
        file: 'src/control/committers.ts',
        find: '      trouble.add(error)\n      return false\n',
        replace: '      trouble.add(error)\n      return true\n',
      },
    ],
  },
  {
    name: 'the job ends before its last commits are made',
    changes: [
      {
        file: 'src/control/checkpointing.ts',
        find: '    this.#committed.then(() => this.#parts.finished(), this.#parts.fail)\n',
        replace: '    this.#committed.catch(this.#parts.fail)\n    this.#parts.finished()\n',
      },
    ],
  },
  {
    name: 'the last checkpoint is taken when all but one have ended',
    changes: [
      {
        file: 'src/control/checkpointing.ts',
        find: '    if (this.#running.size === 0) this.#obey(this.#coordinator.onEnding',
        replace: '    if (this.#running.size <= 1) this.#obey(this.#coordinator.onEnding',
      },
    ],
  },
  {
    name: 'a barrier overtakes the open batch',
    changes: [
      {
        file: 'src/runtime/output.ts',
        find: '    this.sendBatch()\n    this.#write(element)\n',
        replace: '    this.#write(element)\n    this.sendBatch()\n',
      },
    ],
  },
  {
    name: 'records in flight go to the former place and not to their key',
    changes: [
      {
        file: 'src/checkpoint/in-flight-shares.ts',
        find: '      shares[subtaskOfGroup(group, shares.length, maxParallelism)]!.add(stretch, index, watermark)\n',
        replace: '      shares[stretch.to % shares.length]!.add(stretch, index, watermark + 0 * group * maxParallelism)\n',
      },
    ],
  },
  {
    name: 'a checkpoint that was given up is completed after all',
    changes: [
      {
        file: 'src/checkpoint/checkpoint-coordinator.ts',
        find: '  #giveUp({ checkpoint, requests }: Flight, failure: CheckpointFailure): readonly CoordinatorCommand[] {\n    this.#inFlight.delete(checkpoint)\n',
        replace: '  #giveUp({ checkpoint, requests }: Flight, failure: CheckpointFailure): readonly CoordinatorCommand[] {\n',
      },
    ],
  },
  {
    name: 'a watermark overtakes the results of asynchronous calls',
    changes: [
      {
        file: 'operators/async/async-operator.ts',
        find: '    let watermark = this.queue.watermark ?? this.context.watermark\n',
        replace: '    let watermark = this.context.watermark\n',
      },
    ],
  },
  {
    name: 'records whose results are under way are in no snapshot',
    changes: [
      {
        file: 'operators/async/async-map.ts',
        find: '    return this.queue.size === 0 ? undefined :',
        replace: '    return this.queue.size >= 0 ? undefined :',
      },
    ],
  },
  {
    name: 'a record that asyncMap gives up is a dead letter before its turn',
    job: 'mishaps',
    changes: [
      {
        file: 'operators/async/async-calls.ts',
        find: '    call.error = error\n    call.isRefused = true\n',
        replace: '    this.#context.refuse(call.value, error)\n    call.isRefused = true\n',
      },
      {
        file: 'operators/async/async-operator.ts',
        find: 'if (call.isRefused) this.context.refuse(call.value, call.error)\n      else output',
        replace: 'if (!call.isRefused) output',
      },
    ],
  },
  {
    name: 'an id of a checkpoint is used twice',
    changes: [
      {
        file: 'src/checkpoint/checkpoint-coordinator.ts',
        find: '    const checkpoint = this.#nextId++\n',
        replace: '    const checkpoint = this.#nextId\n    if (checkpoint % 3 !== 0) this.#nextId++\n',
      },
    ],
  },
  {
    name: 'a staged file is not synced before it is handed over',
    job: 'folders',
    changes: [
      {
        file: FILE_WRITER,
        find: '      await this.#syncAndClose(file.descriptor)\n',
        replace: '      await this.#files.close(file.descriptor)\n',
      },
    ],
  },
  {
    name: 'the folder of a staged file is not synced',
    job: 'folders',
    changes: [{ file: FILE_WRITER, find: '      await this.#files.syncFolder(this.#options.folder)\n', replace: '' }],
  },
  {
    name: 'the folder is not synced after the renames of a commit',
    job: 'folders',
    changes: [
      {
        file: FILE_COMMITTER,
        find: "      await this.#files.syncFolder(this.#folder)\n    } catch (error) {\n      throw this.#coded(error, 'COMMIT_FAILED'",
        replace: "    } catch (error) {\n      throw this.#coded(error, 'COMMIT_FAILED'",
      },
    ],
  },
  {
    name: 'the folder is not synced when every file has its name already',
    job: 'seldom',
    changes: [
      {
        file: FILE_COMMITTER,
        find: '      for (const file of committables) await this.#reveal(file)\n',
        replace:
          '      let renamed = false\n      for (const file of committables) renamed = (await this.#reveal(file)) || renamed\n',
      },
      {
        file: FILE_COMMITTER,
        find: "      await this.#files.syncFolder(this.#folder)\n    } catch (error) {\n      throw this.#coded(error, 'COMMIT_FAILED'",
        replace:
          "      if (renamed) await this.#files.syncFolder(this.#folder)\n    } catch (error) {\n      throw this.#coded(error, 'COMMIT_FAILED'",
      },
      {
        file: FILE_COMMITTER,
        find: '    await this.#files.rename(staged, final)\n',
        replace: '    await this.#files.rename(staged, final)\n    return true\n',
      },
    ],
  },
  {
    name: 'a commit overwrites what has its name',
    job: 'folders',
    changes: [{ file: FILE_COMMITTER, find: '    if (isTaken) throw this.#nameTaken(final)\n', replace: '' }],
  },
  {
    name: 'a commit does not look at the size of a staged file',
    job: 'folders',
    changes: [
      {
        file: FILE_COMMITTER,
        find: '    if (stagedBytes !== file.bytes) throw this.#torn(staged, stagedBytes, file.bytes)\n',
        replace: '',
      },
    ],
  },
  {
    name: 'a commit looks at the staged name before the final one',
    job: 'folders',
    changes: [
      {
        file: FILE_COMMITTER,
        find: '    const isTaken = (await this.#files.size(final)) !== undefined\n    const stagedBytes = await this.#files.size(staged)\n',
        replace:
          '    const stagedBytes = await this.#files.size(staged)\n    const isTaken = (await this.#files.size(final)) !== undefined\n',
      },
    ],
  },
  {
    name: 'staged files of dead attempts are not removed',
    job: 'folders',
    changes: [
      {
        file: FILE_COMMITTER,
        find: '    await this.#remove(names.filter((name) => isLeft(name) && !wanted.has(name)))\n',
        replace: '',
      },
    ],
  },
  {
    name: 'staged files that wait for their commit are removed',
    job: 'folders',
    changes: [{ file: FILE_COMMITTER, find: 'isLeft(name) && !wanted.has(name)', replace: 'isLeft(name)' }],
  },
  {
    name: 'what a successor has staged is removed',
    job: 'folders',
    changes: [{ file: FILE_COMMITTER, find: ' && !isStagedLater(name, this.#context.run, attempt)', replace: '' }],
  },
  {
    name: 'a sync that has failed is tried again and believed',
    job: 'folders',
    changes: [
      {
        file: FILE_WRITER,
        find: '      await this.#files.sync(descriptor)\n',
        replace: '      await this.#files.sync(descriptor).catch(() => this.#files.sync(descriptor))\n',
      },
    ],
  },
  {
    name: 'a block that could not be written is written again',
    job: 'folders',
    changes: [
      {
        file: FILE_WRITER,
        find: '      this.#writeFully(this.#file.descriptor, block)\n',
        replace:
          '      try {\n        this.#writeFully(this.#file.descriptor, block)\n      } catch {\n        this.#writeFully(this.#file.descriptor, block)\n      }\n',
      },
    ],
  },
  {
    name: 'a file is handed over although a block of it could not be written',
    job: 'folders',
    changes: [
      {
        file: FILE_WRITER,
        find: '    } catch (error) {\n      throw this.#fail(name, error)\n    }\n  }\n\n  #nextName',
        replace: '    } catch {\n      return\n    }\n  }\n\n  #nextName',
      },
    ],
  },
  {
    name: 'a writer believes that a block was taken whole',
    job: 'folders',
    changes: [
      {
        file: FILE_WRITER,
        find: '    while (written < block.length) written += this.#files.write(descriptor, block, written)\n',
        replace: '    written += this.#files.write(descriptor, block, written)\n',
      },
    ],
  },
  {
    name: 'the name of a new folder is not synced',
    job: 'folders',
    changes: [{ file: FOLDERS, find: '    await files.syncFolder(dirname(each))\n', replace: '' }],
  },
  {
    name: 'the name of a folder that is there already is not synced',
    job: 'seldom',
    changes: [{ file: FOLDERS, find: '  await syncAbove(files, innermost)\n', replace: '' }],
  },
  {
    name: 'a fresh start removes what comes while it begins',
    job: 'folders',
    changes: [
      {
        file: FILE_COMMITTER,
        find: '    if (foreign.length > 0 && !overwrite) throw this.#foreignOutput(foreign.length)\n',
        replace: '    void overwrite\n',
      },
    ],
  },
]
