/** Test servers that run concurrently do not interfere with each other. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { pathToFileURL } from "node:url"
import { runOk } from "./commands.js"
import { freePort } from "./free-port.js"
import { ROOT } from "./server.js"

test("no port is reserved twice, by this process or another, though nothing listens on it", async () => {
  const harness = pathToFileURL(`${ROOT}dist/tests/harness/free-port.js`).href
  const given: number[] = []
  for (let i = 0; i < 400; i += 1) given.push(await freePort())
  const source = `
    const { freePort } = await import(${JSON.stringify(harness)})
    for (let i = 0; i < 400; i += 1) console.log(await freePort())`
  const others = (await runOk(process.execPath, ["--input-type=module", "-e", source])).trim().split("\n").map(Number)
  assert.equal(others.length, 400)
  assert.equal(new Set([...given, ...others]).size, 800)
})
