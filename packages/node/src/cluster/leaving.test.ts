/** A removed node is no longer one of the store once it has no devices. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { parseNodeFingerprint, parseNodeName, type NodeName } from "@hayloft/base/ids.js"
import { clusterOf } from "@hayloft/engine/cluster/testing-records.js"
import { joinNode, nodeRows } from "@hayloft/engine/coordination/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { SILENT_SHOWN_MS } from "../status/nodes-core.js"
import { LEAVE_MS_MAX, Leaving } from "./leaving.js"
import { readSharedRecord, SharedRecordManager, writeFirstRecord } from "./shared-record.js"
import { SharedMemory } from "./testing-shared.js"

const [N1, N2] = [parseNodeName("n1"), parseNodeName("n2")]
const RECORD: ControlRecord = { ...clusterOf(["n1:1", "n2:1"], "replica:1"), leavingNodes: [N2] }
const withoutDevices = (record: ControlRecord, node: NodeName): ControlRecord => ({
  ...record,
  devices: record.devices.filter(({ home }) => home?.node !== node),
})

async function world() {
  const rows = new SharedMemory("n1")
  await writeFirstRecord(rows, RECORD)
  const identity = { address: "h:1", fingerprint: parseNodeFingerprint("0f".repeat(32)), proof: new Uint8Array(32) }
  const place = { zone: "", machine: "m", program: "1.0.0" }
  for (const name of [N1, N2]) {
    const node = name === N1 ? rows : rows.join(name)
    const facts = { beat: 1, position: node.position, layoutVersion: 1, unreachable: [] }
    await node.run(joinNode({ name, incarnation: node.incarnations.own, ...identity, ...place, ...facts }))
  }
  const records = async () => {
    const record = must(await readSharedRecord(rows), "the store has a record")
    return new SharedRecordManager(rows, new SimClock(), new SimTelemetry().log, record)
  }
  const clock = new SimClock()
  const jobOf = (manager: SharedRecordManager, others?: Awaited<ReturnType<typeof viewOf>>) => {
    const seams = { clock, log: new SimTelemetry().log, records: manager, metadata: rows }
    return new Leaving(seams, { name: N1, others: () => others, onLeaving: () => assert.fail("n1 does not leave") })
  }
  const names = async () => (await rows.ask(nodeRows())).map(({ name }) => name)
  return { rows, clock, records, jobOf, names }
}

/** The other node runs, as the first sees it. */
async function viewOf(rows: SharedMemory) {
  const row = must(
    (await rows.ask(nodeRows())).find(({ name }) => name === N2),
    "n2 has a row",
  )
  const view = { nodes: [{ name: N2, row }], silentMs: new Map<NodeName, number>(), hasEnded: false }
  return Object.assign(view, { isOver: () => view.hasEnded })
}

test("a leaving node stays until its devices are forgotten; then its row goes, and the record forgets it", async () => {
  const { records, jobOf, names } = await world()
  const manager = await records()
  const job = jobOf(manager)
  assert.equal(job.progress(), "n2 will leave once empty")
  assert.equal(await job.step(), "idle")
  assert.deepEqual(await names(), [N1, N2])
  await manager.change("empty", record => withoutDevices(record, N2))
  assert.equal(await job.step(), "busy")
  assert.deepEqual([await names(), manager.record.leavingNodes], [[N1], undefined])
  assert.equal(await job.step(), "idle")
  assert.equal(job.progress(), "no node leaves")
})

test("the record remembers the node until its row is gone, and two nodes may do both at the same time", async () => {
  const { rows, records, jobOf, names } = await world()
  const [one, other] = [await records(), await records()]
  await one.change("empty", record => withoutDevices(record, N2))
  await other.refresh()
  const failure = new Error("the process ends")
  rows.before = name => {
    if (name === "ChangeControl") throw failure
  }
  await assert.rejects(jobOf(one).step(), failure)
  assert.deepEqual([await names(), one.record.leavingNodes], [[N1], [N2]])
  rows.before = () => undefined
  const both = await Promise.all([one, other].map(async manager => jobOf(manager).step()))
  assert.deepEqual(both, ["busy", "busy"])
  for (const { record } of [one, other]) assert.equal(record.leavingNodes, undefined)
})

test("a node that has a device again meanwhile stays in the record as leaving", async () => {
  const { rows, records, jobOf } = await world()
  const [one, other] = [await records(), await records()]
  await one.change("empty", record => withoutDevices(record, N2))
  rows.before = async name => {
    if (name !== "ChangeControl") return
    rows.before = () => undefined
    await other.change("returns", () => ({ ...RECORD, generation: one.record.generation }))
  }
  await jobOf(one).step()
  assert.deepEqual(one.record.leavingNodes, [N2])
  assert.equal(one.record.devices.length, 2)
})

test("a leaving node ends by itself before the others remove it", async () => {
  const { rows, clock, records, jobOf, names } = await world()
  const manager = await records()
  await manager.change("empty", record => withoutDevices(record, N2))
  const own: string[] = []
  const leaving = new Leaving(
    { clock, log: new SimTelemetry().log, records: manager, metadata: rows },
    { name: N2, others: () => undefined, onLeaving: reason => own.push(reason.kind) },
  )
  await leaving.step()
  await leaving.step()
  assert.deepEqual(own, ["nodeRemoved"])

  const view = await viewOf(rows)
  const job = jobOf(manager, view)
  assert.equal(await job.step(), "throttled")
  assert.deepEqual(await names(), [N1, N2])
  view.hasEnded = true
  assert.equal(await job.step(), "busy")
  assert.deepEqual([await names(), manager.record.leavingNodes], [[N1], undefined])
})

for (const why of ["is silent", "does not end"] as const) {
  test(`a leaving node that ${why} is removed by the others`, async () => {
    const { rows, clock, records, jobOf, names } = await world()
    const manager = await records()
    await manager.change("empty", record => withoutDevices(record, N2))
    const view = await viewOf(rows)
    const job = jobOf(manager, view)
    assert.equal(await job.step(), "throttled")
    if (why === "is silent") view.silentMs.set(N2, SILENT_SHOWN_MS)
    else await clock.advance(LEAVE_MS_MAX)
    assert.equal(await job.step(), "busy")
    assert.deepEqual(await names(), [N1])
  })
}
