/** Commands and queries of the product have names of their own: threads find them by their names. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { pathToFileURL } from "node:url"
import { runOk } from "../harness/commands.js"
import { ROOT } from "../harness/server.js"

const urlOf = (path: string): string => JSON.stringify(pathToFileURL(`${ROOT}dist/packages/${path}`).href)

/** The parts that the program loads: servers, front threads, rescue, commands, and the checks of a database. */
const PARTS = [
  "server/src/serve.js",
  "server/src/threads/serve-front.js",
  "server/src/run-rescue.js",
  "cli/src/program.js",
  "engine/src/sql/check/check-database.js",
]
  .map(urlOf)
  .join()

/** The names that several kinds have in a process with the modules of the program, and those that `more` declares. */
async function ambiguousWith(more: string): Promise<unknown> {
  const source = `
    for (const part of [${PARTS}]) await import(part)
    const { ambiguousNames, query } = await import(${urlOf("engine/src/metadata/contract.js")})
    ${more}
    console.log(JSON.stringify(ambiguousNames()))
    process.exit()`
  return JSON.parse(await runOk(process.execPath, ["--input-type=module", "-e", source]))
}

test("no two commands of the program have one name, and no two queries", async () => {
  assert.deepEqual(await ambiguousWith(""), [])
  const planted = 'query("BucketNamed", () => undefined)'
  assert.deepEqual(await ambiguousWith(planted), ["BucketNamed"], "names of modules that a server imports are known")
})
