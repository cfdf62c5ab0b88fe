/** Which buckets with object lock an operator has to name. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseBucketName } from "../../base/ids.js"
import { parsePolicy } from "../../base/policy.js"
import type { ControlRecord } from "../../format/control-record.js"
import { deviceId, storeOf } from "../../cluster/testing-records.js"
import type { StoreChange } from "./contract.js"
import { decideChange } from "./decide-change-core.js"
import { lockedAtRisk } from "./locked-at-risk-core.js"

const bucket = (name: string, own?: string) => ({
  name: parseBucketName(name),
  policy: own === undefined ? undefined : parsePolicy(own),
})
const BUCKETS = [bucket("backups"), bucket("ledger", "ec:2+2"), bucket("mirror", "replica:2")]
const FACTS = { policies: [], lacking: new Map(), misplacedGroups: [], diskOf: String, bytesPerSecond: 1 }

function atRisk(change: StoreChange, before: ControlRecord, buckets = BUCKETS) {
  const ofBuckets = buckets.flatMap(({ policy }) => (policy === undefined ? [] : [policy]))
  const after = decideChange(before, change, { device: undefined, ofBuckets, inUse: [], nowMs: 7 })
  return lockedAtRisk(change, buckets, { before, after }, FACTS)
}

const redundancy = (policy: string, name?: string): StoreChange => ({
  ...{ kind: "setRedundancy", policy: parsePolicy(policy) },
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
