import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { pathToFileURL } from "node:url"
import { withFolder } from "../harness/folders.js"
import { ROOT } from "../harness/server.js"

interface Manifest {
  readonly name?: string
  readonly version?: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
}
interface Manifests {
  manifestProblems(
    manifests: ReadonlyMap<string, Manifest>,
    root: Manifest,
    sources: ReadonlyMap<string, string>,
  ): string[]
}
interface Packages {
  packageNames(): string[]
  closureOf(name: string): ReadonlySet<string>
  withRelativeImports(text: string, path: string): string
}
interface Rules {
  readonly LAYERS: Readonly<Record<string, readonly string[]>>
}

const tool = async <Tool>(path: string): Promise<Tool> => (await import(pathToFileURL(join(ROOT, path)).href)) as Tool
const { manifestProblems } = await tool<Manifests>("tools/layers/manifests.mjs")
const { packageNames, closureOf, withRelativeImports } = await tool<Packages>("tools/packages.mjs")

const SCOPE = "@hayloft"
const ROOT_MANIFEST = { version: "1.0.0", dependencies: { pg: "8.0.0" } }
const manifest = (name: string, lists: Manifest = {}) => ({ name: `${SCOPE}/${name}`, version: "1.0.0", ...lists })

const problemsOf = (base: Manifest, engine: Manifest, sources: Readonly<Record<string, string>>): string =>
  manifestProblems(
    new Map([
      ["base", manifest("base", base)],
      ["engine", manifest("engine", engine)],
    ]),
    ROOT_MANIFEST,
    new Map(Object.entries(sources)),
  ).join("\n")

const SOURCES = {
  "packages/base/src/a.ts": "export const a = 1",
  "packages/base/src/a.test.ts": `import { b } from "${SCOPE}/engine/b.js"\nimport { fc } from "fast-check"`,
  "packages/engine/src/b.ts": `import { a } from "${SCOPE}/base/a.js"\nimport pg from "pg"\nexport const b = a`,
}
const BASE = { devDependencies: { [`${SCOPE}/engine`]: "*" } }
const ENGINE = { dependencies: { [`${SCOPE}/base`]: "*", pg: "8.0.0" } }

test("a package names what its files import, in the version of the product; its tests may import upwards", () => {
  assert.equal(problemsOf(BASE, ENGINE, SOURCES), "")
})

test("a package that names too little, too much, another version or itself through others is a problem", () => {
  const [own, npm] = [{ [`${SCOPE}/base`]: "*" }, { pg: "8.0.0" }]
  assert.match(problemsOf(BASE, { dependencies: own }, SOURCES), /engine\/package\.json: pg, .* is missing in dep/)
  assert.match(problemsOf(BASE, { dependencies: npm }, SOURCES), /@hayloft\/base, .* is missing in dependencies/)
  assert.match(problemsOf({}, ENGINE, SOURCES), /@hayloft\/engine, .* is missing in devDependencies/)
  const more = { dependencies: { ...own, ...npm, zod: "4.0.0" } }
  assert.match(problemsOf(BASE, more, SOURCES), /no file imports zod/)
  assert.match(problemsOf(BASE, { dependencies: own }, SOURCES), /^package\.json: no package names pg/)
  assert.match(problemsOf(BASE, { dependencies: { ...own, pg: "9.0.0" } }, SOURCES), /pg has another version/)
  const up = { "packages/base/src/c.ts": `import { b } from "${SCOPE}/engine/b.js"\nexport const c = b` }
  const circle = { dependencies: { [`${SCOPE}/engine`]: "*" } }
  assert.match(problemsOf(circle, ENGINE, { ...SOURCES, ...up }), /packages\/base depends on itself/)
})

test("the build replaces names of packages in statements, and not in texts", () => {
  const path = "packages/engine/src/volume/x.js"
  const from = (name: string, path: string): string => `"${SCOPE}/${name}/${path}"`
  const text = [
    `import { a } from ${from("base", "a.js")};`,
    `} from ${from("engine", "block/index.js")};`,
    `export * from ${from("base", "b.js")};`,
    `import ${from("base", "c.js")};`,
    `const d = await import(${from("base", "d.js")});`,
    `const e = await import(`,
    `  /* said */ ${from("base", "e.js")});`,
    `const f = await import(\`${SCOPE}/base/f.js\`);`,
    `  from ${from("base", "g.js")};`,
    `const text = 'import { a } from ${from("base", "a.js")}';`,
  ]
  assert.deepEqual(withRelativeImports(text.join("\n"), path).split("\n"), [
    `import { a } from "../../../base/src/a.js";`,
    `} from "../block/index.js";`,
    `export * from "../../../base/src/b.js";`,
    `import "../../../base/src/c.js";`,
    `const d = await import("../../../base/src/d.js");`,
    `const e = await import(`,
    `  /* said */ "../../../base/src/e.js");`,
    `const f = await import("../../../base/src/f.js");`,
    `  from "../../../base/src/g.js";`,
    text.at(-1),
  ])
})

test("each package has a page that lists its modules", async () => {
  const { LAYERS } = await tool<Rules>("tools/layers/rules.mjs")
  for (const name of packageNames()) {
    const page = readFileSync(join(ROOT, "packages", name, "README.md"), "utf8")
    for (const module of Object.keys(LAYERS).filter(each => each.startsWith(`${name}/`)))
      assert.ok(page.includes(`\`${module.replace("/", "/src/").slice(name.length + 1)}\``), `${name}: ${module}`)
  }
})

test("npm refuses to install with another version of itself than the product names", { timeout: 300_000 }, () =>
  withFolder(folder => {
    cpSync(join(ROOT, ".npmrc"), join(folder, ".npmrc"))
    const refusalOf = (npm: string): string => {
      writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "x", version: "1.0.0", engines: { npm } }))
      return spawnSync("npm", ["install", "--offline", "--no-audit", "--loglevel=error"], {
        cwd: folder,
        encoding: "utf8",
      }).stderr
    }
    assert.doesNotMatch(refusalOf(">=1.0.0"), /EBADENGINE/)
    assert.match(refusalOf(">=99.0.0"), /EBADENGINE/)
    return Promise.resolve()
  }),
)

test("a package is built and tested without those that it does not need", { timeout: 300_000 }, () =>
  withFolder(folder => {
    const needed = closureOf("engine")
    assert.deepEqual([...needed].sort(), ["base", "engine"])
    mkdirSync(join(folder, "packages"))
    for (const each of ["package.json", "package-lock.json", "tsconfig.json", "tools"])
      cpSync(join(ROOT, each), join(folder, each), { recursive: true })
    for (const name of needed) cpSync(join(ROOT, "packages", name), join(folder, "packages", name), { recursive: true })
    symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"))
    const args = ["test", "--silent", "-w", "packages/engine", "--", "erasure/"]
    const { stdout, status } = spawnSync("npm", args, { cwd: folder, encoding: "utf8" })
    assert.match(stdout, /^[1-9]\d* passed, 0 failed$/m)
    assert.equal(status, 0, stdout)
    assert.deepEqual(readdirSync(join(folder, "dist")), ["packages"])
    assert.ok(!existsSync(join(folder, "dist/bundle")))
    return Promise.resolve()
  }),
)
