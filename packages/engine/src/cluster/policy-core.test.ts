import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { parsePolicy, textOfPolicy } from "@hayloft/base/policy.js"
import { POLICY_VERSION_MAX, type ControlRecord } from "../format/device/control-record.js"
import { movement } from "../placement/index.js"
import { checkRecord } from "./testing-check-record.js"
import { finishTransition, markOffline, markReturning, markWhole } from "./device-states-core.js"
import { addDevice, forgetDevice } from "./device-commands-core.js"
import { deviceId, newDevice, storeOf } from "./testing-records.js"
import {
  admitBucketPolicy,
  followDevices,
  narrowLayout,
  policyInWords,
  setClassPolicy,
  setPolicy,
} from "./policy-core.js"
import { layoutOf } from "./record-layout-core.js"

const checked = (record: ControlRecord): ControlRecord => {
  checkRecord(record)
  return record
}
const widthOf = (record: ControlRecord) => layoutOf(record.layout).width
const offline = (record: ControlRecord, ...numbers: number[]) => markOffline(record, numbers.map(deviceId), 5)
const refuses = (kind: FailureKind, words: RegExp, decide: () => ControlRecord) =>
  assert.throws(decide, error => isFailure(error, kind) && words.test(error.message))

test("a wider redundancy gets its slots immediately, and moves no existing shard", () => {
  const before = storeOf(7, "ec:2+1")
  const after = checked(setPolicy(before, parsePolicy("ec:4+2"), []))
  assert.deepEqual([textOfPolicy(after.policy), after.policyVersion, widthOf(after)], ["ec:4+2", 2, 6])
  assert.equal(after.isPolicyAutomatic, false)
  assert.deepEqual(after.previousLayout, before.layout)
  assert.ok(movement(layoutOf(before.layout), layoutOf(after.layout)).share < 0.003)
})

test("a narrower redundancy keeps the slots until no block uses them", () => {
  const before = storeOf(6, "ec:4+2")
  const policy = parsePolicy("ec:2+1")
  const after = checked(setPolicy(before, policy, []))
  assert.deepEqual([widthOf(after), after.policyVersion, after.previousLayout], [6, 2, undefined])
  assert.equal(narrowLayout(after, [parsePolicy("ec:4+2")]), after)
  const narrow = checked(narrowLayout(after, [parsePolicy("replica:2")]))
  assert.equal(widthOf(narrow), 3)
  assert.equal(narrowLayout(narrow, [policy]), narrow, "shards still move")
})

test("the same redundancy changes nothing, or only that it was chosen", () => {
  const before = storeOf(4)
  assert.equal(setPolicy(before, "automatic", []), before)
  const chosen = checked(setPolicy(before, parsePolicy("ec:2+2"), []))
  assert.deepEqual([chosen.isPolicyAutomatic, chosen.policyVersion, chosen.layout], [false, 1, before.layout])
  assert.equal(setPolicy(chosen, parsePolicy("ec:2+2"), []), chosen)
  assert.equal(setPolicy(chosen, "automatic", []).isPolicyAutomatic, true)
})

test("metadata gets as many copies as the redundancy implies, unless another number was chosen", () => {
  const record = storeOf(7, "ec:2+1")
  assert.equal(record.metaCopies, 3)
  assert.equal(setPolicy(record, parsePolicy("ec:4+3"), []).metaCopies, 5)
  assert.equal(setPolicy({ ...record, metaCopies: 7 }, parsePolicy("ec:4+3"), []).metaCopies, 7)
})

test("returning to automatic selects what the devices allow", () => {
  const record = checked(setPolicy(storeOf(7, "replica:2"), "automatic", []))
  assert.deepEqual([textOfPolicy(record.policy), widthOf(record), record.isPolicyAutomatic], ["ec:4+3", 7, true])
})

test("a redundancy that needs more devices than there are is refused, also for a bucket", () => {
  const wide = parsePolicy("ec:4+2")
  refuses("invalidArgument", /needs 6 devices; this store has 4/, () => setPolicy(storeOf(4), wide, []))
  refuses("invalidArgument", /has 5 \(1 more offline/, () => setPolicy(offline(storeOf(6, "ec:2+1"), 1), wide, []))
  refuses("invalidArgument", /needs 6/, () => admitBucketPolicy(storeOf(4), wide, []))
})

test("a bucket's redundancy gets its slots and a version of its own", () => {
  const before = storeOf(6, "replica:2")
  const after = checked(admitBucketPolicy(before, parsePolicy("ec:3+2"), []))
  assert.deepEqual([widthOf(after), after.policyVersion, textOfPolicy(after.policy)], [5, 2, "replica:2"])
  const back = checked(admitBucketPolicy(finishTransition(after), undefined, []))
  assert.deepEqual([widthOf(back), back.policyVersion, back.previousLayout], [5, 3, undefined])
  refuses("invalidConfig", /times/, () =>
    admitBucketPolicy({ ...before, policyVersion: POLICY_VERSION_MAX }, parsePolicy("replica:1"), []),
  )
})

test("a class that keeps its redundancy uses up no version", () => {
  const mapped = checked(setClassPolicy(storeOf(6), "STANDARD_IA", parsePolicy("ec:2+1"), []))
  assert.equal(mapped.policyVersion, 2)
  assert.equal(setClassPolicy(mapped, "STANDARD_IA", parsePolicy("ec:2+1"), []), mapped)
  assert.equal(setClassPolicy(mapped, "GLACIER_IR", undefined, []), mapped)
  assert.equal(setClassPolicy(mapped, "STANDARD_IA", undefined, []).policyVersion, 3)
})

test("changes that need another layout wait until shards have moved; others proceed", () => {
  const moving = addDevice(storeOf(6, "ec:2+1"), newDevice(6), undefined, [], 7)
  refuses("conflict", /wait until/, () => setPolicy(moving, parsePolicy("ec:4+2"), []))
  refuses("conflict", /wait until/, () => admitBucketPolicy(moving, parsePolicy("ec:4+2"), []))
  assert.equal(textOfPolicy(checked(setPolicy(moving, parsePolicy("replica:2"), [])).policy), "replica:2")
})

test("redundancy follows devices that returned, once no shard moves", () => {
  const grown = addDevice(offline(storeOf(4), 1), newDevice(4), undefined, [], 7)
  const back = markWhole(markReturning(grown, deviceId(1), 8), deviceId(1), 9)
  assert.equal(followDevices(back, []), back)
  const followed = checked(followDevices(finishTransition(back), []))
  assert.deepEqual([textOfPolicy(followed.policy), widthOf(followed)], ["ec:3+2", 5])
  assert.equal(followDevices(finishTransition(followed), []).layout, followed.layout)
  const whole = storeOf(5, "replica:2")
  assert.equal(followDevices(whole, []), whole)
})

test("status describes a redundancy against the present devices", () => {
  const words = (record: ControlRecord, pattern: RegExp) => assert.match(policyInWords(record), pattern)
  words(storeOf(4), /^ec:2\+2, which follows the number of devices \(4\)$/)
  words(storeOf(7, "ec:4+3"), /^ec:4\+3, chosen; .* would be the same$/)
  words(storeOf(7, "replica:2"), /replica:2, chosen; for 7 devices .* ec:4\+3, and survive any 3 lost instead of 1/)
  words(storeOf(3, "replica:3"), /chosen; for 3 devices the automatic redundancy would be ec:2\+1$/)
  words(forgetDevice(offline(storeOf(6, "ec:4+2"), 2), deviceId(2), [], false), /needs 6 devices; with 5 blocks are/)
  words(addDevice(offline(storeOf(4), 1), newDevice(4), 1, [], 7), /; it becomes ec:3\+2 once all of them are in use$/)
})
