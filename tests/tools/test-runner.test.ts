/** `npm test`: uncaught errors fail the file although promises are not tracked; the lists name existing files. */
import assert from "node:assert/strict"
import { existsSync } from "node:fs"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { pathToFileURL } from "node:url"
import { withFolder } from "../harness/folders.js"
import { ROOT } from "../harness/server.js"
import { run } from "../harness/commands.js"

const STRAYS = {
  rejection: `void Promise.reject(new Error("a stray rejection"))`,
  exception: `setTimeout(() => { throw new Error("a stray exception") })`,
}

/** The result of a test file with a test that leaves this behind. */
const outcomeOf = (stray: string) =>
  withFolder(async folder => {
    const file = join(folder, "file.mjs")
    const lines = [
      `import { test } from "node:test"`,
      `test("leaves something behind", async () => { ${stray}; await new Promise(done => setTimeout(done, 50)) })`,
      `test("is good", t => t.test("and so is its part", () => {}))`,
    ]
    await writeFile(file, lines.join("\n"))
    const env = { NODE_TEST_CONTEXT: "", NODE_OPTIONS: "" }
    return run(process.execPath, ["--require", join(ROOT, "tools/plain-tests.cjs"), file], { env })
  })

test("a file passes if all its tests pass", async () => {
  assert.equal((await outcomeOf("")).code, 0)
})

for (const [what, stray] of Object.entries(STRAYS)) {
  test(`a stray ${what} fails the file, and is reported`, async () => {
    const { code, stdout } = await outcomeOf(stray)
    assert.notEqual(code, 0)
    assert.match(stdout, new RegExp(`a stray ${what}`))
  })
}

/** `node:test` tracks promises by destroy hooks: with them, each promise has its own number. */
test("promises of tests are not tracked", async () => {
  const { code, stdout } = await outcomeOf(
    `const { executionAsyncId } = await import("node:async_hooks"); await 0; process.stdout.write("in " + executionAsyncId() + ".")`,
  )
  assert.equal(code, 0)
  assert.match(stdout, /in 0\./)
})

test("all files that the runner lists by name exist", async () => {
  const url = pathToFileURL(join(ROOT, "tools/test.mjs")).href
  const { LONGEST } = (await import(url)) as { LONGEST: readonly string[] }
  assert.deepEqual(
    LONGEST.filter(file => !existsSync(join(ROOT, file))),
    [],
  )
})
