/** The sums of a partition after a visit: a device that they count as lacking has work to come. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parsePolicy } from "@hayloft/base/policy.js"
import { deviceIdOf } from "@hayloft/engine/block/testing-blocks.js"
import { PartitionScan } from "./repair-visit.js"

test("a settled block leaves no device counted as lacking without a further visit", () => {
  for (const isDoubtful of [false, true])
    for (const isMisplaced of [false, true])
      for (const need of ["move", "mend"] as const)
        for (const lackingOn of [[], [deviceIdOf(1)]]) {
          const scan = new PartitionScan(3)
          const seen = { need, spareShards: 0, lackingOn, bytesToWrite: 0, isMisplaced, isDoubtful, holders: [] }
          const standing = { isHeld: false, isSettled: true, isReleased: false, isAwaited: true }
          scan.add(parsePolicy("ec:2+1"), seen, 1, standing)
          const { lackingOn: certain, perhapsLackingOn } = scan.count
          const isCounted = certain.size + perhapsLackingOn.size > 0
          assert.equal(scan.left !== undefined, isCounted, JSON.stringify(seen))
        }
})
