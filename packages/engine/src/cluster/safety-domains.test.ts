/** Tests of whether any machine and any zone may fail, compared with trying each one, and every set of them. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parsePolicy, shardCount, shardsNeeded } from "@hayloft/base/policy.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { layoutOf } from "./record-layout-core.js"
import { evaluateSafety, SafetyEvaluator, type SafetyDevice, type SafetyInput } from "./safety-core.js"
import type { DomainSafety } from "./safety-domains-core.js"
import { fatesOf, isLost, losses } from "./testing-fates.js"
import { clusterOf } from "./testing-records.js"
import { randomState } from "./testing-safety.js"

const zoneName = ({ zone = "" }: SafetyDevice): string => zone
const machineName = ({ zone, machine = "" }: SafetyDevice): string =>
  zone === undefined ? machine : `${zone}/${machine}`
const diskName = ({ id, zone = "", machine, disk }: SafetyDevice): string => `${zone}/${machine}/${disk ?? id}`

/** The same store without homes; devices of one name fail together. */
const asDisks = (input: SafetyInput, nameOf: (device: SafetyDevice) => string): SafetyInput => ({
  ...input,
  devices: input.devices.map(device => ({ id: device.id, state: device.state, disk: nameOf(device) })),
})

const whole = (input: SafetyInput): SafetyInput => ({
  ...input,
  devices: input.devices.map(device => ({ ...device, state: "active" })),
  previousLayout: undefined,
  policies: input.policies.filter(({ isDecommissioning }) => !isDecommissioning),
  lacking: new Map(),
  misplacedGroups: [],
})

const fewestOf = (input: SafetyInput): number => Math.min(...Array.from(fatesOf(input), losses))

function checkLevel(safety: DomainSafety, input: SafetyInput, label: string): void {
  const names = [...new Set(input.devices.map(({ disk }) => disk ?? ""))]
  const fates = [...fatesOf(input)]
  assert.equal(safety.count, names.length, label)
  assert.equal(safety.now, fewestOf(input), label)
  const anyMayFail = names.every(name => fates.every(fate => !isLost(fate, [name])))
  assert.equal(safety.now >= 1, anyMayFail, label)
  const readable = fates.filter(fate => !isLost(fate, []))
  const critical = names.filter(name => readable.some(fate => isLost(fate, [name])))
  assert.deepEqual([...safety.critical].sort(), critical.sort(), label)
  if (input.metadata !== undefined) return
  const complete = whole(input)
  assert.equal(safety.whole, fewestOf(complete), label)
  assert.equal(safety.crowded !== undefined, safety.whole < 1, label)
  if (safety.crowded === undefined) return
  const { policy, shards, spare } = safety.crowded
  const most = Array.from(fatesOf({ ...complete, policies: [{ policy, bytes: 0, isDecommissioning: false }] }), fate =>
    Math.max(...names.map(name => fate.disks.filter(disk => disk === name).length)),
  )
  assert.equal(shards, Math.max(...most), label)
  assert.equal(spare, Math.min(shardCount(policy), input.layout.width) - shardsNeeded(policy), label)
}

function withHomes(random: SimRandom, input: SafetyInput): SafetyInput {
  const [zones, machines, isZoned] = [1 + random.below(5), 1 + random.below(12), random.below(5) > 0]
  const devices = input.devices.map((device): SafetyDevice => {
    const zone = isZoned && random.below(12) > 0 ? { zone: `z${random.below(zones)}` } : {}
    const disk = random.below(3) === 0 ? device.disk : undefined
    return { ...device, disk, ...zone, machine: `m${random.below(machines)}` }
  })
  const isInDatabase = random.below(2) === 0
  return { ...input, devices, ...(isInDatabase && { metadata: undefined }) }
}

for (const devices of [6, 30, 300]) {
  test(`agrees with trying every machine and every zone on random stores of ${devices} devices`, () => {
    const random = new SimRandom(20261125 + devices)
    const seen = new Set<string>()
    for (let round = 0; round < 150; round += 1) {
      const size = { devices, width: 6, partitions: 1 + random.below(8), holders: 5 }
      const input = withHomes(random, randomState(random, size))
      const safety = evaluateSafety(input)
      const label = `round ${round}`
      const { machines, zones } = safety
      checkLevel(machines ?? assert.fail(), asDisks(input, machineName), `${label}, machines`)
      assert.equal(
        zones === undefined,
        input.devices.every(({ zone }) => zone === undefined),
      )
      if (zones !== undefined) checkLevel(zones, asDisks(input, zoneName), `${label}, zones`)
      const { now, critical, levels, riskiest } = evaluateSafety(asDisks(input, diskName))
      const { now: nowAtHome, critical: criticalAtHome, levels: levelsAtHome, riskiest: riskiestAtHome } = safety
      assert.deepEqual(
        [nowAtHome, criticalAtHome, levelsAtHome, riskiestAtHome],
        [now, critical, levels, riskiest],
        label,
      )
      for (const level of [machines, zones]) seen.add(`${level?.now}`)
    }
    for (const now of ["-1", "0", "1"]) assert.ok(seen.has(now), `no store with a level that survives ${now}`)
  })
}

test("a reused evaluator sees devices that change their homes", () => {
  const random = new SimRandom(20261126)
  const evaluator = new SafetyEvaluator()
  for (let round = 0; round < 50; round += 1) {
    const input = randomState(random, { devices: 20, width: 6, partitions: 8, holders: 5 })
    for (const homes of [withHomes(random, input), input, withHomes(random, input)]) {
      assert.deepEqual(evaluator.evaluate(homes), evaluateSafety(homes), `round ${round}`)
    }
  }
})

const safetyOf = (nodes: readonly string[], policy: string) => {
  const record = clusterOf(nodes, policy)
  return evaluateSafety({
    devices: record.devices.map(({ id, state, home }) => ({
      id,
      state,
      disk: undefined,
      ...(home && { machine: home.machine, ...(home.zone !== undefined && { zone: home.zone }) }),
    })),
    layout: layoutOf(record.layout),
    previousLayout: undefined,
    policies: [{ policy: record.policy, bytes: 0, isDecommissioning: false }],
    metadata: undefined,
    lacking: new Map(),
    misplacedGroups: [],
  })
}

test("three zones of ec:4+2 survive any zone; two zones do not, and the evaluation says why", () => {
  const three = safetyOf(["n1@a:3", "n2@b:3", "n3@c:3"], "ec:4+2")
  const all = { now: 1, whole: 1, critical: [] }
  assert.deepEqual(three.zones, { count: 3, ...all })
  assert.deepEqual(three.machines, { count: 3, ...all })
  assert.equal(three.opensWithout, 9, "no device votes")
  const two = safetyOf(["n1@a:3", "n2@b:3"], "ec:4+2")
  const crowded = { policy: parsePolicy("ec:4+2"), shards: 3, spare: 2 }
  assert.deepEqual(two.zones, { count: 2, now: 0, whole: 0, critical: ["a", "b"], crowded })
  assert.deepEqual(two.machines?.critical, ["a/n1", "b/n2"])
})
