/**
 * Manifests: the `package.json` of each package of the workspace names what its files import, no more and no less, and the
 * packages depend on each other in one direction. What only tests and stand-ins import of other packages is a development
 * dependency, which may go up; the npm packages of tests are those of the root. Versions are those of the root.
 */
import { isStandIn, isTest } from "../lint/paths.mjs"
import { ownPackages, packageOf } from "../packages.mjs"

const SPECIFIER = /(?:^(?:import|export|\})[^"'\n]*\bfrom\s*|^import\s*|\bimport\()"([^".\n][^"\n]*)"/gm
const nameOf = specifier => /^(@[^/]+\/)?[^/]+/.exec(specifier)[0]
const isOwn = name => name.startsWith("@hayloft/")

/** What the files of a package import: `{ product, tests }`, names of packages. */
function importsOfPackage(name, sources) {
  const found = { product: new Set(), tests: new Set() }
  for (const [path, text] of sources) {
    if (packageOf(path) !== name) continue
    const names = isTest(path) || isStandIn(path) ? found.tests : found.product
    for (const [, specifier] of text.matchAll(SPECIFIER))
      if (!specifier.startsWith("node:")) names.add(nameOf(specifier))
  }
  const self = `@hayloft/${name}`
  return {
    product: [...found.product].filter(each => each !== self),
    tests: [...found.tests].filter(each => isOwn(each) && each !== self && !found.product.has(each)),
  }
}

function problemsOfLists(name, imported, named, kind) {
  return [
    ...imported
      .filter(each => !(each in named))
      .map(each => `packages/${name}/package.json: ${each}, which its files import, is missing in ${kind}`),
    ...Object.keys(named)
      .filter(each => !imported.includes(each))
      .map(each => `packages/${name}/package.json: no file imports ${each}: take it out of ${kind}`),
  ]
}

/** A package that depends on itself through others. */
function circleOf(manifests) {
  const below = (name, seen) => {
    for (const next of ownPackages(manifests.get(name)?.dependencies)) {
      if (seen.has(next)) continue
      seen.add(next)
      below(next, seen)
    }
    return seen
  }
  return [...manifests.keys()].filter(name => below(name, new Set()).has(name))
}

/** `manifests`: by name; `root`: that of the product; `sources`: text by path. Returns problems as sentences. */
export function manifestProblems(manifests, root, sources) {
  const versions = { ...root.dependencies, ...root.optionalDependencies }
  const named = new Set(
    [...manifests.values()].flatMap(each => Object.keys({ ...each.dependencies, ...each.optionalDependencies })),
  )
  const problems = [
    ...circleOf(manifests).map(name => `packages/${name} depends on itself through other packages`),
    ...Object.keys(versions)
      .filter(each => !named.has(each))
      .map(each => `package.json: no package names ${each}: only tests and tools may need it`),
  ]
  for (const [name, manifest] of manifests) {
    const { dependencies = {}, optionalDependencies = {}, devDependencies = {} } = manifest
    const { product, tests } = importsOfPackage(name, sources)
    const known = product.filter(each => isOwn(each) || each in versions)
    problems.push(...problemsOfLists(name, known, { ...dependencies, ...optionalDependencies }, "dependencies"))
    problems.push(...problemsOfLists(name, tests, devDependencies, "devDependencies"))
    for (const [each, version] of Object.entries({ ...dependencies, ...optionalDependencies }))
      if (version !== (isOwn(each) ? "*" : versions[each]))
        problems.push(`packages/${name}/package.json: ${each} has another version than in package.json`)
    if (manifest.name !== `@hayloft/${name}` || manifest.version !== root.version)
      problems.push(`packages/${name}/package.json: it is @hayloft/${name}, of version ${root.version}`)
  }
  return problems
}
