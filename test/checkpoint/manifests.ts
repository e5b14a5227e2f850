import type { Manifest } from '../../src/checkpoint/manifest.ts'

/** A manifest with something in every field but those that name what lies in a store. */
export function sampleManifest(checkpoint: number, changes: Partial<Manifest> = {}): Manifest {
  return {
    checkpoint,
    initial: false,
    attempt: 1,
    completedAtMs: 1_700_000_000_000,
    fingerprint: '0123456789abcdef',
    graph: [{ id: 'items-1', kind: 'items', settings: null, inputs: [] }],
    maxParallelism: 128,
    subtasks: [
      {
        task: 'items-1',
        subtask: 0,
        parallelism: 1,
        channelWatermarks: { '0:0:0': Number.NEGATIVE_INFINITY },
        operators: [
          {
            operator: 'items-1',
            watermark: -1,
            records: 7,
            state: new Uint8Array([1, 2]),
            splits: [{ index: 0, split: new Uint8Array([3]), position: new Uint8Array([4]), done: false }],
            holdsKeys: true,
            pending: true,
          },
        ],
        inFlight: [
          {
            channel: '0:0:0',
            batches: [{ values: new Uint8Array([5]), timestamps: [1], groups: [7], watermarks: { after: [1], times: [2] } }],
          },
        ],
      },
    ],
    committables: [{ operator: 'out', subtask: 0, checkpoint, bytes: new Uint8Array([9]) }],
    deltas: [],
    dropped: [],
    ...changes,
  }
}
