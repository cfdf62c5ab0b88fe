/**
 * One call in many fails, and no acknowledged write is lost. The tested calls change from day to day; `npm run
 * faults` tests all.
 */
import { test } from "node:test"
import { describeSite, sitesOf, sweepOne, sweeps, type EffectName } from "./sweep.js"
import { shown } from "./story.js"

const DAY_MS = 24 * 3_600_000
/** One call in this many, over all sweeps together. */
const STRIDE = 83
const today = Math.floor(Date.now() / DAY_MS)

for (const effect of ["EIO", "ENOSPC", "torn"] satisfies EffectName[]) {
  test(`one call in ${STRIDE} fails: ${effect}`, async () => {
    let at = today
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
