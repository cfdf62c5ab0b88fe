/** `npm run mutation`: the cores that it mutates, and the tests that it runs against them. */
import assert from "node:assert/strict"
import { existsSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { test } from "node:test"
import { fileURLToPath, pathToFileURL } from "node:url"
import { runOk } from "../harness/commands.js"

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../../..")

interface Mutation {
  coreModules(words: readonly string[]): { module: string; cores: string[]; tests: string[] }[]
}
interface Config {
  killedPercentMin: number
  coresLeftOut: Record<string, string>
  testsLeftOut: Record<string, string>
}

const tool = (await import(pathToFileURL(join(ROOT, "tools/mutation/cores.mjs")).href)) as Mutation
const config = JSON.parse(readFileSync(join(ROOT, "tools/mutation/cores.json"), "utf8")) as Config

test("a word chooses cores by their path; their tests are the pure ones of the module, those of cores first", () => {
  const [tablet, volume, ...others] = tool.coreModules(["tablet/", "volume/compaction-core"])
  assert.deepEqual(others, [])
  assert.equal(tablet?.module, "engine/tablet")
  const cores = ["comparison-core", "openings-core", "primary-core", "timestamps-core"]
  assert.deepEqual(
    tablet.cores,
    cores.map(name => `packages/engine/src/tablet/${name}.ts`),
  )
  assert.ok(tablet.tests.includes("packages/engine/src/tablet/primary-core.test.ts"))
  assert.ok(!tablet.tests.includes("packages/engine/src/tablet/replica.test.ts"), "it imports no core")
  assert.deepEqual(volume?.cores, ["packages/engine/src/volume/compaction-core.ts"])
  assert.equal(volume.tests[0], "packages/engine/src/volume/compaction-core.test.ts")
  assert.ok(!volume.tests.includes("packages/engine/src/volume/compaction.test.ts"), "it uses real folders")
  assert.deepEqual(tool.coreModules(["no such core"]), [])
})

test("the bound is 85 %, and each excluded file exists and has a reason", () => {
  assert.equal(config.killedPercentMin, 85)
  for (const [path, reason] of Object.entries({ ...config.coresLeftOut, ...config.testsLeftOut })) {
    assert.ok(existsSync(join(ROOT, path)), path)
    assert.ok(reason.length > 20, path)
  }
})

test("the tests of all cores can be run in the runner, which does not wait for a file while it is evaluated", async () => {
  const { transform } = await import("esbuild")
  const paths = tool.coreModules([]).flatMap(({ tests }) => tests)
  assert.ok(paths.length > 100)
  for (const path of paths)
    await transform(readFileSync(join(ROOT, path), "utf8"), {
      loader: "ts",
      format: "cjs",
      sourcefile: path,
      logLevel: "silent",
    })
})

/** Prints the outcomes of the tests of a core that is not mutated. The runner has a process of its own, as with Stryker. */
const DRY_RUN = `
  const { strykerPlugins } = await import("./tools/mutation/runner.mjs")
  const { coreModules } = await import("./tools/mutation/cores.mjs")
  const [{ cores, tests }] = coreModules(["identities/identity-commands-core"])
  const runner = new strykerPlugins[0].injectableClass({ hayloft: { cores, tests: tests.slice(0, 1) } })
  await runner.init()
  const { tests: outcomes } = await runner.dryRun()
  console.log(JSON.stringify(outcomes.map(({ name, failureMessage }) => failureMessage ?? name)))`

test("tests of a core pass in the runner, also those that use CommonJS packages", async () => {
  const printed = await runOk(process.execPath, ["--input-type=module", "-e", DRY_RUN], { cwd: ROOT })
  const outcomes = JSON.parse(printed) as readonly string[]
  assert.ok(outcomes.length > 5)
  for (const outcome of outcomes.slice(1)) assert.match(outcome, /^packages\/access\/src\/[\w/-]+\.test\.ts: /)
})
