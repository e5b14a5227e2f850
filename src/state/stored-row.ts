import { messageOf, SluiceError } from '../core/errors.ts'
import type { StoredForm } from '../core/keyed-state.ts'
import type { StateIdentity } from './delta-chunk.ts'
import { keyFromBytes } from './key-bytes.ts'
import { valueFromBytes } from './row-value.ts'

/** The value of a row that was stored. @throws SluiceError `CHECKPOINT_UNREADABLE` when its bytes are none */
export function storedValue(state: StateIdentity, bytes: Uint8Array): { readonly value: unknown; readonly form: StoredForm } {
  try {
    return valueFromBytes(bytes)
  } catch (error) {
    throw damagedRow(state, error)
  }
}

/** The key of a row that was stored. @throws SluiceError `CHECKPOINT_UNREADABLE` when its bytes are none */
export function storedKey(state: StateIdentity, bytes: Uint8Array): unknown {
  try {
    return keyFromBytes(bytes)
  } catch (error) {
    throw damagedRow(state, error)
  }
}

/** A row that must not be used. Whoever knows the operator adds it. */
export function damagedRow({ kind, name }: StateIdentity, cause: unknown, operator?: string): SluiceError {
  const what = kind === 'table' || kind === 'pane' ? `state '${name}'` : `${kind}s${name === '' ? '' : ` '${name}'`}`
  return new SluiceError('CHECKPOINT_UNREADABLE', `a stored row of the ${what} is damaged: ${messageOf(cause)}`, {
    ...(operator === undefined ? {} : { operator }),
    cause,
    hint: 'all checkpoints that are kept share it: restore the state folder from a copy, begin from a savepoint with --from, or forget the state with --fresh',
  })
}
