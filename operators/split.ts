import { SluiceError } from '../src/core/errors.ts'
import type { Operator, OperatorContext } from '../src/core/operator.ts'
import { refuseAsync } from '../src/core/refuse-async.ts'
import type { RecordContext } from './record-context.ts'
import { CurrentRecord } from './record-context.ts'

/** Whether a record goes to a branch. */
export type Predicate = (value: never, context: RecordContext) => unknown

/**
 * Each record to the first branch whose predicate accepts it, in the order in which they are written, and to `rest` when none does.
 *
 * ```ts
 * const { small, even, rest } = from([1, 12, 13]).split({ small: (n) => n < 10, even: (n) => n % 2 === 0 })
 *
 * small.map((n) => `small ${n}`).union(even.map((n) => `even ${n}`), rest.map((n) => `rest ${n}`))
 * // -> 'small 1', 'even 12', 'rest 13'
 * ```
 *
 * A record goes to one branch only; predicates behind the one that accepts it are not asked.
 */
export function splitOperator(branches: Readonly<Record<string, Predicate>>): (context: OperatorContext) => Operator {
  return (context) => {
    const record = new CurrentRecord(context)
    const { output } = context
    const outputs = Object.entries(branches).map(([name, fn]) => ({ fn, output: context.side(`side:${name}`) }))
    return {
      step: { kind: 'split', branches: outputs, context: record, failure: (error) => context.failure(error), output },
      onRecord(value) {
        let receiver = output
        try {
          for (const branch of outputs) {
            const accepted = branch.fn(value as never, record)
            refuseAsync(accepted)
            if (!accepted) continue
            receiver = branch.output
            break
          }
        } catch (error) {
          throw context.failure(error)
        }
        receiver.onRecord(value)
      },
    }
  }
}

/** The names of the branches, in order. @throws SluiceError `INVALID_OPTION` */
export function branchNames(branches: Readonly<Record<string, Predicate>>): readonly string[] {
  const names = Object.keys(branches ?? {})
  if (names.length === 0) {
    throw invalid(
      'split takes an object with a predicate for each branch',
      'split({ large: (payment) => payment.amount > 1000 })',
    )
  }
  for (const name of names) {
    if (name === 'rest') {
      throw invalid("'rest' is the branch of what no other one accepts, and has no predicate", 'give the branch another name')
    }
    if (/^\d+$/.test(name)) {
      throw invalid(
        `the branch '${name}' has a number for a name: such names come first in an object, wherever they are written`,
        `give it a name that says what it holds, or '_${name}'`,
      )
    }
    if (typeof branches[name] !== 'function') throw invalid(`the branch '${name}' has no function for a predicate`)
  }
  return names
}

function invalid(message: string, hint?: string): SluiceError {
  return new SluiceError('INVALID_OPTION', message, hint === undefined ? {} : { hint })
}
