/**
 * Layouts: which devices hold which partition now and, while shards move, which held it before.
 *
 * Promises  A writer holds the layout that it started with until all its writes have ended. So once it `isDrained`,
 *           no new shard is stored where only an older layout leads.
 */
import { assert } from "@hayloft/base/assert.js"
import type { DeviceId, PartitionId } from "@hayloft/base/ids.js"
import type { Layout } from "../placement/index.js"

/** The device of a slot; undefined where the layout is narrower. */
export function assignedDeviceOf(
  { table, width, devices }: Layout,
  partition: PartitionId,
  slot: number,
): DeviceId | undefined {
  if (slot >= width) return undefined
  const index = table[partition * width + slot]
  return index === undefined ? undefined : devices[index]
}

/** A layout under which writes run. */
interface HeldLayout {
  readonly layout: Layout
  /** Call it once, when all writes that were started under the layout have ended. */
  end(): void
}

export class Layouts {
  private now: Layout
  private before: Layout | undefined
  /** Writes in progress, by the layout version under which they started. */
  private readonly writes = new Map<number, number>()
  /** The oldest layout under which another process may write. */
  private oldestElsewhere: () => number = () => Infinity

  constructor(current: Layout, previous?: Layout) {
    this.now = current
    this.before = previous
  }

  get current(): Layout {
    return this.now
  }

  get previous(): Layout | undefined {
    return this.before
  }

  /** From now on blocks are written by `current`, and read there first, then where `previous` has them. */
  publish(current: Layout, previous: Layout | undefined): void {
    assert(current.version >= this.now.version, "layouts only go forward")
    this.now = current
    this.before = previous
  }

  hold(): HeldLayout {
    const layout = this.now
    const { version } = layout
    this.writes.set(version, (this.writes.get(version) ?? 0) + 1)
    const end = (): void => {
      const remaining = (this.writes.get(version) ?? 0) - 1
      assert(remaining >= 0, "a layout is released once")
      if (remaining > 0) this.writes.set(version, remaining)
      else this.writes.delete(version)
    }
    return { layout, end }
  }

  /** Other processes write to the same devices: `isDrained` waits for them too. */
  setElsewhere(oldest: () => number): void {
    this.oldestElsewhere = oldest
  }

  /** The oldest layout under which a write of this process may be in progress. */
  get oldest(): number {
    return Math.min(this.now.version, ...this.writes.keys())
  }

  /** Returns true if no write under an older layout is in progress, in any process. */
  get isDrained(): boolean {
    return this.oldest === this.now.version && this.oldestElsewhere() >= this.now.version
  }
}
