/**
 * MD5 of the bodies of small PUTs, hashed in batches (`../simd/md5-batch.ts`).
 *
 * While PUTs are in progress the next ones would only wait for the log: their bodies wait until BATCH_BODIES of them
 * are there or a PUT has ended, and are hashed as one batch. A body that arrives while no PUT is in progress is hashed
 * synchronously.
 *
 * Promises  Every body has its digest within WAIT_MS_MAX.
 */
import { must } from "@hayloft/base/assert.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { digestOnce } from "@hayloft/base/seams/compute/index.js"
import { Md5Batch } from "@hayloft/base/simd/md5-batch.js"
import { MD5_SCRATCH_BYTES } from "@hayloft/base/simd/md5-lanes.js"
import { wasmMemory } from "@hayloft/base/simd/wasm.js"

/** Two vectors of MD5 lanes; a third one gains almost nothing. */
const BATCH_BODIES = 8
/** A PUT that waits for memory or for a disk does not delay others for longer. */
const WAIT_MS_MAX = 5

interface Waiting {
  readonly bytes: Uint8Array
  readonly resolve: (md5: Uint8Array) => void
}

export class SmallBodyMd5 {
  private batched: { readonly batch: Md5Batch; readonly memory: Uint8Array } | undefined
  private waiting: Waiting[] = []
  /** PUTs that have their digest and have not ended. */
  private inProgress = 0
  private cancelAlarm: () => void = () => undefined

  constructor(
    private readonly clock: Clock,
    private readonly bytesMax: number,
  ) {}

  /** Made for the first batch: its code is generated, which is not worth its time at each start. */
  private batchNow() {
    if (this.batched !== undefined) return this.batched
    const memory = wasmMemory(MD5_SCRATCH_BYTES + BATCH_BODIES * this.bytesMax)
    return (this.batched = { batch: new Md5Batch(memory, 0), memory: new Uint8Array(memory.buffer) })
  }

  /** Runs `work` of a PUT of up to `bytesMax` with its digest; the PUT is in progress until `work` has ended. */
  during<Result>(bytes: Uint8Array, work: (md5: Uint8Array) => Promise<Result>): Promise<Result> {
    if (this.inProgress === 0) {
      this.inProgress = 1
      return this.run(md5Alone(bytes), work)
    }
    return new Promise<Uint8Array>(resolve => {
      if (this.waiting.length === 0) this.cancelAlarm = this.clock.alarm(WAIT_MS_MAX, () => this.hashWaiting())
      this.waiting.push({ bytes, resolve })
      if (this.waiting.length === BATCH_BODIES) this.hashWaiting()
    }).then(md5 => this.run(md5, work))
  }

  private run<Result>(md5: Uint8Array, work: (md5: Uint8Array) => Promise<Result>): Promise<Result> {
    let result: Promise<Result>
    try {
      result = work(md5)
    } catch (error) {
      this.ended()
      throw error
    }
    return result.then(
      value => {
        this.ended()
        return value
      },
      (error: unknown) => {
        this.ended()
        throw error
      },
    )
  }

  private ended(): void {
    this.inProgress -= 1
    if (this.waiting.length > 0) this.hashWaiting()
  }

  private hashWaiting(): void {
    this.cancelAlarm()
    const { waiting } = this
    this.waiting = []
    this.inProgress += waiting.length
    const [first, ...others] = waiting
    if (first && others.length === 0) return first.resolve(md5Alone(first.bytes))
    const { batch, memory } = this.batchNow()
    for (const [i, { bytes, resolve }] of waiting.entries()) {
      const at = MD5_SCRATCH_BYTES + i * this.bytesMax
      memory.set(bytes, at)
      const body = batch.join()
      body.add(at, bytes.length)
      batch.digest(body, md5 => resolve(must(md5, "a small body does not leave its batch")))
    }
    while (batch.work());
  }
}

const md5Alone = (bytes: Uint8Array): Uint8Array => Buffer.from(digestOnce("md5", bytes, "binary"), "latin1")
