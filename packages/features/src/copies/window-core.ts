/**
 * The changes of a bucket that are on their way to its target. Pure.
 *
 * Promises  Changes of one key are taken together, in their order, and never while others of that key are under way. `passed` returns a
 *           change only once it, and all that were added before it, are done. What failed is taken again, before later changes of its key.
 */
import { assert } from "@hayloft/base/assert.js"

interface Entry<Change> {
  readonly change: Change
  isDone: boolean
}

interface KeyInWindow<Change> {
  /** In the order in which they were added. */
  waiting: Entry<Change>[]
  underWay: Entry<Change>[] | undefined
}

export interface Taken<Change, Key extends string = string> {
  readonly key: Key
  /** Empty: the key is only tried again. */
  readonly changes: readonly Change[]
}

export class CopyWindow<Change, Key extends string = string> {
  private entries: Entry<Change>[] = []
  private readonly keys = new Map<Key, KeyInWindow<Change>>()
  /** Keys with something to take, the longest waiting first. */
  private readonly ready = new Set<Key>()

  /** Changes that were not returned by `passed` yet. */
  get size(): number {
    return this.entries.length
  }

  /** Nothing is in it, and nothing under way. */
  get isEmpty(): boolean {
    return this.entries.length === 0 && this.keys.size === 0
  }

  /** The first change that is not passed. */
  get first(): Change | undefined {
    return this.entries[0]?.change
  }

  has(key: Key): boolean {
    return this.keys.has(key)
  }

  add(key: Key, change: Change): void {
    const entry = { change, isDone: false }
    this.entries.push(entry)
    const found = this.keys.get(key)
    if (found === undefined) this.keys.set(key, { waiting: [entry], underWay: undefined })
    else found.waiting.push(entry)
    if (found?.underWay === undefined) this.ready.add(key)
  }

  /** Takes a key again that has no change in the window. */
  addRetry(key: Key): void {
    if (this.keys.has(key)) return
    this.keys.set(key, { waiting: [], underWay: undefined })
    this.ready.add(key)
  }

  /** Returns undefined if nothing can be taken at present. */
  take(): Taken<Change, Key> | undefined {
    const [key] = this.ready
    if (key === undefined) return undefined
    this.ready.delete(key)
    const found = this.keys.get(key)
    assert(found !== undefined && found.underWay === undefined, "a key is taken once")
    found.underWay = found.waiting
    found.waiting = []
    return { key, changes: found.underWay.map(({ change }) => change) }
  }

  /** Ends what was taken of the key: it is done, or is to be taken again. */
  finish(key: Key, isDone: boolean): void {
    const found = this.keys.get(key)
    assert(found?.underWay !== undefined, "only what was taken ends")
    if (isDone) for (const entry of found.underWay) entry.isDone = true
    else found.waiting = [...found.underWay, ...found.waiting]
    found.underWay = undefined
    if (isDone && found.waiting.length === 0) this.keys.delete(key)
    else this.ready.add(key)
  }

  /** Removes and returns the changes at the front that are done. */
  passed(): readonly Change[] {
    const end = this.entries.findIndex(({ isDone }) => !isDone)
    const count = end < 0 ? this.entries.length : end
    return this.entries.splice(0, count).map(({ change }) => change)
  }
}
