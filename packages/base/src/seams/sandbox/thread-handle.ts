/**
 * The caller's side of one thread of a sandbox: it runs one task at a time, and can be ended at any time.
 *
 * Promises  Every task settles: with its answer, or with the fault that ended the thread. A fault is reported at once,
 *           also if native code keeps the thread from ending until later (`ended`).
 *           The thread sees no environment variables and no arguments, and what it prints is dropped. One that
 *           waits for a task does not keep the process alive.
 */
import { Worker } from "node:worker_threads"
import { assert } from "../../assert.js"
import type { SandboxFault, SandboxOutcome } from "./contract.js"

type Settle<Answer> = (outcome: SandboxOutcome<Answer>) => void

export class SandboxThread<Task, Answer> {
  /** Resolves once the thread does nothing any more. */
  readonly ended: Promise<void>
  private readonly worker: Worker
  private settle: Settle<Answer> | undefined
  private fault: SandboxFault | undefined

  constructor(entry: URL, heapMib: number) {
    this.worker = new Worker(entry, {
      name: "sandbox",
      env: {},
      argv: [],
      execArgv: [],
      stdout: true,
      stderr: true,
      resourceLimits: { maxOldGenerationSizeMb: heapMib },
    })
    this.worker.stdout.resume()
    this.worker.stderr.resume()
    this.worker.on("message", (answer: Answer) => {
      if (this.alive) this.worker.unref()
      this.finish({ kind: "answered", answer })
    })
    this.worker.on("error", error => {
      this.fault ??= isOutOfMemory(error) ? "memory" : "died"
    })
    this.worker.on("messageerror", () => this.end("died"))
    this.ended = new Promise(resolve => {
      this.worker.once("exit", () => {
        this.end("died")
        resolve()
      })
    })
    this.worker.unref()
  }

  get alive(): boolean {
    return this.fault === undefined
  }

  /** Rejects if the task cannot be cloned; the thread can then run another. */
  run(task: Task, transfer: readonly ArrayBuffer[]): Promise<SandboxOutcome<Answer>> {
    assert(this.settle === undefined, "a thread runs one task at a time")
    if (this.fault !== undefined) return Promise.resolve({ kind: "faulted", fault: this.fault })
    return new Promise((resolve, reject) => {
      try {
        this.worker.postMessage(task, transfer)
      } catch (error) {
        reject(error)
        return
      }
      this.settle = resolve
      this.worker.ref()
    })
  }

  /** Ends the thread, and its task with the fault. */
  end(fault: SandboxFault): void {
    this.fault ??= fault
    // Other tasks may wait for the end.
    this.worker.ref()
    void this.worker.terminate()
    this.finish({ kind: "faulted", fault: this.fault })
  }

  private finish(outcome: SandboxOutcome<Answer>): void {
    const { settle } = this
    this.settle = undefined
    settle?.(outcome)
  }
}

const isOutOfMemory = (error: unknown): boolean =>
  error instanceof Error && "code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY"
