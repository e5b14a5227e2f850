import type { Operator } from '../../src/core/operator.ts'

/** Takes a record of either side; what it returns are results. */
export type SideHandler = (value: never, context: never) => Iterable<unknown> | void

/**
 * Makes of an operator with one input one with two, whose records meet in the same place: the same state, timers, context and outputs.
 *
 * @param make the operator, given the function that its `onRecord` calls for each record
 */
export function bothSides(left: SideHandler, right: SideHandler, make: (onRecord: SideHandler) => Operator): Operator {
  let handler = left
  const operator = make((value, context) => {
    const current = handler
    handler = left
    return current(value, context)
  })
  operator.onSecond = (value) => {
    handler = right
    operator.onRecord(value)
  }
  return operator
}
