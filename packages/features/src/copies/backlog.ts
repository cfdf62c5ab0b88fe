/**
 * How much of a bucket's log its target lacks: counted once from the token on, then kept up to date.
 *
 * Promises  Only closed moments are counted, so no change appears in what was counted already.
 */
import type { BucketId } from "@hayloft/base/ids.js"
import { COPY_START, type CopyLog, type CopyPosition, type LoggedCopy } from "./copy-log.js"
import { COPIES_LIMITS } from "./limits.js"

export class Backlog {
  changes = 0
  bytes = 0
  oldestUs: number | undefined
  /** Everything up to here is closed, and counted. */
  closedUs = 0
  /** No row is left that the token has passed. */
  isSwept = false
  private countedTo: CopyPosition = COPY_START

  constructor(
    private readonly copyLog: CopyLog,
    private readonly bucketId: BucketId,
  ) {}

  begin(token: CopyPosition): void {
    this.changes = 0
    this.bytes = 0
    this.oldestUs = undefined
    this.closedUs = 0
    this.isSwept = false
    this.countedTo = token
  }

  /** Counts what has come. Returns false if there is more to count. */
  async count(): Promise<boolean> {
    const { copyLog, bucketId } = this
    const { countedPerPage, countedPerTurn } = COPIES_LIMITS
    // A bucket that nobody changes closes no moments.
    const next = await copyLog.count(bucketId, this.countedTo, Number.MAX_SAFE_INTEGER - 1, 1)
    if (next.changes === 0) return true
    const closedUs = await copyLog.close()
    for (let counted = 0; counted < countedPerTurn;) {
      const page = await copyLog.count(bucketId, this.countedTo, closedUs, countedPerPage)
      this.changes += page.changes
      this.bytes += page.bytes
      this.oldestUs ??= page.oldestUs
      this.countedTo = page.last ?? this.countedTo
      this.closedUs = Math.max(this.closedUs, this.countedTo.us)
      counted += page.changes
      if (page.hasMore) continue
      this.closedUs = closedUs
      return true
    }
    return false
  }

  remove({ sizeBytes }: LoggedCopy): void {
    this.changes -= 1
    this.bytes -= sizeBytes
    if (this.changes === 0) this.oldestUs = undefined
  }

  /** The first change that the window has, if it has any. */
  isFrom(first: LoggedCopy | undefined): void {
    if (first !== undefined) this.oldestUs = first.us
  }
}
