/** What tests of jobs need: the engine without threads, disk and wall time. */

export type { CheckOptions, Fragment, HarnessRun, Item, Outcome, RunOptions } from './operator-harness.ts'
export { checkOperator, end, processingTime, record, runOperator, second, watermark } from './operator-harness.ts'
export type { StateSize } from './test-cluster.ts'
export type { SendOptions, SinkName, SourceName, TestDriver, TestDriverOptions } from './test-driver.ts'
export { testDriver } from './test-driver.ts'
