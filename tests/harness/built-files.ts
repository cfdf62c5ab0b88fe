/** The files of the build, and which of them import which: paths are from its folder. */
import { readFileSync } from "node:fs"
import { join, posix } from "node:path"
import { ROOT } from "./server.js"

export const DIST = join(ROOT, "dist")

/** A statement or a call that names another built file, as the build writes it, and the file of a worker. */
export const IMPORT = /(^(?:import|export|\})[^"\n]*\bfrom |^import |\bimport\(|\bnew URL\()"(\.[^"\n]+\.js)"/gm

export const builtPath = (source: string): string => source.replace(/\.ts$/, ".js")

/** The path of a file that another one imports. */
export const targetOf = (path: string, to: string): string => posix.join(posix.dirname(path), to)

const texts = new Map<string, string>()

export function textOf(path: string): string {
  const text = texts.get(path) ?? readFileSync(join(DIST, path), "utf8")
  texts.set(path, text)
  return text
}

const targets = new Map<string, readonly string[]>()

function targetsOf(path: string): readonly string[] {
  const found = targets.get(path) ?? [...textOf(path).matchAll(IMPORT)].map(([, , to = ""]) => targetOf(path, to))
  targets.set(path, found)
  return found
}

/** Returns those of these files that the first one imports, directly or through others, and all files on the way there. */
export function filesReaching(first: string, files: { has(path: string): boolean }): ReadonlySet<string> {
  const importers = new Map<string, string[]>([[first, []]])
  for (const path of importers.keys()) {
    for (const target of targetsOf(path)) {
      const known = importers.get(target)
      if (known === undefined) importers.set(target, [path])
      else known.push(path)
    }
  }
  const found = new Set([...importers.keys()].filter(path => files.has(path)))
  for (const path of found) for (const importer of importers.get(path) ?? []) found.add(importer)
  return found
}
