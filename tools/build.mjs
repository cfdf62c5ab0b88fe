/**
 * Build: compiles every TypeScript file to a JavaScript file under dist/, with a source map; the files of a server
 * are also joined into bundles (tools/bundle.mjs), and so are those of the web console (tools/bundle-console.mjs).
 *
 * Types are not checked here (`npm run types` does), so a build after a change takes milliseconds
 * and a first one a few seconds. A file is rebuilt only when it, or what decides how files are built, is newer than its output, and each output is
 * replaced by rename, so that builds do not disturb running processes.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { bundleConsole, isConsoleStale } from "./bundle-console.mjs"
import { hasBundle, makeBundle, removeBundle } from "./bundle.mjs"
import { packageOf, withRelativeImports } from "./packages.mjs"

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
export const SOURCE_FOLDERS = ["packages", "console", "bench", "conformance", "sim", "tests"]
const SOURCE = /\.tsx?$/
/** These decide what each output is, too; the lockfile names the release of the compiler. */
const DECISIVE = ["tsconfig.json", "tools/build.mjs", "tools/packages.mjs", "package-lock.json"].map(path =>
  join(ROOT, path),
)

function* filesBelow(folder, ending) {
  if (!existsSync(folder)) return
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* filesBelow(path, ending)
    else if (ending.test(entry.name)) yield path
  }
}

const outputOf = source => join(ROOT, "dist", relative(ROOT, source).replace(SOURCE, ".js"))
const isBundled = source => /^packages\/(?!.*\.test\.)/.test(relative(ROOT, source))
const isAsset = output => relative(join(ROOT, "dist"), output).startsWith("web")
const isFresh = (source, output) => existsSync(output) && statSync(output).mtimeMs > statSync(source).mtimeMs

function replace(path, text) {
  mkdirSync(dirname(path), { recursive: true })
  const temporary = `${path}.${process.pid}.tmp`
  writeFileSync(temporary, text)
  renameSync(temporary, path)
}

/**
 * Builds stale files and removes outputs without a source. Returns how many files were built. `packages`: builds only these,
 * and no bundle; default: everything.
 */
export async function build(packages) {
  const sources = SOURCE_FOLDERS.flatMap(folder => [...filesBelow(join(ROOT, folder), SOURCE)])
  const isWanted = source => packages === undefined || packages.has(packageOf(relative(ROOT, source)))
  const stale = sources
    .filter(isWanted)
    .filter(source => [source, ...DECISIVE].some(path => !isFresh(path, outputOf(source))))
  // The bundle is invalid until it is rebuilt.
  if (stale.some(isBundled)) removeBundle()
  if (stale.length > 0) {
    const { build: transpile } = await import("esbuild")
    const { outputFiles } = await transpile({
      entryPoints: stale,
      outbase: ROOT,
      outdir: join(ROOT, "dist"),
      write: false,
      bundle: false,
      format: "esm",
      target: "es2022",
      charset: "utf8",
      sourcemap: true,
      logLevel: "warning",
    })
    for (const { path, text } of outputFiles)
      replace(path, withRelativeImports(text, relative(join(ROOT, "dist"), path)))
  }
  const expected = new Set(sources.map(outputOf))
  for (const output of filesBelow(join(ROOT, "dist"), /\.js$/)) {
    if (!isAsset(output) && !expected.has(output))
      for (const path of [output, `${output}.map`]) rmSync(path, { force: true })
  }
  if (packages !== undefined) return stale.length
  if (!hasBundle()) await makeBundle()
  if (isConsoleStale()) await bundleConsole()
  return stale.length
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const built = await build()
  if (process.argv.includes("--verbose")) process.stdout.write(`built ${built} files\n`)
}
