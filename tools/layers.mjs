/**
 * Layers: compares the imports between modules with tools/layers/dependencies.txt, so that a review shows every new
 * dependency; rejects import cycles between files.
 *
 *   node tools/layers.mjs           checks (allowed dependencies, entry points, dependencies.txt, cycles, unused exports,
 *                                   names of types, manifests of packages)
 *   node tools/layers.mjs --write   writes dependencies.txt
 *
 * Type imports count too: they disappear at run time, but a cycle of them is still hard to read. The existing type
 * imports that close a cycle are listed in tools/layers/cycles.json, a list that only gets shorter.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { unusedExports } from "./layers/exports.mjs"
import { manifestProblems } from "./layers/manifests.mjs"
import { nameProblems, NAMES } from "./layers/names.mjs"
import { namesOfFile } from "./layers/names-of-files.mjs"
import { checkImport, LAYERS } from "./layers/rules.mjs"
import { isCheck, isStandIn, ROOT, moduleOf } from "./lint/paths.mjs"
import { manifestOf, packageNames } from "./packages.mjs"

const PICTURE = "tools/layers/dependencies.txt"
const CYCLES = "tools/layers/cycles.json"
const FOLDERS = ["packages", "console", "sim", "bench", "tests", "conformance"]

/** Paths of all TypeScript files, from the root. */
export function sourcesOf(root) {
  return FOLDERS.filter(folder => existsSync(join(root, folder)))
    .flatMap(folder =>
      readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
        .filter(entry => entry.isFile() && /\.tsx?$/.test(entry.name))
        .map(entry => join(entry.parentPath ?? entry.path, entry.name).slice(root.length + 1)),
    )
    .sort()
}

const placeOf = path => moduleOf(path) ?? path.split("/")[0]

/** One cycle in the graph, as a list of paths; undefined if there is none. */
export function findCycle(graph) {
  const state = new Map()
  const trail = []
  const visit = path => {
    if (state.get(path) === "done") return undefined
    if (state.get(path) === "open") return [...trail.slice(trail.indexOf(path)), path]
    state.set(path, "open")
    trail.push(path)
    for (const next of graph.get(path) ?? []) {
      const cycle = visit(next)
      if (cycle !== undefined) return cycle
    }
    trail.pop()
    state.set(path, "done")
    return undefined
  }
  for (const path of graph.keys()) {
    const cycle = visit(path)
    if (cycle !== undefined) return cycle
  }
  return undefined
}

const edgeOf = (from, to) => `${from} -> ${to}`

/** Returns true if `from` can be reached from `to`. */
function leadsBack(graph, from, to) {
  const seen = new Set([to])
  for (const path of seen) {
    if (path === from) return true
    for (const next of graph.get(path) ?? []) seen.add(next)
  }
  return false
}

/**
 * Returns cycles among the files, and problems of the list of remaining cycles. `imports`: by file, the files that it
 * imports, and whether it imports only types.
 */
function cycleProblems(imports, allowed) {
  const left = new Set(allowed)
  const graph = new Map()
  for (const [path, found] of imports)
    graph.set(
      path,
      [...found].filter(([to, isType]) => !isType || !left.has(edgeOf(path, to))).map(([to]) => to),
    )
  const cycle = findCycle(graph)
  if (cycle !== undefined)
    return [`import cycle: ${cycle.join(" -> ")}: move what both ends need into a file that imports neither`]
  return allowed
    .filter(edge => {
      const [from, to] = edge.split(" -> ")
      return imports.get(from)?.get(to) !== true || !leadsBack(graph, from, to)
    })
    .map(edge => `well done: ${edge} no longer closes a cycle; remove it from ${CYCLES}`)
}

/** Reads the tree; returns problems as sentences, dependencies between modules as lines, and the number of files. */
export function readTree(root = ROOT, allowedCycles = []) {
  const problems = []
  const dependencies = new Set()
  const dependenciesOfTests = new Set()
  const imports = new Map()
  const sources = sourcesOf(root)
  const known = new Set(sources)
  for (const path of sources) {
    const found = new Map()
    for (const { to, isType } of namesOfFile(path, readFileSync(join(root, path), "utf8")).imports) {
      const message = checkImport(path, to, isType)
      if (message !== undefined) problems.push(`${path}: ${message}`)
      if (placeOf(path) !== placeOf(to))
        (isCheck(path) || isStandIn(path) ? dependenciesOfTests : dependencies).add(edgeOf(placeOf(path), placeOf(to)))
      if (known.has(to)) found.set(to, isType && found.get(to) !== false)
    }
    imports.set(path, found)
  }
  if (sources.length === 0) problems.push("no source file was found to check")
  problems.push(...cycleProblems(imports, allowedCycles))
  return {
    problems,
    dependencies: [...dependencies].sort(),
    dependenciesOfTests: [...dependenciesOfTests],
    files: sources.length,
  }
}

/** Rules of layers.json that no file needs, including tests: no review has seen a use of them. */
export function deadRules(layers, dependencies) {
  return Object.entries(layers).flatMap(([module, allowed]) =>
    allowed
      .filter(to => to !== "*" && !dependencies.includes(edgeOf(module, to)))
      .map(to => `no file of ${module}/ imports ${to}/: take the rule out of tools/layers/layers.json`),
  )
}

/** `unused`: as `path name`. */
export const exportProblems = unused =>
  unused.map(each => {
    const [path, name] = each.split(" ")
    return `${path}: no other file imports ${name}: take \`export\` from it, or remove it`
  })

const listOf = path => JSON.parse(readFileSync(join(ROOT, path), "utf8"))

const read = path => readFileSync(join(ROOT, path), "utf8")

function unusedHere(sources) {
  const tools = readdirSync(join(ROOT, "tools"), { recursive: true }).filter(path => /\.[cm]js$/.test(path))
  return unusedExports(sources, tools.map(path => read(join("tools", path))).join("\n"))
}

const manifestProblemsHere = sources =>
  manifestProblems(
    new Map(packageNames().map(name => [name, manifestOf(name)])),
    JSON.parse(read("package.json")),
    sources,
  )

const pictureOf = dependencies => `${dependencies.join("\n")}\n`

/** Problems of the tree, including outdated dependencies. */
export function checkLayers() {
  const { problems, dependencies, dependenciesOfTests, files } = readTree(ROOT, listOf(CYCLES))
  const picture = existsSync(join(ROOT, PICTURE)) ? readFileSync(join(ROOT, PICTURE), "utf8") : ""
  const before = new Set(picture.split("\n").filter(line => line !== ""))
  for (const dependency of dependencies)
    if (!before.has(dependency))
      problems.push(`new dependency ${dependency}: if it is intended, run node tools/layers.mjs --write`)
  for (const dependency of before)
    if (!dependencies.includes(dependency))
      problems.push(`dependency ${dependency} is gone: node tools/layers.mjs --write`)
  const sources = new Map(sourcesOf(ROOT).map(path => [path, read(path)]))
  problems.push(...deadRules(LAYERS, [...dependencies, ...dependenciesOfTests]))
  problems.push(...exportProblems(unusedHere(sources)), ...nameProblems(sources, listOf(NAMES)))
  problems.push(...manifestProblemsHere(sources))
  return { problems, files }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes("--write")) writeFileSync(join(ROOT, PICTURE), pictureOf(readTree().dependencies))
  const { problems, files } = checkLayers()
  for (const problem of problems) process.stdout.write(`${problem}\n`)
  process.stdout.write(`layers: ${files} files, ${problems.length} problems\n`)
  process.exitCode = problems.length > 0 ? 1 : 0
}
