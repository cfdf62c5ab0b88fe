/**
 * Record of a simulated run: the same program and the same seed lead to the same digest.
 *
 * Limits  The newest `ENTRIES_MAX` entries are kept; all of them are in the digest.
 */
import { createHash } from "node:crypto"

const ENTRIES_MAX = 2_000

export class Trace {
  private readonly hash = createHash("sha256")
  private newest: string[] = []
  private entries = 0

  add(entry: string): void {
    this.hash.update(`${entry}\n`)
    this.entries += 1
    this.newest.push(entry)
    if (this.newest.length >= 2 * ENTRIES_MAX) this.newest = this.newest.slice(-ENTRIES_MAX)
  }

  /** Returns the digest of everything so far. */
  get digest(): string {
    return `${this.entries} ${this.hash.copy().digest("hex")}`
  }

  get last(): readonly string[] {
    return this.newest.slice(-ENTRIES_MAX)
  }
}
