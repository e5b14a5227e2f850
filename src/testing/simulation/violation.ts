/** Something that must never happen, and has. */
export interface Violation {
  readonly invariant:
    | 'nothing is lost'
    | 'nothing is doubled'
    | 'nothing is left behind'
    | 'nothing uncommitted is visible'
    | 'what is visible stays as it is'
    | 'watermarks never go back'
    | 'positions never go back'
    | 'one attempt completes checkpoints'
    | 'state is the fold of what was written'
    | 'state is that of an undisturbed run'
    | 'queues are bounded'
    | 'the job comes on'
    | 'errors are those of the faults'
    | 'the check of the job'
  readonly message: string
  /** The step of the simulation after which it was seen. */
  readonly step: number
}
