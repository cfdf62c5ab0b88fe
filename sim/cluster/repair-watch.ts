/**
 * Repair of a simulated cluster, as the process that coordinates it sees it, at any moment between two full scans:
 *
 * - A device that is counted as lacking shards of a partition waits for a visit at a known time. So no device is
 *   `rebuilding` beside an idle repair.
 * - An upload that visits have passed over has a visit at a known time, soon enough, as long as a device waits for it.
 */
import { parsePartitionId, type PartitionId } from "@hayloft/base/ids.js"
import type { Repair } from "@hayloft/upkeep/repair/repair.js"
import { REPAIR_LIMITS } from "@hayloft/upkeep/repair/repair-limits.js"
import { check } from "../world/checks.js"
import type { Cluster } from "./cluster.js"

const { youngMsMax, retryMs } = REPAIR_LIMITS

export function checkRepairGoesOn(cluster: Cluster): void {
  for (const { node, engine } of cluster.serving) {
    const { repair } = engine.services
    // A full scan comes first, which finds out whatever the partitions lack.
    if (repair.visitDueInMs(parsePartitionId(0)) === undefined) continue
    for (const [device, partition] of lackingOf(repair)) {
      const found = () => `${node.name}: ${device} lacks shards of partition ${partition}, which nothing will visit`
      check("repairGoesOn", isWithin(repair, partition, Infinity), found)
    }
    for (const partition of repair.awaitedPartitions()) {
      const found = () =>
        `${node.name}: an upload in partition ${partition} was passed over, and no visit is due in time`
      check("repairGoesOn", isWithin(repair, partition, youngMsMax + retryMs), found)
    }
  }
}

/** Returns true if a visit of the partition, or a full scan, is due sooner than that. */
const isWithin = (repair: Repair, partition: PartitionId, ms: number): boolean =>
  (repair.visitDueInMs(partition) ?? 0) < ms

function* lackingOf(repair: Repair): Generator<readonly [string, PartitionId]> {
  for (const [device, flags] of repair.shardScan().lacking)
    for (let at = flags.indexOf(1); at >= 0; at = flags.indexOf(1, at + 1)) yield [device, parsePartitionId(at)]
}
