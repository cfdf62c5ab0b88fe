import assert from "node:assert/strict"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { test } from "node:test"
import { fileURLToPath, pathToFileURL } from "node:url"

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../../..")

interface Layers {
  readTree(
    root: string,
    allowedCycles?: readonly string[],
  ): { problems: string[]; dependencies: string[]; files: number }
}
interface Lists {
  deadRules(layers: Readonly<Record<string, readonly string[]>>, dependencies: readonly string[]): string[]
  exportProblems(unused: readonly string[]): string[]
}
interface Exports {
  unusedExports(sources: ReadonlyMap<string, string>, others?: string): string[]
}
interface Rules {
  LAYERS: Record<string, string[]>
  below(module: string): Set<string>
}

const tool = async <Tool>(path: string): Promise<Tool> => (await import(pathToFileURL(join(ROOT, path)).href)) as Tool

async function treeOf(files: Readonly<Record<string, string>>, allowedCycles: readonly string[] = []) {
  const root = mkdtempSync(join(tmpdir(), "hayloft-layers-"))
  try {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      writeFileSync(join(root, path), text)
    }
    return (await tool<Layers>("tools/layers.mjs")).readTree(root, allowedCycles)
  } finally {
    rmSync(root, { recursive: true })
  }
}

test("an empty tree is reported", async () => {
  const { problems } = await treeOf({})
  assert.match(problems.join(), /found to check/)
})

test("dependencies between modules are listed, types included; those of tests are not", async () => {
  const { problems, dependencies, files } = await treeOf({
    "src/base/a.ts": "export const a = 1",
    "src/device/index.ts": 'import { a } from "../base/a.js"\nexport { a }',
    "src/volume/v.ts": 'import type { a } from "../device/index.js"\nexport type X = typeof a',
    "src/volume/v.test.ts": 'import { S } from "../seams/clock/sim.js"\nS()',
  })
  assert.deepEqual(problems, [])
  assert.deepEqual(dependencies, ["device -> base", "volume -> device"])
  assert.equal(files, 4)
})

test("a forbidden dependency, a closed entry point and an unknown module are reported with their file", async () => {
  const { problems } = await treeOf({
    "src/base/a.ts": 'import { x } from "../seams/clock/real.js"\nx()',
    "src/volume/v.ts": 'const log = await import("../device/commit-log.js")\nlog.open()',
    "src/attic/x.ts": 'import { a } from "../base/a.js"\na()',
  })
  assert.equal(problems.length, 3)
  assert.match(problems.join("\n"), /src\/base\/a\.ts: base\/ may not import seams\//)
  assert.match(problems.join("\n"), /src\/volume\/v\.ts: import src\/device\/index\.ts/)
  assert.match(problems.join("\n"), /src\/attic\/ has no line in/)
})

test("a cycle of imports is reported, of types too unless its last import is listed", async () => {
  const values = await treeOf({
    "src/base/a.ts": 'import { b } from "./b.js"\nexport const a = b',
    "src/base/b.ts": 'export { c as b } from "./c.js"',
    "src/base/c.ts": 'import { a } from "./a.js"\nexport const c = a',
  })
  assert.match(
    values.problems.join(),
    /import cycle: src\/base\/a\.ts -> src\/base\/b\.ts -> src\/base\/c\.ts -> src\/base\/a\.ts/,
  )
  const types = {
    "src/base/a.ts": 'import { b } from "./b.js"\nexport const a = b',
    "src/base/b.ts": 'import type { a } from "./a.js"\nexport const b = (x: typeof a) => x',
  }
  const closing = "src/base/b.ts -> src/base/a.ts"
  assert.match((await treeOf(types)).problems.join(), /import cycle: src\/base\/a\.ts -> src\/base\/b\.ts/)
  assert.deepEqual((await treeOf(types, [closing])).problems, [])
})

test("a cycle that no longer exists must leave the list, and the list cannot allow a value import", async () => {
  const open = { "src/base/a.ts": "export const a = 1", "src/base/b.ts": 'export { a as b } from "./a.js"' }
  assert.match((await treeOf(open, ["src/base/b.ts -> src/base/a.ts"])).problems.join(), /well done: .* remove it/)
  assert.match((await treeOf(open, ["src/base/b.ts -> src/base/c.ts"])).problems.join(), /well done: .* remove it/)
  const closed = { ...open, "src/base/a.ts": 'import { b } from "./b.js"\nexport const a = b' }
  assert.match((await treeOf(closed, ["src/base/b.ts -> src/base/a.ts"])).problems.join(), /import cycle/)
})

test("the console runs code of base only, and takes types from the admin API", async () => {
  const files = (line: string) => ({
    "console/a.tsx": line,
    "src/admin/b.ts": "export const b = 1",
    "src/base/b.ts": "",
  })
  const problemsOf = async (line: string) => (await treeOf(files(line))).problems.join()
  assert.equal(await problemsOf('import type { b } from "../src/admin/b.js"'), "")
  assert.equal(await problemsOf('import "../src/base/b.js"'), "")
  assert.match(await problemsOf('import { b } from "../src/admin/b.js"'), /only types from admin/)
  assert.match(await problemsOf('import type { b } from "../src/node/index.js"'), /console\/ may not import node/)
})

test("the list of dependencies has no cycle and names only modules", async () => {
  const { LAYERS, below } = await tool<Rules>("tools/layers/rules.mjs")
  for (const [module, allowed] of Object.entries(LAYERS)) {
    assert.ok(module === "main" || !below(module).has(module), `${module} reaches itself`)
    for (const to of allowed) assert.ok(to === "*" || to in LAYERS, `${module} names ${to}`)
  }
})

test("an export that no other file imports is found, however the others are imported", async () => {
  const { unusedExports } = await tool<Exports>("tools/layers/exports.mjs")
  const sources = new Map([
    ["src/base/a.ts", "export const used = 1, alone = 2\nexport type Shape = 1\nexport class ForTools {}"],
    ["src/base/b.ts", "export function renamed() {}\nexport interface Left {}"],
    ["src/base/all.ts", "export const any = 1"],
    ["src/base/late.ts", "export const lateOne = 1"],
    ["src/base/index.ts", 'export * from "./a.js"\nexport { renamed as shown, type Left } from "./b.js"'],
    ["src/x/x.ts", 'import { used, type Shape, shown } from "../base/index.js"\nimport * as all from "../base/all.js"'],
    ["tests/x.test.ts", 'const { lateOne } = await import("../src/base/late.js")'],
  ])
  assert.deepEqual(unusedExports(sources, "new ForTools()"), ["src/base/a.ts alone", "src/base/index.ts Left"])
})

test("an unused export is a problem; so is a rule without a use", async () => {
  const { deadRules, exportProblems } = await tool<Lists>("tools/layers.mjs")
  assert.deepEqual(exportProblems([]), [])
  assert.match(exportProblems(["src/a/a.ts x"]).join(), /src\/a\/a\.ts: no other file imports x/)
  const layers = { main: ["*"], device: ["life", "base"], base: [] }
  assert.deepEqual(deadRules(layers, ["device -> base"]).length, 1)
  assert.match(deadRules(layers, ["device -> base"]).join(), /no file of device\/ imports life\//)
})
