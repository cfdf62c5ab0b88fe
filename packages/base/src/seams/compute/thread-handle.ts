/**
 * The caller's side of one compute thread.
 *
 * Promises  Every order that expects a reply gets one or is rejected, also when the thread dies: then
 *           with `internal`, after it has certainly stopped touching the shared memory.
 *           A thread without unanswered orders does not keep the process alive.
 */
import type { Worker } from "node:worker_threads"
import type { Failure } from "../../failures.js"
import { fail } from "../../failures.js"
import type { StartThread } from "../threads/real.js"
import type { ThreadAnswer, Order, ThreadStart } from "./thread-protocol.js"

type AnsweredOrder = Extract<Order, { readonly id: number }>
type WithoutId<T> = T extends unknown ? Omit<T, "id"> : never
type Given<Kind extends ThreadAnswer["answer"]> = Extract<ThreadAnswer, { readonly answer: Kind }>

interface Waiting {
  readonly resolve: (answer: ThreadAnswer) => void
  readonly reject: (failure: Failure) => void
}

export class ThreadHandle {
  /** Pipelines pinned to this thread, and blocks that it mends. */
  pipelines = 0
  /** The pipelines among them that need MD5. */
  md5Lanes = 0
  private readonly worker: Worker
  private readonly waiting = new Map<number, Waiting>()
  private readonly ended: Promise<void>
  private nextId = 1
  private error: unknown
  private death: Failure | undefined
  private isClosing = false

  /** Throws as `startThread`. */
  constructor(entry: URL, workerData: ThreadStart, start: StartThread) {
    this.worker = start(entry, { workerData, name: "compute", execArgv: [] })
    this.worker.unref()
    this.worker.on("message", (answer: ThreadAnswer) => this.settle(answer))
    this.worker.on("error", error => {
      this.error = error
    })
    this.worker.on("messageerror", error => {
      this.error = error
      void this.worker.terminate()
    })
    this.ended = new Promise(resolve => {
      this.worker.once("exit", code => {
        this.die(fail("internal", { message: "a compute thread ended", code, error: String(this.error) }, this.error))
        resolve()
      })
    })
  }

  get alive(): boolean {
    return this.death === undefined
  }

  /** Sends an order that has no reply. */
  tell(order: Exclude<Order, AnsweredOrder>): void {
    if (this.alive) this.worker.postMessage(order)
  }

  /** Resolves with the reply of the given kind, or rejects with a failure. */
  async ask<Kind extends ThreadAnswer["answer"]>(order: WithoutId<AnsweredOrder>, kind: Kind): Promise<Given<Kind>> {
    if (this.death !== undefined) throw this.death
    const id = this.nextId
    this.nextId += 1
    const answered = new Promise<ThreadAnswer>((resolve, reject) => this.waiting.set(id, { resolve, reject }))
    this.worker.ref()
    this.worker.postMessage({ ...order, id })
    return parseAnswer(await answered, kind)
  }

  /** Ends the thread; resolves once it has exited. */
  async close(): Promise<void> {
    this.isClosing = true
    this.worker.ref()
    await this.worker.terminate()
    await this.ended
  }

  private settle(answer: ThreadAnswer): void {
    const waiting = this.waiting.get(answer.id)
    this.waiting.delete(answer.id)
    // A last reply must not end the process in the middle of `close`.
    if (this.waiting.size === 0 && !this.isClosing) this.worker.unref()
    if (answer.answer === "failed") waiting?.reject(fail(answer.kind, { message: answer.reason }))
    else waiting?.resolve(answer)
  }

  private die(failure: Failure): void {
    this.death = failure
    for (const { reject } of this.waiting.values()) reject(failure)
    this.waiting.clear()
  }
}

function parseAnswer<Kind extends ThreadAnswer["answer"]>(answer: ThreadAnswer, kind: Kind): Given<Kind> {
  if (answer.answer !== kind) throw fail("internal", { message: "a compute thread answered something else" })
  return answer as Given<Kind>
}
