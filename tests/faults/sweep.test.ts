/**
 * Single calls fail, and no acknowledged write is lost. The seed chooses the tested calls; `npm run faults` tests
 * all.
 */
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { runsOf, TEST_SEED } from "@hayloft/base/testing-seed.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { describeSite, sitesOf, sweepOne, sweeps, type Site, type SweepOptions } from "./sweep.js"
import { shown } from "./story.js"

const CALLS = runsOf(6)

test(`one of the calls fails, in ${CALLS} stories`, async () => {
  const all: (readonly [SweepOptions, Site])[] = []
  for (const options of sweeps(["EIO", "ENOSPC", "torn"], [1, 3]))
    for (const site of await sitesOf(options)) all.push([options, site])
  const random = new SimRandom(TEST_SEED)
  for (let i = 0; i < CALLS; i += 1) {
    const [options, site] = must(all[random.below(all.length)], "stories make calls")
    await sweepOne(options, site.nth).catch((error: unknown) => {
      throw new Error(`${describeSite(options, site)}: ${shown(error)}`, { cause: error })
    })
  }
})
