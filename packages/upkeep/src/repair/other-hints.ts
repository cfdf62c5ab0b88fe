/**
 * Hints that other processes of the store recorded: which of the rows are new since they were last read. The rows are few
 * as long as all devices are online; they are read again in pages.
 *
 * Limits    OTHER_HINTS_LIMITS.
 */
import type { RowKey } from "@hayloft/base/ids.js"
import { ALL_HINTS, type HintRow } from "@hayloft/objects/door/bytes.js"

const OTHER_HINTS_LIMITS = {
  /** From the end of one reading to the next; an idle repair job may take a while longer. */
  everyMs: 30_000,
  /** Hints that are remembered; a full scan finds what further ones are about. */
  keptMax: 100_000,
} as const

interface HintsPage {
  readonly hints: readonly HintRow[]
  readonly next: RowKey | undefined
}

export class OtherHints {
  /** Rows of the last reading: key and value. */
  private known = new Map<RowKey, string>()
  private reading = new Map<RowKey, string>()
  private readMs = -Infinity
  /** The place where the reading under way continues. */
  from: RowKey = ALL_HINTS.start

  isDue(nowMs: number): boolean {
    return this.from !== ALL_HINTS.start || nowMs - this.readMs >= OTHER_HINTS_LIMITS.everyMs
  }

  /** Starts over: a full scan reads all hints. */
  begin(): void {
    this.reading.clear()
    this.from = ALL_HINTS.start
  }

  /** Returns those of the page that were not there, or have been recorded again, since the last reading. */
  note({ hints, next }: HintsPage, nowMs: number): readonly HintRow[] {
    const fresh: HintRow[] = []
    let isFull = false
    for (const hint of hints) {
      isFull = this.reading.size >= OTHER_HINTS_LIMITS.keptMax
      if (isFull) break
      const value = Buffer.from(hint.value).toString("latin1")
      if (this.known.get(hint.rowKey) !== value) fresh.push(hint)
      this.reading.set(hint.rowKey, value)
    }
    this.from = isFull || next === undefined ? ALL_HINTS.start : next
    if (isFull || next === undefined) {
      this.known = this.reading
      this.reading = new Map()
      this.readMs = nowMs
    }
    return fresh
  }
}
