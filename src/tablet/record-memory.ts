/**
 * Memory for the records of batches that are encoded one after the other: fresh memory for each would be a
 * hundred kilobytes a time that only the collector gives back.
 */
import { MIB } from "../base/limits.js"

/** What one batch in a great many needs is not kept. */
const KEPT_BYTES_MAX = MIB

export class RecordMemory {
  private spare: Buffer | undefined
  private taken: Buffer | undefined

  /** What was taken before and not given back belongs to whoever still reads it. */
  take(lengthBytes: number): Buffer {
    const spare = this.spare && this.spare.length >= lengthBytes ? this.spare : undefined
    this.taken = spare ?? Buffer.allocUnsafeSlow(lengthBytes > KEPT_BYTES_MAX / 2 ? lengthBytes : 2 * lengthBytes)
    this.spare = undefined
    return this.taken
  }

  /** Nobody reads what was taken last any more. */
  giveBack(): void {
    if (this.taken && this.taken.length <= KEPT_BYTES_MAX) this.spare = this.taken
    this.taken = undefined
  }
}
