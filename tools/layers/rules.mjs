/**
 * Layers: the allowed imports. `layers.json` lists for each module of packages/ the modules it may import; a package depends on
 * those whose modules its modules import, and says so in its package.json.
 *
 * Other modules may import only `index.ts` and `contract.ts` of a module; base with its simd and seams, and the formats may be
 * imported by file. Tests, and stand-ins (`sim.ts`, `suite.ts`, `testing*.ts`), which product code never imports,
 * may import every
 * module at or below their own (what it reaches over any number of dependencies), and the stand-ins of these.
 */
import { readFileSync } from "node:fs"
import { isEntryPoint, isStandIn, isTest, moduleOf } from "../lint/paths.mjs"

export const LAYERS = JSON.parse(readFileSync(new URL("./layers.json", import.meta.url), "utf8"))
const MODULES = Object.keys(LAYERS)
const OPEN_MODULES = new Set(["base", "base/simd", "base/seams", "engine/format"])
/** Entry points to a part of a module, for importers that should not load the rest. */
const SIDE_ENTRY_POINTS = new Set([
  "packages/access/src/sigv4.ts",
  "packages/client/src/load/index.ts",
  "packages/features/src/quotas/schemas.ts",
  "packages/features/src/operator/job-schemas.ts",
  "packages/features/src/operator/setting-schemas.ts",
  "packages/node/src/status/schemas.ts",
])
/** The entry points for features, and for what operators see of them: what they build on. */
const DOOR = new Set(["packages/objects/src/door/index.ts", "packages/objects/src/door/rows.ts"])
/** The entry point for the jobs that keep objects whole. */
const BYTES = "packages/objects/src/door/bytes.ts"
const isFeature = module => /^features(\/(?!operator$)|$)/.test(module)
const FEATURES = MODULES.filter(isFeature)
/** The core, what keeps its objects whole, and its features: they are tested together, as one store. */
const isOfStore = module => module === "objects" || module === "upkeep" || isFeature(module)
/** The modules that folders outside packages/ may import. */
const OUTSIDE = {
  sim: [
    "access",
    "server",
    "node",
    "node/config",
    "objects",
    "upkeep",
    "features",
    "features/appends",
    "features/lifecycle",
    "features/queues",
    "features/locks",
    "features/quotas",
    "features/storage-classes",
    "features/transactions",
    "engine/block",
    "engine/cluster",
    "engine/device",
    "engine/remote",
    "engine/thread",
    "engine/sql",
    "engine/table",
    "base/life",
    "engine/placement",
    "engine/erasure",
    "engine/format",
    "base/seams",
    "base/simd",
    "base",
  ],
  bench: ["*"],
  tests: ["*"],
  conformance: [],
  console: [
    "admin",
    "admin/charts",
    "features/copies",
    "features/dedup",
    "features/history",
    "features/hot-copies",
    "features/lifecycle",
    "features/locks",
    "features/packing",
    "features/queues",
    "features/quotas",
    "features/remote-buckets",
    "features/transforms",
    "features/operator",
    "base",
  ],
  tools: [],
}

const dependenciesOf = module => (LAYERS[module]?.includes("*") ? MODULES : (LAYERS[module] ?? []))

/** All direct and indirect dependencies of a module. */
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
  if (!servesTests(path)) return new Set(dependenciesOf(module))
  // Decisions of the core are tested with the features of the product, and what is above it on stores that are kept whole.
  const features = isOfStore(module) ? FEATURES : []
  const rooms = new Set([...features.flatMap(feature => [...below(feature)]), ...features, ...below(module)])
  return rooms.has("objects") ? rooms.add("upkeep") : rooms
}

/** Modules from which the console takes more than types; what it runs must be small. */
const CONSOLE_RUNS = new Set(["admin/charts", "base"])
const isOnlyTyped = (fromPath, to) => fromPath.startsWith("console/") && to !== undefined && !CONSOLE_RUNS.has(to)

/** Returns why one file may not import another (both as paths from the root); undefined if it may. */
export function checkImport(fromPath, toPath, isType = true) {
  const [from, to] = [moduleOf(fromPath), moduleOf(toPath)]
  // The library `hayloft/simulation` is for the tests of other programs.
  const mayStandIn = servesTests(fromPath) || from === undefined || from === "base/seams" || from === "base/simulation"
  if (!isType && isOnlyTyped(fromPath, to))
    return `console/ imports only types from ${to}/ (import type), so that its bundle stays small`
  if (/\.test\.ts$/.test(toPath)) return `tests cannot be imported (${toPath})`
  if (isStandIn(toPath) && !mayStandIn)
    return `${toPath} is for tests: use the contract and have main pass the real implementation`
  if (to === undefined) {
    if (from !== undefined) return `packages/ does not import files outside packages/ (${toPath})`
    return undefined
  }
  if (from !== undefined && LAYERS[from] === undefined) return `${from}/ has no line in tools/layers/layers.json`
  if (from === to) return undefined
  if (!allowedRooms(fromPath).has(to)) {
    return `${from ?? fromPath.split("/")[0]}/ may not import ${to}/: pass in what you need, or move the code (tools/layers/layers.json lists the dependencies)`
  }
  if (DOOR.has(toPath) && (isFeature(from) || from === "features/operator" || from === "upkeep")) return undefined
  if (toPath === BYTES && from === "upkeep") return undefined
  const isOfFeature = servesTests(fromPath) && (isFeature(from) || isFeature(to) || (isOfStore(from) && isOfStore(to)))
  const free =
    OPEN_MODULES.has(to) ||
    from === "server" ||
    from === undefined ||
    isOfFeature ||
    (servesTests(fromPath) && isStandIn(toPath))
  if (!free && !isEntryPoint(toPath) && !SIDE_ENTRY_POINTS.has(toPath))
    return `import index.ts or contract.ts of ${to}/, its entry points, not ${toPath}`
  return undefined
}
