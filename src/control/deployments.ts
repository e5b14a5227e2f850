import type { EdgePlan, ExecutionPlan } from '../graph/execution-plan.ts'
import { channelsOfEdge, subtaskOf, workerOfSubtask } from '../graph/execution-plan.ts'
import type { CheckpointMode, Deployment, SubtaskRestore } from '../protocol/messages.ts'
import { createRing } from '../protocol/ring.ts'
import type { JobSettings } from './settings.ts'

/** What all workers are given. */
export type SharedDeployment = Omit<Deployment, 'worker' | 'restores'>

/** One for each worker, with what its own subtasks begin with. */
export function deploymentsOf(
  shared: SharedDeployment,
  restores: Readonly<Record<string, SubtaskRestore>>,
  workers: number,
): readonly Deployment[] {
  return Array.from({ length: workers }, (_, worker) => {
    const own = Object.entries(restores).filter(([name]) => workerOfSubtask(shared.plan, subtaskOf(name)) === worker)
    return { ...shared, worker, restores: Object.fromEntries(own) }
  })
}

export function modeOf({ guarantee, checkpoint }: JobSettings): CheckpointMode {
  return {
    holdsChannels: guarantee === 'exactly-once',
    readsOnce: guarantee === 'at-most-once',
    stopsTheWorld: checkpoint.mode === 'stop-the-world',
  }
}

/** Memory for the channels of these exchanges that connect two workers, or for all of them when the plan says so. */
export function createRings(plan: ExecutionPlan, edges: readonly EdgePlan[]): Record<string, SharedArrayBuffer> {
  const channels = edges.flatMap((edge) => channelsOfEdge(plan, edge))
  const remote = channels.filter(
    ({ from, to }) => plan.exchangesBytes || workerOfSubtask(plan, from) !== workerOfSubtask(plan, to),
  )
  return Object.fromEntries(remote.map(({ id }) => [id, createRing()]))
}
