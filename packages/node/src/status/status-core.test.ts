import assert from "node:assert/strict"
import { test } from "node:test"
import { parsePolicy } from "@hayloft/base/policy.js"
import { SafetyEvaluator } from "@hayloft/engine/cluster/index.js"
import { clusterOf, storeOf } from "@hayloft/engine/cluster/testing-records.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { openFor } from "./testing-open-devices.js"
import { deviceReports, safetyInputOf, safetyReport, withReencoding, withUnseen } from "./status-core.js"

const [CODED, COPIES] = [parsePolicy("ec:2+2"), parsePolicy("replica:2")]

test("bytes written since the last scan count under the current policy", () => {
  const found = [{ policy: COPIES, bytes: 1000 }]
  assert.deepEqual(withUnseen(found, CODED, 300), [...found, { policy: CODED, bytes: 300 }])
  assert.deepEqual(withUnseen(found, COPIES, 300), [{ policy: COPIES, bytes: 1300 }])
  assert.deepEqual(withUnseen(found, CODED, -20), found)
})

test("the remaining bytes to re-encode count under the policies found, otherwise under the previous policy", () => {
  const found = [
    { policy: COPIES, bytes: 600 },
    { policy: CODED, bytes: 400 },
  ]
  assert.deepEqual(withReencoding(found, [CODED], undefined, 150), [
    { policy: COPIES, bytes: 150 },
    { policy: CODED, bytes: 850 },
  ])
  assert.deepEqual(withReencoding(found, [CODED], undefined, 0), [{ policy: CODED, bytes: 1000 }])
  const unseen = [{ policy: CODED, bytes: 1000 }]
  assert.deepEqual(withReencoding(unseen, [CODED], COPIES, 300), [
    { policy: COPIES, bytes: 300 },
    { policy: CODED, bytes: 700 },
  ])
  assert.deepEqual(withReencoding(unseen, [CODED], undefined, 300), unseen)
  assert.deepEqual(withReencoding([], [CODED], undefined, 0), [])
  // Policies of buckets stay.
  const third = { policy: parsePolicy("replica:3"), bytes: 50 }
  assert.deepEqual(withReencoding([...found, third], [CODED, third.policy], undefined, 100), [
    { policy: COPIES, bytes: 100 },
    { policy: CODED, bytes: 900 },
    third,
  ])
})

const FACTS = {
  nowMs: 0,
  offlineReason: () => undefined,
  isRepairPaused: false,
  isShortOfSpace: false,
  wholeInSeconds: undefined,
  lostObjectsMin: 0,
  heldBack: [],
}
const sentenceOf = (record: ControlRecord): string => {
  const open = openFor(record)
  const safety = new SafetyEvaluator().evaluate(safetyInputOf(record, open, undefined))
  return safetyReport(safety, open, { record, ...FACTS }).sentence
}

test("a store with homes answers whether any machine and any zone may fail; on one machine nothing is asked", () => {
  const zones = clusterOf(["a1@a:1", "a2@a:1", "b1@b:1", "b2@b:1", "c1@c:1", "c2@c:1"], "ec:4+2")
  assert.match(sentenceOf(zones), /any 2 of 6 disks may fail without loss; any machine: yes.*; any zone: yes$/)
  assert.match(sentenceOf(clusterOf(["a1:3", "b1:3"], "ec:4+2")), /any machine: no, because up to 3 shards/)
  assert.equal(
    sentenceOf(storeOf(6, "ec:4+2")),
    "ec:4+2 in 6 folders on 6 disks: any 2 of 6 disks may fail without loss",
  )
  const [first] = deviceReports(zones, openFor(zones), () => undefined)
  assert.deepEqual([first?.node, first?.zone, first?.machine], ["a1", "a", "a1"])
  const [alone] = deviceReports(storeOf(6, "ec:4+2"), openFor(storeOf(6, "ec:4+2")), () => undefined)
  assert.ok(alone !== undefined && !("node" in alone))
})
