import { isDeepStrictEqual } from 'node:util'
import { SluiceError } from '../core/errors.ts'
import { compare } from './state-names.ts'
import type { PlacedEntry, StateReader } from './state-reader.ts'

/** What differs between two states. */
export interface StateChange {
  readonly operator: string
  readonly state: string
  readonly key: unknown
  readonly window?: number
  readonly time?: number
  readonly change: 'added' | 'removed' | 'changed'
  readonly before?: unknown
  readonly after?: unknown
}

/**
 * What `b` has and `a` has not, the other way round, and what both have with different values; in the order of operator, state and entries.
 * Both are read side by side, so memory does not grow with them. A value that was only written again, with another stamp, is no change.
 * @throws SluiceError `INVALID_OPTION` when the two do not have the same number of key groups
 */
export async function* diffStates(a: StateReader, b: StateReader): AsyncGenerator<StateChange> {
  const [before, after] = [a.summary.maxParallelism, b.summary.maxParallelism]
  if (before !== after) {
    throw new SluiceError('INVALID_OPTION', `one state has ${before} key groups and the other ${after}`, {
      hint: 'states can be compared that have the same maxParallelism',
    })
  }
  for (const { operator, state, inA, inB } of statesOfBoth(a, b)) {
    const left = inA ? a.placedEntries(operator, state) : nothing()
    const right = inB ? b.placedEntries(operator, state) : nothing()
    for await (const difference of sideBySide(left, right)) yield { operator, state, ...difference }
  }
}

function statesOfBoth(a: StateReader, b: StateReader) {
  const [left, right] = [a.states(), b.states()]
  const has = (states: typeof left, operator: string, state: string): boolean =>
    states.some((each) => each.operator === operator && each.state === state)
  const all = [...left, ...right.filter(({ operator, state }) => !has(left, operator, state))]
  return all
    .sort((one, other) => compare(one.operator, other.operator) || compare(one.state, other.state))
    .map(({ operator, state }) => ({ operator, state, inA: has(left, operator, state), inB: has(right, operator, state) }))
}

async function* nothing(): AsyncGenerator<PlacedEntry> {}

type Difference = Omit<StateChange, 'operator' | 'state'>

async function* sideBySide(a: AsyncGenerator<PlacedEntry>, b: AsyncGenerator<PlacedEntry>): AsyncGenerator<Difference> {
  let [left, right] = [await a.next(), await b.next()]
  try {
    while (!left.done || !right.done) {
      const order = left.done ? 1 : right.done ? -1 : left.value.position.compare(right.value.position)
      if (order < 0) yield { ...placeOf(left.value), change: 'removed', before: left.value.value }
      else if (order > 0) yield { ...placeOf(right.value), change: 'added', after: right.value.value }
      else if (isChanged(left.value, right.value)) {
        yield { ...placeOf(left.value), change: 'changed', before: left.value.value, after: right.value.value }
      }
      if (order <= 0) left = await a.next()
      if (order >= 0) right = await b.next()
    }
  } finally {
    await a.return(undefined)
    await b.return(undefined)
  }
}

function isChanged(before: PlacedEntry, after: PlacedEntry): boolean {
  return Buffer.compare(before.bytes, after.bytes) !== 0 && !isDeepStrictEqual(before.value, after.value)
}

function placeOf({ key, window, time }: PlacedEntry): Pick<StateChange, 'key' | 'window' | 'time'> {
  return { key, ...(window === undefined ? {} : { window }), ...(time === undefined ? {} : { time }) }
}
