/** Simulations of the admin API: the present disks, turns of the event loop in between, and their limit. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseDeviceId } from "@hayloft/base/ids.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import type { DeviceReport } from "./contract.js"
import { presentMachines, Simulations } from "./simulations.js"

const device = (id: number, fields: Partial<DeviceReport>): DeviceReport => ({
  id: parseDeviceId(id.toString(16).padStart(16, "0")),
  path: `/d${id}`,
  state: "active",
  reason: "",
  weight: 1,
  metadataReplica: "yes",
  fileSystemKind: "ext4",
  queues: [],
  disk: `disk ${id}`,
  totalBytes: 1000,
  freeBytes: 500,
  ...fields,
})

const statusOf = (devices: readonly DeviceReport[]) => ({
  report: () => ({ policy: "ec:2+1", devices }),
})

test("the present layout: disks, not folders, by machine and zone, without those that leave", () => {
  const machines = presentMachines([
    device(1, { node: "n1", zone: "a", machine: "m1" }),
    device(2, { node: "n1", zone: "a", machine: "m1", disk: "disk 1" }),
    device(3, { node: "n2", zone: "b", machine: "m2", totalBytes: 3000 }),
    // Out of reach: as large as the others on average.
    device(4, { node: "n2", zone: "b", machine: "m2", totalBytes: 0, state: "missing" }),
    device(5, { node: "n3", zone: "c", machine: "m3", state: "decommissioning" }),
  ])
  assert.deepEqual(machines, [
    { zone: "a", deviceBytes: [1000] },
    { zone: "b", deviceBytes: [3000, 5000 / 3] },
  ])
})

test("without policies, that of the store comes first; a described layout does not look at the store", async () => {
  const clock = new SimClock()
  const simulations = new Simulations(clock, statusOf([1, 2, 3].map(id => device(id, {}))))
  const present = await simulations.run({ cycles: 10 })
  assert.equal(present.outcomes[0]?.policy, "ec:2+1")
  assert.equal(present.layout.devices, 3)
  const described = { machines: [{ count: 2, devices: 7, deviceBytes: 1e12 }], cycles: 10 }
  const other = await simulations.run(described)
  assert.equal(other.layout.devices, 14)
  assert.equal(other.outcomes[0]?.policy, "replica:3")
  await assert.rejects(new Simulations(clock, statusOf([])).run({}), /no device of the store has a known size/)
})

test("other work runs in between, and no more than two simulations run", async () => {
  const simulations = new Simulations(new SimClock(), statusOf([1, 2, 3].map(id => device(id, {}))))
  let turns = 0
  const count = (): void => {
    turns += 1
    counting = setImmediate(count)
  }
  let counting = setImmediate(count)
  const both = [simulations.run({ policies: ["ec:2+1"] }), simulations.run({ policies: ["replica:2"] })]
  await assert.rejects(simulations.run({}), /other simulations are running/)
  await Promise.all(both)
  clearImmediate(counting)
  assert.ok(turns >= 20, `${turns} turns for 10,000 cycles`)
  await simulations.run({ cycles: 2 })
})
