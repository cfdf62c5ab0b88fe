/** Names for ids that differ between the two sides, so that answers can be compared. */
import { parseBucketId, type AccountId, type BucketName } from "@hayloft/base/ids.js"
import type { Bucket } from "@hayloft/objects/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"

export const KEYS = ["a", "a/b", "a/b/c", "a/c", "a!", "b/", "b//x", "b/x", "é/ü", "e\u0301", "z\u{10FFFF}", " "]
export const PREFIXES = ["", "", "", "a", "a/", "b/", "b//", "\xc3", "z", "none"]
export const DELIMITERS = ["", "", "/", "/", "//", "b", "\xbc"]

/** After a start, commit timestamps are that far ahead of the clock at most. */
const AHEAD_MS = 100

/** Names for ids: the n-th pair of ids that the two sides issued for the same thing. */
export class Names<Id extends string> {
  private readonly names: readonly [Map<string, string>, Map<string, string>] = [new Map(), new Map()]
  private readonly pairs: (readonly [Id, Id])[] = []

  constructor(private readonly letter: string) {}

  add(engine: Id, model: Id): void {
    if (engine === "null" || this.names[0].has(engine)) return
    const name = `${this.letter}${this.pairs.length}`
    this.names[0].set(engine, name)
    this.names[1].set(model, name)
    this.pairs.push([engine, model])
  }

  nameOf(side: 0 | 1, id: string): string {
    return id === "null" ? id : (this.names[side].get(id) ?? `unknown ${id}`)
  }

  draw(random: Random): readonly [Id, Id] | undefined {
    return this.pairs.length === 0 ? undefined : this.pairs[random.below(this.pairs.length)]
  }
}

/**
 * The times at which versions were written, as listings show them. The engine takes them from commit timestamps, which
 * may be ahead of the clock after a start. The model's are shown as the engine's where only that differs.
 */
export class WrittenTimes {
  private readonly engine: number[] = []

  shown(side: 0 | 1, writtenMs: number): number {
    if (side === 0) {
      this.engine.push(writtenMs)
      return writtenMs
    }
    const aheadMs = (this.engine.shift() ?? -Infinity) - writtenMs
    return aheadMs >= 0 && aheadMs <= AHEAD_MS ? writtenMs + aheadMs : writtenMs
  }
}

/** Returns a stand-in for the bucket until it is made. */
export const noBucket = (name: BucketName, owner: AccountId): Bucket => ({
  id: parseBucketId(0),
  name,
  owner,
  createdMs: 0,
  location: "",
  versioning: "never",
  settings: [],
  settingsVersion: 1,
})
