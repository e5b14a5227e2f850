/**
 * Sluice: checkpointing streams on worker threads.
 *
 * ```ts
 * import { job, readText, writeJsonLines } from 'sluice'
 *
 * const words = job('word-count')
 * words
 *   .from(readText('books/*.txt'))
 *   .flatMap((line) => line.toLowerCase().match(/\p{L}+/gu) ?? [])
 *   .keyBy((word) => word)
 *   .count()
 *   .to(writeJsonLines('out/words'))
 * await words.run()
 * ```
 */

export type {
  AsyncContext,
  AsyncMapOptions,
  KeyedAsyncContext,
  KeyedAsyncMapOptions,
  RetryOptions,
} from '../operators/async/async-options.ts'
export type { ReadonlyMapState } from '../operators/connect/broadcast-state.ts'
export type { DistinctOptions } from '../operators/keyed/distinct.ts'
export type { IntervalBounds } from '../operators/keyed/interval-join.ts'
export type { KeyedProcessContext, Timers } from '../operators/keyed/process.ts'
export type { FoldState, ListState, MapState, StateDeclaration, StateOptions, ValueState } from '../operators/keyed/state.ts'
export { aggregatingState, listState, mapState, reducingState, valueState } from '../operators/keyed/state.ts'
export type { OperatorListDeclaration, OperatorListOptions, OperatorListState } from '../operators/operator-state.ts'
export { operatorListState } from '../operators/operator-state.ts'
export type { OutputType, ProcessContext, StatefulProcessContext } from '../operators/process.ts'
// Inside operators
export { output } from '../operators/process.ts'
export type { RecordContext } from '../operators/record-context.ts'
export * from '../operators/sinks/index.ts'
// Sources and sinks
export * from '../operators/sources/index.ts'
export type { AlignmentOptions, TimestampOptions } from '../operators/timestamps.ts'
export type {
  AlignedWindowOptions,
  CountWindow,
  GlobalWindow,
  SessionWindow,
  SlidingWindow,
  TimeWindow,
  TumblingWindow,
  WindowAssigner,
  WindowTimeOptions,
} from '../operators/windows/assigners.ts'
// Windows
export { countWindow, globalWindow, sessionWindow, slidingWindow, tumblingWindow } from '../operators/windows/assigners.ts'
export type { CountTriggerOptions, Trigger, TriggerOptions } from '../operators/windows/triggers.ts'
export { early, onCount, onProcessingTime, onWatermark } from '../operators/windows/triggers.ts'
export type { JobResult } from './control/job-manager.ts'
export type { RestartOptions } from './control/restart-strategy.ts'
export type { BarrierMode, CheckpointOptions, ExchangeMode, Guarantee, JobOptions, RunOptions } from './control/settings.ts'
export type { BadRecord, BadRecordPolicy } from './core/bad-record.ts'
export type { ByteSize } from './core/bytes.ts'
export type { ErrorCode } from './core/errors.ts'
export { SluiceError } from './core/errors.ts'
export type { Key } from './core/keyed-state.ts'
export type { Sink, SinkCommitter, SinkCommitterContext, SinkOpening, SinkWriter, SinkWriterContext } from './core/sink.ts'
// Contracts for your own
export type { EnumerateContext, Source, SourceContext, SplitReader } from './core/source.ts'
export type { Duration } from './core/time.ts'
export type {
  BesideBroadcastContext,
  BroadcastConnectedStream,
  BroadcastConnectOptions,
  BroadcastContext,
  ConnectedOptions,
  ConnectedStream,
  ConnectOptions,
  IntervalJoined,
  KeyedBesideBroadcastContext,
  KeyedBroadcastConnectedStream,
  KeyedBroadcastConnectOptions,
  KeyedBroadcastContext,
  KeyedConnectedStream,
  KeyedConnectOptions,
} from './dsl/connected-stream.ts'
export type { Job } from './dsl/job.ts'
// A job and its streams
export { job } from './dsl/job.ts'
export type { KeyedProcessOptions, KeyedStream } from './dsl/keyed-stream.ts'
export type { BroadcastStream, ProcessOptions, SideStreams, SplitStreams, Stream } from './dsl/stream.ts'
export type {
  SessionAggregate,
  SessionWindowedStream,
  WindowAggregate,
  WindowedStream,
  WindowInfo,
  WindowOptions,
  WindowResults,
} from './dsl/windowed-stream.ts'
