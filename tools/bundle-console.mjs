/**
 * Bundle of the web console: its built files and style sheets, joined and minified by esbuild.
 *
 *   dist/web/index.html             from console/index.html, with the names of the assets
 *   dist/web/icon.svg               as it is
 *   dist/web/assets/NAME-HASH.EXT   scripts and styles; each with a compressed copy, `.gz`
 *
 * A name contains a hash of its content, so that browsers may keep the file for ever. `index.html` is written last:
 * it always names files that exist.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const SOURCES = join(ROOT, "console")
const BUILT = join(ROOT, "dist", "console")
const WEB = join(ROOT, "dist", "web")
const ASSETS = join(WEB, "assets")
const INDEX = join(WEB, "index.html")
/** By the name that index.html uses. */
const ENTRIES = {
  "main.js": join(BUILT, "main.js"),
  "theme.js": join(BUILT, "shell", "early-theme.js"),
  "console.css": join(SOURCES, "styles", "console.css"),
}

/** Files of a fixed name. */
const PLAIN = ["icon.svg"]

function newestMs(folder, ending) {
  if (!existsSync(folder)) return 0
  const files = readdirSync(folder, { recursive: true }).filter(name => ending.test(name))
  return Math.max(0, ...files.map(name => statSync(join(folder, name)).mtimeMs))
}

/** Returns true if something has changed since the last bundle. */
export function isConsoleStale() {
  if (!existsSync(INDEX)) return true
  const madeMs = statSync(INDEX).mtimeMs
  const own = [fileURLToPath(import.meta.url), join(ROOT, "package-lock.json")]
  const changes = [
    newestMs(BUILT, /\.js$/),
    newestMs(SOURCES, /\.(css|html|svg)$/),
    newestMs(join(ROOT, "dist", "packages", "base"), /\.js$/),
    ...own.map(path => statSync(path).mtimeMs),
  ]
  return Math.max(...changes) > madeMs
}

const bundleOf = async (build, name) => {
  const { outputFiles } = await build({
    entryPoints: [{ in: ENTRIES[name], out: name.replace(/\.\w+$/, "") }],
    outdir: ASSETS,
    entryNames: "[name]-[hash]",
    write: false,
    bundle: true,
    minify: true,
    platform: "browser",
    target: ["chrome123", "firefox120", "safari17.5"],
    format: "iife",
    logLevel: "warning",
  })
  return outputFiles[0]
}

function write(path, data) {
  const temporary = `${path}.${process.pid}.tmp`
  writeFileSync(temporary, data)
  renameSync(temporary, path)
}

/** Makes the bundle, and removes the assets of earlier ones. */
export async function bundleConsole() {
  const { build } = await import("esbuild")
  mkdirSync(ASSETS, { recursive: true })
  let page = readFileSync(join(SOURCES, "index.html"), "utf8")
  const made = new Set()
  for (const name of Object.keys(ENTRIES)) {
    const { path, contents } = await bundleOf(build, name)
    write(path, contents)
    write(`${path}.gz`, gzipSync(contents, { level: 9 }))
    for (const file of [path, `${path}.gz`]) made.add(basename(file))
    page = page.replace(`/console/assets/${name}`, `/console/assets/${basename(path)}`)
  }
  for (const name of PLAIN) write(join(WEB, name), readFileSync(join(SOURCES, name)))
  write(INDEX, page)
  for (const name of readdirSync(ASSETS)) if (!made.has(name)) rmSync(join(ASSETS, name), { force: true })
}
