import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { Peer } from './catalogue.ts'
import { javaCommand } from './java-project.ts'
import type { PeerOutcome } from './tally.ts'

/** What a peer is to do in one run. */
export interface PeerSize {
  readonly records: number
  readonly warmUp: number
  readonly keys: number
}

/**
 * One run of a peer, in a process of its own, with a folder of its own for state and checkpoints.
 * @throws Error when it fails or its totals are not what they must be
 */
export async function runPeer(peer: Peer, size: PeerSize): Promise<PeerOutcome> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-peers-'))
  try {
    const [program, args] = commandOf(peer, size, folder)
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    const killOnExit = (): void => void child.kill('SIGKILL')
    process.once('exit', killOnExit)
    const [stdout, stderr, code] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve)),
    ]).finally(() => process.off('exit', killOnExit))
    if (code !== 0) throw new Error(`${peer.id} ended with exit code ${code}:\n${stderr}`)
    const outcome = JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as PeerOutcome
    if (!outcome.verified) throw new Error(`the output of ${peer.id} is wrong: ${JSON.stringify(outcome)}`)
    return outcome
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function commandOf(peer: Peer, { records, warmUp, keys }: PeerSize, folder: string): readonly [string, readonly string[]] {
  const flags = ['--records', String(records), '--warm-up', String(warmUp), '--keys', String(keys), ...peer.flags]
  if (peer.runtime === 'java') return javaCommand(peer.program, [...flags, '--folder', folder])
  const file = join(import.meta.dirname, `${peer.program}.ts`)
  const engine = peer.family === 'sluice' ? ['--state-directory', folder, '--fresh', '--quiet'] : []
  return [process.execPath, ['--conditions=@sluice/source', file, ...flags, ...engine]]
}
