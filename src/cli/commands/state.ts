import { commandGroup } from '../command.ts'
import { compareStates, DIFF_USAGE } from './state-diff.ts'
import { EXPORT_USAGE, exportStates } from './state-export.ts'
import { GET_USAGE, getState } from './state-get.ts'
import { LS_USAGE, listStates } from './state-ls.ts'

export const stateCommand = commandGroup('state', {
  ls: { usage: LS_USAGE, run: listStates },
  get: { usage: GET_USAGE, run: getState },
  export: { usage: EXPORT_USAGE, run: exportStates },
  diff: { usage: DIFF_USAGE, run: compareStates },
})
