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
interface Names {
  nameProblems(sources: ReadonlyMap<string, string>, allowed: readonly string[]): string[]
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
    "packages/base/src/a.ts": "export const a = 1",
    "packages/engine/src/device/index.ts": 'import { a } from "@hayloft/base/a.js"\nexport { a }',
    "packages/engine/src/volume/v.ts": 'import type { a } from "../device/index.js"\nexport type X = typeof a',
    "packages/engine/src/volume/v.test.ts": 'import { S } from "@hayloft/base/seams/clock/sim.js"\nS()',
  })
  assert.deepEqual(problems, [])
  assert.deepEqual(dependencies, ["engine/device -> base", "engine/volume -> engine/device"])
  assert.equal(files, 4)
})

test("a forbidden dependency, a closed entry point and an unknown module are reported with their file", async () => {
  const { problems } = await treeOf({
    "packages/base/src/a.ts": 'import { x } from "./seams/clock/real.js"\nx()',
    "packages/engine/src/volume/v.ts": 'const log = await import("../device/commit-log.js")\nlog.open()',
    "packages/attic/src/x.ts": 'import { a } from "@hayloft/base/a.js"\na()',
  })
  assert.equal(problems.length, 3)
  assert.match(problems.join("\n"), /packages\/base\/src\/a\.ts: base\/ may not import base\/seams\//)
  assert.match(problems.join("\n"), /volume\/v\.ts: import index\.ts or contract\.ts of engine\/device\//)
  assert.match(problems.join("\n"), /attic\/ has no line in/)
})

test("a cycle of imports is reported, of types too unless its last import is listed", async () => {
  const values = await treeOf({
    "packages/base/src/a.ts": 'import { b } from "./b.js"\nexport const a = b',
    "packages/base/src/b.ts": 'export { c as b } from "./c.js"',
    "packages/base/src/c.ts": 'import { a } from "./a.js"\nexport const c = a',
  })
  assert.match(values.problems.join(), /import cycle: \S*\/a\.ts -> \S*\/b\.ts -> \S*\/c\.ts -> \S*\/a\.ts:/)
  const types = {
    "packages/base/src/a.ts": 'import { b } from "./b.js"\nexport const a = b',
    "packages/base/src/b.ts": 'import type { a } from "./a.js"\nexport const b = (x: typeof a) => x',
  }
  const closing = "packages/base/src/b.ts -> packages/base/src/a.ts"
  assert.match((await treeOf(types)).problems.join(), /import cycle: \S*\/a\.ts -> \S*\/b\.ts/)
  assert.deepEqual((await treeOf(types, [closing])).problems, [])
})

test("a cycle that no longer exists must leave the list, and the list cannot allow a value import", async () => {
  const open = {
    "packages/base/src/a.ts": "export const a = 1",
    "packages/base/src/b.ts": 'export { a as b } from "./a.js"',
  }
  assert.match(
    (await treeOf(open, ["packages/base/src/b.ts -> packages/base/src/a.ts"])).problems.join(),
    /well done: .* remove it/,
  )
  assert.match(
    (await treeOf(open, ["packages/base/src/b.ts -> packages/base/src/c.ts"])).problems.join(),
    /well done: .* remove it/,
  )
  const closed = { ...open, "packages/base/src/a.ts": 'import { b } from "./b.js"\nexport const a = b' }
  assert.match(
    (await treeOf(closed, ["packages/base/src/b.ts -> packages/base/src/a.ts"])).problems.join(),
    /import cycle/,
  )
})

test("the console runs code of base only, and takes types from the admin API", async () => {
  const files = (line: string) => ({
    "console/a.tsx": line,
    "packages/admin/src/b.ts": "export const b = 1",
    "packages/base/src/b.ts": "",
  })
  const problemsOf = async (line: string) => (await treeOf(files(line))).problems.join()
  assert.equal(await problemsOf('import type { b } from "../packages/admin/src/b.js"'), "")
  assert.equal(await problemsOf('import "../packages/base/src/b.js"'), "")
  assert.match(await problemsOf('import { b } from "../packages/admin/src/b.js"'), /only types from admin/)
  assert.match(
    await problemsOf('import type { b } from "../packages/node/src/index.js"'),
    /console\/ may not import node/,
  )
})

test("the list of dependencies has no cycle and names only modules", async () => {
  const { LAYERS, below } = await tool<Rules>("tools/layers/rules.mjs")
  for (const [module, allowed] of Object.entries(LAYERS)) {
    assert.ok(module === "server" || !below(module).has(module), `${module} reaches itself`)
    for (const to of allowed) assert.ok(to === "*" || to in LAYERS, `${module} names ${to}`)
  }
})

test("an export that no other file imports is found, however the others are imported", async () => {
  const { unusedExports } = await tool<Exports>("tools/layers/exports.mjs")
  const sources = new Map([
    ["packages/base/src/a.ts", "export const used = 1, alone = 2\nexport type Shape = 1\nexport class ForTools {}"],
    ["packages/base/src/b.ts", "export function renamed() {}\nexport interface Left {}"],
    ["packages/base/src/all.ts", "export const any = 1"],
    ["packages/base/src/late.ts", "export const lateOne = 1"],
    ["packages/base/src/index.ts", 'export * from "./a.js"\nexport { renamed as shown, type Left } from "./b.js"'],
    [
      "packages/x/src/x.ts",
      'import { used, type Shape, shown } from "@hayloft/base/index.js"\nimport * as all from "@hayloft/base/all.js"',
    ],
    ["tests/x.test.ts", 'const { lateOne } = await import("../packages/base/src/late.js")'],
  ])
  assert.deepEqual(unusedExports(sources, "new ForTools()"), [
    "packages/base/src/a.ts alone",
    "packages/base/src/index.ts Left",
  ])
})

test("an unused export is a problem; so is a rule without a use", async () => {
  const { deadRules, exportProblems } = await tool<Lists>("tools/layers.mjs")
  assert.deepEqual(exportProblems([]), [])
  assert.match(exportProblems(["packages/a/src/a.ts x"]).join(), /a\/src\/a\.ts: no other file imports x/)
  const layers = { main: ["*"], device: ["life", "base"], base: [] }
  assert.deepEqual(deadRules(layers, ["device -> base"]).length, 1)
  assert.match(deadRules(layers, ["device -> base"]).join(), /no file of device\/ imports life\//)
})

test("a type that another file exports by the same name is a problem, unless both are listed", async () => {
  const { nameProblems } = await tool<Names>("tools/layers/names.mjs")
  const sources = new Map([
    ["packages/base/src/a.ts", "export interface Place { readonly x: number }\nexport type Alone = 1\ntype Own = 1"],
    ["packages/engine/src/volume/b.ts", "export class Place {}\nexport type Own = 2"],
    ["packages/engine/src/volume/c.ts", 'export type { Place } from "./b.js"\ninterface Place {}'],
    ["packages/base/src/a.test.ts", "export type Alone = 2"],
    ["packages/base/src/testing-a.ts", "export type Alone = 2"],
    ["tests/a.ts", "export type Alone = 2"],
  ])
  const [first, second, ...others] = nameProblems(sources, [])
  assert.match(first ?? "", /^packages\/base\/src\/a\.ts: packages\/engine\S* exports a type Place, too/)
  assert.match(second ?? "", /^packages\/engine\/src\/volume\/b\.ts: packages\/base\S* exports a type Place, too/)
  assert.deepEqual(others, [])
  const listed = ["packages/base/src/a.ts Place", "packages/engine/src/volume/b.ts Place"]
  assert.deepEqual(nameProblems(sources, listed), [])
  assert.match(
    nameProblems(sources, [...listed, "packages/base/src/a.ts Alone"]).join(),
    /well done: .* Alone is unique/,
  )
})
