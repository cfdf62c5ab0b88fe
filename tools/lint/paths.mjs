/** The kind of a file by its place in the tree, for the local rules: paths are relative to the root, with "/". */
import { existsSync, readFileSync } from "node:fs"
import { dirname, join, posix, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { namedPath } from "../packages.mjs"

export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

export const pathOf = filename => relative(ROOT, filename).replaceAll("\\", "/")

/** The path of the source file that an import refers to; undefined for an installed package. */
export function importedPath(fromPath, specifier) {
  const isRelative = specifier.startsWith(".")
  const path = (isRelative ? posix.join(posix.dirname(fromPath), specifier) : namedPath(specifier))?.replace(
    /\.js$/,
    ".ts",
  )
  if (path === undefined) return undefined
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

const MODULES = new Set(Object.keys(JSON.parse(readFileSync(join(ROOT, "tools/layers/layers.json"), "utf8"))))
/** In these packages each folder is a module. */
const ONLY_MODULES = new Set(["engine", "features", "protocols"])

/**
 * The module of a file in packages/: `package/folder` for a folder that layers.json names or a package of modules, else the
 * package itself.
 */
export function moduleOf(path) {
  const [, name, folder] = /^packages\/([^/]+)\/src\/(?:([^/]+)\/)?/.exec(path) ?? []
  if (folder === undefined) return name
  const module = `${name}/${folder}`
  return MODULES.has(module) || ONLY_MODULES.has(name) ? module : name
}

const folderOf = module => `packages/${module.replace(/^[^/]+/, "$&/src")}/`

export const isEntryPoint = path => {
  const module = moduleOf(path)
  return module !== undefined && ["index.ts", "contract.ts"].some(name => path === folderOf(module) + name)
}
