import type { Operator, OperatorContext } from '../src/core/operator.ts'
import { emitAll } from './flat-map.ts'
import type { OperatorStateDeclarations, OperatorStateHandles } from './operator-state.ts'
import { OperatorStates } from './operator-state.ts'
import type { RecordContext } from './record-context.ts'
import { CurrentRecord } from './record-context.ts'

declare const outputType: unique symbol

/** Declares the type of an output where it is used; it is nothing at run time. */
export interface OutputType<T> {
  readonly [outputType]?: T
}

/** Declares the type of what `ctx.emit` or `ctx.emitTo` takes: `side: { alerts: output<Alert>() }`. */
export function output<T>(): OutputType<T> {
  return {}
}

/** The record type that an output declaration stands for. */
export type TypeOf<O> = O extends OutputType<infer T> ? T : never

/** Side outputs by name. */
export type SideOutputs = Readonly<Record<string, OutputType<unknown>>>

/** What the handlers of `process` are given. */
export interface ProcessContext<Out, Side extends SideOutputs> extends RecordContext {
  emit(value: Out): void
  emitTo<Name extends keyof Side & string>(side: Name, value: TypeOf<Side[Name]>): void
}

/** What the handlers of a plain `process` are given when it declares state. */
export interface StatefulProcessContext<Out, Side extends SideOutputs, S extends OperatorStateDeclarations>
  extends ProcessContext<Out, Side> {
  readonly state: OperatorStateHandles<S>
}

/** The handlers of `process`, as the operator sees them. */
export interface ProcessHandlers {
  open?: (context: { readonly subtask: number }) => void
  onRecord: (value: never, context: never) => Iterable<unknown> | void
  close?: () => void
}

/**
 * Anything: each record may give any number of results, to the main output and to named side outputs.
 *
 * ```ts
 * const checked = from([{ amount: 12 }, { amount: -1 }]).process({
 *   side: { rejected: output() },
 *   *onRecord(payment, ctx) {
 *     if (payment.amount < 0) ctx.emitTo('rejected', payment)
 *     else yield payment
 *   },
 * })
 *
 * checked.side.rejected // -> { amount: -1 }
 * ```
 */
export function processOperator(
  handlers: ProcessHandlers & { readonly state?: OperatorStateDeclarations },
): (context: OperatorContext) => Operator {
  return (context) => {
    const states = new OperatorStates(handlers.state ?? {}, context)
    const record = Object.assign(new PlainProcessContext(context), { state: states.handles })
    return {
      open: () => guarded(context, () => handlers.open?.(record)),
      onRecord(value) {
        let results: Iterable<unknown> | void
        try {
          results = handlers.onRecord(value as never, record as never)
        } catch (error) {
          throw context.failure(error)
        }
        if (results !== undefined) emitAll(results, context.output, context)
      },
      snapshot: () => states.snapshot(),
      restore: (stored, rescaled) => states.restore(stored, rescaled),
      close: () => handlers.close?.(),
    }
  }
}

/** What the handlers of an operator without a key are given. */
export class PlainProcessContext extends CurrentRecord {
  readonly #context: OperatorContext

  constructor(context: OperatorContext) {
    super(context)
    this.#context = context
  }

  emit(value: unknown): void {
    this.#context.output.onRecord(value)
  }

  emitTo(side: string, value: unknown): void {
    this.#context.side(`side:${side}`).onRecord(value)
  }
}

/** Runs a function of the user; what it throws gets the operator's place. */
export function guarded<R>(context: OperatorContext, action: () => R): R {
  try {
    return action()
  } catch (error) {
    throw context.failure(error)
  }
}
