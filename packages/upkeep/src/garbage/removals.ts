/**
 * Removals: bytes that no row references and no reader can use any more.
 *
 * Promises  A removal that waits for a device without space even for a deletion does not delay others.
 * Limits    REMOVALS_MAX; further removals must wait.
 */
import { unlessFull } from "@hayloft/base/space/full-disk.js"
import { parseUploadId, type UploadId } from "@hayloft/base/ids.js"
import type { BlockGroup } from "@hayloft/engine/block/index.js"

const REMOVALS_MAX = 1_000

export type BlockName = Pick<BlockGroup, "uploadId" | "part" | "block" | "generation">

export const nameOfBlock = ({ uploadId, part, block, generation }: BlockName): string =>
  `${uploadId} ${part} ${block} ${generation}`

const uploadOf = (name: string): UploadId => parseUploadId(name.split(" ", 1)[0] ?? "")

export class Removals {
  private readonly waiting = new Map<string, () => Promise<boolean>>()

  get isFull(): boolean {
    return this.waiting.size >= REMOVALS_MAX
  }

  get count(): number {
    return this.waiting.size
  }

  waitingOf(isMeant: (uploadId: UploadId) => boolean): number {
    return [...this.waiting.keys()].filter(name => isMeant(uploadOf(name))).length
  }

  has(name: string): boolean {
    return this.waiting.has(name)
  }

  /** The name begins with the upload's. `remove` may return false: it must wait for something else. */
  add(name: string, remove: () => Promise<boolean>): void {
    this.waiting.set(name, remove)
  }

  /** Forgets all of them. */
  clear(): void {
    this.waiting.clear()
  }

  /** Removes what it can; returns how many. The others are retried. */
  async run(): Promise<number> {
    let removed = 0
    for (const [name, remove] of [...this.waiting]) {
      // Without space even for the deletion it is retried later.
      if (!(await unlessFull(remove, () => false))) continue
      this.waiting.delete(name)
      removed += 1
    }
    return removed
  }
}
