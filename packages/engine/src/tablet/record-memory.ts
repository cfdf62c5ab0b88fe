/**
 * Memory for the records of batches that are encoded one after the other: fresh memory for each would leave a hundred
 * kilobytes a time to the garbage collector.
 */
import { MIB } from "@hayloft/base/limits.js"

/** Larger memory, which few batches need, is not kept. */
const KEPT_BYTES_MAX = MIB

export class RecordMemory {
  private spare: Buffer | undefined
  private taken: Buffer | undefined

  /** Memory that was taken before and not given back still belongs to its readers. */
  take(lengthBytes: number): Buffer {
    const spare = this.spare && this.spare.length >= lengthBytes ? this.spare : undefined
    this.taken = spare ?? Buffer.allocUnsafeSlow(lengthBytes > KEPT_BYTES_MAX / 2 ? lengthBytes : 2 * lengthBytes)
    this.spare = undefined
    return this.taken
  }

  /** The memory taken last has no readers any more. */
  giveBack(): void {
    if (this.taken && this.taken.length <= KEPT_BYTES_MAX) this.spare = this.taken
    this.taken = undefined
  }
}
