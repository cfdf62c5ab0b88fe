/** Request ids: 16 hex digits in upper case, drawn many at a time since each draw is a system call. */
import { hexOf } from "../base/bytes.js"
import type { Random } from "../seams/random/contract.js"

const ID_BYTES = 8
const ID_CHARACTERS = 2 * ID_BYTES
const DRAWN_AT_ONCE = 64

export class RequestIds {
  private drawn = ""
  private at = 0

  constructor(private readonly random: Random) {}

  next(): string {
    if (this.at === this.drawn.length) {
      this.drawn = hexOf(this.random.bytes(ID_BYTES * DRAWN_AT_ONCE)).toUpperCase()
      this.at = 0
    }
    this.at += ID_CHARACTERS
    return this.drawn.slice(this.at - ID_CHARACTERS, this.at)
  }
}
