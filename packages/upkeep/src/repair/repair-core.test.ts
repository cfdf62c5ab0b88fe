/** Which node visits a partition. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { parseDeviceId, parsePartitionId, type DeviceId } from "@hayloft/base/ids.js"
import { PARTITIONS } from "@hayloft/base/limits.js"
import { planLayout, planNext, slotsOf } from "@hayloft/engine/placement/index.js"
import { visitorsOf, type States } from "./repair-core.js"

test("a store that has grown node by node shares its visits evenly when one of them is lost", () => {
  const width = 4
  const machines = [0, 1, 2, 3].map(node =>
    [0, 1].map(disk => ({ id: parseDeviceId(String(10 * node + disk).padStart(16, "0")), weight: 1 })),
  )
  const upTo = (count: number) => machines.slice(0, count).flat()
  let layout = planLayout(upTo(1), 2)
  for (let count = 2; count <= machines.length; count += 1) layout = planNext(layout, upTo(count), width, count)
  const left = planNext(layout, upTo(3), width, 5)
  const active = { state: "active", stateSinceMs: 0 } as const
  const states: States = new Map(upTo(3).map(({ id }) => [id, active]))
  const machineOf = (id: DeviceId): number => Math.floor(Number(id) / 10)
  const visits = [0, 0, 0]
  for (let number = 0; number < PARTITIONS; number += 1) {
    const partition = parsePartitionId(number)
    if (!slotsOf(layout, partition).some(id => machineOf(id) === 3)) continue
    const [first] = visitorsOf(left, partition, states)
    const machine = machineOf(must(first, "it has slots"))
    visits[machine] = (visits[machine] ?? 0) + 1
  }
  const most = Math.max(...visits)
  assert.ok(Math.min(...visits) > 0.9 * most, visits.join(", "))
})
