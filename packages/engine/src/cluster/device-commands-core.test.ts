import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { DEVICES_MAX } from "@hayloft/base/limits.js"
import { defaultMetaCopies, defaultPolicy, parsePolicy, shardCount, textOfPolicy } from "@hayloft/base/policy.js"
import { encodeControlRecord, parseControlRecord, type ControlRecord } from "../format/device/control-record.js"
import { movement, slotsPerDevice } from "../placement/index.js"
import { checkRecord } from "./testing-check-record.js"
import { finishTransition, markOffline, markReturning, markWhole } from "./device-states-core.js"
import { addDevice, forgetDevice, replaceDevice, usualWeight } from "./device-commands-core.js"
import { CAPACITY_BYTES, deviceId, newDevice, storeOf } from "./testing-records.js"
import { layoutOf } from "./record-layout-core.js"
import { drainDevice, removeDevice, setWeight } from "./testing-changes.js"

const checked = (record: ControlRecord): ControlRecord => {
  checkRecord(record)
  return record
}
const settled = (record: ControlRecord): ControlRecord =>
  record.devices.reduce((next, { id }) => markWhole(next, id, 9), finishTransition(record))
const stateOf = (record: ControlRecord, number: number) =>
  record.devices.find(({ id }) => id === deviceId(number))?.state
const moves = (before: ControlRecord, after: ControlRecord) => movement(layoutOf(before.layout), layoutOf(after.layout))
const offline = (record: ControlRecord, ...numbers: number[]) => checked(markOffline(record, numbers.map(deviceId), 5))
const refuses = (kind: FailureKind, words: RegExp, decide: () => ControlRecord) =>
  assert.throws(decide, error => isFailure(error, kind) && words.test(error.message))

test("the redundancy of a store that grows disk by disk follows, from one copy to 8+3", () => {
  let record = storeOf(1)
  for (let count = 2; count <= 13; count += 1) {
    const before = record
    record = checked(addDevice(record, newDevice(count - 1), undefined, [], 7))
    assert.equal(textOfPolicy(record.policy), textOfPolicy(defaultPolicy(count)))
    assert.equal(record.policyVersion, before.policyVersion + (count <= 11 ? 1 : 0))
    assert.equal(record.metaCopies, defaultMetaCopies(count, record.policy))
    assert.equal(layoutOf(record.layout).width, Math.min(count, 11))
    assert.deepEqual(record.previousLayout, before.layout)
    assert.equal(stateOf(record, count - 1), "rebuilding")
    assert.equal(record.devices.at(-1)?.stateSinceMs, 7)
    const { share, devices } = moves(before, record)
    assert.ok(share <= 1.2 / count, `${count} devices: ${share}`)
    assert.ok((devices.get(deviceId(count - 1))?.slotsIn ?? 0) > 0)
    refuses("conflict", /wait until/, () => addDevice(record, newDevice(99), 1, [], 7))
    const paused = { ...record, pausedWork: ["repair"] }
    refuses("conflict", /repair is paused; hayloft repair resume/, () => addDevice(paused, newDevice(99), 1, [], 7))
    record = settled(record)
  }
})

test("a chosen redundancy stays when devices are added", () => {
  const record = checked(addDevice(storeOf(6, "ec:2+1"), newDevice(6), undefined, [], 7))
  assert.equal(textOfPolicy(record.policy), "ec:2+1")
  assert.equal(record.policyVersion, 1)
  assert.equal(layoutOf(record.layout).width, 3)
  assert.equal(record.devices.length, 7)
})

test("a bucket's wider redundancy gets its slots once there are devices for it", () => {
  const record = checked(addDevice(storeOf(4, "replica:2"), newDevice(4), undefined, [parsePolicy("ec:3+2")], 7))
  assert.equal(layoutOf(record.layout).width, 5)
})

test("impossible devices are refused", () => {
  const record = storeOf(2)
  refuses("invalidArgument", /already/, () => addDevice(record, newDevice(1), 1, [], 0))
  for (const weight of [0, -1, Number.NaN, Infinity]) {
    refuses("invalidArgument", /above 0/, () => addDevice(record, newDevice(2), weight, [], 0))
    refuses("invalidArgument", /above 0/, () => setWeight(record, deviceId(0), weight, [], 0))
  }
  const full = storeOf(DEVICES_MAX, "ec:4+2")
  refuses("invalidArgument", /at most 32/, () => addDevice(full, newDevice(40), 1, [], 0))
  refuses("invalidArgument", /no device/, () => removeDevice(record, deviceId(9), [], 0))
})

test("adding a device while another is offline widens nothing, and moves nothing to the offline one", () => {
  const faulty = offline(storeOf(4), 3)
  const record = checked(addDevice(faulty, newDevice(4), undefined, [], 7))
  assert.equal(textOfPolicy(record.policy), "ec:2+2")
  assert.equal(moves(faulty, record).devices.get(deviceId(3))?.slotsIn, 0)
  const forgotten = checked(forgetDevice(settled(record), deviceId(3), [], false))
  assert.equal(textOfPolicy(forgotten.policy), "ec:2+2")
  assert.equal(layoutOf(forgotten.layout).width, 4)
})

test("a new device gets the same weight per byte as the others", () => {
  const record = storeOf(3)
  assert.equal(usualWeight(record, 2 * CAPACITY_BYTES), 2)
  assert.equal(usualWeight(record, CAPACITY_BYTES / 3), 0.33)
  assert.equal(usualWeight(record, 0), 1)
  const unknown = { ...record, devices: record.devices.map(device => ({ ...device, capacityBytes: 0, weight: 3 })) }
  assert.equal(usualWeight(unknown, CAPACITY_BYTES), 3)
  const added = addDevice(record, newDevice(3, 2 * CAPACITY_BYTES), undefined, [], 7)
  assert.equal(added.devices[3]?.weight, 2)
})

test("a drained device keeps no slot, and can be taken back into use", () => {
  const before = storeOf(6, "ec:2+1")
  const drained = checked(drainDevice(before, deviceId(2), [], 7))
  assert.equal(stateOf(drained, 2), "draining")
  assert.ok(!drained.layout.devices.includes(deviceId(2)))
  assert.deepEqual(drained.previousLayout, before.layout)
  const { devices, share } = moves(before, drained)
  assert.equal(devices.get(deviceId(2))?.slotsIn, 0)
  assert.ok(share < 1.05 / 6)
  assert.equal(drainDevice(drained, deviceId(2), [], 8), drained)
  refuses("conflict", /wait until/, () => setWeight(drained, deviceId(2), 1, [], 8))
  const back = checked(setWeight(settled(drained), deviceId(2), 2, [], 8))
  assert.equal(stateOf(back, 2), "rebuilding")
  assert.ok(back.layout.devices.includes(deviceId(2)))
})

test("a draining device that fails continues to drain when it returns", () => {
  const drained = finishTransition(drainDevice(storeOf(6, "ec:2+1"), deviceId(2), [], 7))
  const back = checked(markReturning(offline(drained, 2), deviceId(2), 8))
  assert.equal(stateOf(back, 2), "draining")
  assert.equal(stateOf(markReturning(offline(drained, 3), deviceId(3), 8), 3), "rebuilding")
})

test("a decommissioning device that fails still leaves when it returns, unless it is taken back into use", () => {
  const decommissioning = finishTransition(removeDevice(storeOf(6, "ec:2+1"), deviceId(2), [], 7))
  const stored = parseControlRecord(encodeControlRecord(offline(decommissioning, 2)))
  const back = checked(markReturning(stored, deviceId(2), 8))
  assert.equal(stateOf(back, 2), "decommissioning")
  const kept = markReturning(offline(drainDevice(back, deviceId(2), [], 9), 2), deviceId(2), 10)
  assert.equal(stateOf(kept, 2), "draining")
  const used = settled(setWeight(back, deviceId(2), 1, [], 9))
  assert.equal(stateOf(markReturning(offline(used, 2), deviceId(2), 10), 2), "rebuilding")
})

test("a removed device leaves once its shards have moved; a drained device can be removed, and taken back", () => {
  const decommissioning = checked(removeDevice(storeOf(6, "ec:2+1"), deviceId(5), [], 7))
  assert.equal(stateOf(decommissioning, 5), "decommissioning")
  assert.equal(stateOf(drainDevice(decommissioning, deviceId(5), [], 8), 5), "draining")
  refuses("conflict", /wait until/, () => forgetDevice(decommissioning, deviceId(5), [], false))
  const gone = checked(forgetDevice(settled(decommissioning), deviceId(5), [], false))
  assert.equal(gone.devices.length, 5)
  assert.equal(gone.previousLayout, undefined)
  refuses("invalidArgument", /in use/, () => forgetDevice(gone, deviceId(4), [], true))
})

test("an automatic redundancy becomes narrower only if there are too few devices", () => {
  const four = checked(removeDevice(storeOf(5), deviceId(1), [], 7))
  assert.deepEqual([textOfPolicy(four.policy), four.policyVersion], ["ec:2+2", 2])
  assert.equal(layoutOf(four.layout).width, 4)
  assert.deepEqual([four.metaCopies, four.isPolicyAutomatic], [3, true])
  const eleven = checked(removeDevice(storeOf(12), deviceId(1), [], 7))
  assert.deepEqual([textOfPolicy(eleven.policy), eleven.policyVersion], ["ec:8+3", 1])
  const one = checked(removeDevice(storeOf(2), deviceId(0), [], 7))
  assert.deepEqual([textOfPolicy(one.policy), one.metaCopies], ["replica:1", 1])
})

test("neither the last device nor one that a chosen redundancy needs can be emptied", () => {
  refuses("invalidArgument", /ec:4\+2 needs 6 devices, and 5 would be left/, () =>
    removeDevice(storeOf(6, "ec:4+2"), deviceId(1), [], 7),
  )
  refuses("invalidArgument", /ec:3\+2 needs 5/, () =>
    drainDevice(storeOf(5, "replica:2"), deviceId(1), [parsePolicy("ec:3+2")], 7),
  )
  refuses("invalidArgument", /only one in use/, () => removeDevice(storeOf(1), deviceId(0), [], 7))
  refuses("invalidArgument", /only one in use/, () => removeDevice(offline(storeOf(2), 1), deviceId(0), [], 7))
  refuses("invalidArgument", /replace or forget/, () => removeDevice(offline(storeOf(3), 1), deviceId(1), [], 7))
  refuses("invalidArgument", /is offline, and without it/, () =>
    drainDevice(offline(storeOf(5), 1), deviceId(0), [], 7),
  )
})

test("a new weight moves a matching share, and an unchanged weight nothing", () => {
  const before = storeOf(6, "ec:2+1")
  assert.equal(setWeight(before, deviceId(0), 1, [], 7), before)
  const after = checked(setWeight(before, deviceId(0), 2, [], 7))
  const { share, devices } = moves(before, after)
  assert.ok(Math.abs(share - (2 / 7 - 1 / 6)) < 0.01, String(share))
  assert.equal(devices.get(deviceId(0))?.offlineSlots, 0)
  assert.equal(stateOf(after, 0), "active")
  refuses("invalidArgument", /is offline/, () => setWeight(offline(before, 0), deviceId(0), 2, [], 7))
  // An offline device gets nothing, though its share grows.
  const lighter = checked(setWeight(offline(before, 1), deviceId(0), 0.5, [], 7))
  assert.equal(moves(before, lighter).devices.get(deviceId(1))?.slotsIn, 0)
  assert.ok((moves(before, lighter).devices.get(deviceId(0))?.offlineSlots ?? 0) > 10_000)
  // Every partition has every device already: the weight is kept for later.
  const all = checked(setWeight(storeOf(3), deviceId(0), 5, [], 7))
  assert.equal(all.previousLayout, undefined)
  assert.equal(all.devices[0]?.weight, 5)
})

test("an offline device is forgotten, and the others take its slots", () => {
  const faulty = offline(storeOf(8, "ec:4+3"), 6)
  assert.ok(!faulty.tablets.some(({ replicas }) => replicas.some(({ id }) => id === deviceId(6))))
  const after = checked(forgetDevice(faulty, deviceId(6), [], false))
  assert.equal(after.devices.length, 7)
  assert.deepEqual([layoutOf(after.layout).width, textOfPolicy(after.policy)], [7, "ec:4+3"])
  const held = slotsPerDevice(layoutOf(faulty.layout))[6] ?? 0
  assert.ok(moves(faulty, after).moved <= held * 1.05)
})

test("if too few devices remain, forgetting one narrows the layout", () => {
  const automatic = checked(forgetDevice(offline(storeOf(4), 2), deviceId(2), [], false))
  assert.deepEqual([textOfPolicy(automatic.policy), layoutOf(automatic.layout).width], ["ec:2+1", 3])
  const chosen = checked(forgetDevice(offline(storeOf(6, "ec:4+2"), 2), deviceId(2), [], false))
  assert.deepEqual([textOfPolicy(chosen.policy), layoutOf(chosen.layout).width], ["ec:4+2", 5])
  const again = checked(addDevice(settled(chosen), newDevice(6), undefined, [], 8))
  assert.equal(layoutOf(again.layout).width, 6)
  const one = checked(forgetDevice(offline(storeOf(2), 0), deviceId(0), [], false))
  assert.deepEqual([textOfPolicy(one.policy), layoutOf(one.layout).width], ["replica:1", 1])
})

test("several offline devices can be forgotten one by one", () => {
  const faulty = offline(storeOf(7), 0, 3, 6)
  const first = settled(checked(forgetDevice(faulty, deviceId(3), [], false)))
  const second = settled(checked(forgetDevice(first, deviceId(0), [], false)))
  const third = settled(checked(forgetDevice(second, deviceId(6), [], false)))
  assert.deepEqual([textOfPolicy(third.policy), third.devices.length], ["ec:2+2", 4])
})

test("losing objects needs the operator's consent, and losing all metadata is refused", () => {
  const faulty = offline(storeOf(4), 1, 2, 3)
  refuses("invalidArgument", /about 100 % .* accept the loss/, () => forgetDevice(faulty, deviceId(1), [], false))
  refuses("invalidArgument", /accept the loss/, () => replaceDevice(faulty, deviceId(1), newDevice(9), [], false, 8))
  assert.equal(checked(forgetDevice(faulty, deviceId(1), [], true)).devices.length, 3)
  assert.equal(checked(replaceDevice(faulty, deviceId(1), newDevice(9), [], true, 8)).devices.length, 4)
  const single = storeOf(4, "replica:1")
  refuses("invalidArgument", /25\.\d % .* replica:1/, () => forgetDevice(offline(single, 3), deviceId(3), [], false))
  const bucket = [parsePolicy("replica:1")]
  refuses("invalidArgument", /replica:1/, () => forgetDevice(offline(storeOf(5), 1), deviceId(1), bucket, false))
  const narrow = { ...storeOf(3), tablets: storeOf(1).tablets }
  assert.throws(
    () => markOffline(narrow, [deviceId(0)], 5),
    error => isFailure(error, "deviceFailed"),
  )
  const last = { ...narrow, devices: offline(storeOf(3), 0).devices }
  refuses("invalidArgument", /metadata/, () => forgetDevice(last, deviceId(0), [], true))
  refuses("invalidArgument", /metadata/, () => replaceDevice(last, deviceId(0), newDevice(9), [], true, 8))
})

test("rebuilding devices do not count towards what may be lost", () => {
  const rebuilding = markReturning(offline(storeOf(3), 1), deviceId(1), 6)
  refuses("invalidArgument", /wait until rebuilding devices are complete/, () =>
    forgetDevice(offline(rebuilding, 2), deviceId(2), [], false),
  )
  checked(forgetDevice(offline(markWhole(rebuilding, deviceId(1), 7), 2), deviceId(2), [], false))
})

test("a new device takes exactly the slots of an offline one, even while shards move", () => {
  const faulty = offline(storeOf(6, "ec:2+2"), 4)
  const after = checked(replaceDevice(faulty, deviceId(4), newDevice(9, 5e11), [], false, 8))
  assert.equal(after.previousLayout, undefined)
  assert.equal(stateOf(after, 4), undefined)
  assert.deepEqual(after.devices.map(({ id, state, weight }) => [id, state, weight]).at(4), [
    deviceId(9),
    "rebuilding",
    1,
  ])
  assert.deepEqual(after.layout.table, faulty.layout.table)
  assert.equal(after.layout.version, faulty.layout.version + 1)
  assert.ok(!after.tablets.some(({ replicas }) => replicas.some(({ id }) => id === deviceId(9))))
  const moving = offline(addDevice(storeOf(6, "ec:2+2"), newDevice(6), undefined, [], 7), 4)
  const replaced = checked(replaceDevice(moving, deviceId(4), newDevice(9), [], false, 8))
  assert.equal(replaced.previousLayout, moving.previousLayout)
  refuses("invalidArgument", /in use/, () => replaceDevice(after, deviceId(0), newDevice(10), [], false, 8))
  refuses("invalidArgument", /already/, () => replaceDevice(faulty, deviceId(4), newDevice(5), [], false, 8))
  const drained = offline(finishTransition(drainDevice(storeOf(6, "ec:2+2"), deviceId(4), [], 7)), 4)
  refuses("invalidArgument", /held nothing/, () => replaceDevice(drained, deviceId(4), newDevice(9), [], false, 8))
  const gone = checked(forgetDevice(drained, deviceId(4), [], false))
  assert.equal(gone.layout, drained.layout)
})

test("the width of a layout is never less than the automatic redundancy needs", () => {
  for (let count = 2; count <= 12; count += 1) {
    const record = checked(forgetDevice(offline(storeOf(count), 0), deviceId(0), [], false))
    assert.equal(layoutOf(record.layout).width, Math.min(count - 1, 11))
    assert.equal(shardCount(record.policy), Math.min(count - 1, 11))
  }
})
