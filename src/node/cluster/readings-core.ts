/**
 * Readings: whether what is known of the other nodes was read after a layout took effect. Pure.
 *
 * Promises  Once `isAfter` returns true for a layout, both the rows of nodes and the list of live incarnations were read,
 *           from begin to end, after this node used that layout.
 */

/** The first list may have been read before, and the reading of the second may have begun before. */
const LISTS = 3

export class Readings {
  private layoutVersion = -1
  private live: unknown
  /** Lists of live incarnations that were read; rows were read at least as often. */
  private lists = 0

  /** The rows were read, and this was the last reading of live incarnations: another object for each reading. */
  note(layoutVersion: number, live: unknown): void {
    const isFirst = this.layoutVersion !== layoutVersion
    if (isFirst) this.lists = 1
    else if (this.live !== live) this.lists += 1
    this.layoutVersion = layoutVersion
    this.live = live
  }

  isAfter(layoutVersion: number): boolean {
    return this.layoutVersion === layoutVersion && this.lists >= LISTS
  }
}
