/** Real randomness: the operating system's, strong enough for keys and ids. All forks are alike. */
import { randomFillSync, randomInt } from "node:crypto"
import { assert } from "../../base/assert.js"
import type { Random } from "./contract.js"

const LIMIT_MAX = 2 ** 32

export class RealRandom implements Random {
  bytes(count: number): Uint8Array {
    return randomFillSync(new Uint8Array(count))
  }

  below(limit: number): number {
    assert(Number.isSafeInteger(limit) && limit >= 1 && limit <= LIMIT_MAX, "a limit is from 1 to 2^32")
    return randomInt(limit)
  }

  fork(_name: string): Random {
    return this
  }
}
