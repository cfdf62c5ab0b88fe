/** `npm run mutation`: the cores that it mutates, and the tests that it runs against them. */
import assert from "node:assert/strict"
import { existsSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { test } from "node:test"
import { fileURLToPath, pathToFileURL } from "node:url"

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
