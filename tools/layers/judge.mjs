/**
 * Layers: who may import whom. `layers.json` lists for each module of src/ the modules it may import.
 *
 * A module shows `index.ts` and `contract.ts` to others; base, simd, seams and format may be imported
 * by file. Tests, and stand-ins (`sim.ts`, `suite.ts`, `testing*.ts`), which product code never imports, may import every
 * module at or below their own (what it reaches over any number of dependencies), and the stand-ins of these.
 */
import { readFileSync } from "node:fs"
import { isEntryPoint, isStandIn, isTest, moduleOf } from "../lint/paths.mjs"

export const LAYERS = JSON.parse(readFileSync(new URL("./layers.json", import.meta.url), "utf8"))
const MODULES = Object.keys(LAYERS)
const OPEN_ROOMS = new Set(["base", "simd", "seams", "format"])
/** Entry points to a part of a module, for importers that should not load the rest. */
const SIDE_ENTRY_POINTS = new Set(["src/access/sigv4.ts", "src/client/load/index.ts"])
/** Beside src/: what these may import of it. */
const OUTSIDE = {
  sim: [
    "main",
    "node",
    "config",
    "object",
    "block",
    "cluster",
    "device",
    "table",
    "life",
    "placement",
    "erasure",
    "format",
    "seams",
    "simd",
    "base",
  ],
  bench: ["*"],
  tests: ["*"],
  conformance: [],
  tools: [],
}

const dependenciesOf = module => (LAYERS[module]?.includes("*") ? MODULES : (LAYERS[module] ?? []))

/** Everything a module reaches over one dependency or more. */
export function below(module, seen = new Set()) {
  for (const next of dependenciesOf(module)) {
    if (seen.has(next)) continue
    seen.add(next)
    below(next, seen)
  }
  return seen
}

const servesTests = path => isTest(path) || isStandIn(path)

function allowedRooms(path) {
  const module = moduleOf(path)
  if (module === undefined) {
    const allowed = OUTSIDE[path.split("/")[0]]
    return new Set(allowed?.includes("*") ? MODULES : (allowed ?? []))
  }
  return servesTests(path) ? below(module) : new Set(dependenciesOf(module))
}

/** Says what is wrong with one file importing another (both as paths from the root); undefined if nothing. */
export function judgeImport(fromPath, toPath) {
  const [from, to] = [moduleOf(fromPath), moduleOf(toPath)]
  const mayStandIn = servesTests(fromPath) || from === undefined || from === "seams"
  if (/\.test\.ts$/.test(toPath)) return `nobody imports a test (${toPath})`
  if (isStandIn(toPath) && !mayStandIn)
    return `${toPath} is for tests: take the contract and have main pass the real one in`
  if (to === undefined) {
    if (from !== undefined) return `src/ does not import what stands beside it (${toPath})`
    return undefined
  }
  if (from !== undefined && LAYERS[from] === undefined) return `src/${from}/ has no line in tools/layers/layers.json`
  if (from === to) return undefined
  if (!allowedRooms(fromPath).has(to)) {
    return `${from ?? fromPath.split("/")[0]}/ may not import ${to}/: have what you need handed in, or move the code (tools/layers/layers.json lists the dependencies)`
  }
  const free =
    OPEN_ROOMS.has(to) || from === "main" || from === undefined || (servesTests(fromPath) && isStandIn(toPath))
  if (!free && !isEntryPoint(toPath) && !SIDE_ENTRY_POINTS.has(toPath))
    return `import src/${to}/index.ts or contract.ts, its entry points, not ${toPath}`
  return undefined
}
