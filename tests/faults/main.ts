/**
 * `npm run faults -- [--part calls,rot,process] [--devices 1,3,4] …`: the long forms of the fault sweeps. Prints
 * broken promises, ends with the line `N passed, N failed`, and exits with 1 if anything failed.
 *
 *   calls    [--effects EIO,ENOSPC,torn,hung,late] [--stride N]: a story is played repeatedly, each time with a
 *            fault in another call to a disk
 *   rot      [--cases N] [--seed N] [--targets base,log]: places in real files are damaged, one at a time, and
 *            everything is read
 *   process  [--stride N]: the file calls of a real server fail one by one
 */
import { parseArgs } from "node:util"
import { sweepNative } from "./process.js"
import { describeFindings, sweepRot } from "./rot.js"
import { ROT_TARGETS, type RotSweep } from "./rot-plan.js"
import { missingForShim } from "./shim.js"
import { shown } from "./story.js"
import { describeSite, EFFECTS, sitesOf, sweepOne, sweeps, type EffectName } from "./sweep.js"

const { values } = parseArgs({
  options: {
    part: { type: "string", default: "calls,rot,process" },
    effects: { type: "string", default: Object.keys(EFFECTS).join() },
    devices: { type: "string", default: "1,3,4" },
    stride: { type: "string", default: "1" },
    cases: { type: "string", default: "1000" },
    seed: { type: "string", default: "1" },
    targets: { type: "string", default: ROT_TARGETS.join() },
  },
})
const devices = values.devices.split(",").map(Number)
const stride = Number(values.stride)

const say = (line: string): void => void process.stdout.write(`${line}\n`)
let total = 0
let failed = 0

function fault(what: string): void {
  failed += 1
  say(`not ok  ${what}`)
}

async function calls(): Promise<void> {
  const isEffect = (name: string): name is EffectName => name in EFFECTS
  let at = 0
  for (const options of sweeps(values.effects.split(",").filter(isEffect), devices)) {
    const before = { total, failed }
    for (const site of await sitesOf(options)) {
      at += 1
      if (at % stride !== 0) continue
      total += 1
      await sweepOne(options, site.nth).catch((error: unknown) =>
        fault(`${describeSite(options, site)}\n        ${shown(error).split("\n")[0]}`),
      )
    }
    const { bay, calls: kinds, effect, when } = options
    const count = `${total - before.total} calls, ${failed - before.failed} failed`
    say(`${effect} in ${kinds} of the ${when} on ${bay} of ${options.devices}: ${count}`)
  }
}

async function rot(): Promise<void> {
  const [seed, cases] = [Number(values.seed), Number(values.cases)]
  // Each case at rest needs a start; damage under a running store needs only a read.
  const targets = ROT_TARGETS.filter(target => values.targets.split(",").includes(target))
  const all = targets.flatMap((target): RotSweep[] => [
    { mode: "running", target, seed, count: cases },
    { mode: "rest", target, seed, count: Math.ceil(cases / 5) },
  ])
  for (const count of devices) {
    await sweepRot(count, all, ({ mode, target }, findings) => {
      total += findings.cases
      for (const wrong of findings.wrong) fault(wrong)
      for (const absent of findings.absent) fault(absent)
      say(`${target} rots (${mode}) on ${count}: ${describeFindings(findings)}`)
    })
  }
}

async function native(): Promise<void> {
  const missing = await missingForShim()
  if (missing !== undefined) return say(`skipped: the process part needs LD_PRELOAD and cc: ${missing}`)
  for await (const { what, outcome } of sweepNative(stride)) {
    total += 1
    for (const wrong of outcome.wrong) fault(`${what}: ${wrong}`)
    say(`${what}: ${outcome.acknowledged} acknowledged, ${outcome.refused} refused`)
  }
}

const PARTS: Readonly<Record<string, () => Promise<void>>> = { calls, rot, process: native }
for (const name of values.part.split(",")) {
  const part = PARTS[name]
  if (part === undefined) throw new Error(`no part "${name}"; there are: ${Object.keys(PARTS).join(", ")}`)
  await part()
}
say(`${total - failed} passed, ${failed} failed`)
process.exitCode = failed > 0 ? 1 : 0
