/**
 * `npm run check`: everything that is checked anywhere, in one command: types, lint, format, layers,
 * documents, tests. Closes with one line, `N passed, N failed`, each check counting as one.
 *
 *   npm run check -- --quick      types, lint, layers and the pure tests, for between two edits: types and lint look only
 *                                 at what has changed, so that a finding that a change causes in another file may come
 *                                 with the whole check only
 */
import { spawn } from "node:child_process"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { ensure } from "./ensure.mjs"
import { bundled, closingLine, pureTestFiles, runTests, takeSeed, testFiles } from "./test.mjs"

const ROOT = join(fileURLToPath(import.meta.url), "../..")
const say = text => process.stdout.write(text)

/** Runs a tool of node_modules; resolves with what it said if it failed, with nothing if all is well. */
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

/** Name and what it takes; each resolves with its complaint, or nothing. The first three share two cores well. */
const CHECKS = {
  types: () => runTool("typescript/bin/tsc", ["--noEmit"]),
  lint: () => runTool("eslint/bin/eslint.js", [".", "--max-warnings", "0"]),
  format: () => runTool("prettier/bin/prettier.cjs", ["--check", "."]),
  layers: async () => sentences((await import("./layers.mjs")).checkLayers().problems),
  documents: async () => sentences(await (await import("./docs.mjs")).checkDocuments()),
}

const CACHE = join(ROOT, ".cache")
const QUICK_CHECKS = {
  types: () =>
    runTool("typescript/bin/tsc", ["--noEmit", "--incremental", "--tsBuildInfoFile", join(CACHE, "types.tsbuildinfo")]),
  lint: () =>
    runTool("eslint/bin/eslint.js", [
      ...[".", "--max-warnings", "0"],
      ...["--cache", "--cache-strategy", "content", "--cache-location", join(CACHE, "lint.json")],
    ]),
  layers: CHECKS.layers,
}

/** Runs one check and says how it went; never rejects, so that one that breaks does not hide the others. */
async function judge(name, check) {
  const startedMs = performance.now()
  const complaint = await check().catch(error => error?.stack ?? String(error))
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
  say(complaint === undefined ? `ok      ${name} (${seconds} s)\n` : `not ok  ${name} (${seconds} s)\n${complaint}\n`)
  return complaint === undefined
}

const isQuick = takeSeed(process.argv.slice(2)).includes("--quick")
await ensure({ dev: true })
const checks = Object.entries(isQuick ? QUICK_CHECKS : CHECKS)
const verdicts = await Promise.all(checks.map(([name, check]) => judge(name, check)))
// Tests that come in a short and a full size take the full one here.
if (!isQuick) process.env.FULL_CHECK = "yes"
const tests = await runTests(isQuick ? bundled(pureTestFiles()) : testFiles())
const noTests = tests.passed === 0 && tests.failed === 0
if (noTests) say("not ok  tests: none was found\n")

const passed = tests.passed + verdicts.filter(Boolean).length
const failed = tests.failed + verdicts.filter(ok => !ok).length + (noTests ? 1 : 0)
say(closingLine({ passed, failed }))
process.exitCode = failed > 0 ? 1 : 0
