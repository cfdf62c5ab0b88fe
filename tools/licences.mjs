/** Licences: the texts of all that an executable contains, which those who pass it on have to pass on as well. */
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
/** Packages of development that are in the bundle of the console. */
const OF_CONSOLE = ["@preact/signals", "@preact/signals-core", "preact"]

/** Folders of the packages that the bundles contain, in node_modules. */
function bundled() {
  const { packages } = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8"))
  const needed = Object.entries(packages)
    .filter(
      ([path, { dev, devOptional, optional, link }]) =>
        path.includes("node_modules/") && !dev && !devOptional && !optional && !link,
    )
    .map(([path]) => path)
  return [...needed, ...OF_CONSOLE.map(name => `node_modules/${name}`)].sort()
}

/** Returns the text of the licence in a folder; without one, what its package.json says. */
function licenceIn(folder) {
  const file = readdirSync(folder).find(name => /^(licen[cs]e|copying)(\.\w+)?$/i.test(name))
  if (file !== undefined) return readFileSync(join(folder, file), "utf8").trim()
  const { license, author } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))
  return [`Licence: ${license}`, ...(author === undefined ? [] : [`Author: ${author.name ?? author}`])].join("\n")
}

/** Returns one text with all licences; `nodeFolder` is that of the npm package of Node's program. */
export function licenceTexts(nodeFolder) {
  const parts = [
    ["Hayloft", readFileSync(join(ROOT, "LICENSE"), "utf8").trim()],
    ["Node.js", licenceIn(nodeFolder)],
    ...bundled().map(path => [path.slice(path.lastIndexOf("node_modules/") + 13), licenceIn(join(ROOT, path))]),
  ]
  return parts.map(([name, text]) => `${name}\n${"=".repeat(name.length)}\n\n${text}\n`).join("\n\n")
}
