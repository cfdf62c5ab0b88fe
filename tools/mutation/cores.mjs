/**
 * Mutation: the pure cores and the test files that are run against their mutants.
 *
 * `cores.json` lists the cores as patterns of paths, and the cores and the tests that are left out, each with its
 * reason. The tests of a core are the
 * pure test files of its module (the first folder below `src/`) and of `tests/scenarios` that import it, also through
 * other files. A pure test file imports only `test` and `before` from `node:test`, and nothing by which it would reach processes,
 * threads, sockets, folders or real time.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { importsOf, sourcesOf } from "../layers.mjs"
import { ROOT, roomOf } from "../lint/paths.mjs"
import { WORLD } from "../test.mjs"

export const CONFIG = JSON.parse(readFileSync(join(ROOT, "tools/mutation/cores.json"), "utf8"))

const PATTERNS = CONFIG.cores.map(pattern => new RegExp(pattern))
const isCore = path => PATTERNS.some(pattern => pattern.test(path)) && CONFIG.coresLeftOut[path] === undefined
const SCENARIOS = "tests/scenarios/"
const PLAIN_TEST = /import \{ (before, )?test(, type \w+)? \} from "node:test"/

const isPureTest = (path, text) =>
  path.endsWith(".test.ts") && PLAIN_TEST.test(text) && !WORLD.test(text) && CONFIG.testsLeftOut[path] === undefined

/** Everything that a file imports for its code, at any distance. `texts`: all sources by path. */
function reachedFrom(path, texts, imports) {
  const reached = new Set([path])
  for (const from of reached) {
    if (!imports.has(from)) imports.set(from, importsOf(from, texts.get(from)))
    for (const { to, isType } of imports.get(from)) if (!isType && texts.has(to)) reached.add(to)
  }
  return reached
}

/**
 * The modules that have cores whose path contains one of the words: `{ module, cores, tests }`, paths from the root.
 * Tests named for a core come before others, which mostly take longer.
 */
export function coreModules(words) {
  const texts = new Map(sourcesOf(ROOT).map(path => [path, readFileSync(join(ROOT, path), "utf8")]))
  const imports = new Map()
  const cores = [...texts.keys()].filter(
    path => isCore(path) && (words.length === 0 || words.some(word => path.includes(word))),
  )
  const tests = [...texts].filter(([path, text]) => isPureTest(path, text)).map(([path]) => path)
  return [...new Set(cores.map(roomOf))].sort().map(module => {
    const own = cores.filter(path => roomOf(path) === module)
    const isNear = test => roomOf(test) === module || test.startsWith(SCENARIOS)
    const reaching = tests.filter(test => {
      const reached = isNear(test) ? reachedFrom(test, texts, imports) : new Set()
      return own.some(core => reached.has(core))
    })
    const rank = test => (/cores?\.test\.ts$/.test(test) ? 0 : 1)
    return { module, cores: own, tests: reaching.sort((a, b) => rank(a) - rank(b)) }
  })
}
