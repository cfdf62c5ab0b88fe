/**
 * Bundle: the code of a server process, joined by esbuild into one file for each kind of thread, so that a start
 * reads and compiles few files instead of seven hundred.
 *
 *   dist/bundle/hayloft.cjs             the command and front threads, with V8's code cache beside it (hayloft.cjs.TAG.cache)
 *   dist/bundle/compute-worker.cjs, checkpoint-worker.cjs, transform-worker.cjs, sealing-worker.cjs
 *   dist/bundle/NAME.cjs                what programs import as hayloft/NAME: client, table, erasure, placement, simulation,
 *                                       volumes
 *   dist/bundle/*.cjs.map               source maps, through those of dist/packages to the TypeScript files
 *
 * It uses the built files of dist/packages unchanged. Packages are included, so that no installation in this folder disturbs
 * a running process or its commands; those with compiled code are not, and a process can do without them. Paths that a file resolves from its own location still refer to dist/packages.
 */
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, relative, sep } from "node:path"
import { fileURLToPath } from "node:url"

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const DIST = join(ROOT, "dist")
const COMMAND = "hayloft.cjs"
const COMMAND_FILE = join(DIST, "bundle", COMMAND)
/** Bundles, by the entry file of their thread; the command last, so that its presence means that all exist. */
const ENTRIES = new Map([
  ["packages/server/src/threads/compute-worker.js", "compute-worker.cjs"],
  ["packages/server/src/threads/checkpoint-worker.js", "checkpoint-worker.cjs"],
  ["packages/server/src/threads/transform-worker.js", "transform-worker.cjs"],
  ["packages/server/src/threads/sealing-worker.js", "sealing-worker.cjs"],
  ["packages/client/src/library.js", "client.cjs"],
  ["packages/engine/src/table-files/library.js", "table.cjs"],
  ["packages/engine/src/erasure/library.js", "erasure.cjs"],
  ["packages/engine/src/placement/library.js", "placement.cjs"],
  ["packages/base/src/simulation/library.js", "simulation.cjs"],
  ["packages/engine/src/volume-store/library.js", "volumes.cjs"],
  ["packages/server/src/main.js", COMMAND],
])
const CACHE_MS_MAX = 30_000
/** Optional packages: with compiled code, or imported only on demand. */
const PACKAGES_LEFT = ["msgpackr-extract", "@opentelemetry/*", "sharp"]

/** The executable passes `$threadOf`: there, bundles of threads are no files. */
const PLACES = `const $placeOf = path =>
  require("node:url").pathToFileURL(require("node:path").join(__dirname, "..", path)).href;
const $placeOfThread = name => typeof $threadOf === "function" ? $threadOf(name)
  : $placeOf(name === "${COMMAND}" ? "../bin/front-thread.cjs" : "bundle/" + name);
`

/** In a bundle, a file's own URL is that of the single file, and the URL of a thread is that of its bundle. */
function ownPlaces(dist, entries) {
  const source = join(dist, "packages") + sep
  const placed = path => `$placeOf(${JSON.stringify(relative(dist, path).replaceAll(sep, "/"))})`
  return {
    name: "own places",
    setup(build) {
      build.onLoad({ filter: /\.js$/ }, ({ path }) => {
        const text = readFileSync(path, "utf8")
        if (!path.startsWith(source) || !text.includes("import.meta.url")) return undefined
        const contents = text
          .replace(/new URL\("([^"]+)", import\.meta\.url\)/g, (whole, to) => {
            const bundle = entries.get(relative(dist, join(dirname(path), to)).replaceAll(sep, "/"))
            return bundle === undefined ? whole : `new URL($placeOfThread(${JSON.stringify(bundle)}))`
          })
          .replaceAll("import.meta.url", placed(path))
        return { contents, loader: "js" }
      })
    },
  }
}

function write(path, data) {
  mkdirSync(dirname(path), { recursive: true })
  const temporary = `${path}.${process.pid}.tmp`
  writeFileSync(temporary, data)
  renameSync(temporary, path)
}

/**
 * Joins the files below `dist/packages` into `dist/bundle`, one file for each entry, which begins with a hash of the rest.
 */
export async function joinFiles(dist, entries) {
  const { build } = await import("esbuild")
  for (const [entry, name] of entries) {
    const { outputFiles } = await build({
      entryPoints: [join(dist, entry)],
      outfile: join(dist, "bundle", name),
      sourcemap: "external",
      bundle: true,
      write: false,
      platform: "node",
      target: "node20",
      format: "cjs",
      // With ASCII output, V8 stores one byte per character.
      charset: "ascii",
      external: PACKAGES_LEFT,
      // A script from V8's code cache can require, and not import.
      supported: { "dynamic-import": false },
      banner: { js: PLACES },
      plugins: [ownPlaces(dist, entries)],
      logLevel: "warning",
    })
    const [map, code] = ["cjs.map", "cjs"].map(ending => outputFiles.find(({ path }) => path.endsWith(ending)))
    const text = `${code.text}//# sourceMappingURL=${name}.map\n`
    const mark = createHash("sha256").update(text).digest("hex")
    const { mappings, ...rest } = JSON.parse(map.text)
    // The hash is a line of its own.
    write(join(dist, "bundle", `${name}.map`), JSON.stringify({ ...rest, mappings: `;${mappings}` }))
    write(join(dist, "bundle", name), `// ${mark}\n${text}`)
  }
}

/** Returns true if a bundle exists that this script built from the installed packages. */
export const hasBundle = () =>
  existsSync(COMMAND_FILE) &&
  [fileURLToPath(import.meta.url), join(ROOT, "package-lock.json")].every(
    path => statSync(path).mtimeMs < statSync(COMMAND_FILE).mtimeMs,
  )

/** A start without a bundle uses the files of dist/packages. */
export const removeBundle = () => rmSync(COMMAND_FILE, { force: true })

/** The hash with which the command's bundle begins; undefined: there is no bundle. */
export const bundleMark = () =>
  existsSync(COMMAND_FILE) ? readFileSync(COMMAND_FILE, "latin1").split("\n", 1)[0] : undefined

/** Makes the code cache of a Node by using a store once; without a cache a start takes longer. */
export function makeCache(program = process.execPath, nodeArgs = [], env = process.env) {
  const folder = mkdtempSync(join(tmpdir(), "hayloft-cache-"))
  const args = [...nodeArgs, join(ROOT, "tools", "code-cache.cjs"), COMMAND_FILE, folder]
  const limits = { timeout: CACHE_MS_MAX, killSignal: "SIGKILL" }
  spawnSync(program, args, { stdio: ["ignore", "ignore", 2], env, ...limits })
  rmSync(folder, { recursive: true, force: true })
}

/** Removes the code caches in the folder that are not of the bundle with this mark: test runs use those that stay. */
export function removeOldCaches(folder, mark) {
  for (const name of readdirSync(folder).filter(each => each.endsWith(".cache"))) {
    const path = join(folder, name)
    if (readFileSync(path).toString("latin1", 0, mark.length) !== mark) rmSync(path, { force: true })
  }
}

/** Makes the bundles, and the code cache of this Node. */
export async function makeBundle() {
  await joinFiles(DIST, ENTRIES)
  removeOldCaches(join(DIST, "bundle"), bundleMark().replace("// ", ""))
  makeCache()
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await makeBundle()
