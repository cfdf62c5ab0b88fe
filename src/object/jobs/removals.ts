/**
 * Removals: bytes that no row names any more, and that no reader can still be given.
 *
 * Promises  What waits for a device that has no room even for a deletion holds up nothing else.
 * Limits    REMOVALS_MAX; whoever decides on more waits.
 */
import { isFailure } from "../../base/failures.js"
import type { BlockGroup } from "../../block/index.js"

export const REMOVALS_MAX = 1_000

export type BlockName = Pick<BlockGroup, "uploadId" | "part" | "block" | "generation">

export const nameOf = ({ uploadId, part, block, generation }: BlockName): string =>
  `${uploadId} ${part} ${block} ${generation}`

export class Removals {
  private readonly waiting = new Map<string, () => Promise<boolean>>()

  get isFull(): boolean {
    return this.waiting.size >= REMOVALS_MAX
  }

  get count(): number {
    return this.waiting.size
  }

  has(name: string): boolean {
    return this.waiting.has(name)
  }

  /** `remove` may say false: it has to wait for something else. */
  add(name: string, remove: () => Promise<boolean>): void {
    this.waiting.set(name, remove)
  }

  /** Removes what it can; how many. What could not be removed is tried again. */
  async run(): Promise<number> {
    let removed = 0
    for (const [name, remove] of [...this.waiting]) {
      if (!(await hasRemoved(remove))) continue
      this.waiting.delete(name)
      removed += 1
    }
    return removed
  }
}

/** False where there was no room for it. */
async function hasRemoved(remove: () => Promise<boolean>): Promise<boolean> {
  try {
    return await remove()
  } catch (error) {
    if (!isFailure(error, "deviceFull")) throw error
    return false
  }
}
