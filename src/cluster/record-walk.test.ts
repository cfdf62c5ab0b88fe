/** Any sequence of operator commands and device events leads from one sound record to another, or is refused. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "../base/failures.js"
import { parsePolicy, shardCount } from "../base/policy.js"
import { encodeControlRecord, parseControlRecord, type ControlRecord } from "../format/control-record.js"
import { movement } from "../placement/index.js"
import type { Random } from "../seams/random/contract.js"
import { SimRandom } from "../seams/random/sim.js"
import { checkRecord } from "./check-record.js"
import { finishTransition, isIn, markOffline, markReturning, markWhole } from "./device-states-core.js"
import { addDevice, drainDevice, forgetDevice, removeDevice, replaceDevice, setWeight } from "./device-commands-core.js"
import { deviceId, newDevice, storeOf, TABLET } from "./testing-records.js"
import { addLearner, dropReplicas, nextReplicaStep, promoteLearner } from "./replicas-core.js"
import { followDevices, narrowLayout, setPolicy } from "./policy-core.js"
import { hasPlace, layoutOf, mayGain } from "./record-layout-core.js"

const SEEDS = 8
const STEPS = 40
const POLICIES = ["replica:1", "replica:2", "replica:3", "ec:2+1", "ec:2+2", "ec:4+2"].map(text => parsePolicy(text))

function replicaStep(record: ControlRecord): ControlRecord {
  const step = nextReplicaStep(
    record,
    TABLET,
    () => true,
    () => true,
  )
  if (step === undefined) return record
  if (step.kind === "learn") return addLearner(record, TABLET, step.id)
  return step.kind === "promote" ? promoteLearner(record, TABLET, step.learner) : dropReplicas(record, [step.id])
}

/** A random next event; `fresh` numbers a device that was never used. */
function chance(random: Random, record: ControlRecord, fresh: number): (record: ControlRecord) => ControlRecord {
  const devices = record.devices.map(({ id }) => id)
  const id = devices[random.below(devices.length)] ?? deviceId(0)
  const weight = 1 + random.below(4)
  const policy = POLICIES[random.below(POLICIES.length)] ?? "automatic"
  const mayLose = random.below(4) === 0
  const kinds: readonly ((before: ControlRecord) => ControlRecord)[] = [
    before => (before.devices.length < 9 ? addDevice(before, newDevice(fresh), weight, [], fresh) : before),
    before => drainDevice(before, id, [], fresh),
    before => removeDevice(before, id, [], fresh),
    before => forgetDevice(before, id, [], mayLose),
    before => replaceDevice(before, id, newDevice(fresh), [], mayLose, fresh),
    before => setWeight(before, id, weight, [], fresh),
    before => setPolicy(before, random.below(2) === 0 ? "automatic" : policy, []),
    before => markOffline(before, [id], fresh),
    before => markReturning(before, id, fresh),
    before => devices.reduce((next, each) => markReturning(next, each, fresh), before),
    before => devices.reduce((next, each) => markWhole(next, each, fresh), finishTransition(before)),
    finishTransition,
    before => followDevices(before, []),
    before => narrowLayout(before, []),
    replicaStep,
    replicaStep,
  ]
  return kinds[random.below(kinds.length)] ?? finishTransition
}

/** Invariants between a record and the next; each record must also be sound. */
function checkPair(before: ControlRecord, after: ControlRecord, what: string): void {
  checkRecord(after)
  assert.ok(after.policyVersion >= before.policyVersion, what)
  for (const tablet of after.tablets) {
    const old = before.tablets.find(({ id }) => id === tablet.id)
    assert.ok(old !== undefined && tablet.epoch >= old.epoch, what)
    const isChanged =
      JSON.stringify([old.replicas, old.learners]) !== JSON.stringify([tablet.replicas, tablet.learners])
    assert.equal(tablet.epoch > old.epoch, isChanged, `${what}: the epoch grows if replicas change`)
  }
  if (after.layout === before.layout) return
  assert.ok(after.layout.version > before.layout.version, what)
  const isTransition = after.previousLayout !== undefined && after.previousLayout !== before.previousLayout
  if (isTransition) {
    assert.equal(before.previousLayout, undefined, `${what}: one transition at a time`)
    assert.equal(after.previousLayout, before.layout, what)
  } else {
    const { moved, added } = movement(layoutOf(before.layout), layoutOf(after.layout))
    const hasNew = after.devices.some(({ id }) => !before.devices.some(device => device.id === id))
    assert.ok(hasNew || moved + added === 0, `${what}: moves happen in a transition, unless a device was replaced`)
  }
}

test("any sequence of changes keeps control records sound", () => {
  const made = new Map<string, number>()
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const random = new SimRandom(seed)
    let record = storeOf(1 + random.below(6))
    for (let step = 1; step <= STEPS; step += 1) {
      const decide = chance(random, record, 100 * seed + step)
      const what = `seed ${seed}, step ${step}: ${decide.toString()}`
      try {
        const after = decide(record)
        checkPair(record, after, what)
        if (after !== record) made.set(decide.toString(), (made.get(decide.toString()) ?? 0) + 1)
        record = after
      } catch (error) {
        if (!isFailure(error, "invalidArgument", "conflict", "deviceFailed")) throw new Error(what, { cause: error })
      }
    }
    assert.deepEqual(parseControlRecord(encodeControlRecord(record)), record)
    checkRest(record, `seed ${seed}`)
  }
  assert.ok(made.size >= 13, `every kind of change was made: ${[...made.keys()].join("\n")}`)
})

/** Without further changes, a store settles with everything in place. */
function checkRest(from: ControlRecord, what: string): void {
  let record = from.devices.reduce((next, { id }) => markReturning(next, id, 1), from)
  for (let round = 0; round < 60; round += 1) {
    const before = record
    record = record.devices.reduce((next, { id }) => markWhole(next, id, 1), finishTransition(record))
    record = narrowLayout(replicaStep(followDevices(record, [])), [])
    checkRecord(record)
    if (record === before) break
  }
  const placed = record.devices.filter(hasPlace)
  assert.equal(record.previousLayout, undefined, what)
  assert.ok(record.devices.every(isIn) && placed.every(mayGain), what)
  assert.equal(layoutOf(record.layout).width, Math.min(shardCount(record.policy), placed.length), what)
  assert.equal(record.tablets[0]?.replicas.length, Math.min(record.metaCopies, placed.length), what)
  assert.deepEqual(record.tablets[0]?.learners, [], what)
}
