/**
 * One call in many fails, and no acknowledged write is lost. The seed chooses the tested calls; `npm run faults` tests
 * all.
 */
import { test } from "node:test"
import { TEST_SEED } from "../../src/base/testing-seed.js"
import { describeSite, sitesOf, sweepOne, sweeps, type EffectName } from "./sweep.js"
import { shown } from "./story.js"

/** One call in this many, over all sweeps together. */
const STRIDE = 83

for (const effect of ["EIO", "ENOSPC", "torn"] satisfies EffectName[]) {
  test(`one call in ${STRIDE} fails: ${effect}`, async () => {
    let at = TEST_SEED
    for (const options of sweeps([effect], [1, 3])) {
      for (const site of await sitesOf(options)) {
        at += 1
        if (at % STRIDE !== 0) continue
        await sweepOne(options, site.nth).catch((error: unknown) => {
          throw new Error(`${describeSite(options, site)}: ${shown(error)}`, { cause: error })
        })
      }
    }
  })
}
