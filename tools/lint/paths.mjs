/** Where a file stands in the tree, as the local rules see it: paths are relative to the root, with "/". */
import { dirname, join, posix, relative } from "node:path"
import { fileURLToPath } from "node:url"

export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

export const pathOf = filename => relative(ROOT, filename).replaceAll("\\", "/")

/** A relative import as the path of the source file it means; undefined for a package. */
export function importedPath(fromPath, specifier) {
  if (!specifier.startsWith(".")) return undefined
  return posix.join(posix.dirname(fromPath), specifier).replace(/\.js$/, ".ts")
}

export const absoluteOf = path => join(ROOT, path)

/** Checks, not product: tests beside the code, seams' suites, and the folders that only test or measure. */
export const isCheck = path =>
  /\.test\.ts$|(^|\/)([^/]*-)?suite\.ts$/.test(path) || /^(tests|bench|conformance|tools)\//.test(path)

export const isTest = path => /\.test\.ts$/.test(path) || path.startsWith("tests/")

/** Files that stand in for the world in tests only. */
export const isStandIn = path => /(^|\/)(sim|suite|faults|[^/]*-(sim|suite)|test-[^/]*|testing[^/]*)\.ts$/.test(path)

/** The room of a file in src/: its first folder. */
export const moduleOf = path => /^src\/([^/]+)\//.exec(path)?.[1]

export const isEntryPoint = path => /^src\/[^/]+\/(index|contract)\.ts$/.test(path)
