import type { JobStatus } from '../../src/control/job-control.ts'

/** How a job might be. */
export const STATUS: JobStatus = {
  job: 'words',
  pid: 4711,
  run: 'a-run',
  attempt: 3,
  state: 'running',
  startedAtMs: 1_700_000_000_000,
  restarts: 2,
  parallelism: 4,
  workers: 2,
  lastCheckpoint: { id: 7, completedAtMs: 1_700_000_001_000, durationMs: 12.5, bytes: 4096 },
  inFlightCheckpoint: { id: 8, missing: ['count-1/0', 'count-1/3'] },
  tasks: [
    {
      id: 'items-1',
      operators: ['items-1', 'map-1'],
      recordsIn: 12_345,
      recordsOut: 12_000,
      busyPercent: 41.7,
      watermark: 1_700_000_000_000,
      late: 0,
      bad: 0,
    },
    { id: 'count-1', operators: ['count-1'], recordsIn: 9, recordsOut: 9, busyPercent: 0, watermark: null, late: 1, bad: 0 },
  ],
  lastFailure: {
    code: 'OPERATOR_FAILED',
    message: "'map-1' failed: Error: no",
    stack: undefined,
    operator: 'map-1',
    subtask: 0,
    hint: undefined,
    cause: undefined,
  },
}
