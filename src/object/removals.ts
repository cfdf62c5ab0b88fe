/**
 * Removals: bytes that no row names any more, waiting for the readers that may still have been given them.
 *
 * Promises  Nothing is removed while a reader is left that began before the decision. What waits for a device that
 *           has no room even for a deletion holds up nothing else.
 * Limits    REMOVALS_MAX; whoever decides on more waits.
 */
import { isFailure } from "../base/failures.js"
import type { BlockGroup } from "../block/index.js"
import type { ReadPins } from "./read-pins.js"

export const REMOVALS_MAX = 1_000

interface Waiting {
  /** Readers that began before this position may have been given the row that named it. */
  readonly position: number
  readonly remove: () => Promise<boolean>
}

export type BlockName = Pick<BlockGroup, "uploadId" | "part" | "block" | "generation">

export const nameOf = ({ uploadId, part, block, generation }: BlockName): string =>
  `${uploadId} ${part} ${block} ${generation}`

export class Removals {
  private readonly waiting = new Map<string, Waiting>()

  constructor(private readonly pins: ReadPins) {}

  get isFull(): boolean {
    return this.waiting.size >= REMOVALS_MAX
  }

  get count(): number {
    return this.waiting.size
  }

  has(name: string): boolean {
    return this.waiting.has(name)
  }

  /**
   * `position`: of the committed rows in which nothing names it. `remove` may say false: it has to wait
   * for something else.
   */
  add(name: string, position: number, remove: () => Promise<boolean>): void {
    this.waiting.set(name, { position, remove })
  }

  /** Removes what no reader is left of; how many. What could not be removed is tried again. */
  async run(): Promise<number> {
    const oldestPin = this.pins.oldest()
    let removed = 0
    for (const [name, { position, remove }] of [...this.waiting]) {
      if (position > oldestPin || !(await hasRemoved(remove))) continue
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
