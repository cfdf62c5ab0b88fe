/** `npm test`: which files run together, and that nothing that fails is taken for success. */
import assert from "node:assert/strict"
import { existsSync } from "node:fs"
import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { pathToFileURL } from "node:url"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { run, runOk } from "../harness/commands.js"
import { withFolder } from "../harness/folders.js"
import { ROOT } from "../harness/server.js"

interface Unit {
  readonly name: string
  readonly class: string
  readonly path: string
  readonly files: readonly string[]
  readonly share: number
}
interface Time {
  readonly seconds: number
  readonly processorSeconds: number
}
interface Outcome {
  readonly unit: Unit
  readonly seconds: number
  readonly passed: number
  readonly skipped: readonly { readonly name: string; readonly why: string }[]
  readonly failures: readonly { readonly name: string; readonly file?: string; readonly text: string }[]
}
type State = Record<"done" | "all" | "failed" | "seconds", number> & {
  readonly running: readonly string[]
  readonly expectedSeconds?: number
}

const TEST = join(ROOT, "tools/test.mjs")

const load = async <T>(name: string): Promise<T> =>
  (await import(pathToFileURL(join(ROOT, "tools/testing", name)).href)) as T
const files = await load<{
  CLASSES: readonly string[]
  classOf(path: string): string
  testFiles(): readonly string[]
  timedNames(): readonly string[]
  unitsOf(files: readonly string[], options?: { readonly isRecorded: boolean }): readonly Unit[]
}>("files.mjs")
const schedule = await load<{
  nextOf(waiting: readonly Unit[], running: readonly Unit[], cores: number): Unit | undefined
  shareOf(kind: string, time?: Time): number
  ordered(units: readonly Unit[], secondsOf: (unit: Unit) => number): readonly Unit[]
}>("schedule-core.mjs")
const { runUnit } = await load<{ runUnit(unit: Unit, msMax?: number): Promise<Outcome> }>("run-unit.mjs")
const progress = await load<{
  progressText(state: State): string
  endText(outcomes: readonly Outcome[], took: { seconds: number; processorSeconds: number; seed?: string }): string
}>("progress.mjs")

const unit = (kind: string, name = kind, share = 1): Unit => ({ name, class: kind, path: name, files: [name], share })

/** The outcome of a test file with these lines. */
const outcomeOf = (lines: readonly string[], msMax?: number): Promise<Outcome> =>
  withFolder(async folder => {
    const path = join(folder, "file.mjs")
    await writeFile(path, [`import { test } from "node:test"`, ...lines].join("\n"))
    return runUnit({ ...unit("server", "a file"), path }, msMax)
  })

const GOOD = `test("is good", t => t.test("and so is its part", () => {}))`

test("passed, skipped and failed tests are counted, with the file and the reason", async () => {
  const { passed, skipped, failures } = await outcomeOf([
    GOOD,
    `test("is left out", { skip: "it rains" }, () => {})`,
    `test("is bad", t => t.test("because of its part", () => { throw new Error("the reason") }))`,
  ])
  assert.deepEqual([passed, skipped], [2, [{ kind: "skipped", name: "is left out", why: "it rains" }]])
  assert.deepEqual(
    failures.map(({ name }) => name),
    ["because of its part"],
  )
  assert.match(failures[0]?.text ?? "", /the reason/)
  assert.match(failures[0]?.file ?? "", /file\.mjs$/)
})

test("files that share a process keep their hooks, and one that cannot be loaded or has no test fails alone", async () => {
  const files = {
    "first.mjs": `let here = false
      before(() => { here = true })
      after(() => { here = false })
      globalThis.isFirstHere = () => here
      test("has its hooks", () => assert.ok(here))
      test("has them again", () => assert.ok(here))`,
    "thrown.mjs": `throw new Error("on the way")`,
    "empty.mjs": ``,
    "hook.mjs": `before(() => { throw new Error("in a hook") })
      test("is not run", () => {})`,
    "last.mjs": `test("comes after the hooks of the first", () => assert.ok(!globalThis.isFirstHere()))
      test("is bad", () => assert.fail("the reason"))`,
  }
  await withFolder(async folder => {
    const imports = `import assert from "node:assert"\nimport { after, before, test } from "node:test"\n`
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), `${imports}${text}`)
    const path = join(folder, "part.mjs")
    const runner = pathToFileURL(join(ROOT, "tools/testing/part.mjs")).href
    const paths = JSON.stringify(Object.keys(files).map(name => join(folder, name)))
    await writeFile(path, `import { runPart } from ${JSON.stringify(runner)}\nawait runPart(${paths})`)
    const { passed, failures } = await runUnit({ ...unit("server", "a part"), path })
    assert.equal(passed, 3)
    assert.deepEqual(
      failures.map(({ file = "", text }) => [file.replace(`${folder}/`, ""), text.split("\n")[0]]),
      [
        ["thrown.mjs", "Error: on the way"],
        ["empty.mjs", "Error: the file has no test"],
        ["hook.mjs", "Error: in a hook"],
        ["last.mjs", "AssertionError [ERR_ASSERTION]: the reason"],
      ],
    )
  })
})

test("a skipped suite is a result, and is reported", async () => {
  const { skipped, failures } = await outcomeOf([
    `import { describe } from "node:test"`,
    `describe("a suite", { skip: "it rains" }, () => test("inside", () => {}))`,
  ])
  assert.deepEqual([skipped.map(({ why }) => why), failures], [["it rains"], []])
})

test("words that name nothing, and arguments that would be ignored, are refused", { timeout: 300_000 }, async () => {
  for (const [args, expected] of [
    [["base/src/bytes", "no-such-file"], /no test file has "no-such-file"/],
    [["--package", "base", "bytes", "no-such-file"], /no test file has "no-such-file"/],
    [["--check", "site", "bytes"], /--check stands alone/],
    [["--check", "site", "--class", "pure"], /--check stands alone/],
    [["--class", "pure", "--changed"], /--changed stands alone, not beside --class/],
  ] as const) {
    const { code, stderr } = await run(process.execPath, [TEST, ...args])
    assert.equal(code, 2, args.join(" "))
    assert.match(stderr, expected)
  }
})

test("a run has the seed of its commit, or the one that is named", async () => {
  const seedOf = async (TEST_SEED: string | undefined, ...args: readonly string[]) => {
    // The word is refused once the seed is known.
    const { stdout, stderr } = await run(process.execPath, [TEST, ...args, "no-such-file"], { env: { TEST_SEED } })
    return /^seed (\d+)$/m.exec(stdout)?.[1] ?? stderr.trim()
  }
  const commit = (await runOk("git", ["rev-parse", "HEAD"], { cwd: ROOT })).trim()
  assert.equal(await seedOf(undefined), String(Number.parseInt(commit.slice(0, 8), 16) % 1_000_000))
  assert.equal(await seedOf("7"), "7")
  assert.equal(await seedOf("7", "--seed", "8"), "8")
  assert.match(await seedOf(undefined, "--seed", "random"), /^\d{1,6}$/)
  assert.match(await seedOf(undefined, "--seed", "seven"), /--seed needs a whole number/)
})

test("a failure is reported, also with the output of another run in its message; a test whose parts failed is not", () =>
  withFolder(async folder => {
    const file = join(folder, "failing.test.mjs")
    const lines = join(folder, "lines")
    await writeFile(
      file,
      `import { test } from "node:test"
       test("other run", () => { throw new Error("not ok 1 - x: '1 subtest failed'") })
       test("whole", t => t.test("part", () => { throw new Error("fails") }))`,
    )
    const reporter = `--test-reporter=${join(ROOT, "tools/testing/reporter.mjs")}`
    const plain = join(ROOT, "tools/plain-tests.cjs")
    const args = ["--require", plain, reporter, `--test-reporter-destination=${lines}`, file]
    const { code } = await run(process.execPath, args, { env: { NODE_TEST_CONTEXT: undefined } })
    const found = (await readFile(lines, "utf8")).trim().split("\n")
    const failed = found.map(line => JSON.parse(line) as { kind: string; name?: string }).filter(({ name }) => name)
    assert.deepEqual(
      [code, failed.map(({ kind, name }) => `${kind} ${name}`)],
      [1, ["failed other run", "failed part"]],
    )
  }))

test("a change of what the site is made of checks the site", async () => {
  const { checksOfChange } = await load<{
    checksOfChange(change: { readonly changed: readonly string[] }): readonly { readonly name: string }[]
  }>("checks.mjs")
  const namesOf = (...changed: readonly string[]) => checksOfChange({ changed }).map(({ name }) => name)
  assert.ok(namesOf("site/site.css").includes("site"))
  assert.ok(namesOf("docs/README.md").includes("site"))
  assert.ok(!namesOf("tests/races.test.ts").includes("site"))
})

const STRAYS = {
  rejection: `void Promise.reject(new Error("a stray rejection"))`,
  exception: `setTimeout(() => { throw new Error("a stray exception") })`,
}
for (const [what, stray] of Object.entries(STRAYS)) {
  test(`a stray ${what} fails the file although promises are not tracked, and is reported`, async () => {
    const late = `await new Promise(done => setTimeout(done, 50))`
    const { failures } = await outcomeOf([`test("leaves something", async () => { ${stray}; ${late} })`, GOOD])
    assert.ok(failures.some(({ name, text }) => `${name} ${text}`.includes(`a stray ${what}`)))
  })
}

test("a file fails that ends without a result, with an exit code, by a signal, or not at all", async () => {
  for (const [lines, expected, msMax] of [
    [[`throw new Error("on the way")`], /exit code 1.*on the way/s],
    [[GOOD, `process.on("exit", () => process.exit(3))`], /exit code 3/],
    [[`const left = () => test("is not registered", () => {})`], /has no test/],
    [[`process.kill(process.pid, "SIGKILL")`], /SIGKILL/],
    // The tests after it would be missing without a word.
    [
      [
        GOOD,
        `test("is over", async () => { await new Promise(setImmediate); setImmediate(() => process.exit(0)) })`,
        `await new Promise(done => setTimeout(done, 500))`,
        GOOD,
      ],
      /ended the process before/,
    ],
    [[`test("hangs", () => new Promise(() => setInterval(() => {}, 1000)))`], /longer than 2 s/, 2_000],
  ] as const) {
    const { failures } = await outcomeOf(lines, msMax)
    assert.match(failures.map(({ name, text }) => `${name} ${text}`).join("\n"), expected)
  }
})

test("what a file leaves running ends with it", { timeout: 300_000 }, async () => {
  const { failures } = await outcomeOf([
    `import { spawn } from "node:child_process"`,
    `const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" })`,
    `child.unref()`,
    `test("fails with the number", () => { throw new Error("left " + child.pid + ".") })`,
  ])
  const [, left] = /left (\d+)\./.exec(failures[0]?.text ?? "") ?? []
  assert.ok(left !== undefined)
  // A process that was killed is there until the system gets to it.
  const stateOf = async () => (await run("ps", ["-o", "stat=", "-p", left])).stdout
  await until("the process is gone", async () => /^(Z.*)?\s*$/.test(await stateOf()))
})

/** `node:test` tracks promises by destroy hooks: with them, each promise has its own number. */
test("promises of tests are not tracked", async () => {
  const { failures } = await outcomeOf([
    `const { executionAsyncId } = await import("node:async_hooks"); await 0; const id = executionAsyncId()`,
    `test("tells", () => { throw new Error("in " + id + ".") })`,
  ])
  assert.match(failures[0]?.text ?? "", /in 0\./)
})

test("units run beside each other as long as their shares of the processor fit", () => {
  const started = (waiting: readonly Unit[], cores: number): readonly string[] => {
    const [left, running]: [Unit[], Unit[]] = [[...waiting], []]
    for (;;) {
      const next = schedule.nextOf(left, running, cores)
      if (next === undefined) return running.map(({ name }) => name)
      running.push(next)
      left.splice(left.indexOf(next), 1)
    }
  }
  const busy = [..."abcdef"].map(name => unit("simulation", name, 1))
  const waits = [..."uvwxyz"].map(name => unit("server", name, 0.2))
  assert.deepEqual(started(busy, 2), ["a", "b"])
  assert.deepEqual(started([...waits.slice(3), ...busy], 2), ["x", "y", "z", "a"], "those that wait run beside")
  assert.deepEqual(started(waits.concat(waits), 1), ["u", "v", "w", "x", "y"])
  assert.deepEqual(started([unit("nodes", "n", 9)], 1), ["n"], "whatever is too much runs alone")
  const browsers = [..."abc"].map(name => unit("browser", name, 0.2))
  assert.deepEqual(started([...browsers, ...waits], 1), ["a", "u", "v", "w", "x"])
})

test("the share of a unit is what it took, or what is usual for its class", () => {
  assert.equal(schedule.shareOf("simulation"), 1)
  assert.equal(schedule.shareOf("server", { seconds: 60, processorSeconds: 15 }), 0.25)
  assert.equal(schedule.shareOf("server", { seconds: 60, processorSeconds: 1 }), 0.2)
})

test("the slowest units start first", () => {
  const units = ["b", "c", "a"].map(name => unit("pure", name))
  const order = schedule.ordered(units, ({ name }) => (name === "c" ? 9 : 1))
  assert.deepEqual(
    order.map(({ name }) => name),
    ["c", "a", "b"],
  )
})

test("each test file has the class of the most that it needs", () => {
  for (const [name, kind] of [
    ["tests/console/store", "browser"],
    ["tests/cluster/zones", "nodes"],
    ["tests/sql/races", "nodes"],
    ["tests/clients/sdk", "server"],
    ["packages/cli/src/transfer/sync", "server"],
    ["tests/conformance", "server"],
    ["sim/world/twins", "simulation"],
    ["tests/sql/planted", "simulation"],
    ["packages/protocols/src/http/listener", "simulation"],
    ["packages/base/src/bytes", "pure"],
    ["tests/scenarios/scenarios", "pure"],
  ] as const)
    assert.equal(files.classOf(`dist/${name}.test.js`), kind, name)
  const all = files.testFiles()
  const units = files.unitsOf(all)
  assert.deepEqual(units.flatMap(each => each.files).sort(), [...all].sort(), "every file is in one unit")
  const recorded = files.unitsOf(all, { isRecorded: true })
  assert.deepEqual(recorded.flatMap(each => each.files).sort(), [...all].sort())
  for (const { class: kind, files: of } of recorded) assert.ok(of.length === 1 || ["pure", "simulation"].includes(kind))
  for (const { class: kind } of units) assert.ok(files.CLASSES.includes(kind))
})

test("all files whose times are recorded exist", () => {
  const gone = files.timedNames().filter(name => !existsSync(join(ROOT, "dist", `${name}.test.js`)))
  assert.deepEqual(gone, [])
})

test("a run tells how far it is, and what repeats each failed file", () => {
  const state = { done: 3, all: 9, running: ["a", "b", "c", "d", "e"], failed: 1, seconds: 61, expectedSeconds: 200 }
  assert.equal(
    progress.progressText(state),
    "3 of 9 done, 5 running, 1 failed, 61 s, about 2 min 19 s left: a, b, c, d, …",
  )
  const failures = [{ name: "t", file: join(ROOT, "dist/packages/base/src/x.test.js"), text: "no" }]
  const bundle = {
    ...unit("pure", "part 1"),
    files: ["dist/packages/base/src/x.test.js", "dist/packages/base/src/y.test.js"],
  }
  const outcomes = [
    { unit: bundle, seconds: 9, passed: 1, skipped: [], failures },
    { unit: unit("server", "tests/z"), seconds: 100, passed: 1, skipped: [{ name: "s", why: "w" }], failures: [] },
  ]
  const text = progress.endText(outcomes, { seconds: 100, processorSeconds: 50, seed: "7" })
  assert.match(text, /^skipped {2}s: w\nslowest: tests\/z 1 min 40 s, part 1 9 s\n1 min 40 s, of which 50 s/)
  assert.match(text, /^failed: part 1; again: npm test -- packages\/base\/src\/x --seed 7$/m)
})
