import type { FirstStart } from './beginning.ts'
import { beginningOf } from './beginning.ts'

/*
 * The process in which a supervisor has the state of its job looked at: it imports the job and loads the store, either of which may be what
 * the job died of. It says what it found as one line of JSON; without that line nothing is known.
 */
const beginning = await beginningOf(JSON.parse(process.argv[2]!) as FirstStart)
process.stdout.write(`${JSON.stringify(beginning)}\n`, () => process.exit(0))
