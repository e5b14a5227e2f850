import type { Environment } from '../support/environment.ts'
import type { Spread } from '../support/statistics.ts'
import { spreadOf } from '../support/statistics.ts'
import type { Family, Peer, Work } from './catalogue.ts'
import { isOurs } from './catalogue.ts'
import type { PeerSize } from './peer-process.ts'
import type { PeerOutcome } from './tally.ts'

/** What `npm run bench -- peers` writes. */
export interface PeersResult {
  readonly benchmark: 'peers'
  readonly environment: Environment
  /** The engine's revision after the last run. */
  readonly revisionAtEnd: string
  readonly parameters: { readonly quick: boolean; readonly keys: number; readonly rounds: number }
  /** Why some peers did not take part. */
  readonly leftOut: string | null
  readonly versions: Readonly<Record<string, string>>
  readonly peers: readonly PeerResult[]
  /** Every run, in the order in which they ran. */
  readonly runs: readonly PeerRun[]
}

export interface PeerRun extends PeerOutcome, PeerSize {
  readonly peer: string
  readonly round: number
}

/** All runs of a peer. */
export interface PeerResult {
  readonly id: string
  readonly family: Family
  readonly work: Work
  readonly label: string
  readonly promise: string
  readonly ours: boolean
  readonly recordsPerSecond: Spread
  readonly cpuSecondsPerMillion: Spread
  /** Completed in a run. */
  readonly checkpoints: Spread
  /** Throughput of Sluice against it, within each round. */
  readonly sluiceAgainstIt: Spread
  /** The same by records per second of processor time, which other programs on the machine hardly change. */
  readonly sluiceAgainstItByCpu: Spread
}

export function summarise(peers: readonly Peer[], runs: readonly PeerRun[]): readonly PeerResult[] {
  return peers.map((peer) => {
    const own = runs.filter((run) => run.peer === peer.id)
    const ours = runs.filter((run) => run.peer === `sluice/${peer.work}`)
    const pairs = own.map((run) => ({ run, sluice: ours.find(({ round }) => round === run.round)! }))
    const { id, family, work, label, promise } = peer
    return {
      id,
      family,
      work,
      label,
      promise,
      ours: isOurs(peer),
      recordsPerSecond: spreadOf(own.map((run) => run.recordsPerSecond)),
      cpuSecondsPerMillion: spreadOf(own.map((run) => run.cpuSecondsPerMillion)),
      checkpoints: spreadOf(own.map((run) => run.checkpoints)),
      sluiceAgainstIt: spreadOf(pairs.map(({ run, sluice }) => sluice.recordsPerSecond / run.recordsPerSecond)),
      sluiceAgainstItByCpu: spreadOf(pairs.map(({ run, sluice }) => run.cpuSecondsPerMillion / sluice.cpuSecondsPerMillion)),
    }
  })
}
