/** docs/reference/dependencies.md names every package, with what the installed package says of itself. */
import assert from "node:assert/strict"
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { ROOT } from "../harness/server.js"

const UNITS: Readonly<Record<string, number>> = { KiB: 1024, MiB: 1024 ** 2 }
/** Packages with programs differ between systems. */
const SIZE_FACTOR_MAX = 1.5

interface Description {
  readonly version: string
  readonly license: string
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
}
interface Locked {
  readonly version?: string
  readonly license?: string
  readonly dev?: boolean
  readonly devOptional?: boolean
  readonly optional?: boolean
  /** A package of this workspace. */
  readonly link?: boolean
}

const read = (...path: string[]): unknown => JSON.parse(readFileSync(join(ROOT, ...path), "utf8"))
const { dependencies, devDependencies } = read("package.json") as Description
/** The newer Node, which is not installed on every machine. */
const { dependencies: newNode } = read("tools/node-24/package.json") as Description
const NEW_NODE_MODULES = ".cache/node-24/node_modules"

/** The rows of a section's tables, by package. */
function rowsOf(heading: string): ReadonlyMap<string, readonly string[]> {
  const text = readFileSync(join(ROOT, "docs", "reference/dependencies.md"), "utf8")
  const section = text.split(/^## /m).find(each => each.startsWith(`${heading}\n`)) ?? ""
  const rows = [...section.matchAll(/^\| `([^`]+)` \|(.*)\|$/gm)]
  return new Map(rows.map(([, name = "", rest = ""]) => [name, rest.split("|").map(cell => cell.trim())]))
}

function bytesIn(folder: string): number {
  return readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    if (entry.name === "node_modules") return sum
    const path = join(folder, entry.name)
    return sum + (entry.isDirectory() ? bytesIn(path) : entry.isFile() ? statSync(path).size : 0)
  }, 0)
}

function checkRow(
  name: string,
  version: string,
  row: readonly string[] | undefined,
  installation: "needed" | "optional" = "needed",
): void {
  assert.ok(row, `docs/reference/dependencies.md lacks ${name}`)
  const [shown, released, licence, size = "", reason = ""] = row
  assert.equal(shown, version, name)
  assert.match(version, /^\d+\.\d+\.\d+$/, `${name} is pinned`)
  assert.match(released ?? "", /^20\d\d-\d\d-\d\d$/, `${name}: when the version was released`)
  assert.ok(reason.length > 10, `${name}: what it is for`)
  const modules = installation === "needed" ? "node_modules" : NEW_NODE_MODULES
  if (installation === "optional" && !existsSync(join(ROOT, modules, name))) return
  const installed = read(modules, name, "package.json") as Description
  assert.deepEqual([installed.version, installed.license], [version, licence], name)
  const [, number, unit = ""] = /^([\d.]+) (KiB|MiB)$/.exec(size) ?? []
  const ratio = (Number(number) * (UNITS[unit] ?? NaN)) / bytesIn(join(ROOT, modules, name))
  assert.ok(ratio < SIZE_FACTOR_MAX && ratio > 1 / SIZE_FACTOR_MAX, `${name}: ${size} is ${ratio} of its size`)
}

for (const [heading, packages] of [
  ["Of the program", dependencies],
  ["Of development", devDependencies],
] as const) {
  test(`${heading.toLowerCase()}: every package has its row`, () => {
    const rows = rowsOf(heading)
    for (const [name, version] of Object.entries(packages)) checkRow(name, version, rows.get(name))
  })
}

test("the newer Node of tests has its row", () => {
  const rows = rowsOf("Of development")
  for (const [name, version] of Object.entries(newNode)) checkRow(name, version, rows.get(name), "optional")
})

test("the programs of Node that executables are made of have their rows, and are for machines that releases name", () => {
  const rows = rowsOf("Of executables")
  const { dependencies: programs } = read("tools/executables/package.json") as Description
  const versions = Object.entries(programs).map(([name, version]) => [
    name,
    version.slice(version.lastIndexOf("@") + 1),
  ])
  const shown = [...rows].map(([name, [version, released, licence]]) => {
    assert.match(released ?? "", /^20\d\d-\d\d-\d\d$/, name)
    assert.equal(licence, "MIT", name)
    return [name, version]
  })
  assert.deepEqual(shown.sort(), versions.sort())
})

test("what packages of the program bring with them is listed, and nothing else", () => {
  const { packages } = read("package-lock.json") as { packages: Readonly<Record<string, Locked>> }
  const used = Object.entries(packages).filter(
    ([path, { dev, devOptional, link }]) => path.includes("node_modules/") && !dev && !devOptional && !link,
  )
  const locked = new Map(used.map(([path, entry]) => [path.slice(path.lastIndexOf("node_modules/") + 13), entry]))
  const rows = rowsOf("Of the program")
  assert.deepEqual([...rows.keys()].sort(), [...locked.keys()].sort())
  for (const [name, row] of rows) {
    if (name in dependencies) continue
    const { version, license, optional } = locked.get(name) ?? {}
    assert.deepEqual(row, [version, license, optional === true ? "optional" : ""], name)
  }
  const unnamed = [...rowsOf("Of development").keys()].filter(name => !(name in devDependencies) && !(name in newNode))
  assert.deepEqual(unnamed, [])
})
