/** The kind of a file by its place in the tree, for the local rules: paths are relative to the root, with "/". */
import { existsSync } from "node:fs"
import { dirname, join, posix, relative } from "node:path"
import { fileURLToPath } from "node:url"

export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

export const pathOf = filename => relative(ROOT, filename).replaceAll("\\", "/")

/** A relative import as the path of the source file it refers to; undefined for a package. */
export function importedPath(fromPath, specifier) {
  if (!specifier.startsWith(".")) return undefined
  const path = posix.join(posix.dirname(fromPath), specifier).replace(/\.js$/, ".ts")
  return path.startsWith("console/") && existsSync(join(ROOT, `${path}x`)) ? `${path}x` : path
}

export const absoluteOf = path => join(ROOT, path)

/** Tests and tools, not product: tests beside the code, seams' suites, and the folders that only test or measure. */
export const isCheck = path =>
  /\.test\.ts$|(^|\/)([^/]*-)?suite\.ts$/.test(path) || /^(tests|bench|conformance|tools)\//.test(path)

export const isTest = path => /\.test\.ts$/.test(path) || path.startsWith("tests/")

/** Simulated replacements, for tests only. */
export const isStandIn = path =>
  /(^|\/)simulated\/|(^|\/)(sim|suite|faults|[^/]*-(sim|suite)|test-[^/]*|testing[^/]*)\.ts$/.test(path)

/** The module of a file in src/: its first folder; of a feature, its folder in features/. */
export const moduleOf = path => /^src\/(features\/[^/]+|[^/]+)\//.exec(path)?.[1]

export const isEntryPoint = path => /^src\/(features\/)?[^/]+\/(index|contract)\.ts$/.test(path)
