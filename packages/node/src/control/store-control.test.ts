/** A node of a store of several: what it does with its devices as others change the control record. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { MasterKeys } from "@hayloft/access/index.js"
import { parseAccessKeyId, parseAccountId, parseNodeName, type DeviceId } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import type { ShardDevice } from "@hayloft/engine/block/index.js"
import { claimDevice, deviceOf, layoutOf, LONG_OUT_MS, markOffline, setPolicy } from "@hayloft/engine/cluster/index.js"
import { clusterOf, deviceId, homeOn } from "@hayloft/engine/cluster/testing-records.js"
import { makeCodec } from "@hayloft/engine/erasure/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { InlineCompute } from "@hayloft/base/seams/compute/index.js"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { TableStores } from "@hayloft/engine/table/index.js"
import { SharedRecordManager, writeFirstRecord } from "../cluster/shared-record.js"
import { SharedMemory } from "../cluster/testing-shared.js"
import { openEngine } from "../engine.js"
import { CheckpointExecutor } from "../metadata/checkpoint-job.js"
import { folderOf, noSignal } from "../testing-engine.js"

const N1 = parseNodeName("n1")
const [D1, D2, D3, D4] = [deviceId(0), deviceId(1), deviceId(2), deviceId(3)]

/** Opens the devices of node n1, whose incarnation is 1. */
async function openN1(store: ControlRecord) {
  const record = { ...store, blockBytes: 64 * KIB }
  const metadata = new SharedMemory(N1)
  const { own: incarnation } = metadata.incarnations
  await writeFirstRecord(metadata, record)
  const [clock, telemetry, stores] = [new SimClock(), new SimTelemetry(), new TableStores()]
  const disk = new SimDisk().boot()
  const recordsOf = (rows: SharedMemory) => new SharedRecordManager(rows, clock, telemetry.log, record)
  const records = recordsOf(metadata)
  const compute = new InlineCompute(makeCodec, { slabBytes: 256 * KIB, poolBytes: 8 * MIB })
  const released: string[] = []
  const folders = record.devices
    .filter(({ home }) => home?.node === N1)
    .map(({ id, pathHint: path }) => ({
      ...folderOf({ id, path, incarnation }),
      release: async () => void released.push(path),
    }))
  const random = new SimRandom(1)
  const seams = { clock, random, diskOf: () => disk, stores, telemetry, compute }
  const engine = await clock.runUntil(
    openEngine(
      { ...seams, checkpoints: new CheckpointExecutor(() => disk, stores, random) },
      {
        folders,
        record,
        incarnation,
        masterKeys: new MasterKeys(new Uint8Array(32)),
        deviceOptions: {},
        node: { name: N1, metadata, records, joining: [], leftOut: [] },
        root: { accountId: parseAccountId("root"), accessKeyId: parseAccessKeyId("ROOT"), secret: "s", createdMs: 0 },
      },
    ),
  )
  const n2 = metadata.join("n2")
  const elsewhere = recordsOf(n2)
  return {
    engine,
    records,
    n2,
    released,
    /** Another node changes the record, and this one reads it. */
    changedElsewhere: async (decide: (record: ControlRecord) => ControlRecord) => {
      await elsewhere.change("elsewhere", decide)
      await records.refresh()
    },
    pass: (durationMs: number) => clock.advance(durationMs),
    step: () => clock.runUntil(engine.control.step()),
    stateOf: (id: DeviceId) => deviceOf(records.record, id).state,
    openIds: () => engine.devices.map(({ place }) => place.id),
    run: <T>(work: Promise<T>): Promise<T> => clock.runUntil(work),
    stop: () => clock.runUntil(engine.stop()),
  }
}

const unused = (): never => assert.fail("no shard is used")
const remote = (id: DeviceId, isWritable: boolean): ShardDevice => ({
  id,
  isWritable,
  volumes: {
    append: unused,
    read: unused,
    fetch: unused,
    headerOf: unused,
    remove: unused,
    has: unused,
    markSuspect: unused,
    indexed: unused,
    refusing: undefined,
  },
})

const STORE = clusterOf(["n1:2", "n2:2", "n3:2"], "ec:4+2")

test("a device that others took offline while its node did not respond returns, and no other", async () => {
  const { step, stateOf, changedElsewhere, openIds, stop } = await openN1(STORE)
  await changedElsewhere(record => markOffline(record, [D1, D3], 0))
  assert.deepEqual(openIds(), [D1, D2])
  assert.equal(await step(), "busy")
  assert.deepEqual([stateOf(D1), stateOf(D2), stateOf(D3)], ["rebuilding", "active", "offline"])
  while ((await step()) === "busy");
  assert.equal(stateOf(D3), "offline")
  await stop()
})

test("the places of an offline device go to others after 15 minutes, by the clock of no other node", async () => {
  const { records, step, pass, stop } = await openN1(clusterOf(["n1:2", "n2:2", "n3:2"], "replica:2"))
  await records.change("offline", record => markOffline(record, [D3], 0))
  const isPlaced = () => records.record.layout.devices.includes(D3)
  while ((await step()) === "busy");
  await pass(LONG_OUT_MS - 1_000)
  while ((await step()) === "busy");
  assert.ok(isPlaced())
  await pass(2_000)
  while ((await step()) === "busy");
  assert.ok(!isPlaced())
  await stop()
})

test("a device that another node has claimed is given up, and its state is left to that node", async () => {
  const { engine, n2, run, step, stateOf, changedElsewhere, openIds, released, records, stop } = await openN1(STORE)
  const claimed = { ...homeOn("n2"), incarnation: n2.incarnations.own }
  await changedElsewhere(record => claimDevice(record, D1, claimed, () => true))
  assert.deepEqual([openIds(), [...engine.exchange.own.keys()]], [[D2], [D2]])
  assert.match(engine.control.offlineReason(D1) ?? "", /^node n2 has claimed the device/)
  await run(new Promise(resolve => setImmediate(resolve)))
  while ((await step()) === "busy");
  assert.deepEqual([stateOf(D1), deviceOf(records.record, D1).home], ["active", claimed])
  assert.deepEqual(released, ["/mnt/0"])
  await stop()
})

test("devices of other nodes count while they are reached; an own device that is open is used itself", async () => {
  const { engine, n2, changedElsewhere, stop } = await openN1(STORE)
  const { exchange } = engine
  assert.equal(engine.outOfReach, "only 2 of 6 devices respond to this node")
  for (const id of [D3, D4]) exchange.setRemote(id, remote(id, true))
  assert.equal(engine.outOfReach, undefined)
  exchange.setRemote(D1, remote(D1, false))
  assert.equal(engine.outOfReach, undefined)
  const claimed = { ...homeOn("n2"), incarnation: n2.incarnations.own }
  exchange.setRemote(D1, remote(D1, true))
  await changedElsewhere(record => claimDevice(record, D1, claimed, () => true))
  assert.equal(engine.outOfReach, undefined)
  exchange.setRemote(D1, remote(D1, false))
  assert.equal(engine.outOfReach, "only 3 of 6 devices respond to this node")
  for (const id of [D1, D3]) exchange.setRemote(id, undefined)
  assert.equal(engine.outOfReach, "only 2 of 6 devices respond to this node")
  await stop()
})

test("the layout becomes narrower only on the node that scans: its scan alone shows what is stored", async () => {
  const { engine, records, step, run, stop } = await openN1(clusterOf(["n1:4"], "ec:2+2"))
  const { repair } = engine.services
  for (let steps = 0; steps < 1_000 && !repair.shardScan().isComplete; steps += 1) await run(repair.step(noSignal))
  assert.ok(repair.shardScan().isComplete)
  await records.change("policy", record => setPolicy(record, parsePolicy("replica:2"), []))
  let isScanner = false
  engine.setScanner(() => isScanner)
  while ((await step()) === "busy");
  assert.equal(layoutOf(records.record.layout).width, 4)
  isScanner = true
  while ((await step()) === "busy");
  assert.equal(layoutOf(records.record.layout).width, 2)
  await stop()
})
