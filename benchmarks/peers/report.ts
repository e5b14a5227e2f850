import type { Bar } from '../support/bar-chart.ts'
import { barChart } from '../support/bar-chart.ts'
import { perSecond, renderTable } from '../support/table.ts'
import { WORKS } from './catalogue.ts'
import type { PeerResult, PeersResult } from './result.ts'

const HEADER = ['', 'records/s', 'min - max', 'Sluice is', 'by round', 'cpu s/M', 'by cpu', 'checkpoints', 'guarantee']

export function report({ environment, revisionAtEnd, leftOut, peers, runs, versions }: PeersResult): string {
  const tables = WORKS.map(({ work, title }) => {
    const rows = peers.filter((peer) => peer.work === work).map(rowOf)
    return rows.length === 0 ? '' : `${title}\n\n${renderTable(HEADER, rows)}\n`
  })
  const named = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  const edited = revisionAtEnd === environment.revision ? '' : `the engine was edited meanwhile: ${revisionAtEnd} at the end\n`
  const missing = leftOut === null ? '' : `left out, the peers in Java: ${leftOut}\n`
  return `${tables.join('')}the totals of all ${runs.length} runs were verified\n${named.join(', ')}\n${missing}${edited}`
}

function rowOf(peer: PeerResult): readonly string[] {
  const { label, promise, ours, recordsPerSecond, cpuSecondsPerMillion, checkpoints } = peer
  const { median, min, max } = peer.sluiceAgainstIt
  return [
    label,
    perSecond(recordsPerSecond.median),
    `${perSecond(recordsPerSecond.min)} - ${perSecond(recordsPerSecond.max)}`,
    ours ? '' : times(median),
    ours ? '' : `${min.toFixed(2)} - ${max.toFixed(2)}`,
    cpuSecondsPerMillion.median.toFixed(3),
    ours ? '' : times(peer.sluiceAgainstItByCpu.median),
    checkpoints.median.toFixed(0),
    promise,
  ]
}

export function peersChart({ environment, parameters, peers, versions }: PeersResult): string {
  const others = Object.entries(versions).filter(([name]) => name !== 'node')
  const panels = WORKS.map(({ work, title }) => ({ title, bars: peers.filter((peer) => peer.work === work).map(barOf) }))
  return barChart({
    title: 'The same work in Sluice and in its peers',
    notes: [
      'Records per second after a warm-up: medians, whiskers from the slowest to the fastest run, and what Sluice is of it.',
      `${parameters.keys.toLocaleString('en-US')} keys; ${parameters.rounds} rounds in turn, every run verified. Guarantees differ, and are in the table.`,
      others.map((pair) => pair.join(' ')).join(', '),
    ],
    panels: panels.filter(({ bars }) => bars.length > 0),
    environment,
  })
}

function barOf({ label, ours, recordsPerSecond, sluiceAgainstIt }: PeerResult): Bar {
  return { label, ...recordsPerSecond, ours, ...(ours ? {} : { note: `Sluice ${times(sluiceAgainstIt.median)}` }) }
}

function times(ratio: number): string {
  return `${ratio.toFixed(2)} x`
}
