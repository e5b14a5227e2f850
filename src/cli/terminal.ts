import { readFileSync } from 'node:fs'

/**
 * Whether a Ctrl-C of the terminal reaches all processes of this one's group by itself, so that passing it on would make two of it. The other
 * way to be sent SIGINT, by `kill`, reaches this process alone; what tells the two apart is whether the group is the terminal's foreground one.
 */
export function terminalReachesGroup(): boolean {
  try {
    const stat = readFileSync('/proc/self/stat', 'utf8')
    // The name in field 2 may hold spaces and brackets: the count begins behind its last bracket, with field 3.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [group, foregroundGroup] = [fields[2], fields[5]]
    return group === foregroundGroup
  } catch {
    return process.stdin.isTTY === true
  }
}
