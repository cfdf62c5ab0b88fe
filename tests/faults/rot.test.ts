/** Damages a few places of real files: no wrong byte is served. `npm run faults -- --part rot` damages many more. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { runsOf, TEST_SEED as seed } from "@hayloft/base/testing-seed.js"
import { sweepRot } from "./rot.js"
import { ROT_TARGETS, type RotSweep } from "./rot-plan.js"

const sweeps = ROT_TARGETS.flatMap((target): RotSweep[] => [
  { mode: "running", target, seed, count: runsOf(3) },
  { mode: "rest", target, seed, count: runsOf(1) },
])

for (const devices of [1, 3]) {
  test(`rot is never served, on ${devices} device(s)`, async () => {
    let cases = 0
    await sweepRot(devices, sweeps, ({ target }, findings) => {
      cases += findings.cases
      assert.deepEqual(findings.wrong, [])
      assert.deepEqual(findings.absent, [])
      // Metadata is read from another device.
      if (devices > 1 && target === "base") assert.deepEqual([...findings.refused], [])
    })
    assert.ok(cases > sweeps.length, `${cases} places were damaged`)
  })
}
