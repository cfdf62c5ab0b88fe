/**
 * Kept answers: the results of queries that clients repeat, in the thread of a front, until a row changes that they were
 * read from. A result is kept once its query was lately asked before: to keep each, and drop it unused, costs
 * the collection of garbage more than the answers save.
 *
 * Promises  `find` returns what the engine thread would answer now.
 * Limits    ANSWER_LIMITS: the least recently used are dropped first.
 */
import { fnv1a } from "@hayloft/base/fnv.js"
import type { Position } from "@hayloft/base/ids.js"
import { plainCopy } from "../metadata/index.js"
import { ANSWER_LIMITS } from "./limits.js"
import type { LastChanges } from "./last-changes.js"
import { roughBytes } from "./rough-bytes.js"

/** The rows that a query read, and the position that they had then. */
export interface RowsOfAnswer {
  /** See `groupOfRow`. */
  readonly groups: readonly number[]
  readonly position: Position
}

export interface KeptAnswer {
  readonly result: unknown
  /** The payload that its caller reads next, if it has one. */
  readonly payload: Uint8Array | undefined
}

interface Entry extends KeptAnswer {
  readonly rows: RowsOfAnswer
  readonly bytes: number
}

export class KeptAnswers {
  /** In the order of their last use. */
  private readonly entries = new Map<string, Entry>()
  private bytes = 0
  /** Hashes of queries that were asked lately, each at a place that others take over. */
  private readonly asked = new Uint32Array(ANSWER_LIMITS.askedLately)

  constructor(readonly changes: LastChanges) {}

  find(key: string): KeptAnswer | undefined {
    const entry = this.entries.get(key)
    if (entry === undefined) return undefined
    this.entries.delete(key)
    if (this.changes.haveChanged(entry.rows.groups, entry.rows.position)) {
      this.bytes -= entry.bytes
      return undefined
    }
    this.entries.set(key, entry)
    return entry
  }

  /** Notes a question to the engine thread; returns true if it was asked lately, so that the answer is kept. */
  noteAsked(key: string): boolean {
    const hash = fnv1a(key)
    const place = hash % this.asked.length
    const isAgain = this.asked[place] === hash
    this.asked[place] = hash
    return isAgain
  }

  /** Returns the answer as it is kept: its bytes were views of a whole message. */
  keep(key: string, answer: KeptAnswer, rows: RowsOfAnswer): KeptAnswer {
    const kept = plainCopy(answer)
    const bytes = roughBytes(key) + roughBytes(kept)
    this.drop(key)
    this.entries.set(key, { ...kept, rows, bytes })
    this.bytes += bytes
    const { answersMax, bytesMax } = ANSWER_LIMITS
    for (const [oldest] of this.entries) {
      if (this.entries.size <= answersMax && this.bytes <= bytesMax) break
      this.drop(oldest)
    }
    return kept
  }

  private drop(key: string): void {
    this.bytes -= this.entries.get(key)?.bytes ?? 0
    this.entries.delete(key)
  }
}
