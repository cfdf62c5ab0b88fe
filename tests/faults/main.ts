/**
 * `npm run faults -- [--effects EIO,ENOSPC,torn,hung,late] [--devices 1,3,4] [--stride N]`: tells a story
 * again and again, each time with another call to a disk going wrong. Prints each call after which something
 * was not as promised, and ends with 1 if there was one.
 */
import { parseArgs } from "node:util"
import { shown } from "./story.js"
import { describeSite, EFFECTS, sitesOf, sweepOne, sweeps, type EffectName } from "./sweep.js"

const { values } = parseArgs({
  options: {
    effects: { type: "string", default: Object.keys(EFFECTS).join() },
    devices: { type: "string", default: "1,3,4" },
    stride: { type: "string", default: "1" },
  },
})

const isEffect = (name: string): name is EffectName => name in EFFECTS
const effects = values.effects.split(",").filter(isEffect)
const stride = Number(values.stride)

let told = 0
let failed = 0
let at = 0
for (const options of sweeps(effects, values.devices.split(",").map(Number))) {
  const before = { told, failed }
  for (const site of await sitesOf(options)) {
    at += 1
    if (at % stride !== 0) continue
    told += 1
    await sweepOne(options, site.nth).catch((error: unknown) => {
      failed += 1
      process.stdout.write(`not ok  ${describeSite(options, site)}\n        ${shown(error).split("\n")[0]}\n`)
    })
  }
  const { devices, bay, calls, effect, when } = options
  const count = `${told - before.told} calls, ${failed - before.failed} failed`
  process.stdout.write(`${effect} in ${calls} of the ${when} on ${bay} of ${devices}: ${count}\n`)
}
process.stdout.write(`${told - failed} passed, ${failed} failed\n`)
process.exitCode = failed > 0 ? 1 : 0
