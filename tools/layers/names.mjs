/**
 * Names of types: an exported interface, type, class or enum has a name that no other file of packages/ exports for
 * another, so that the name tells what it is wherever it is read. Tests and stand-ins are left out. The existing exceptions
 * are listed in tools/layers/names.json, a list that only gets shorter.
 */
import { isCheck, isStandIn } from "../lint/paths.mjs"
import { namesOfFile } from "./names-of-files.mjs"

export const NAMES = "tools/layers/names.json"

/** The paths of the files that export a type, by its name, for names that several files export. */
function repeatedTypes(sources) {
  const paths = new Map()
  for (const [path, text] of sources) {
    if (!path.startsWith("packages/") || isCheck(path) || isStandIn(path)) continue
    for (const name of new Set(namesOfFile(path, text).types)) paths.set(name, [...(paths.get(name) ?? []), path])
  }
  return new Map([...paths].filter(([, found]) => found.length > 1))
}

/** `sources`: text by path; `allowed`: exceptions, as `path name`. Returns problems as sentences. */
export function nameProblems(sources, allowed) {
  const repeated = [...repeatedTypes(sources)].flatMap(([name, paths]) => paths.map(path => ({ path, name, paths })))
  const left = new Set(repeated.map(({ path, name }) => `${path} ${name}`))
  return [
    ...repeated
      .filter(({ path, name }) => !allowed.includes(`${path} ${name}`))
      .map(({ path, name, paths }) => {
        const others = paths.filter(each => each !== path).join(" and ")
        return `${path}: ${others} exports a type ${name}, too: make them one, or give one a name that tells them apart`
      }),
    ...allowed
      .filter(each => !left.has(each))
      .map(each => `well done: the name in ${each} is unique now; remove it from ${NAMES}`),
  ]
}
