/** Request ids: 16 hex digits in upper case, generated in batches: each call for random bytes is a system call. */
import { hexOf } from "@hayloft/base/bytes.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"

const ID_BYTES = 8
const ID_CHARACTERS = 2 * ID_BYTES
const IDS_IN_BATCH = 64

export class RequestIds {
  private batch = ""
  private at = 0

  constructor(private readonly random: Random) {}

  next(): string {
    if (this.at === this.batch.length) {
      this.batch = hexOf(this.random.bytes(ID_BYTES * IDS_IN_BATCH)).toUpperCase()
      this.at = 0
    }
    this.at += ID_CHARACTERS
    return this.batch.slice(this.at - ID_CHARACTERS, this.at)
  }
}
