/**
 * The thread's side: runs pipelines as ordered. Its entry file is in main, which passes in the codec.
 */
import { parentPort, receiveMessageOnPort, workerData, type MessagePort } from "node:worker_threads"
import { assert, must } from "../../assert.js"
import { asFailure } from "../../failures.js"
import { BlockWork } from "./block-work.js"
import type { MakeCoder } from "./coder.js"
import type { MendOutcome } from "./contract.js"
import { Hashes, keyedDigest } from "./hashes.js"
import type { Md5Body } from "../../simd/md5-batch.js"
import { Md5Batch } from "../../simd/md5-batch.js"
import { openInPlace } from "./sealing.js"
import { scratchOf } from "./slabs.js"
import type { ThreadAnswer, HashPipelineNumber, MendAt, Order, ThreadStart } from "./thread-protocol.js"

/** A body: its MD5 is computed in a batch, its other hashes alone. */
interface ThreadHashPipeline {
  readonly md5: Md5Body | undefined
  readonly others: Hashes
}

/** Carries out orders, one after the other; between them, a little at a time, it hashes. */
class Thread {
  private readonly pipelines = new Map<HashPipelineNumber, ThreadHashPipeline>()
  private readonly work: BlockWork
  private readonly batch: Md5Batch

  constructor(
    private readonly memory: WebAssembly.Memory,
    worker: number,
    makeCoder: MakeCoder,
    private readonly answer: (answer: ThreadAnswer) => void,
  ) {
    const { coderAt, md5At } = scratchOf(worker)
    this.work = new BlockWork(memory, makeCoder, coderAt)
    this.batch = new Md5Batch(memory, md5At)
  }

  obey(order: Order): void {
    switch (order.order) {
      case "open": {
        const md5 = order.plan.md5 ? this.batch.join() : undefined
        this.pipelines.set(order.pipeline, { md5, others: new Hashes({ ...order.plan, md5: false }) })
        return
      }
      case "feed": {
        const { md5, others } = this.pipeline(order.pipeline)
        others.update(new Uint8Array(this.memory.buffer, order.at, order.lengthBytes))
        md5?.add(order.at, order.lengthBytes)
        return
      }
      case "identify": {
        const digest = keyedDigest(order.key, this.work.view(order.at, order.lengthBytes))
        // A copy: a message copies the whole memory that its arrays are part of.
        this.answer({ answer: "identified", id: order.id, digest: Uint8Array.from(digest) })
        return
      }
      case "code":
        this.code(order)
        return
      case "unseal": {
        const { at, lengthBytes, ...rest } = order.segments
        const plainBytes = openInPlace({ ...rest, bytes: this.work.view(at, lengthBytes) })
        this.answer({ answer: "unsealed", id: order.id, plainBytes })
        return
      }
      case "mend":
        this.answer({ answer: "mended", id: order.id, outcome: this.mend(order.block) })
        return
      case "hashed": {
        const hashed = (): void => this.answer({ answer: "hashed", id: order.id })
        const { md5 } = this.pipeline(order.pipeline)
        if (md5 === undefined) hashed()
        else md5.whenConsumed(hashed)
        return
      }
      case "digests":
        this.digest(order.id, this.pipeline(order.pipeline))
        return
      case "close": {
        const { md5 } = this.pipeline(order.pipeline)
        if (md5 !== undefined) this.batch.leave(md5)
        this.pipelines.delete(order.pipeline)
        return
      }
      case "flush":
        this.batch.flush()
    }
  }

  /** Hashes some of the waiting bytes; false if nothing remains. */
  hashSome(): boolean {
    return this.batch.work()
  }

  /** A block is coded before it is hashed; but sealing replaces the bytes, so what is to be sealed is hashed first. */
  private code({ id, pipeline, block }: Extract<Order, { readonly order: "code" }>): void {
    const code = (): void => this.answer({ answer: "coded", id, checksums: this.work.code(block) })
    const md5 = block.seal && this.pipeline(pipeline).md5
    if (md5 === undefined) return code()
    md5.whenConsumed(() => {
      try {
        code()
      } catch (error) {
        this.answer(failedOf(id, error))
      }
    })
    this.batch.flush()
  }

  private digest(id: number, { md5, others }: ThreadHashPipeline): void {
    const digests = others.digests()
    if (md5 === undefined) this.answer({ answer: "digested", id, digests })
    else {
      this.batch.digest(md5, digest => {
        // A copy: a message copies the whole memory that its arrays are part of.
        if (digest !== undefined)
          this.answer({ answer: "digested", id, digests: { ...digests, md5: Uint8Array.from(digest) } })
        else this.answer({ answer: "failed", id, kind: "stopping", reason: "the hash pipeline is closed" })
      })
    }
  }

  private mend({ present, wanted, ...rest }: MendAt): MendOutcome {
    const view = <Shard extends { readonly at: number; readonly lengthBytes: number }>(shard: Shard) => ({
      ...shard,
      bytes: this.work.view(shard.at, shard.lengthBytes),
    })
    return this.work.mend({ ...rest, present: present.map(view), wanted: wanted.map(view) })
  }

  private pipeline(number: HashPipelineNumber): ThreadHashPipeline {
    return must(this.pipelines.get(number), "orders are for open lanes")
  }
}

function failedOf(id: number, error: unknown): ThreadAnswer {
  const { kind, message: reason } = asFailure(error)
  return { answer: "failed", id, kind, reason }
}

function parseStart(data: unknown): ThreadStart {
  const whole = typeof data === "object" && data !== null && "memory" in data && "worker" in data
  assert(whole && data.memory instanceof WebAssembly.Memory, "a compute thread is started with a memory")
  assert(typeof data.worker === "number", "a compute thread is started with a scratch area")
  return { memory: data.memory, worker: data.worker }
}

function nextOrder(port: MessagePort): Order | undefined {
  const received: { readonly message: Order } | undefined = receiveMessageOnPort(port)
  return received?.message
}

/** Runs a compute thread until it ends: the last call of its entry file. */
export function serveCompute(makeCoder: MakeCoder): void {
  const port = must(parentPort, "this file is the entry of a thread")
  const { memory, worker } = parseStart(workerData)
  const thread = new Thread(memory, worker, makeCoder, answer => port.postMessage(answer))
  const obey = (order: Order): void => {
    try {
      thread.obey(order)
    } catch (error) {
      // An order without an id cannot reply with an error: the thread ends, with all its pipelines.
      if (!("id" in order)) throw error
      port.postMessage(failedOf(order.id, error))
    }
  }
  const obeyAll = (): void => {
    for (let next = nextOrder(port); next !== undefined; next = nextOrder(port)) obey(next)
  }
  // Carries out all orders that have arrived before it hashes: bodies whose bytes have arrived are hashed in one
  // batch, and a block that is to be coded does not wait for hashes.
  port.on("message", (order: Order) => {
    obey(order)
    do obeyAll()
    while (thread.hashSome())
  })
}
