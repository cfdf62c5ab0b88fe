/**
 * A sandbox without processes, for simulation and tests: it calls a function on the calling thread.
 *
 * Promises  A call that throws is a task that died, as in a process.
 * Refuses   To end a task: neither time nor memory is limited, and an aborted task only loses its answer.
 */
import type { Sandbox, SandboxOutcome } from "./contract.js"

export class InlineSandbox<Task, Answer> implements Sandbox<Task, Answer> {
  readonly processes = 1
  readonly waiting = 0
  private tasks = 0

  constructor(private readonly handle: (task: Task) => Promise<Answer>) {}

  get running(): number {
    return this.tasks
  }

  async run(task: Task, signal: AbortSignal): Promise<SandboxOutcome<Answer>> {
    this.tasks += 1
    try {
      signal.throwIfAborted()
      const outcome = await this.outcomeOf(task)
      signal.throwIfAborted()
      return outcome
    } finally {
      this.tasks -= 1
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
