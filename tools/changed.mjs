/**
 * `npm test -- --changed`: the changes since a commit, and the files that they affect.
 *
 *   --changed        since the merge base with origin/main, or with main if there is no origin/main
 *   --changed=REF    since a commit
 *
 * Commits, the index, the work tree and untracked files count. A change affects the changed files, the files that
 * import them, also through a module's index.ts, and the test file beside each of these. Importers of importers
 * are not followed: nearly everything imports `packages/base/src`. Tests that start a built server import none of its files;
 * only the whole check runs them for a change in `packages/`.
 */
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join, posix } from "node:path"
import { namesOfFile } from "./layers/names-of-files.mjs"
import { sourcesOf } from "./layers.mjs"
import { isEntryPoint } from "./lint/paths.mjs"

const DEFAULT_BASES = ["origin/main", "main"]
/** A change of these files can change the result of any test. */
const CONCERNS_ALL = /^(package-lock\.json|tsconfig\.json|tools\/(build|test|ensure)\.mjs|tools\/testing\/.*)$/
/** Files whose tests are in another folder, and that folder. */
const TESTS_ELSEWHERE = [
  [/^tools\/|^\.oxlintrc\.json$/, "tests/tools"],
  [/^scenarios\//, "tests/scenarios"],
  [/^console\//, "tests/console"],
]
const SOURCE = /\.tsx?$/
const isTestFile = path => path.endsWith(".test.ts")

function git(root, ...args) {
  const { status, stdout, stderr, error } = spawnSync("git", args, { cwd: root, encoding: "utf8" })
  return status === 0 ? { out: stdout } : { problem: (stderr ?? String(error)).trim() }
}

/** The commit to compare with. Throws if there is none. */
export function baseCommit(root, ref) {
  if (ref !== undefined) {
    const { out, problem } = git(root, "rev-parse", "--verify", "--quiet", `${ref}^{commit}`)
    if (problem !== undefined) throw new Error(`--changed=${ref}: there is no commit of this name`)
    return out.trim()
  }
  for (const base of DEFAULT_BASES) {
    const { out } = git(root, "merge-base", "HEAD", base)
    if (out !== undefined) return out.trim()
  }
  throw new Error(`--changed found neither ${DEFAULT_BASES.join(" nor ")}: name a commit with --changed=REF`)
}

/** Paths that differ from a commit, including removed files. */
export function changedSince(root, commit) {
  const lists = [
    git(root, "diff", "--name-only", "--no-renames", "-z", commit),
    git(root, "ls-files", "--others", "--exclude-standard", "-z"),
  ]
  return [
    ...new Set(
      lists.flatMap(({ out, problem }) => {
        if (problem !== undefined) throw new Error(`git could not list the changes: ${problem}`)
        return out.split("\0").filter(path => path !== "")
      }),
    ),
  ].sort()
}

const importsAny = (path, text, targets) => namesOfFile(path, text).imports.some(({ to }) => targets.has(to))

/** Files that import what an index.ts exports of the targets. */
function importersThrough(entryPoint, sources, targets) {
  const { uses, stars } = namesOfFile(entryPoint, sources.get(entryPoint))
  const isAll = stars.some(to => targets.has(to))
  const names = new Set(uses.filter(({ to }) => targets.has(to)).map(({ name }) => name))
  const takes = ({ to, name }) => to === entryPoint && (isAll || name === "*" || names.has(name))
  const isNear = text => text.includes("/index.js")
  return [...sources]
    .filter(([path, text]) => isNear(text) && namesOfFile(path, text).uses.some(takes))
    .map(([path]) => path)
}

/** Test files for a file that is not TypeScript: those in its folder, or in the nearest parent folder with tests. */
function nearestTests(path, tests) {
  const [, elsewhere] = TESTS_ELSEWHERE.find(([pattern]) => pattern.test(path)) ?? []
  let folder = elsewhere ?? posix.dirname(path)
  while (folder !== ".") {
    const found = tests.filter(test => posix.dirname(test) === folder)
    if (found.length > 0) return found
    folder = posix.dirname(folder)
  }
  return []
}

/**
 * The files that a change affects: `{ files, tests }`, TypeScript sources and the test files to run. `sources`: the
 * text of each TypeScript file, by its path from the root.
 */
export function concernedBy(changed, sources) {
  const allTests = [...sources.keys()].filter(isTestFile)
  const targets = new Set(changed.filter(path => SOURCE.test(path)))
  const names = [...targets].map(path => `/${posix.basename(path).replace(SOURCE, ".js")}`)
  const mentions = text => names.some(name => text.includes(name))
  const importers = [...sources]
    .filter(([path, text]) => mentions(text) && importsAny(path, text, targets))
    .map(([path]) => path)
  const indirect = importers.filter(isEntryPoint).flatMap(path => importersThrough(path, sources, targets))
  const files = new Set([...targets, ...importers, ...indirect].filter(path => sources.has(path)))
  if (changed.some(path => CONCERNS_ALL.test(path))) return { files: [...files].sort(), tests: allTests }
  const beside = [...files].map(path => path.replace(/(\.test)?\.ts$/, ".test.ts"))
  const others = changed
    .filter(path => !path.endsWith(".ts") || path.startsWith("console/"))
    .flatMap(path => nearestTests(path, allTests))
  const tests = new Set([...beside, ...others].filter(path => sources.has(path)))
  return { files: [...files].sort(), tests: [...tests].sort() }
}

/** The change in this checkout: `{ commit, changed, files, tests }`, paths from the root. */
export function changeIn(root, ref) {
  const commit = baseCommit(root, ref)
  const changed = changedSince(root, commit)
  const sources = new Map(sourcesOf(root).map(path => [path, readFileSync(join(root, path), "utf8")]))
  return { commit, changed, ...concernedBy(changed, sources) }
}
