/** The safety of a store of hundreds of devices, compared with trying every set of a group's disks. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { evaluateSafety, SafetyEvaluator, type SafetyInput } from "./safety-core.js"
import { fatesOf, isLost, losses } from "./testing-fates.js"
import { randomState } from "./testing-safety.js"

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
