/**
 * Build: compiles every TypeScript file to a JavaScript file under dist/, with a source map; the files of a server
 * are also joined into bundles (tools/bundle.mjs).
 *
 * Types are not checked here (`npm run types` does), so a build after a change takes milliseconds
 * and a first one a few seconds. A file is rebuilt only when it is newer than its output, and each output is
 * replaced by rename, so that builds do not disturb running processes.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { hasBundle, makeBundle, removeBundle } from "./bundle.mjs"

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
export const SOURCE_FOLDERS = ["src", "bench", "conformance", "sim", "tests"]

function* filesBelow(folder, ending) {
  if (!existsSync(folder)) return
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* filesBelow(path, ending)
    else if (entry.name.endsWith(ending)) yield path
  }
}

const outputOf = source => join(ROOT, "dist", relative(ROOT, source).replace(/\.ts$/, ".js"))
const isFresh = (source, output) => existsSync(output) && statSync(output).mtimeMs > statSync(source).mtimeMs

function replace(path, text) {
  mkdirSync(dirname(path), { recursive: true })
  const temporary = `${path}.${process.pid}.tmp`
  writeFileSync(temporary, text)
  renameSync(temporary, path)
}

/** Builds stale files and removes outputs without a source. Returns how many files were built. */
export async function build() {
  const sources = SOURCE_FOLDERS.flatMap(folder => [...filesBelow(join(ROOT, folder), ".ts")])
  const configPath = join(ROOT, "tsconfig.json")
  const stale = sources.filter(source => !isFresh(source, outputOf(source)) || !isFresh(configPath, outputOf(source)))
  // The bundle is invalid until it is rebuilt.
  if (stale.length > 0) removeBundle()
  if (stale.length > 0) {
    const { default: ts } = await import("typescript")
    const { config } = ts.readConfigFile(configPath, path => readFileSync(path, "utf8"))
    const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, ROOT)
    for (const source of stale) {
      const output = outputOf(source)
      const built = ts.transpileModule(readFileSync(source, "utf8"), {
        compilerOptions: { ...options, module: ts.ModuleKind.ESNext, sourceMap: true, inlineSources: true },
        fileName: source,
      })
      replace(`${output}.map`, built.sourceMapText ?? "")
      replace(output, built.outputText)
    }
  }
  const expected = new Set(sources.map(outputOf))
  for (const output of filesBelow(join(ROOT, "dist"), ".js")) {
    if (!expected.has(output)) for (const path of [output, `${output}.map`]) rmSync(path, { force: true })
  }
  if (!hasBundle()) await makeBundle()
  return stale.length
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const built = await build()
  if (process.argv.includes("--verbose")) process.stdout.write(`built ${built} files\n`)
}
