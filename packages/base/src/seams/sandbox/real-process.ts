/**
 * The caller's side of one process of a sandbox: it runs one task at a time, and can be ended at any time.
 *
 * Promises  Every task settles: with its answer, or, once the process has ended, with the fault that ended it.
 *           The process sees no environment variables and no arguments, and what it prints is dropped. One that
 *           waits for a task does not keep the caller's process alive, and none outlives it.
 *
 * A thread with limits of its own would not do: V8 aborts the whole process for some allocations that exceed the heap
 * of one thread, and native code cannot be ended.
 */
import { spawn, type ChildProcess } from "node:child_process"
import { Socket } from "node:net"
import { fileURLToPath } from "node:url"
import { assert } from "../../assert.js"
import type { SandboxFault, SandboxOutcome } from "./contract.js"

type Settle<Answer> = (outcome: SandboxOutcome<Answer>) => void

/** V8 aborts a process that exceeds its heap, and the system kills one for which it has no memory. */
const SIGNALS_OF_MEMORY: readonly (NodeJS.Signals | null)[] = ["SIGABRT", "SIGKILL", "SIGTRAP"]

export class SandboxProcess<Task extends object, Answer> {
  /** Resolves once the process has ended. */
  readonly ended: Promise<void>
  private readonly child: ChildProcess
  private settle: Settle<Answer> | undefined
  private fault: SandboxFault | undefined

  constructor(entry: URL, heapMib: number) {
    this.child = spawn(process.execPath, argumentsOf(entry), {
      // An executable reads options of Node from there only.
      env: { NODE_OPTIONS: `--max-old-space-size=${heapMib}` },
      cwd: "/",
      stdio: ["pipe", "ignore", "ignore", "ipc"],
      serialization: "advanced",
    })
    this.child.on("message", (answer: Answer) => this.finish({ kind: "answered", answer }))
    this.ended = new Promise(resolve => {
      const onEnd = (fault: SandboxFault): void => {
        this.fault ??= fault
        this.finish({ kind: "faulted", fault: this.fault })
        resolve()
      }
      this.child.once("exit", (_, signal) => onEnd(SIGNALS_OF_MEMORY.includes(signal) ? "memory" : "died"))
      this.child.on("error", () => (this.child.pid === undefined ? onEnd("died") : this.end("died")))
    })
    this.child.stdin?.on("error", () => undefined)
    this.keepAlive(false)
  }

  get alive(): boolean {
    return this.fault === undefined && this.child.exitCode === null && this.child.signalCode === null
  }

  /** Rejects if the task cannot be cloned; the process can then run another. */
  run(task: Task): Promise<SandboxOutcome<Answer>> {
    assert(this.settle === undefined, "a process of a sandbox runs one task at a time")
    if (this.fault !== undefined) return Promise.resolve({ kind: "faulted", fault: this.fault })
    return new Promise((resolve, reject) => {
      try {
        this.child.send(task)
      } catch (error) {
        reject(error)
        return
      }
      this.settle = resolve
      this.keepAlive(true)
    })
  }

  /** Ends the process, and then its task with the fault. */
  end(fault: SandboxFault): void {
    this.fault ??= fault
    // Other tasks may wait for the end.
    this.keepAlive(true)
    this.child.kill("SIGKILL")
  }

  private finish(outcome: SandboxOutcome<Answer>): void {
    const { settle } = this
    this.settle = undefined
    this.keepAlive(this.fault !== undefined)
    settle?.(outcome)
  }

  /** Makes the caller's process wait for this one, or not. */
  private keepAlive(isAwaited: boolean): void {
    const { channel, stdin } = this.child
    for (const handle of [this.child, channel, stdin instanceof Socket ? stdin : undefined])
      if (isAwaited) handle?.ref()
      else handle?.unref()
  }
}

/** In an executable, what runs in other threads and processes has the name of one of its parts, and is no file. */
const argumentsOf = (entry: URL): readonly string[] =>
  entry.protocol === "file:" ? [fileURLToPath(entry)] : ["--part", entry.hash.slice(1)]
