/**
 * `npm run check`: all checks of the project in one command: types, lint, format, layers,
 * documents, site, tests. Ends with the line `N passed, N failed`, in which each check counts as one.
 *
 *   npm run check -- --quick         types, lint, layers, documents and the pure tests, for use between two edits
 *   npm run check -- --changed       types, layers, documents, and lint, format and tests only of the files that a
 *   change npm run check -- --changed=REF   affects: since the merge base with main, or since REF (tools/changed.mjs)
 *
 * Types are left to the native compiler, which is several times as fast as the one that editors use (`npm run types`). The
 * ESLint of the quick tiers checks only the files that have changed since its last run.
 */
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { ensure } from "./ensure.mjs"
import { bundled, closingLine, pureTestFiles, runTests, takeSeed, wholeRun } from "./test.mjs"

const ROOT = join(fileURLToPath(import.meta.url), "../..")
const say = text => process.stdout.write(text)

/** Runs a tool of node_modules; resolves with its output if it failed, else with undefined. */
function runTool(bin, args) {
  return new Promise(resolve => {
    const child = spawn(process.execPath, [join(ROOT, "node_modules", bin), ...args], { cwd: ROOT })
    let output = ""
    for (const stream of [child.stdout, child.stderr]) stream.on("data", chunk => (output += chunk))
    child.on("error", error => resolve(String(error)))
    child.on("close", (code, signal) => resolve(code === 0 ? undefined : `${output}${signal ?? ""}`))
  })
}

const sentences = problems => (problems.length === 0 ? undefined : `${problems.join("\n")}\n`)

/** The rules that need types, and all errors of the native compiler. */
const typedLint = () => runTool("oxlint/bin/oxlint", ["--type-aware", "--type-check", "--deny-warnings"])

/** The checks by name; each resolves with its problems, or undefined. */
const CHECKS = {
  "types of the console": () => runTool("typescript/bin/tsc", ["--noEmit", "--project", "console"]),
  "types and typed lint": typedLint,
  lint: () => runTool("eslint/bin/eslint.js", [".", "--max-warnings", "0"]),
  format: () => runTool("oxfmt/bin/oxfmt", ["--check"]),
  layers: async () => sentences((await import("./layers.mjs")).checkLayers().problems),
  documents: async () => sentences(await (await import("./docs.mjs")).checkDocuments()),
  site: async () => sentences(await (await import("./site.mjs")).checkSite()),
}

const CACHE = join(ROOT, ".cache")
const quickLint = files =>
  runTool("eslint/bin/eslint.js", [
    ...[...files, "--max-warnings", "0"],
    ...["--cache", "--cache-strategy", "content", "--cache-location", join(CACHE, "lint.json")],
  ])
const { layers, documents } = CHECKS
const QUICK_CHECKS = { "types and typed lint": typedLint, lint: () => quickLint(["."]), layers, documents }

const isLinted = path => /\.([cm]?js|tsx?)$/.test(path)
/** A change of these files can change the lint result of any file. */
const isLint = path =>
  /^(eslint\.config\.mjs$|\.oxlintrc\.json$|tools\/lint\/|(console\/)?tsconfig\.json$|package-lock\.json$)/.test(path)

function checksOfChange({ changed, files }) {
  const left = changed.filter(path => existsSync(join(ROOT, path)))
  const linted = changed.some(isLint) ? ["."] : [...new Set([...left.filter(isLinted), ...files])]
  return {
    "types and typed lint": typedLint,
    ...(linted.length > 0 && { lint: () => quickLint(linted) }),
    ...(left.length > 0 && {
      format: () => runTool("oxfmt/bin/oxfmt", ["--check", "--no-error-on-unmatched-pattern", ...left]),
    }),
    layers,
    documents,
  }
}

/** The checks and tests to run: `{ checks, tests }`, tests as built files. Throws for unknown arguments. */
async function planOf(args) {
  const [option, other] = args
  if (other !== undefined)
    throw new Error(`one of --quick, --changed and --changed=REF at a time, not ${args.join(" ")}`)
  if (option === undefined) return { checks: CHECKS, tests: wholeRun() }
  if (option === "--quick") return { checks: QUICK_CHECKS, tests: bundled(pureTestFiles()) }
  const [, ref] = /^--changed(?:=(.+))?$/.exec(option) ?? []
  if (option !== "--changed" && ref === undefined) throw new Error(`unknown: ${option}; see tools/check.mjs`)
  const change = (await import("./changed.mjs")).changeIn(ROOT, ref)
  say(`since ${change.commit.slice(0, 12)}: ${change.changed.length} files have changed, `)
  say(`${change.tests.length} test files cover them or their importers\n`)
  return { checks: checksOfChange(change), tests: change.tests.map(builtPath) }
}

const builtPath = path => join(ROOT, "dist", path.replace(/\.ts$/, ".js"))

/** Runs one check and prints its result; never rejects, so that a crash does not hide the others. */
async function runCheck(name, check) {
  const startedMs = performance.now()
  const complaint = await check().catch(error => error?.stack ?? String(error))
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
  say(complaint === undefined ? `ok      ${name} (${seconds} s)\n` : `not ok  ${name} (${seconds} s)\n${complaint}\n`)
  return complaint === undefined
}

const args = takeSeed(process.argv.slice(2))
await ensure({ dev: true })
const plan = await planOf(args).catch(error => {
  say(`check: ${error.message}\n`)
  process.exit(2)
})
const verdicts = await Promise.all(Object.entries(plan.checks).map(([name, check]) => runCheck(name, check)))
const mayBeNone = args[0]?.startsWith("--changed") === true
const noTests = plan.tests.length === 0
const tests = noTests ? { passed: 0, failed: 0 } : await runTests(plan.tests)
const sawNone = tests.passed === 0 && tests.failed === 0 && !(noTests && mayBeNone)
if (sawNone) say("not ok  tests: no test file was found\n")

const passed = tests.passed + verdicts.filter(Boolean).length
const failed = tests.failed + verdicts.filter(ok => !ok).length + (sawNone ? 1 : 0)
say(closingLine({ passed, failed }))
process.exitCode = failed > 0 ? 1 : 0
