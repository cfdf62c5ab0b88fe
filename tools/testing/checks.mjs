/** The checks besides tests, as units: types, lint, format, layers, documents, site. */
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

/** The rules that need types, and all errors of the native compiler, which is several times as fast as `npm run types`. */
const typedLint = tool("types and typed lint", "oxlint/bin/oxlint", "--type-aware", "--type-check", "--deny-warnings")
const lint = (...args) => tool("lint", "eslint/bin/eslint.js", ...args, "--max-warnings", "0")
const layers = check("layers", "tools/layers.mjs")
const documents = check("documents", "tools/docs.mjs")

/** With the results of files that have not changed. */
const quickLint = files => {
  const cache = ["--cache", "--cache-strategy", "content", "--cache-location", join(ROOT, ".cache/lint.json")]
  return lint(...files, ...cache)
}

export const allChecks = () => [
  tool("types of the console", "typescript/bin/tsc", "--noEmit", "--project", "console"),
  typedLint,
  lint("."),
  tool("format", "oxfmt/bin/oxfmt", "--check"),
  layers,
  documents,
  check("site", "tools/site.mjs", "--check"),
]

export const quickChecks = () => [typedLint, quickLint(["."]), layers, documents]

const isLinted = path => /\.([cm]?js|tsx?)$/.test(path)
/** A change of these files can change the lint result of any file. */
const isLint = path =>
  /^(eslint\.config\.mjs$|\.oxlintrc\.json$|tools\/lint\/|(console\/)?tsconfig\.json$|package-lock\.json$)/.test(path)

/** `changed`: the paths that differ; `files`: those and their importers. */
export function checksOfChange({ changed, files }) {
  const left = changed.filter(path => existsSync(join(ROOT, path)))
  const linted = changed.some(isLint) ? ["."] : [...new Set([...left.filter(isLinted), ...files])]
  return [
    typedLint,
    ...(linted.length > 0 ? [quickLint(linted)] : []),
    ...(left.length > 0
      ? [tool("format", "oxfmt/bin/oxfmt", "--check", "--no-error-on-unmatched-pattern", ...left)]
      : []),
    layers,
    documents,
  ]
}
