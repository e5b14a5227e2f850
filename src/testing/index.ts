/**
 * What tests of jobs need: the engine without threads, disk and wall time. It depends on no test runner.
 *
 * ```ts
 * import { testDriver } from 'sluice/testing'
 *
 * const driver = testDriver(buildJob())
 * driver.send({ page: '/', at: 1_000 })
 * driver.finish()
 * expect(driver.output()).toEqual([{ key: '/', count: 1 }])
 * ```
 */

export type { CheckOptions, Fragment, HarnessRun, Item, OperatorHarness, Outcome, RunOptions } from './operator-harness.ts'
export {
  checkOperator,
  end,
  operatorHarness,
  processingTime,
  record,
  runOperator,
  second,
  watermark,
} from './operator-harness.ts'
export type { CheckpointView, SplitPosition } from './simulation/checkpoint-view.ts'
export type { FaultKind } from './simulation/faults.ts'
export { FAULT_KINDS } from './simulation/faults.ts'
export type { Outside } from './simulation/simulated-services.ts'
export type { JobBuilder, SimulateOptions, Verdict } from './simulation/simulation.ts'
export { simulate } from './simulation/simulation.ts'
export type { Violation } from './simulation/violation.ts'
export type { StateSize } from './test-cluster.ts'
export type { SendOptions, SinkName, SourceName, TestDriver, TestDriverOptions, TimestampedResult } from './test-driver.ts'
export { testDriver } from './test-driver.ts'
