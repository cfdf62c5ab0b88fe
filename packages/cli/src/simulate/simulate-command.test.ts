/** `hayloft simulate` on described layouts: no store is needed, problems are named, and results agree with the model. */
import assert from "node:assert/strict"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { SIMULATION } from "@hayloft/admin/index.js"
import { run } from "../program.js"
import { testIo } from "../testing-io.js"

let folder = ""
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-simulate-"))
})
after(() => rm(folder, { recursive: true }))

async function simulate(layout: unknown, ...args: readonly string[]) {
  const file = join(folder, "layout.json")
  await writeFile(file, typeof layout === "string" ? layout : JSON.stringify(layout))
  const { io, written } = testIo({ workingFolder: folder })
  const code = await run(["simulate", "--layout", "layout.json", ...args], io, new AbortController().signal)
  return { code, ...written }
}

/** V18 and V19: 60 disks of 16 TB. */
const SIXTY = {
  machines: [{ count: 5, devices: 12, deviceBytes: 16e12 }],
  assumptions: { repairShare: 0.2, fill: 0.8, diskBytesPerSecond: 150e6, networkBytesPerSecond: 2e9 },
}

async function outcomeOf(layout: unknown, policy: string) {
  const { code, out } = await simulate(layout, "--policy", policy, "--json")
  assert.equal(code, 0)
  const [outcome] = SIMULATION.parse(JSON.parse(out)).outcomes
  assert.ok(outcome !== undefined && "scheme" in outcome, JSON.stringify(outcome))
  return outcome
}

test("a described layout: rebuild by bandwidth, durability of one group and of all, space, as the vectors say", async () => {
  const { repair, durability, space, monteCarlo, failedTogether } = await outcomeOf(SIXTY, "ec:10+4")
  assert.ok(Math.abs(repair.hours - 22.3466729) < 1e-6)
  assert.ok(Math.abs(durability.group.years * 8760 * 1e-19 - 2.62220226) < 1e-6)
  assert.ok(Math.abs(space.usableBytes / (960e12 * 0.8 * 0.99 * (10 / 14)) - 1) < 1e-9)
  assert.ok(Math.abs(monteCarlo.years - durability.group.years) <= 3 * monteCarlo.standardErrorYears)
  assert.equal(failedTogether[3]?.lossChance, 0)
  assert.ok((failedTogether[4]?.lossChance ?? 0) > 0.9)
})

test("zones: their loss counts where they are named, and decides for policies that do not survive it", async () => {
  const zones = ["a", "b", "c"].map(zone => ({ zone, count: 4, devices: 5, deviceBytes: 16e12 }))
  const spread = await outcomeOf({ ...SIXTY, machines: zones }, "replica:3")
  assert.deepEqual(spread.zones, { shardsPerZone: [1, 1, 1], zonesTolerated: 2, machinesTolerated: 2 })
  const wide = await outcomeOf({ ...SIXTY, machines: zones }, "ec:8+3")
  assert.deepEqual(wide.zones.shardsPerZone, [4, 4, 3])
  assert.equal(wide.zones.zonesTolerated, 0)
  assert.ok(wide.durability.byZones > 1000 * wide.durability.byDevices)
  const unnamed = await outcomeOf(SIXTY, "ec:8+3")
  assert.equal(unnamed.durability.byZones, 0)
})

test("during the rebuild of a zone, only the devices that are left count", async () => {
  const zones = ["a", "b", "c"].map(zone => ({ zone, count: 4, devices: 5, deviceBytes: 16e12 }))
  const { durability } = await outcomeOf({ ...SIXTY, machines: zones }, "ec:4+2")
  // Any of 40 devices that fails within 168 hours, three zones with a loss in 1,000 years each.
  const expected = 3 * 0.001 * (1 - Math.exp((-40 * 168 * -Math.log1p(-0.015)) / 8760))
  assert.ok(Math.abs(durability.byZoneAndDevices / expected - 1) < 1e-9)
})

test("policies side by side, as a table and as a chart with its values as text; limits are stated", async () => {
  const { code, out } = await simulate(SIXTY, "--svg", "chart.svg")
  assert.equal(code, 0)
  for (const policy of ["replica:3", "ec:4+2", "ec:8+3", "ec:10+4", "garage:3", "minio:11+4"])
    assert.match(out, new RegExp(`^${policy.replace("+", "\\+")} `, "m"))
  assert.match(out, /^No software error, operator error/m)
  assert.match(out, /no zones named/)
  const svg = await readFile(join(folder, "chart.svg"), "utf8")
  assert.match(svg, /^<svg [^>]*role="img"/)
  assert.match(svg, /<title>Durability; Space; Repair; /)
  assert.match(svg, /<desc>[^<]*ec:4\+2 1\.5,/)
  assert.match(svg, /prefers-color-scheme:dark/)
  assert.doesNotMatch(svg, /NaN|undefined|Infinity/)
})

test("a policy that the layout cannot have is named with the reason, beside those that it can", async () => {
  const small = { machines: [{ devices: 4, deviceBytes: 1e12 }] }
  const { code, out } = await simulate(small, "--policy", "ec:8+3", "--policy", "replica:2", "--policy", "raid6")
  assert.equal(code, 0)
  assert.match(out, /^ec:8\+3: needs 11 devices; the layout has 4$/m)
  assert.match(out, /^raid6: not a redundancy: "raid6"/m)
  assert.match(out, /^replica:2 /m)
})

test("every problem of a file is named with its place", async () => {
  const wrong = { machines: [{ devices: 0, deviceBytes: 1e12, disk: 1 }], assumptions: { annualFailureRate: 2 }, x: 1 }
  const { code, error } = await simulate(wrong)
  assert.equal(code, 2)
  assert.match(error, /^hayloft: layout\.json: 4 problems: /)
  for (const problem of [/machines\.0\.devices: /, /machines\.0: .*"disk"/, /assumptions\.annualFailureRate: /, /"x"/])
    assert.match(error, problem)
  assert.match((await simulate("{")).error, /layout\.json is not JSON: /)
  assert.doesNotMatch((await simulate("{")).error, / at JSON\.parse/)
  assert.match((await simulate([])).error, /must be one JSON object/)
  assert.match((await simulate({})).error, /has no machines: add them, or --present/)
  assert.match((await simulate(SIXTY, "--present")).error, /has machines: leave out --present/)
  const many = { machines: [{ count: 8192, devices: 2, deviceBytes: 1 }] }
  assert.match((await simulate(many)).error, /at most 8192 devices/)
})

test("the same seed prints the same, another one other random runs", async () => {
  const of = async (seed: string) => (await simulate(SIXTY, "--seed", seed)).out
  assert.equal(await of("7"), await of("7"))
  assert.notEqual(await of("7"), await of("8"))
})

test("without a layout, the command says what it needs", async () => {
  const { io, written } = testIo()
  assert.equal(await run(["simulate"], io, new AbortController().signal), 2)
  assert.match(written.error, /--layout FILE.*--present/)
})
