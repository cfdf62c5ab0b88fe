/**
 * Failed sign-ins by address: after a few, each further attempt has to wait, longer each time.
 *
 * Promises  A wait is never longer than `waitMsMax`, since an address may be a proxy with many people behind it. Attempts
 *           under way count as failed, so that many at a time are no way round.
 * Limits    `ADDRESSES_MAX`; the one that was seen first is forgotten for a new one. Each node counts for itself.
 */
import { fail, type Failure } from "../base/failures.js"

const LIMITS = {
  free: 5,
  firstWaitMs: 1_000,
  waitMsMax: 30_000,
  forgetMs: 15 * 60_000,
} as const
const ADDRESSES_MAX = 10_000

interface Failed {
  readonly count: number
  readonly atMs: number
}

export class FailedSignIns {
  private readonly failed = new Map<string, Failed>()

  constructor(private readonly clock: { monotonicMs(): number }) {}

  /** Throws `rateExceeded` if the address has to wait; otherwise the attempt has begun. */
  begin(client: string): void {
    const nowMs = this.clock.monotonicMs()
    const known = this.failed.get(client)
    const { count, atMs } = known && nowMs < known.atMs + LIMITS.forgetMs ? known : { count: 0, atMs: nowMs }
    const waitMs = atMs + waitAfter(count) - nowMs
    if (waitMs > 0) throw tooMany(Math.ceil(waitMs / 1_000))
    this.failed.delete(client)
    const [first] = this.failed.keys()
    if (this.failed.size >= ADDRESSES_MAX && first !== undefined) this.failed.delete(first)
    this.failed.set(client, { count: count + 1, atMs: nowMs })
  }

  /** The attempt does not count. Earlier failures do: valid credentials are no licence to guess others. */
  succeeded(client: string): void {
    const known = this.failed.get(client)
    if (known === undefined) return
    if (known.count > 1) this.failed.set(client, { ...known, count: known.count - 1 })
    else this.failed.delete(client)
  }
}

const waitAfter = (count: number): number =>
  count < LIMITS.free ? 0 : Math.min(LIMITS.waitMsMax, LIMITS.firstWaitMs * 2 ** Math.min(10, count - LIMITS.free))

const tooMany = (retryAfterSeconds: number): Failure =>
  fail("rateExceeded", {
    message: `too many failed sign-ins from this address: try again in ${retryAfterSeconds} seconds`,
    retryAfterSeconds,
  })
