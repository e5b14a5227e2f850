import type { ExecutionPlan } from './execution-plan.ts'
import { alignmentGroup } from './execution-plan.ts'

/**
 * A part of a job that shares nothing with the others but its threads and its checkpoints: tasks that an exchange connects, or that keep their
 * sources in step. What fails in one part takes nothing back in another. The place in the list is the number of the part.
 *
 * The term is Flink's (FLIP-1, pipelined regions); here a region is made of whole tasks, and not of single subtasks.
 */
export interface Region {
  readonly tasks: ReadonlySet<string>
  readonly operators: ReadonlySet<string>
}

/** The regions of a plan, in the order of their first tasks. */
export function regionsOf(plan: ExecutionPlan): readonly Region[] {
  const members = plan.tasks.map((task) => new Set([task.id]))
  const find = (task: string): Set<string> => members.find((set) => set.has(task))!
  const join = (one: string, other: string): void => {
    const [into, from] = [find(one), find(other)]
    if (into === from) return
    for (const task of from) into.add(task)
    members.splice(members.indexOf(from), 1)
  }
  for (const edge of plan.edges) join(edge.fromTask, edge.toTask)
  const aligned = plan.tasks.filter((task) => alignmentGroup(task) !== undefined)
  for (const task of aligned) join(aligned.find((other) => alignmentGroup(other) === alignmentGroup(task))!.id, task.id)
  const ordered = plan.tasks.map((task) => find(task.id))
  return [...new Set(ordered)].map((members) => {
    const tasks = plan.tasks.filter(({ id }) => members.has(id))
    const operators = tasks.flatMap((task) => task.operators.map(({ id }) => id))
    return { tasks: new Set(tasks.map(({ id }) => id)), operators: new Set(operators) }
  })
}
