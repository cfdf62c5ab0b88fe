/**
 * Repair of a simulated cluster, as the process that coordinates it sees it: a device that is counted as lacking shards
 * of a partition waits for a visit at a known time, or for a scan. So no device is `rebuilding` beside an idle repair.
 */
import { parsePartitionId } from "../../src/base/ids.js"
import { check } from "../world/checks.js"
import type { Cluster } from "./cluster.js"

export function checkRepairGoesOn(cluster: Cluster): void {
  for (const { node, engine } of cluster.serving) {
    const { repair } = engine.services
    for (const [device, flags] of repair.shardScan().lacking) {
      for (let at = flags.indexOf(1); at >= 0; at = flags.indexOf(1, at + 1)) {
        const dueMs = repair.visitDueMs(parsePartitionId(at))
        // A scan comes first, which finds out whatever the partitions lack.
        if (dueMs === undefined) break
        const found = () => `${node.name}: ${device} lacks shards of partition ${at}, which nothing will visit`
        check("repairGoesOn", dueMs < Infinity, found)
      }
    }
  }
}
