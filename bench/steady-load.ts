/**
 * Foreground: puts and gets of one size at a steady rate, whatever else the store does.
 *
 * A request's time is measured from the moment it was due, so that requests queued behind a slow one count as slow
 * too. One request in three is a put.
 */
import type { S3Client } from "@hayloft/client/s3-client.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { Latencies, type Summary } from "@hayloft/client/load/latencies.js"

const WORKERS = 64
const PUT_EVERY = 3

export class SteadyLoad {
  private readonly body: Uint8Array
  private turn = 0

  constructor(
    private readonly client: S3Client,
    private readonly clock: Clock,
    private readonly bucket: string,
    sizeBytes: number,
    private readonly keys: number,
    private readonly signal: AbortSignal,
  ) {
    this.body = new Uint8Array(sizeBytes).map((_, i) => (i * 31 + (i >> 8)) & 0xff)
  }

  /** The keys that are read and overwritten. */
  async fill(): Promise<void> {
    let next = 0
    await this.workers(async () => {
      while (next < this.keys) {
        next += 1
        await this.put(next - 1)
      }
    })
  }

  /** Requests per second at this constant concurrency. */
  async peak(atOnce: number, seconds: number): Promise<number> {
    const endMs = this.clock.monotonicMs() + seconds * 1000
    let requests = 0
    await this.workers(async () => {
      while (this.clock.monotonicMs() < endMs) {
        await this.one()
        requests += 1
      }
    }, atOnce)
    return requests / seconds
  }

  /** Continues until `isOver`; a failure of `work` ends it too. */
  async during<T>(perSecond: number, work: () => Promise<T>): Promise<{ readonly result: T; readonly load: Summary }> {
    const latencies = new Latencies()
    const beganMs = this.clock.monotonicMs()
    let [next, isOver] = [0, false]
    const load = this.workers(async () => {
      while (!isOver) {
        const dueMs = beganMs + (next * 1000) / perSecond
        next += 1
        const earlyMs = dueMs - this.clock.monotonicMs()
        if (earlyMs > 0) await this.clock.sleep(earlyMs, this.signal)
        this.signal.throwIfAborted()
        try {
          await this.one()
          latencies.record(this.clock.monotonicMs() - dueMs, this.body.length)
        } catch {
          latencies.fail()
        }
      }
    })
    try {
      const result = await work()
      return { result, load: latencies.summary((this.clock.monotonicMs() - beganMs) / 1000) }
    } finally {
      isOver = true
      await load
    }
  }

  private async workers(work: () => Promise<void>, count = WORKERS): Promise<void> {
    await Promise.all(Array.from({ length: count }, work))
  }

  private async one(): Promise<void> {
    this.turn += 1
    const key = (this.turn * 7919) % this.keys
    if (this.turn % PUT_EVERY === 0) return this.put(key)
    const { body } = await this.client.get(this.bucket, keyOf(key))
    let lengthBytes = 0
    for await (const chunk of body) lengthBytes += chunk.length
    if (lengthBytes !== this.body.length) throw new Error(`got ${lengthBytes} bytes instead of ${this.body.length}`)
  }

  private async put(key: number): Promise<void> {
    await this.client.put({ bucket: this.bucket, key: keyOf(key), body: this.body })
  }
}

const keyOf = (n: number): string => `steady-${n}`
