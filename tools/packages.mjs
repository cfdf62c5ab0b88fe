/**
 * The packages of the workspace: each is a folder of packages/, and others import its files as `@hayloft/NAME/…`. The build
 * replaces these names by relative paths, so that dist/ runs wherever it is copied, and needs no installation of them.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join, posix } from "node:path"
import { fileURLToPath } from "node:url"

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))

const NAMED = /^@hayloft\/([^/]+)\/(.+)$/
/**
 * Statements begin a line, as compilers write them; in a string, such a text is not an import. A call may have line breaks and
 * comments before its argument.
 */
const IMPORTED =
  /(^(?:import|export|\})[^"'\n]*\bfrom\s*|^\s*from\s*|^import\s*|\bimport\((?:\s|\/\*.*?\*\/|\/\/.*\n)*)(["`])(@hayloft\/[^"`$\n]+)\2/gm

/** The names of the packages that are there. */
export const packageNames = (root = ROOT) =>
  readdirSync(join(root, "packages"))
    .filter(name => existsSync(join(root, "packages", name, "package.json")))
    .sort()

/** The `package.json` of a package. */
export const manifestOf = (name, root = ROOT) =>
  JSON.parse(readFileSync(join(root, "packages", name, "package.json"), "utf8"))

/** The packages of the workspace among dependencies. */
export const ownPackages = (dependencies = {}) =>
  Object.keys(dependencies).flatMap(each => (each.startsWith("@hayloft/") ? [each.slice("@hayloft/".length)] : []))

/** A package and all that it and its tests need of the others. */
export function closureOf(name, root = ROOT) {
  const closure = new Set([name])
  for (const each of closure) {
    const { dependencies, devDependencies } = manifestOf(each, root)
    for (const next of ownPackages({ ...dependencies, ...devDependencies })) closure.add(next)
  }
  return closure
}

/** The path of an imported file from the root, `packages/NAME/src/…`; undefined if it is not of a package here. */
export function namedPath(specifier) {
  const [, name, path] = NAMED.exec(specifier) ?? []
  return name === undefined ? undefined : `packages/${name}/src/${path}`
}

/** The package of a file whose path is given from the root; undefined if it is of none. */
export const packageOf = path => /^packages[\\/]([^\\/]+)/.exec(path)?.[1]

/** The text of a built file, whose path is given from the root, with relative imports only. */
export const withRelativeImports = (text, path) =>
  text.replace(IMPORTED, (_, before, _quote, specifier) => {
    const to = posix.relative(posix.dirname(path), namedPath(specifier))
    return `${before}"${to.startsWith(".") ? to : `./${to}`}"`
  })
