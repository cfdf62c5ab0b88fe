/**
 * Unreadable blocks, by partition: blocks with too few shards left, as found by visits since the last full scan.
 *
 * Limits  So many blocks as the constructor gets; those of further partitions are not remembered.
 */
import type { PartitionId } from "@hayloft/base/ids.js"

export class UnreadableBlocks {
  private readonly names = new Map<PartitionId, ReadonlySet<string>>()
  private count = 0

  constructor(private readonly most: number) {}

  has(partition: PartitionId, name: string): boolean {
    return this.names.get(partition)?.has(name) === true
  }

  /** Replaces those of the partition. */
  set(partition: PartitionId, names: ReadonlySet<string>): void {
    this.count -= this.names.get(partition)?.size ?? 0
    this.names.delete(partition)
    if (names.size === 0 || this.count + names.size > this.most) return
    this.names.set(partition, names)
    this.count += names.size
  }

  clear(): void {
    this.names.clear()
    this.count = 0
  }
}
