/**
 * Work that must not harm the process: each task runs alone on a thread, which ends if the task exceeds its limits.
 * Tasks and answers are structured clones; the bytes of a task belong to the thread from then on.
 */

/** The reason why a task has no answer. */
export type SandboxFault = "time" | "memory" | "died"

export type SandboxOutcome<Answer> =
  | { readonly kind: "answered"; readonly answer: Answer }
  | { readonly kind: "faulted"; readonly fault: SandboxFault }

export interface Sandbox<Task, Answer> {
  readonly threads: number
  /** Tasks on threads now, and those that wait. */
  readonly running: number
  readonly waiting: number
  /**
   * Throws `tooManyInFlight` if too many tasks wait; rejects with the signal's reason once it fires, and ends the task.
   * `transfer`: buffers of the task that move to the thread instead of being copied. `onEnded` is called once the task uses nothing
   * any more, which may be after its fault: native code runs to its end.
   */
  run(
    task: Task,
    transfer: readonly ArrayBuffer[],
    signal: AbortSignal,
    onEnded?: () => void,
  ): Promise<SandboxOutcome<Answer>>
}
