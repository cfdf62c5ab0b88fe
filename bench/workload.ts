/**
 * The workload: put, get, list, delete and a mix of them against an S3 endpoint, so many at a time,
 * for so long.
 *
 * Every get is read to its end and its length checked; an operation that fails counts as an error and
 * not as an operation. Keys and the mix come from counters, so that two runs do the same.
 */
import type { Clock } from "../src/seams/clock/contract.js"
import type { S3Client } from "../src/main/client/s3-client.js"
import { Latencies, type Summary } from "../src/main/client/load/latencies.js"
import type { OperationName } from "./options.js"

export interface RunOptions {
  readonly operation: OperationName
  readonly sizeBytes: number
  readonly concurrency: number
  readonly seconds: number
  readonly objectsMax: number
}

const PAGE_KEYS = 1000
/** Of 20 operations of the mix: 12 gets, 6 puts, 1 list, 1 delete. */
const MIX: readonly OperationName[] = [
  "get",
  "put",
  "get",
  "get",
  "put",
  "get",
  "get",
  "put",
  "get",
  "list",
  "get",
  "put",
  "get",
  "get",
  "put",
  "get",
  "get",
  "put",
  "get",
  "delete",
]

export class Workload {
  /** Keys that exist, in the order of their creation. */
  #keys: string[] = []
  #created = 0
  #turn = 0

  constructor(
    private readonly client: S3Client,
    private readonly clock: Clock,
    private readonly bucket: string,
    private readonly body: Uint8Array,
    private readonly signal: AbortSignal,
  ) {}

  async run(options: RunOptions): Promise<Summary> {
    const latencies = new Latencies()
    const startedMs = this.clock.monotonicMs()
    const endMs = startedMs + options.seconds * 1000
    let errorsInARow = 0
    const worker = async (): Promise<void> => {
      while (this.clock.monotonicMs() < endMs && !this.signal.aborted && errorsInARow < 10) {
        const operation = this.#next(options)
        if (operation === undefined) return
        const beganMs = this.clock.monotonicMs()
        try {
          const bytes = await this.#one(operation, options)
          latencies.record(this.clock.monotonicMs() - beganMs, bytes)
          errorsInARow = 0
        } catch {
          if (this.signal.aborted) return
          latencies.fail()
          errorsInARow += 1
        }
      }
    }
    await Promise.all(Array.from({ length: options.concurrency }, worker))
    this.signal.throwIfAborted()
    return latencies.summary((this.clock.monotonicMs() - startedMs) / 1000)
  }

  /** Enough objects of this size that gets and deletes have something to do. */
  async fill(count: number, concurrency: number): Promise<void> {
    const worker = async (): Promise<void> => {
      while (this.#keys.length < count && !this.signal.aborted) await this.#put()
    }
    await Promise.all(Array.from({ length: concurrency }, worker))
  }

  async clear(): Promise<void> {
    for (let at = 0; at < this.#keys.length; at += PAGE_KEYS) {
      await this.client.removeMany(this.bucket, this.#keys.slice(at, at + PAGE_KEYS))
    }
    this.#keys = []
  }

  /** What to do next; undefined once there is nothing left. */
  #next({ operation, objectsMax }: RunOptions): OperationName | undefined {
    if (operation === "put") return this.#created < objectsMax ? "put" : undefined
    if (operation === "delete") return this.#keys.length > 0 ? "delete" : undefined
    if (operation !== "mixed") return operation
    this.#turn += 1
    const turn = MIX[this.#turn % MIX.length] ?? "get"
    if (turn === "put" && this.#keys.length >= objectsMax) return "get"
    return turn === "delete" && this.#keys.length < 2 ? "get" : turn
  }

  /** Resolves with the bytes moved. */
  async #one(operation: OperationName, { sizeBytes }: RunOptions): Promise<number> {
    switch (operation) {
      case "put":
        await this.#put()
        return sizeBytes
      case "get":
        return this.#get(sizeBytes)
      case "delete":
        await this.client.remove(this.bucket, this.#keys.pop() ?? "nothing")
        return 0
      default:
        await this.client.list(this.bucket, { prefix: "", delimiter: "", max: PAGE_KEYS })
        return 0
    }
  }

  async #put(): Promise<void> {
    this.#created += 1
    // Spread like names that people give, not ascending: ordered inserts would flatter a tree.
    const key = `${((this.#created * 2_654_435_761) % 2 ** 32).toString(16).padStart(8, "0")}-${this.#created}`
    await this.client.put({ bucket: this.bucket, key, body: this.body })
    this.#keys.push(key)
  }

  async #get(sizeBytes: number): Promise<number> {
    this.#turn += 1
    const key = this.#keys[(this.#turn * 7919) % this.#keys.length]
    if (key === undefined) throw new Error("there is nothing to get")
    const { body } = await this.client.get(this.bucket, key)
    let lengthBytes = 0
    for await (const chunk of body) lengthBytes += chunk.length
    if (lengthBytes !== sizeBytes) throw new Error(`got ${lengthBytes} bytes instead of ${sizeBytes}`)
    return sizeBytes
  }
}
