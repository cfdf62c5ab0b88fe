/**
 * Mutation: a test runner for StrykerJS that runs `node:test` files inside its own process.
 *
 * A process for each mutant would cost several times as much as the pure tests. Here each test file is bundled once
 * with the mutated cores, and evaluated again for each mutant, so that no state of one mutant reaches the next. The
 * files may import only `test` and `before` from `node:test`. Stryker ends the process if a mutant does not return
 * in time.
 */
import { createRequire } from "node:module"
import { basename, join } from "node:path"
import { pathToFileURL } from "node:url"
import vm from "node:vm"
import { PluginKind, commonTokens, declareClassPlugin, tokens } from "@stryker-mutator/api/plugin"
import { DryRunStatus, TestStatus, determineHitLimitReached, toMutantRunResult } from "@stryker-mutator/api/test-runner"
import { ROOT } from "../lint/paths.mjs"
import { packageNames } from "../packages.mjs"

const require = createRequire(import.meta.url)
/** These modules load with `require` and keep no state of a test, so they are evaluated once. */
const SHARED_PACKAGES = ["fast-check", "hash-wasm", "msgpackr", "sorted-btree", "typescript", "zod"]
/** The first test imports the cores, so that code that runs on import is covered even without a test file. */
const LOAD = "imports the cores"
const IDLE_POLL_MS = 50
const IDLE_POLLS_MAX = 8

const stryker = (globalThis.__stryker__ ??= {})

/**
 * The packages are those of the mutated copy, not the installed ones. They are aliases and not a plugin, which would hide from
 * esbuild that their files are ES modules: CommonJS packages would get other default exports.
 */
const OWN_PACKAGES = Object.fromEntries(packageNames().map(name => [`@hayloft/${name}`, `./packages/${name}/src`]))

async function bundle(files) {
  const { build } = await import("esbuild")
  const { outputFiles } = await build({
    entryPoints: files,
    bundle: true,
    write: false,
    outdir: "bundle",
    outbase: ".",
    platform: "node",
    target: "node20",
    format: "cjs",
    external: SHARED_PACKAGES,
    alias: OWN_PACKAGES,
    define: { "import.meta.url": "$address" },
    logLevel: "error",
  })
  const scripts = outputFiles.map(({ text, path }) => {
    return vm.runInThisContext(`(function (require, module, exports, $address) {${text}\n})`, basename(path))
  })
  return new Map(files.map((file, i) => [file, scripts[i]]))
}

/** Test files find their data relative to their place in the build. */
const addressOf = file => pathToFileURL(join(ROOT, "dist", file.replace(/\.ts$/, ".js"))).href

/** Evaluates a file; returns its tests: `{ id, file, run }`. The first one runs the `before` hooks. */
function load(file, script) {
  const tests = []
  const preparations = []
  const before = prepare => preparations.push(prepare)
  const prepared = async () => {
    for (const prepare of preparations.splice(0)) await prepare()
  }
  const test = (name, ...rest) => {
    const run = rest.find(argument => typeof argument === "function")
    const { skip = false } = rest.find(argument => typeof argument === "object") ?? {}
    if (run !== undefined && skip === false)
      tests.push({ id: `${file}: ${name}`, file, run: context => prepared().then(() => run(context)) })
  }
  const requireHere = id => (id === "node:test" ? { before, test } : require(id))
  const module = { exports: {} }
  script(requireHere, module, module.exports, addressOf(file))
  const { default: fc } = require("fast-check")
  // Any counterexample suffices, so it is not shrunk.
  fc.configureGlobal({ ...fc.readConfigureGlobal(), endOnFailure: true })
  return tests
}

/** The pipe to Stryker is always open; a waiting test has more active resources. */
const isWaiting = () => process.getActiveResourcesInfo().some(kind => kind !== "PipeWrap")

/** Rejects once no work has been active for a while, so that a test that waits for a lost promise ends soon. */
function stuck(signal) {
  return new Promise((_resolve, reject) => {
    let idle = 0
    const poll = setInterval(() => {
      idle = isWaiting() ? 0 : idle + 1
      if (idle === IDLE_POLLS_MAX) reject(new Error("the test waits for an event that never happens"))
    }, IDLE_POLL_MS).unref()
    signal.addEventListener("abort", () => clearInterval(poll))
  })
}

const messageOf = error => String(error?.message ?? error)

async function outcomeOf({ id, file, run }) {
  const startedAt = performance.now()
  const result = { id, name: id, fileName: file }
  const ended = new AbortController()
  try {
    await Promise.race([run({ name: id, signal: ended.signal, diagnostic() {}, skip() {} }), stuck(ended.signal)])
    return { ...result, status: TestStatus.Success, timeSpentMs: performance.now() - startedAt }
  } catch (error) {
    const failure = { status: TestStatus.Failed, failureMessage: messageOf(error) }
    return { ...result, ...failure, timeSpentMs: performance.now() - startedAt }
  } finally {
    ended.abort()
  }
}

class InProcessRunner {
  static inject = tokens(commonTokens.options)
  #files
  #cores
  #scripts = new Map()

  constructor(options) {
    this.#files = options.hayloft.tests
    this.#cores = options.hayloft.cores
  }

  capabilities() {
    return { reloadEnvironment: true }
  }

  async init() {
    // A mutant may reject a promise for which no test waits.
    process.on("unhandledRejection", () => {})
    this.#scripts = await bundle([...this.#cores, ...this.#files])
  }

  #loadCores() {
    for (const core of this.#cores) load(core, this.#scripts.get(core))
  }

  async dryRun() {
    delete stryker.mutantCoverage
    stryker.activeMutant = undefined
    this.#loadCores()
    const results = [{ id: LOAD, name: LOAD, status: TestStatus.Success, timeSpentMs: 1 }]
    for (const file of this.#files) {
      for (const test of load(file, this.#scripts.get(file))) {
        stryker.currentTestId = test.id
        results.push(await outcomeOf(test))
        stryker.currentTestId = undefined
      }
    }
    return { status: DryRunStatus.Complete, tests: results, mutantCoverage: stryker.mutantCoverage }
  }

  async mutantRun({ activeMutant, testFilter, hitLimit, mutantActivation }) {
    const isWanted = testFilter === undefined ? () => true : id => new Set(testFilter).has(id)
    stryker.hitCount = hitLimit === undefined ? undefined : 0
    stryker.hitLimit = hitLimit
    try {
      return await this.#run(activeMutant.id, mutantActivation === "static", isWanted)
    } finally {
      stryker.activeMutant = undefined
      delete stryker.mutantCoverage
    }
  }

  async #run(mutant, isStatic, isWanted) {
    const results = []
    const done = () => {
      const limit = determineHitLimitReached(stryker.hitCount, stryker.hitLimit)
      return limit ?? toMutantRunResult({ status: DryRunStatus.Complete, tests: results })
    }
    for (const file of this.#files) {
      stryker.activeMutant = isStatic ? mutant : undefined
      let tests = []
      try {
        tests = load(file, this.#scripts.get(file)).filter(({ id }) => isWanted(id))
      } catch (error) {
        const failure = { status: TestStatus.Failed, failureMessage: messageOf(error), timeSpentMs: 0 }
        results.push({ id: LOAD, name: LOAD, ...failure })
        return done()
      }
      stryker.activeMutant = mutant
      for (const test of tests) {
        const result = await outcomeOf(test)
        results.push(result)
        if (result.status === TestStatus.Failed) return done()
      }
    }
    return done()
  }
}

export const strykerPlugins = [declareClassPlugin(PluginKind.TestRunner, "in-process", InProcessRunner)]
