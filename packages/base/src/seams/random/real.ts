/**
 * Real randomness: the operating system's, strong enough for keys and ids. All forks are alike.
 *
 * Small requests are served from a pool of POOL_BYTES: a system call costs the same for eight bytes as for a thousand.
 */
import { randomFillSync, randomInt } from "node:crypto"
import { assert } from "../../assert.js"
import type { Random } from "./contract.js"

const LIMIT_MAX = 2 ** 32

const POOL_BYTES = 4096
/** Longer requests, such as keys, bypass the pool. */
const SMALL_BYTES = 24

export class RealRandom implements Random {
  private pool = new Uint8Array(0)
  private used = 0

  bytes(count: number): Uint8Array {
    if (count > SMALL_BYTES) return randomFillSync(new Uint8Array(count))
    if (this.used + count > this.pool.length) {
      this.pool = randomFillSync(new Uint8Array(POOL_BYTES))
      this.used = 0
    }
    const drawn = this.pool.slice(this.used, this.used + count)
    // Bytes that were returned are erased from the pool.
    this.pool.fill(0, this.used, this.used + count)
    this.used += count
    return drawn
  }

  below(limit: number): number {
    assert(Number.isSafeInteger(limit) && limit >= 1 && limit <= LIMIT_MAX, "a limit is from 1 to 2^32")
    return randomInt(limit)
  }

  fork(_name: string): Random {
    return this
  }
}
