/**
 * Makings: results that are made once for all requests that want the same, and are in memory until the last of them is sent.
 *
 * Promises  No request ends a making that others wait for. A request that has gone, or waits for too long, waits no more.
 *           What a process could not do within its limits is not tried again for `FAULT_MS`.
 * Limits    TRANSFORM_LIMITS: makings at once, requests that wait, bytes that are being sent, a part of them for each bucket: so
 *           a client that reads slowly costs its bucket.
 */
import type { BucketId } from "@hayloft/base/ids.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { TRANSFORM_LIMITS } from "./limits.js"
import type { KeptBytes } from "./results.js"
import { partOf } from "@hayloft/base/text/round.js"
import { Slots, tooMany, type Budget } from "@hayloft/base/life/index.js"
import { keepLatest } from "@hayloft/base/keep-latest.js"

/** Bytes in memory, or the reason why there are none. */
export type MakingResult =
  | { readonly bytes: Uint8Array; readonly result: KeptBytes; readonly isKept?: boolean }
  | { readonly skipped: string; readonly isLasting: boolean }

/** `leave` ends the use of the bytes; further calls of it do nothing. */
interface Shared {
  readonly made: MakingResult
  readonly leave: () => void
}

interface Making {
  readonly made: Promise<MakingResult>
  users: number
  /** Counted against the limits since a user has them. */
  heldBytes: number
}

const FAULT_MS = 10 * 60_000
const FAULTS_MAX = 10_000
const WHAT = "transforms"

export class Makings {
  private readonly makings = new Map<string, Making>()
  private readonly faults = new Map<string, { readonly skipped: string; readonly untilMs: number }>()
  private readonly slots: Slots
  private readonly sentBytes = new Map<BucketId, number>()
  private allSentBytes = 0
  private readonly sentBytesMax: number
  private readonly sentBytesOfBucketMax: number
  private waiting = 0

  constructor(
    private readonly clock: Clock,
    /** Makings of all threads of the process, beside the limit of this one. */
    private readonly all: Budget,
    share: number,
  ) {
    const { makingMax, makingWaitMax, makingWaitMs, sentBytesMax, sentBytesOfBucketMax, outputBytesMax } =
      TRANSFORM_LIMITS
    // A part holds one result.
    this.sentBytesMax = partOf(sentBytesMax, share, outputBytesMax)
    this.sentBytesOfBucketMax = partOf(sentBytesOfBucketMax, share, outputBytesMax)
    this.slots = new Slots(clock, makingMax, makingWaitMax, makingWaitMs, WHAT)
  }

  /** The result with this id; `make` makes it unless that is under way. Rejects as `make`, with the signal's reason, `tooManyInFlight`. */
  async of(id: string, bucket: BucketId, signal: AbortSignal, make: () => Promise<MakingResult>): Promise<Shared> {
    const skipped = this.faultOf(id)
    if (skipped !== undefined) return { made: { skipped, isLasting: false }, leave: () => undefined }
    if (this.waiting >= TRANSFORM_LIMITS.makingWaitMax) throw tooMany(WHAT)
    const making = this.makings.get(id) ?? this.begin(id, make)
    making.users += 1
    let isIn = true
    const leave = (): void => {
      if (isIn) this.leave(id, bucket, making)
      isIn = false
    }
    this.waiting += 1
    try {
      const made = await unlessAborted(making.made, signal)
      if (!("skipped" in made) && made.isKept !== true) this.hold(bucket, making, made.bytes.length)
      return { made, leave }
    } catch (error) {
      leave()
      throw error
    } finally {
      this.waiting -= 1
    }
  }

  private begin(id: string, make: () => Promise<MakingResult>): Making {
    const making: Making = { made: this.make(id, make), users: 0, heldBytes: 0 }
    this.makings.set(id, making)
    const settled = (): void => this.forgetUnused(id, making)
    making.made.then(settled, settled)
    return making
  }

  private async make(id: string, make: () => Promise<MakingResult>): Promise<MakingResult> {
    const giveBack = await this.slots.take()
    try {
      const made = await this.all.run(1, make)
      if ("skipped" in made && !made.isLasting) this.noteFault(id, made.skipped)
      return made
    } finally {
      giveBack()
    }
  }

  private hold(bucket: BucketId, making: Making, bytes: number): void {
    if (making.heldBytes > 0) return
    const { sentBytesMax, sentBytesOfBucketMax } = this
    const ofBucket = (this.sentBytes.get(bucket) ?? 0) + bytes
    if (this.allSentBytes + bytes > sentBytesMax || ofBucket > sentBytesOfBucketMax) throw tooMany(`bytes of ${WHAT}`)
    making.heldBytes = bytes
    this.allSentBytes += bytes
    this.sentBytes.set(bucket, ofBucket)
  }

  private leave(id: string, bucket: BucketId, making: Making): void {
    making.users -= 1
    if (making.users > 0) return
    const ofBucket = (this.sentBytes.get(bucket) ?? 0) - making.heldBytes
    this.allSentBytes -= making.heldBytes
    if (ofBucket > 0) this.sentBytes.set(bucket, ofBucket)
    else this.sentBytes.delete(bucket)
    making.heldBytes = 0
    void making.made.then(
      () => this.forgetUnused(id, making),
      () => undefined,
    )
  }

  private forgetUnused(id: string, making: Making): void {
    if (making.users === 0 && this.makings.get(id) === making) this.makings.delete(id)
  }

  private faultOf(id: string): string | undefined {
    const fault = this.faults.get(id)
    if (fault === undefined || fault.untilMs > this.clock.monotonicMs()) return fault?.skipped
    this.faults.delete(id)
    return undefined
  }

  private noteFault(id: string, skipped: string): void {
    keepLatest(this.faults, id, { skipped, untilMs: this.clock.monotonicMs() + FAULT_MS }, FAULTS_MAX)
  }
}

/** The work goes on if the signal fires. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason)
    if (signal.aborted) onAbort()
    signal.addEventListener("abort", onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort))
  })
}
