/**
 * Runs several test files in one process, one after another: to start a process, to load the modules and to compile what all
 * of them use costs more than most files do.
 *
 * Promises  The hooks of a file are for its own tests only, and its last hook has ended before the next file is loaded. If a
 *           file cannot be loaded, has no test, or one of its hooks fails, that is one failed test, and the next file follows.
 * Limits    What a file changes in the process (its variables, its folder) is left to those that follow. A suite
 *           (`describe`) is as good as its tests alone.
 */
import { createRequire, syncBuiltinESMExports } from "node:module"
import { setImmediate as turn } from "node:timers/promises"
import { pathToFileURL } from "node:url"

const nodeTest = createRequire(import.meta.url)("node:test")
const { test } = nodeTest
const HOOKS = ["before", "beforeEach", "afterEach", "after"]

let fileNow

/** The file whose tests run, for who reports: Node names the file from which a test was called, which is this one. */
export const fileOfPart = () => fileNow

/** While a file is loaded: what it has registered, and not run. */
let loading

/** Before any file has imported `node:test`, whose exports are fixed then. */
function recordTests() {
  const usual = HOOKS.map(name => nodeTest[name])
  const record = (...args) => (loading === undefined ? test(...args) : void loading.tests.push(args))
  nodeTest.test = Object.assign(record, test)
  HOOKS.forEach((name, i) => {
    nodeTest[name] = (...args) => (loading === undefined ? usual[i](...args) : void loading[name].push(args[0]))
  })
  syncBuiltinESMExports()
}

async function load(path) {
  const found = { tests: [], before: [], beforeEach: [], afterEach: [], after: [] }
  loading = found
  try {
    await import(pathToFileURL(path).href)
  } finally {
    loading = undefined
  }
  if (found.tests.length === 0) throw new Error("the file has no test")
  return found
}

async function runHooks(hooks) {
  for (const hook of hooks) await hook()
}

async function runFile(path) {
  const { tests, before, beforeEach, afterEach, after } = await load(path)
  try {
    await runHooks(before)
    for (const args of tests) {
      await runHooks(beforeEach)
      await test(...args)
      await runHooks(afterEach)
    }
  } finally {
    await runHooks(after)
  }
}

/** `paths` are absolute. */
export async function runPart(paths) {
  recordTests()
  for (const path of paths) {
    fileNow = path
    await runFile(path).catch(error => test("outside of its tests", () => Promise.reject(error)))
    // Then all results have been reported.
    await turn()
    await turn()
  }
}
