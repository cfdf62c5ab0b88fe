/** The safety of a store of hundreds of devices, compared with trying every set of a group's disks. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { DeviceId } from "../base/ids.js"
import { shardCount, shardsNeeded } from "../base/policy.js"
import { SimRandom } from "../seams/random/sim.js"
import { evaluateSafety, SafetyEvaluator, type SafetyInput } from "./safety-core.js"
import { randomState } from "./testing-safety.js"

/** Shards with a shared fate: the disk of each, and how many must remain. */
interface Fate {
  readonly disks: readonly string[]
  readonly needed: number
}

const isLost = ({ disks, needed }: Fate, failed: readonly string[]): boolean =>
  disks.filter(disk => !failed.includes(disk)).length < needed

/** How many arbitrary disks may fail, by trying every set of those that hold a shard; -1 if lost already. */
function losses(fate: Fate): number {
  const disks = [...new Set(fate.disks)]
  let fewest = disks.length + 1
  for (let bits = 0; bits < 2 ** disks.length; bits += 1) {
    const failed = disks.filter((_, i) => (bits & (1 << i)) !== 0)
    if (failed.length < fewest && isLost(fate, failed)) fewest = failed.length
  }
  return fewest - 1
}

/** Every group of the store, of blocks and of metadata. */
function* fatesOf(input: SafetyInput): Generator<Fate> {
  const { layout, previousLayout, metadata, misplacedGroups, policies, lacking } = input
  const devices = new Map(input.devices.map(device => [device.id, device]))
  const isHere = (id: DeviceId) => devices.has(id) && devices.get(id)?.state !== "offline"
  const has = (id: DeviceId | undefined, partition: number): id is DeviceId => {
    if (id === undefined || !isHere(id)) return false
    const flags = lacking.get(id)
    return flags === undefined ? devices.get(id)?.state !== "rebuilding" : flags[partition] === 0
  }
  const fate = (ids: readonly DeviceId[], needed: number): Fate => ({
    disks: ids.filter(isHere).map(id => devices.get(id)?.disk ?? assert.fail("every disk is known")),
    needed,
  })
  if (metadata) yield fate(metadata.replicas, 1)
  for (const { devices: ids, needed } of misplacedGroups) yield fate(ids, needed)
  for (const { policy, isNew } of policies) {
    const needed = shardsNeeded(policy)
    const isSince = previousLayout && (isNew === true || previousLayout.width < needed)
    for (let partition = 0; partition * layout.width < layout.table.length; partition += 1) {
      const holder = (of: typeof layout, slot: number) =>
        slot < of.width ? of.devices[of.table[partition * of.width + slot] ?? 0] : undefined
      const slots = Array.from({ length: Math.min(shardCount(policy), layout.width) }, (_, slot) => slot)
      const before = slots.flatMap(slot => {
        const to = holder(layout, slot)
        const from = holder(previousLayout ?? layout, slot)
        if (has(to, partition) && (to === from || lacking.has(to))) return [to]
        return has(from, partition) ? [from] : []
      })
      if (!isSince) yield fate(before, needed)
      const current = slots.flatMap(slot => holder(layout, slot) ?? [])
      if (previousLayout) yield fate(current, needed)
    }
  }
}

const ownDisks = (input: SafetyInput): SafetyInput => ({
  ...input,
  devices: input.devices.map(device => ({ ...device, disk: device.id })),
})

function check(input: SafetyInput, label: string): number {
  const safety = evaluateSafety(input)
  const fates = [...fatesOf(input)]
  const fewest = Math.min(...fates.map(losses))
  assert.equal(safety.now.disks, fewest, label)
  assert.equal(safety.now.devices, Math.min(...Array.from(fatesOf(ownDisks(input)), losses)), label)
  const readable = fates.filter(fate => !isLost(fate, []))
  const fatal = new Set(readable.flatMap(fate => fate.disks.filter(disk => isLost(fate, [disk]))))
  const critical = input.devices.filter(({ state, disk }) => state !== "offline" && fatal.has(disk ?? ""))
  assert.deepEqual(
    safety.critical,
    critical.map(({ id }) => id),
    label,
  )
  return fewest
}

for (const devices of [33, 200, 1000]) {
  test(`agrees with trying every set of disks on random stores of ${devices} devices`, () => {
    const random = new SimRandom(20261123 + devices)
    const seen = new Set<number>()
    for (let round = 0; round < 100; round += 1) {
      const input = randomState(random, { devices, width: 6, partitions: 1 + random.below(8), holders: 5 })
      seen.add(check(input, `round ${round}`))
    }
    for (const fewest of [-1, 0, 1]) assert.ok(seen.has(fewest), `no store that survives ${fewest}`)
  })
}

test("a reused evaluator sees shards that a device loses, in a store of 200 devices", () => {
  const random = new SimRandom(20261124)
  const evaluate = new SafetyEvaluator()
  for (let round = 0; round < 100; round += 1) {
    const input = randomState(random, { devices: 200, width: 6, partitions: 8, holders: 5 })
    assert.deepEqual(evaluate.evaluate(input), evaluateSafety(input), `round ${round}`)
    for (const flags of input.lacking.values()) flags[random.below(8)] = random.below(2)
    assert.deepEqual(evaluate.evaluate(input), evaluateSafety(input), `round ${round}, changed`)
  }
})
