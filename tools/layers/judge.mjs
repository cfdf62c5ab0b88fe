/**
 * Layers: who may import whom. `layers.json` lists for each room of src/ the rooms it may import.
 *
 * A room shows `index.ts` and `contract.ts` to others; base, simd, seams and format may be imported
 * by file. Tests, and stand-ins (`sim.ts`, `suite.ts`, `testing*.ts`), which product code never imports, may import every
 * room at or below their own (what it reaches over any number of arrows), and the stand-ins of these.
 */
import { readFileSync } from "node:fs"
import { isDoor, isStandIn, isTest, roomOf } from "../lint/paths.mjs"

export const LAYERS = JSON.parse(readFileSync(new URL("./layers.json", import.meta.url), "utf8"))
const ROOMS = Object.keys(LAYERS)
const OPEN_ROOMS = new Set(["base", "simd", "seams", "format"])
/** Doors to a part of a room, for those who should not load the rest. */
const SIDE_DOORS = new Set(["src/access/sigv4.ts", "src/client/load/index.ts"])
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

const arrowsOf = room => (LAYERS[room]?.includes("*") ? ROOMS : (LAYERS[room] ?? []))

/** Everything a room reaches over one arrow or more. */
export function below(room, seen = new Set()) {
  for (const next of arrowsOf(room)) {
    if (seen.has(next)) continue
    seen.add(next)
    below(next, seen)
  }
  return seen
}

const servesTests = path => isTest(path) || isStandIn(path)

function allowedRooms(path) {
  const room = roomOf(path)
  if (room === undefined) {
    const allowed = OUTSIDE[path.split("/")[0]]
    return new Set(allowed?.includes("*") ? ROOMS : (allowed ?? []))
  }
  return servesTests(path) ? below(room) : new Set(arrowsOf(room))
}

/** Says what is wrong with one file importing another (both as paths from the root); undefined if nothing. */
export function judgeImport(fromPath, toPath) {
  const [from, to] = [roomOf(fromPath), roomOf(toPath)]
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
    return `${from ?? fromPath.split("/")[0]}/ may not import ${to}/: have what you need handed in, or move the code (tools/layers/layers.json lists the arrows)`
  }
  const free =
    OPEN_ROOMS.has(to) || from === "main" || from === undefined || (servesTests(fromPath) && isStandIn(toPath))
  if (!free && !isDoor(toPath) && !SIDE_DOORS.has(toPath))
    return `import src/${to}/index.ts or contract.ts, its doors, not ${toPath}`
  return undefined
}
