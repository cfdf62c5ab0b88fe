/**
 * Work that must not harm the process: each task runs alone in a process beside the caller's, which ends if the task exceeds its limits.
 * Tasks and answers are structured clones.
 */

/** The reason why a task has no answer. */
export type SandboxFault = "time" | "memory" | "died"

export type SandboxOutcome<Answer> =
  | { readonly kind: "answered"; readonly answer: Answer }
  | { readonly kind: "faulted"; readonly fault: SandboxFault }

export interface Sandbox<Task, Answer> {
  /** How many tasks can run at once. */
  readonly processes: number
  /** Tasks that run now, and those that wait. */
  readonly running: number
  readonly waiting: number
  /**
   * Throws `tooManyInFlight` if too many tasks wait; rejects with the signal's reason once it fires, and ends the task.
   * When it settles, the task uses no memory any more, native code included.
   */
  run(task: Task, signal: AbortSignal): Promise<SandboxOutcome<Answer>>
}
