/** The states that a keyed `process` may declare. */

export type { StateDeclaration, StateDeclarations, StateHandles, StateOptions } from './state/declaration.ts'
export { asksForEventTime, stateSettings } from './state/declaration.ts'
export type { FoldState } from './state/fold-state.ts'
export { aggregatingState, reducingState } from './state/fold-state.ts'
export type { ListState } from './state/list-state.ts'
export { listState } from './state/list-state.ts'
export type { MapState } from './state/map-state.ts'
export { mapState } from './state/map-state.ts'
export type { ValueState } from './state/value-state.ts'
export { valueState } from './state/value-state.ts'
