/** Any sequence of operator commands and device events leads from one sound record to another, or is refused. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { parseNodeName } from "@hayloft/base/ids.js"
import { parsePolicy, shardCount } from "@hayloft/base/policy.js"
import { encodeControlRecord, parseControlRecord, type ControlRecord } from "../format/device/control-record.js"
import { movement } from "../placement/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { checkRecord } from "./testing-check-record.js"
import { finishTransition, markOffline, markReturning, markWhole } from "./device-states-core.js"
import { claimDevice, devicesOfNode, releaseDevices } from "./claims-core.js"
import { addDevice, forgetDevice, joinDevices, replaceDevice } from "./device-commands-core.js"
import { followHomes } from "./follow-homes-core.js"
import { placeWithout } from "./long-out-core.js"
import { forgetNode } from "./node-commands-core.js"
import { clusterOf, deviceId, homeOn, newDevice, storeOf, TABLET } from "./testing-records.js"
import { addLearner, dropReplicas, nextReplicaStep, promoteLearner } from "./replicas-core.js"
import { followDevices, narrowLayout, setPolicy } from "./policy-core.js"
import { hasPlace, layoutOf, mayGain } from "./record-layout-core.js"
import { SILENT_NODE_MS, silentNodes } from "./silent-nodes-core.js"
import { drainDevice, drainNode, removeDevice, removeNode, setWeight, useNode } from "./testing-changes.js"

const SEEDS = 8
const STEPS = 40
const POLICIES = ["replica:1", "replica:2", "replica:3", "ec:2+1", "ec:2+2", "ec:4+2"].map(text => parsePolicy(text))

function replicaStep(record: ControlRecord): ControlRecord {
  if (record.tablets.length === 0) return record
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

type Decide = (record: ControlRecord) => ControlRecord

/** A random next event; `fresh` numbers a device that was never used. */
function chance(random: Random, record: ControlRecord, fresh: number): Decide {
  const devices = record.devices.map(({ id }) => id)
  const id = devices[random.below(devices.length)] ?? deviceId(0)
  const weight = 1 + random.below(4)
  const policy = POLICIES[random.below(POLICIES.length)] ?? "automatic"
  const mayLose = random.below(4) === 0
  const kinds: readonly Decide[] = [
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

/** A random next event of a store of several nodes. */
function clusterChance(random: Random, record: ControlRecord, fresh: number): Decide {
  const nodes = [...new Set(record.devices.flatMap(({ home }) => home?.node ?? []))]
  const node = nodes[random.below(nodes.length)] ?? parseNodeName("n1")
  const zone = ["a", "b", "c", undefined][random.below(4)]
  const home = homeOn(`n${random.below(6)}`, zone, 1 + random.below(9))
  const ids = record.devices.map(({ id }) => id)
  const id = ids[random.below(ids.length)] ?? deviceId(0)
  const ofNode = devicesOfNode(record, node).map(device => device.id)
  const mayLose = random.below(4) === 0
  const added = Array.from({ length: 1 + random.below(3) }, (_, i) => ({ ...newDevice(1000 * fresh + i), home }))
  const isOver = () => random.below(2) === 0
  const kinds: readonly Decide[] = [
    before => (before.devices.length < 12 ? joinDevices(before, added, [], fresh) : before),
    before => claimDevice(before, id, home, isOver),
    before => releaseDevices(before, node, home.incarnation),
    before => drainNode(before, node, [], fresh),
    before => removeNode(before, node, [], fresh),
    before => useNode(before, node, [], fresh),
    before => forgetNode(before, node, [], mayLose),
    before => forgetNode(markOffline(before, ofNode, fresh), node, [], mayLose),
    before => placeWithout(before, ids),
    before => placeWithout(markOffline(before, ofNode, fresh), ofNode),
    before => markOffline(before, silentNodes(before, new Map([[node, SILENT_NODE_MS]])).offline, fresh),
    before => followHomes(before, []),
    before =>
      followHomes(
        claimDevice(before, id, home, () => true),
        [],
      ),
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

/** Returns the kinds of events that changed the record. */
function walk(seed: number, start: (random: Random) => ControlRecord, next: typeof chance): ReadonlySet<string> {
  const made = new Set<string>()
  const random = new SimRandom(seed)
  let record = start(random)
  for (let step = 1; step <= STEPS; step += 1) {
    const decide = next(random, record, 100 * seed + step)
    const what = `seed ${seed}, step ${step}: ${decide.toString()}`
    try {
      const after = decide(record)
      checkPair(record, after, what)
      if (after !== record) made.add(decide.toString())
      record = after
    } catch (error) {
      if (!isFailure(error, "invalidArgument", "conflict", "deviceFailed")) throw new Error(what, { cause: error })
    }
  }
  assert.deepEqual(parseControlRecord(encodeControlRecord(record)), record)
  checkRest(record, `seed ${seed}`)
  return made
}

function walkAll(start: (random: Random) => ControlRecord, next: typeof chance, kinds: number): void {
  const made = new Set<string>()
  for (let seed = 1; seed <= SEEDS; seed += 1) for (const kind of walk(seed, start, next)) made.add(kind)
  assert.ok(made.size >= kinds, `every kind of change was made: ${[...made].join("\n")}`)
}

test("any sequence of changes keeps control records sound", () => {
  walkAll(random => storeOf(1 + random.below(6)), chance, 13)
})

test("any sequence of changes keeps control records of several nodes sound", () => {
  const nodes = ["n1@a:2", "n2@b:2", "n3@c:2", "n4@a:1"]
  const either: typeof chance = (random, record, fresh) =>
    random.below(3) === 0 ? chance(random, record, fresh) : clusterChance(random, record, fresh)
  walkAll(random => clusterOf(nodes.slice(0, 1 + random.below(4))), either, 18)
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
  assert.ok(record.devices.every(({ state }) => state !== "offline") && placed.every(mayGain), what)
  assert.equal(layoutOf(record.layout).width, Math.min(shardCount(record.policy), placed.length), what)
  for (const { replicas, learners } of record.tablets) {
    assert.equal(replicas.length, Math.min(record.metaCopies, placed.length), what)
    assert.deepEqual(learners, [], what)
  }
}
