import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import type { ControlRecord } from "../format/device/control-record.js"
import { checkRecord } from "./testing-check-record.js"
import { markOffline } from "./device-states-core.js"
import { addDevice } from "./device-commands-core.js"
import { deviceId, newDevice, storeOf, TABLET } from "./testing-records.js"
import {
  addLearner,
  dropReplicas,
  forgetLearners,
  nextReplicaStep,
  promoteLearner,
  tabletOf,
  type ReplicaStep,
} from "./replicas-core.js"
import { drainDevice } from "./testing-changes.js"

const replicas = (record: ControlRecord) => tabletOf(record, TABLET).replicas.map(({ id }) => id)
const next = (record: ControlRecord, hasLearned = false, mayLearn = true): ReplicaStep | undefined =>
  nextReplicaStep(
    record,
    TABLET,
    () => hasLearned,
    () => mayLearn,
  )

function take(record: ControlRecord, step: ReplicaStep): ControlRecord {
  const after =
    step.kind === "learn"
      ? addLearner(record, TABLET, step.id)
      : step.kind === "promote"
        ? promoteLearner(record, TABLET, step.learner)
        : dropReplicas(record, [step.id])
  checkRecord(after)
  assert.equal(tabletOf(after, TABLET).epoch, tabletOf(record, TABLET).epoch + 1)
  return after
}

/** Takes steps until none remains; learners finish immediately. */
function rested(record: ControlRecord): { readonly record: ControlRecord; readonly kinds: readonly string[] } {
  const kinds: string[] = []
  for (let at = record; ;) {
    const step = next(at, true)
    if (step === undefined || kinds.length > 20) return { record: at, kinds }
    kinds.push(step.kind)
    at = take(at, step)
  }
}

test("a lost replica is replaced by another device, which votes once it has learned", () => {
  const faulty = markOffline(storeOf(7), [deviceId(1)], 5)
  assert.equal(replicas(faulty).length, 4)
  const learning = take(faulty, { kind: "learn", id: deviceId(5) })
  assert.deepEqual(tabletOf(learning, TABLET).learners, [{ id: deviceId(5), since: tabletOf(learning, TABLET).epoch }])
  assert.equal(next(learning), undefined, "it is learning")
  const { record, kinds } = rested(faulty)
  assert.deepEqual(kinds, ["learn", "promote"])
  assert.deepEqual(replicas(record), [0, 2, 3, 4, 5].map(deviceId))
})

test("present replicas stay, and complete devices come first", () => {
  const grown = { ...addDevice(storeOf(5), newDevice(5), undefined, [], 7), metaCopies: 4 }
  assert.deepEqual(next(grown), { kind: "learn", id: deviceId(3) })
  assert.deepEqual(replicas(rested({ ...grown, metaCopies: 6 }).record), [0, 1, 2, 3, 4, 5].map(deviceId))
  assert.equal(next(storeOf(5)), undefined)
  assert.equal(next({ ...storeOf(5), metaCopies: 4 }, false, false), undefined, "no device has space to learn")
})

test("a draining device is replaced before it leaves", () => {
  const draining = drainDevice(storeOf(6, "ec:2+1"), deviceId(0), [], 7)
  const { record, kinds } = rested(draining)
  assert.deepEqual(kinds, ["learn", "promote", "drop"])
  assert.deepEqual(replicas(record), [1, 2, 3].map(deviceId))
})

test("if fewer copies are wanted, the last replicas are dropped", () => {
  const { record, kinds } = rested({ ...storeOf(7), metaCopies: 3 })
  assert.deepEqual(kinds, ["drop", "drop"])
  assert.deepEqual(replicas(record), [0, 1, 2].map(deviceId))
})

test("stale steps are refused, and learners of an earlier process start over", () => {
  const learning = take(storeOf(7), { kind: "learn", id: deviceId(6) })
  const [learner] = tabletOf(learning, TABLET).learners
  assert.ok(learner !== undefined)
  const isConflict = (decide: () => ControlRecord) => assert.throws(decide, error => isFailure(error, "conflict"))
  isConflict(() => addLearner(learning, TABLET, deviceId(6)))
  isConflict(() => addLearner(learning, TABLET, deviceId(0)))
  const forgotten = forgetLearners(learning)
  checkRecord(forgotten)
  assert.deepEqual(tabletOf(forgotten, TABLET).learners, [])
  const again = take(forgotten, { kind: "learn", id: deviceId(6) })
  isConflict(() => promoteLearner(again, TABLET, learner))
  assert.equal(forgetLearners(storeOf(7)).tablets[0]?.epoch, 1)
  assert.throws(
    () => dropReplicas(storeOf(1), [deviceId(0)]),
    error => isFailure(error, "deviceFailed"),
  )
})
