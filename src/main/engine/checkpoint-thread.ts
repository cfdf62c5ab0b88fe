/**
 * Checkpoint thread: runs checkpoint jobs beside the serving thread.
 *
 * Promises  A job that was sent is answered; if the thread dies, what waited fails with `internal` and
 *           the next job starts another thread (its writers begin anew from the files).
 * Limits    One thread for all devices of the process; it starts with the first job.
 */
import { Worker } from "node:worker_threads"
import { assert } from "../../base/assert.js"
import { fail, FAILURES, type Failure, type FailureKind } from "../../base/failures.js"
import type { CheckpointJob, CheckpointJobResult, CheckpointRunner } from "./checkpoint-job.js"

/** Without a job: close and be done. */
export interface CheckpointOrder {
  readonly id: number
  readonly job: CheckpointJob | undefined
}

export interface CheckpointReply {
  readonly id: number
  readonly result?: CheckpointJobResult
  readonly failure?: { readonly kind: FailureKind; readonly message: string }
}

interface Waiting {
  resolve(result: CheckpointJobResult): void
  reject(failure: Failure): void
}

/** Both ends are this program at the same version: the message is what was sent. */
export function parseCheckpointOrder(message: unknown): CheckpointOrder {
  assert(typeof message === "object" && message !== null && "id" in message, "an order has an id")
  return message as CheckpointOrder
}

function parseCheckpointReply(message: unknown): CheckpointReply {
  assert(typeof message === "object" && message !== null && "id" in message, "a reply has an id")
  return message as CheckpointReply
}

export class CheckpointThread implements CheckpointRunner {
  private worker: Worker | undefined
  private nextId = 0
  private readonly waiting = new Map<number, Waiting>()

  constructor(private readonly entry: URL) {}

  run(job: CheckpointJob): Promise<CheckpointJobResult> {
    return this.ask(job)
  }

  private ask(job: CheckpointJob | undefined): Promise<CheckpointJobResult> {
    const worker = (this.worker ??= this.start())
    this.nextId += 1
    const id = this.nextId
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject })
      const order: CheckpointOrder = { id, job }
      worker.postMessage(order)
    })
  }

  private start(): Worker {
    const worker = new Worker(this.entry, { name: "checkpoint" })
    worker.on("message", (message: unknown) => this.settle(parseCheckpointReply(message)))
    worker.on("error", error => this.lose(worker, error))
    worker.on("exit", () => this.lose(worker, new Error("the checkpoint thread ended")))
    return worker
  }

  private settle({ id, result, failure }: CheckpointReply): void {
    const waiting = this.waiting.get(id)
    this.waiting.delete(id)
    if (result) waiting?.resolve(result)
    else {
      const kind = failure && failure.kind in FAILURES ? failure.kind : "internal"
      waiting?.reject(fail(kind, { message: failure?.message ?? "the checkpoint failed" }))
    }
  }

  private lose(worker: Worker, error: unknown): void {
    if (this.worker !== worker) return
    this.worker = undefined
    for (const waiting of this.waiting.values())
      waiting.reject(fail("internal", { reason: "the checkpoint thread ended" }, error))
    this.waiting.clear()
  }

  async close(): Promise<void> {
    const { worker } = this
    if (!worker) return
    await this.ask(undefined)
    this.worker = undefined
    await worker.terminate()
  }
}
