/**
 * The thread's side: runs lanes as ordered. Its entry file is main's, which hands in the codec.
 */
import { parentPort, workerData } from "node:worker_threads"
import { assert, must } from "../../base/assert.js"
import { asFailure } from "../../base/failures.js"
import { BlockWork } from "./block-work.js"
import type { MakeCoder } from "./coder.js"
import type { MendOutcome } from "./contract.js"
import { Hashes } from "./hashes.js"
import type { Answer, LaneNumber, MendAt, Order, ThreadStart } from "./thread-protocol.js"

/** Carries out orders, one after the other. */
class Thread {
  private readonly lanes = new Map<LaneNumber, Hashes>()
  private readonly work: BlockWork

  constructor(
    private readonly start: ThreadStart,
    makeCoder: MakeCoder,
  ) {
    this.work = new BlockWork(start.memory, makeCoder, start.scratchAt)
  }

  /** The answer, for orders that have one. */
  obey(order: Order): Answer | undefined {
    switch (order.order) {
      case "open":
        this.lanes.set(order.lane, new Hashes(order.plan))
        return undefined
      case "feed":
        this.lane(order.lane).update(new Uint8Array(this.start.memory.buffer, order.at, order.lengthBytes))
        return undefined
      case "code":
        return { answer: "coded", id: order.id, checksums: this.work.code(order.block) }
      case "mend":
        return { answer: "mended", id: order.id, outcome: this.mend(order.block) }
      case "digests":
        return { answer: "digested", id: order.id, digests: this.lane(order.lane).digests() }
      case "close":
        this.lanes.delete(order.lane)
        return undefined
    }
  }

  private mend({ shape, present, wanted }: MendAt): MendOutcome {
    const view = <Shard extends { readonly at: number; readonly lengthBytes: number }>(shard: Shard) => ({
      ...shard,
      bytes: this.work.view(shard.at, shard.lengthBytes),
    })
    return this.work.mend({ shape, present: present.map(view), wanted: wanted.map(view) })
  }

  private lane(number: LaneNumber): Hashes {
    return must(this.lanes.get(number), "orders are for open lanes")
  }
}

function parseStart(data: unknown): ThreadStart {
  const whole = typeof data === "object" && data !== null && "memory" in data && "scratchAt" in data
  assert(whole && data.memory instanceof WebAssembly.Memory, "a compute thread is started with a memory")
  assert(typeof data.scratchAt === "number", "a compute thread is started with a scratch area")
  return { memory: data.memory, scratchAt: data.scratchAt }
}

/** The whole life of a compute thread: the last call of its entry file. */
export function serveCompute(makeCoder: MakeCoder): void {
  const port = must(parentPort, "this file is the entry of a thread")
  const start = parseStart(workerData)
  const thread = new Thread(start, makeCoder)
  port.on("message", (order: Order) => {
    try {
      const answer = thread.obey(order)
      if (answer !== undefined) port.postMessage(answer)
    } catch (error) {
      // An order without an id has nobody to tell: the thread ends, and all its lanes with it.
      if (!("id" in order)) throw error
      const { kind, message: reason } = asFailure(error)
      port.postMessage({ answer: "failed", id: order.id, kind, reason } satisfies Answer)
    }
  })
}
