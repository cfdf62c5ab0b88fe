/** An epoch key without a control record, for tests of services. */
import { fail } from "@hayloft/base/failures.js"
import type { EpochKey, EpochKeys } from "./contract.js"

export class FixedEpochKeys implements EpochKeys {
  /** By number; the highest is the current one. */
  readonly keys = new Map([[1, new Uint8Array(32).fill(1)]])
  /** How often a key was asked for. */
  uses = 0

  current(): EpochKey {
    const number = Math.max(...this.keys.keys())
    return { number, key: this.get(number) }
  }

  get(number: number): Uint8Array {
    this.uses += 1
    const key = this.keys.get(number)
    if (key === undefined) throw fail("keysUnavailable", { epoch: number })
    return key
  }
}
