import { commandGroup } from '../command.ts'
import { GC_USAGE, tidyCheckpoints } from './checkpoints-gc.ts'
import { LS_USAGE, listCheckpoints } from './checkpoints-ls.ts'
import { SHOW_USAGE, showCheckpoint } from './checkpoints-show.ts'
import { TRIGGER_USAGE, triggerCheckpoint } from './checkpoints-trigger.ts'
import { VERIFY_USAGE, verifyCheckpoints } from './checkpoints-verify.ts'

export const checkpointsCommand = commandGroup('checkpoints', {
  ls: { usage: LS_USAGE, run: listCheckpoints },
  show: { usage: SHOW_USAGE, run: showCheckpoint },
  verify: { usage: VERIFY_USAGE, run: verifyCheckpoints },
  gc: { usage: GC_USAGE, run: tidyCheckpoints },
  trigger: { usage: TRIGGER_USAGE, run: triggerCheckpoint },
})
