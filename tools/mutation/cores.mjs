/**
 * Mutation: the pure cores and the test files that are run against their mutants.
 *
 * `cores.json` lists the cores as patterns of paths, and the excluded cores and tests, each with its reason. The
 * tests of a core are the pure test files of its module and of
 * `tests/scenarios` that import it themselves: tests that reach it only through other files take too long to run for
 * each mutant. A pure test file imports only `test` and `before` from `node:test`, and no module for processes,
 * threads, sockets, folders or real time.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { namesOfFile } from "../layers/names-of-files.mjs"
import { sourcesOf } from "../layers.mjs"
import { ROOT, moduleOf } from "../lint/paths.mjs"
import { WORLD } from "../testing/files.mjs"

export const CONFIG = JSON.parse(readFileSync(join(ROOT, "tools/mutation/cores.json"), "utf8"))

const PATTERNS = CONFIG.cores.map(pattern => new RegExp(pattern))
const isCore = path => PATTERNS.some(pattern => pattern.test(path)) && CONFIG.coresLeftOut[path] === undefined
const SCENARIOS = "tests/scenarios/"
const PLAIN_TEST = /import \{ (before, )?test(, type \w+)? \} from "node:test"/

const isPureTest = (path, text) =>
  path.endsWith(".test.ts") && PLAIN_TEST.test(text) && !WORLD.test(text) && CONFIG.testsLeftOut[path] === undefined

/** Files that a test imports; the subjects of a scenario test are in files beside it. */
function importedBy(test) {
  const imported = new Set([test])
  for (const path of imported) {
    if (path !== test && !path.startsWith(SCENARIOS)) continue
    for (const { to } of namesOfFile(path, readFileSync(join(ROOT, path), "utf8")).imports) imported.add(to)
  }
  return imported
}

/**
 * The modules that have cores whose path contains one of the words: `{ module, cores, tests }`, paths from the root.
 * Tests named after a core come before others, most of which take longer.
 */
export function coreModules(words) {
  const paths = sourcesOf(ROOT)
  const cores = paths.filter(path => isCore(path) && (words.length === 0 || words.some(word => path.includes(word))))
  const tests = paths
    .map(path => [path, readFileSync(join(ROOT, path), "utf8")])
    .filter(([path, text]) => isPureTest(path, text))
    .map(([path]) => path)
  return [...new Set(cores.map(moduleOf))].sort().map(module => {
    const own = cores.filter(path => moduleOf(path) === module)
    const isNear = path => moduleOf(path) === module || path.startsWith(SCENARIOS)
    const trying = tests.filter(isNear).filter(path => {
      const imported = importedBy(path)
      return own.some(core => imported.has(core))
    })
    const rank = path => (/cores?\.test\.ts$/.test(path) ? 0 : 1)
    return { module, cores: own, tests: trying.sort((a, b) => rank(a) - rank(b)) }
  })
}
