/** Which buckets with object lock an operator has to name. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseBucketId, parseBucketName, parseNodeName } from "@hayloft/base/ids.js"
import { lockedNamesOf } from "@hayloft/base/locked-names.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { setClassPolicy } from "@hayloft/engine/cluster/index.js"
import { clusterOf, deviceId, storeOf } from "@hayloft/engine/cluster/testing-records.js"
import type { StoreChange } from "./contract.js"
import { decideChange } from "./decide-change-core.js"
import { lockedAtRisk, stoppedLocksAtRisk } from "./locked-at-risk-core.js"

const bucket = (name: string, own?: string) => ({
  id: parseBucketId(1),
  name: parseBucketName(name),
  policy: own === undefined ? undefined : parsePolicy(own),
})
const BUCKETS = [bucket("backups"), bucket("ledger", "ec:2+2"), bucket("mirror", "replica:2")]
const FACTS = { policies: [], lacking: new Map(), misplacedGroups: [], diskOf: String, bytesPerSecond: 1 }

/** Whatever the buckets hold. */
const atRisk = (change: StoreChange, before: ControlRecord, buckets = BUCKETS) =>
  lockedNamesOf(risks(change, before, buckets).certain)

/** `bucket: classes` */
const byClass = (change: StoreChange, before: ControlRecord) =>
  risks(change, before).byClass.map(each => `${each.bucket.name}: ${each.classes.join()}`)

function risks(change: StoreChange, before: ControlRecord, buckets = BUCKETS) {
  const ofBuckets = buckets.flatMap(({ policy }) => (policy === undefined ? [] : [policy]))
  const after = decideChange(before, change, { device: undefined, ofBuckets, inUse: [], nowMs: 7 })
  return lockedAtRisk(change, buckets, { before, after }, FACTS)
}

const redundancy = (policy: string, name?: string): StoreChange => ({
  kind: "setRedundancy",
  policy: parsePolicy(policy),
  bucket: name === undefined ? undefined : parseBucketName(name),
})

test("a narrower policy of the store concerns buckets without their own, and those that its metadata served", () => {
  // ec:2+1 keeps three copies of the metadata, as ec:2+2 does.
  const narrower = atRisk(redundancy("ec:2+1"), storeOf(6, "ec:2+2"))
  assert.deepEqual(narrower, { listed: ["backups"], more: 0 })
  const single = atRisk(redundancy("replica:1"), storeOf(6, "ec:2+2"))
  assert.deepEqual(single.listed, ["backups", "ledger", "mirror"])
  assert.deepEqual(atRisk(redundancy("ec:4+2"), storeOf(6, "ec:2+2")).listed, [])
})

test("the policy of one bucket concerns that one", () => {
  const store = storeOf(6, "ec:2+2")
  assert.deepEqual(atRisk(redundancy("ec:2+1", "ledger"), store).listed, ["ledger"])
  assert.deepEqual(atRisk(redundancy("ec:2+1", "not-locked"), store).listed, [])
  assert.deepEqual(atRisk(redundancy("replica:3", "mirror"), store).listed, [])
  const back = { kind: "setRedundancy", policy: "automatic", bucket: parseBucketName("ledger") } as const
  assert.deepEqual(atRisk(back, store).listed, [])
  assert.deepEqual(atRisk(back, storeOf(6, "ec:5+1")).listed, ["ledger"])
})

test("an accepted loss concerns all: nothing tells whose objects are lost", () => {
  const before = storeOf(6, "ec:2+2")
  const offline: ControlRecord = {
    ...before,
    devices: before.devices.map(each => (each.id === deviceId(5) ? { ...each, state: "offline" } : each)),
  }
  const forget = (acceptLoss: boolean) => atRisk({ kind: "forgetDevice", id: deviceId(5), acceptLoss }, offline)
  assert.deepEqual(forget(true).listed, ["backups", "ledger", "mirror"])
  assert.deepEqual(forget(false).listed, [])
  assert.deepEqual(atRisk({ kind: "removeDevice", id: deviceId(0) }, before).listed, [])
})

test("of many buckets the first hundred are listed, and the others counted", () => {
  const many = Array.from({ length: 250 }, (_, i) => bucket(`bucket-${1000 + i}`))
  const { listed, more } = atRisk(redundancy("replica:1"), storeOf(6, "ec:2+2"), many)
  assert.deepEqual([listed.length, listed[99], more], [100, "bucket-1099", 150])
})

const setClass = (policy?: string): StoreChange => ({
  kind: "setClass",
  storageClass: "STANDARD_IA",
  policy: policy === undefined ? undefined : parsePolicy(policy),
})

test("a class becomes less safe for the buckets whose own redundancy is better than its new one", () => {
  const never = storeOf(6, "ec:4+1")
  const unmapped: ControlRecord = { ...never, classes: [] }
  assert.deepEqual(byClass(setClass("replica:2"), unmapped), ["ledger: STANDARD_IA"])
  assert.deepEqual(byClass(setClass("replica:2"), never), [], "there has never been a version of the class")
  const mapped: ControlRecord = { ...never, classes: [["STANDARD_IA", parsePolicy("ec:2+2")]] }
  assert.deepEqual(byClass(setClass(), mapped), ["backups: STANDARD_IA", "mirror: STANDARD_IA"])
  assert.deepEqual(byClass(setClass("replica:3"), mapped), [])
  for (const [change, before] of [[setClass("replica:2"), unmapped] as const, [setClass(), mapped] as const])
    assert.deepEqual(atRisk(change, before).listed, [], "other versions stay as they are")
})

test("a change of devices concerns the versions of a class that survives the loss of fewer zones afterwards", () => {
  const nodes = clusterOf(["n1@a:2", "n2@b:2", "n3@c:2", "n4@d:2"], "replica:1")
  // Its slots are those of a store in which the class was mapped before.
  const wide = setClassPolicy({ ...nodes, classes: [] }, "GLACIER_IR", parsePolicy("ec:2+2"), [])
  const settledMap: ControlRecord = { ...wide, previousLayout: undefined }
  const remove: StoreChange = { kind: "removeNode", node: parseNodeName("n1") }
  const plain = [bucket("backups"), bucket("mirror", "replica:1")]
  assert.deepEqual(atRisk(remove, settledMap, plain).listed, [])
  assert.deepEqual(
    risks(remove, settledMap, plain).byClass.map(({ bucket: { name }, classes }) => `${name}: ${classes.join()}`),
    ["backups: GLACIER_IR", "mirror: GLACIER_IR"],
  )
  const after = decideChange(settledMap, remove, { device: undefined, ofBuckets: [], inUse: [], nowMs: 7 })
  const stopped = (before: ControlRecord) =>
    stoppedLocksAtRisk(plain, { before, after: { ...after, classes: before.classes ?? [] } }, false)
  assert.deepEqual(stopped(settledMap).listed, ["backups", "mirror"])
  assert.deepEqual(stopped({ ...settledMap, classes: [] }).listed, [])
})
