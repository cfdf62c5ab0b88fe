/**
 * A sandbox without threads, for simulation and tests: it calls a function on the calling thread.
 *
 * Promises  A call that throws is a task that died, as on a thread.
 * Refuses   To end a task: neither time nor memory is limited, and an aborted task only loses its answer.
 */
import type { Sandbox, SandboxOutcome } from "./contract.js"

export class InlineSandbox<Task, Answer> implements Sandbox<Task, Answer> {
  readonly threads = 1
  readonly waiting = 0
  private tasks = 0

  constructor(private readonly handle: (task: Task) => Promise<Answer>) {}

  get running(): number {
    return this.tasks
  }

  async run(
    task: Task,
    _transfer: readonly ArrayBuffer[],
    signal: AbortSignal,
    onEnded: () => void = () => undefined,
  ): Promise<SandboxOutcome<Answer>> {
    this.tasks += 1
    try {
      signal.throwIfAborted()
      const outcome = await this.outcomeOf(task)
      signal.throwIfAborted()
      return outcome
    } finally {
      this.tasks -= 1
      onEnded()
    }
  }

  private async outcomeOf(task: Task): Promise<SandboxOutcome<Answer>> {
    try {
      return { kind: "answered", answer: await this.handle(task) }
    } catch {
      return { kind: "faulted", fault: "died" }
    }
  }
}
