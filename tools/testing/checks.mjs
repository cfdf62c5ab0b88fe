/** The checks besides tests, as units: types and lint, format, layers, documents, site. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { ROOT } from "./files.mjs"
import { shareOf } from "./schedule-core.mjs"

const check = (name, program, ...args) => ({
  name,
  class: "check",
  files: [],
  share: shareOf("check"),
  args: [join(ROOT, program), ...args],
})
const tool = (name, program, ...args) => check(name, `node_modules/${program}`, ...args)

/** All rules, and all errors of the native compiler, which is several times as fast as `npm run types`. */
const lint = tool("types and lint", "oxlint/bin/oxlint", "--type-aware", "--type-check", "--deny-warnings")
const layers = check("layers", "tools/layers.mjs")
const documents = check("documents", "tools/docs.mjs")
const site = check("site", "tools/site.mjs", "--check")
/** The site is made of these. */
const OF_SITE = /^site\/|^tools\/(?:site\.mjs$|docs)|^docs\/|\.md$|^package-lock\.json$/

export const typesOfPackage = name =>
  tool(`types of ${name}`, "typescript/bin/tsc", "--noEmit", "--project", `packages/${name}`)

export const allChecks = () => [
  tool("types of the console", "typescript/bin/tsc", "--noEmit", "--project", "console"),
  lint,
  tool("format", "oxfmt/bin/oxfmt", "--check"),
  layers,
  documents,
  site,
]

export const quickChecks = () => [lint, layers, documents]

/** `changed`: the paths that differ. */
export function checksOfChange({ changed }) {
  const left = changed.filter(path => existsSync(join(ROOT, path)))
  return [
    lint,
    ...(left.length > 0
      ? [tool("format", "oxfmt/bin/oxfmt", "--check", "--no-error-on-unmatched-pattern", ...left)]
      : []),
    layers,
    documents,
    ...(changed.some(path => OF_SITE.test(path)) ? [site] : []),
  ]
}
