/** A bundle behaves like its files; a cache of another bundle is not used. */
import assert from "node:assert/strict"
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { createRequire, isBuiltin } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { after, test } from "node:test"
import { fileURLToPath, pathToFileURL } from "node:url"
import { runProcess } from "@hayloft/cli/testing-process.js"

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../../..")
const MAIN = new Map([["packages/main.js", "main.cjs"]])

interface BundleTool {
  joinFiles(dist: string, entries: ReadonlyMap<string, string>): Promise<void>
  removeOldCaches(folder: string, mark: string): void
}
interface Starter {
  startBundle(file: string): () => { path: string; bytes: Uint8Array }
}

interface EnsureTool {
  installation(of: { readonly dev: boolean; readonly hasPackages: boolean }): readonly string[]
  wantsAll(dev: boolean, lastKind: string | undefined): boolean
}

const { installation, wantsAll } = (await import(pathToFileURL(join(ROOT, "tools/ensure.mjs")).href)) as EnsureTool
const { joinFiles, removeOldCaches } = (await import(pathToFileURL(join(ROOT, "tools/bundle.mjs")).href)) as BundleTool
const { startBundle } = createRequire(import.meta.url)(join(ROOT, "bin/start-bundle.cjs")) as Starter
const work = mkdtempSync(join(tmpdir(), "hayloft-bundle-"))

after(() => rmSync(work, { recursive: true }))

/** Joins files below dist/packages of a new folder; returns the folder. */
async function joined(name: string, files: Readonly<Record<string, string>>, entries = MAIN): Promise<string> {
  const root = join(work, name)
  for (const [path, text] of Object.entries(files)) {
    const file = join(root, "dist/packages", path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
  }
  await joinFiles(join(root, "dist"), entries)
  return root
}

/** The output of the bundle of a folder. */
async function outputOf(root: string): Promise<string> {
  const { code, out, error } = await runProcess(process.execPath, [join(root, "dist/bundle/main.cjs")])
  assert.equal(code, 0, error)
  return out.toString("utf8")
}

test("every form of import and export keeps its meaning", async () => {
  const root = await joined("forms", {
    "main.js": [
      `import { sep as slash } from "node:path"`,
      `import * as path from "node:path"`,
      `import { a, twice as doubled, Thing, second, sum } from "./room/index.js"`,
      `const { later } = await0(import("./later.js"))`,
      `function await0(promise) { promise.then(({ later }) => process.stdout.write(later)); return {} }`,
      "const text = `\nexport a=\nimport b\n`",
      `process.stdout.write([slash === path.sep, a, doubled(4), new Thing().name, second, sum(1, 2), text].join("|"))`,
    ].join("\n"),
    "room/index.js": `export * from "./a.js"\nexport { two as second } from "./b.js"`,
    "room/a.js": [
      `import { two } from "./b.js"`,
      `export const a = "caf\u00e9 \u{1f600}"`,
      `export function twice(n) { return two * n }`,
      `export class Thing { name = "thing" }`,
      `const sum0 = (x, y) => x + y`,
      `export { sum0 as sum }`,
    ].join("\n"),
    "room/b.js": `export const two = 2`,
    "later.js": `import { two } from "./room/b.js"\nexport const later = "; later " + two`,
  })
  assert.equal(await outputOf(root), "true|caf\u00e9 \u{1f600}|8|thing|2|3|\nexport a=\nimport b\n; later 2")
})

test("a file runs once, when it is first needed, and after what it imports", async () => {
  const root = await joined("order", {
    "main.js": `import "./a.js"\nimport "./b.js"\nprocess.stdout.write("main ")\nimport("./never.js").then(() => 0, () => 0)`,
    "a.js": `import "./b.js"\nprocess.stdout.write("a ")`,
    "b.js": `process.stdout.write("b ")`,
    "never.js": `process.stdout.write("later")`,
  })
  assert.equal(await outputOf(root), "b a main later")
})

test("a file knows its own place, and threads begin in bundles of their own", async () => {
  const entries = new Map([
    ["packages/room/thread.js", "thread.cjs"],
    ["packages/main.js", "main.cjs"],
  ])
  const root = await joined(
    "places",
    {
      "main.js": `import { begin } from "./room/begin.js"\nbegin()`,
      "room/begin.js": [
        `import { Worker } from "node:worker_threads"`,
        `export function begin() {`,
        `  process.stdout.write(new URL("../../../package.json", import.meta.url).pathname + " ")`,
        `  new Worker(new URL("./thread.js", import.meta.url))`,
        `}`,
      ].join("\n"),
      "room/thread.js": `process.stdout.write("thread of " + import.meta.url)`,
    },
    entries,
  )
  rmSync(join(root, "dist/packages"), { recursive: true })
  const url = pathToFileURL(join(root, "dist/packages/room/thread.js")).href
  assert.equal(await outputOf(root), `${join(root, "package.json")} thread of ${url}`)
})

test("a cache is used for its own bundle, and ignored for any other", async () => {
  const said: string[] = []
  Object.assign(globalThis, { outputOfBundles: said })
  const file = join(
    await joined("cache", { "main.js": `globalThis.outputOfBundles.push("old")` }),
    "dist/bundle/main.cjs",
  )
  const { path, bytes } = startBundle(file)()
  writeFileSync(path, bytes)
  startBundle(file)
  // Has the length of the old one: V8 compares only the length.
  await joined("cache", { "main.js": `globalThis.outputOfBundles.push("new")` })
  startBundle(file)
  writeFileSync(path, Buffer.concat([readFileSync(file).subarray(3, 67), Buffer.from("damaged")]))
  startBundle(file)
  assert.deepEqual(said, ["old", "old", "new", "new"])
})

test("a bundle that is made again, and is the same, keeps the caches that there are of it", () => {
  const folder = mkdtempSync(join(work, "kept-"))
  const [mark, other] = ["a".repeat(64), "b".repeat(64)]
  for (const [name, of] of [
    ["main.cjs.1.cache", mark],
    ["main.cjs.2.cache", mark],
    ["main.cjs.3.cache", other],
  ] as const)
    writeFileSync(join(folder, name), `${of}code`)
  writeFileSync(join(folder, "main.cjs"), "")
  removeOldCaches(folder, mark)
  assert.deepEqual(readdirSync(folder).sort(), ["main.cjs", "main.cjs.1.cache", "main.cjs.2.cache"])
})

test("each set of V8's flags has a cache of its own, beside those of others", async () => {
  const file = join(await joined("flags", { "main.js": `globalThis.isStarted = true` }), "dist/bundle/main.cjs")
  const [starter, bundle] = [join(ROOT, "bin/start-bundle.cjs"), file].map(path => JSON.stringify(path))
  const make = `const { path, bytes } = require(${starter}).startBundle(${bundle})(); require("fs").writeFileSync(path, bytes)`
  const check = `require(${starter}).checkCache(${bundle})`
  for (const script of [make, check])
    for (const flags of [[], ["--interrupt-budget=1000000"]]) {
      const { code, error } = await runProcess(process.execPath, [...flags, "-e", script])
      assert.equal(code, 0, `${script} with ${flags.join(" ")}: ${error}`)
    }
})

test("the bundles of a server need no package: an installation may replace all of them while it runs", () => {
  const optional = /^(@opentelemetry\/.*|sharp|msgpackr-extract|pg-native)$/
  for (const name of readdirSync(join(ROOT, "dist/bundle")).filter(file => file.endsWith(".cjs"))) {
    const text = readFileSync(join(ROOT, "dist/bundle", name), "utf8")
    const required = [...text.matchAll(/\brequire\("([a-z@][\w@/.:-]*)"\)/g)].map(([, path]) => path ?? "")
    assert.deepEqual(
      required.filter(path => !isBuiltin(path) && !optional.test(path)),
      [],
      name,
    )
  }
})

test("an installation for tests beside a running store removes nothing", () => {
  const [word, ...options] = installation({ dev: true, hasPackages: true })
  assert.deepEqual([word, options], ["install", ["--no-save", "--include=dev"]])
  assert.equal(installation({ dev: true, hasPackages: false })[0], "ci", "a new checkout gets exactly the lockfile")
  assert.equal(installation({ dev: false, hasPackages: true })[0], "install")
  const kinds = [undefined, "production", "all"]
  assert.deepEqual(
    kinds.map(kind => wantsAll(false, kind)),
    [false, false, true],
    "a start after a change of the lockfile keeps what tests need",
  )
})

test("the command runs from its bundle if there is one, and otherwise from the single files", async () => {
  const root = join(work, "command")
  mkdirSync(join(root, "dist"), { recursive: true })
  cpSync(join(ROOT, "bin"), join(root, "bin"), { recursive: true })
  // Its own address and its packages are those of the checkout.
  symlinkSync(join(ROOT, "dist/packages"), join(root, "dist/packages"))
  const version = () => runProcess(process.execPath, [join(root, "bin/hayloft"), "version"])
  const plain = await version()
  assert.match(plain.out.toString("utf8"), /^hayloft \d/)
  mkdirSync(join(root, "dist/bundle"))
  writeFileSync(join(root, "dist/bundle/hayloft.cjs"), `process.stdout.write("from the bundle")`)
  assert.equal((await version()).out.toString("utf8"), "from the bundle")
})
