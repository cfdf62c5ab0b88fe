/**
 * Body budget: how many bytes of bodies may be on their way concurrently.
 *
 * Promises  First come, first served, except that a body whose own share is used up does not hold back those of others.
 *           A body larger than its limit travels alone.
 */
import type { Soon } from "@hayloft/base/soon.js"

interface Waiting {
  readonly bytes: number
  readonly sharers: readonly string[]
  readonly grant: () => void
}

export class BodyBudget {
  private usedBytes = 0
  private readonly shares = new Map<string, number>()
  private readonly waiting = new Set<Waiting>()

  constructor(
    private readonly bytesMax: number,
    private readonly shareBytesMax: number,
  ) {}

  /**
   * Returns the function that gives the bytes back. `sharers`: whose shares they count against. Rejects with the
   * signal's reason; the signal is used only if the body must wait.
   */
  take(bytes: number, sharers: readonly string[], signalOf?: () => AbortSignal): Soon<() => void> {
    let isGranted = false
    let granted = (): void => {
      isGranted = true
    }
    const body: Waiting = { bytes, sharers, grant: () => granted() }
    this.waiting.add(body)
    this.advance()
    if (isGranted) return this.giverOf(body)
    return new Promise<() => void>((resolve, reject) => {
      const signal = signalOf?.()
      const stop = (): void => {
        this.waiting.delete(body)
        this.advance()
        reject(signal?.reason)
      }
      granted = () => {
        signal?.removeEventListener("abort", stop)
        resolve(this.giverOf(body))
      }
      if (signal?.aborted === true) stop()
      else signal?.addEventListener("abort", stop, { once: true })
    })
  }

  private giverOf({ bytes, sharers }: Waiting): () => void {
    let isGiven = false
    return () => {
      if (isGiven) return
      isGiven = true
      this.count(sharers, -bytes)
      this.advance()
    }
  }

  private advance(): void {
    for (const body of this.waiting) {
      if (this.usedBytes > 0 && this.usedBytes + body.bytes > this.bytesMax) return
      if (!body.sharers.every(sharer => this.fitsShare(sharer, body.bytes))) continue
      this.waiting.delete(body)
      this.count(body.sharers, body.bytes)
      body.grant()
    }
  }

  private fitsShare(sharer: string, bytes: number): boolean {
    const used = this.shares.get(sharer)
    return used === undefined || used + bytes <= this.shareBytesMax
  }

  private count(sharers: readonly string[], bytes: number): void {
    this.usedBytes += bytes
    for (const sharer of sharers) {
      const used = (this.shares.get(sharer) ?? 0) + bytes
      if (used === 0) this.shares.delete(sharer)
      else this.shares.set(sharer, used)
    }
  }
}
