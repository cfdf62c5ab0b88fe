/** Request ids: 16 hex digits in upper case, drawn many at a time since each draw is a system call. */
import { hexOf } from "../base/bytes.js"
import type { Random } from "../seams/random/contract.js"

const ID_BYTES = 8
const DRAWN_AT_ONCE = 64

export class RequestIds {
  private drawn: Uint8Array = new Uint8Array()

  constructor(private readonly random: Random) {}

  next(): string {
    if (this.drawn.length === 0) this.drawn = this.random.bytes(ID_BYTES * DRAWN_AT_ONCE)
    const id = this.drawn.subarray(0, ID_BYTES)
    this.drawn = this.drawn.subarray(ID_BYTES)
    return hexOf(id).toUpperCase()
  }
}
