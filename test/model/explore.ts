import { hash } from 'node:crypto'
import type { WorldSize } from './protocol-world.ts'
import { ProtocolWorld } from './protocol-world.ts'

/** What an exploration has found. */
export interface Exploration {
  /** Different states that were visited. */
  readonly states: number
  readonly steps: number
  /** Ends of the job. */
  readonly ends: number
  /** What is wrong, and the steps that lead there. */
  readonly violation?: { readonly what: string; readonly path: readonly string[] }
}

interface Visit {
  readonly world: ProtocolWorld
  readonly path: Path | undefined
}

interface Path {
  readonly step: string
  readonly before: Path | undefined
}

/** Visits every state that can be reached. @param statesMax throws beyond that many, because nobody would wait for it */
export function explore(size: WorldSize, statesMax = 5_000_000): Exploration {
  const begin = ProtocolWorld.begin(size)
  const seen = new Set([digest(begin.key)])
  const open: Visit[] = [{ world: begin, path: undefined }]
  let [steps, ends] = [0, 0]
  for (let visit = open.pop(); visit !== undefined; visit = open.pop()) {
    const { world, path } = visit
    const next = world.steps()
    const what = world.violation ?? (next.length === 0 && !world.isOver ? 'nothing can happen any more' : undefined)
    if (what !== undefined) return { states: seen.size, steps, ends, violation: { what, path: named(path) } }
    if (world.isOver) ends++
    for (const step of next) {
      steps++
      const reached = step.next()
      const key = digest(reached.key)
      if (seen.has(key)) continue
      if (seen.size >= statesMax) throw new Error(`more than ${statesMax} states`)
      seen.add(key)
      open.push({ world: reached, path: { step: step.name, before: path } })
    }
  }
  return { states: seen.size, steps, ends }
}

function named(path: Path | undefined): readonly string[] {
  const steps: string[] = []
  for (let at = path; at !== undefined; at = at.before) steps.push(at.step)
  return steps.reverse()
}

/** A state takes more room than there is for millions of them. */
function digest(key: string): string {
  return hash('sha1', key, 'base64')
}
