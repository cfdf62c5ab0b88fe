/** The real web, against a server on loopback. */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { createServer, type Server } from "node:http"
import { isFailure } from "../../base/failures.js"
import { RealWeb } from "./real.js"

const LIMITS = { bytesMax: 100, timeoutMs: 500 }
let server: Server
let origin = ""

before(async () => {
  server = createServer(({ url }, response) => {
    if (url === "/good") return response.end("good")
    if (url === "/moved") return response.writeHead(302, { Location: "/good" }).end()
    if (url === "/large") return response.end("x".repeat(101))
    if (url !== "/slow") return response.writeHead(404).end("missing")
    return response.write("begins")
  })
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  origin = `http://127.0.0.1:${typeof address === "object" ? (address?.port ?? 0) : 0}`
})

after(() => {
  server.closeAllConnections()
  server.close()
})

test("a document that is there", async () => {
  assert.equal(Buffer.from(await new RealWeb().get(`${origin}/good`, LIMITS)).toString(), "good")
})

for (const [what, path] of [
  ["missing", "/missing"],
  ["moved", "/moved"],
  ["too large", "/large"],
  ["too slow", "/slow"],
]) {
  test(`one that is ${what} is unreachable`, async () => {
    const work = new RealWeb().get(`${origin}${path}`, LIMITS)
    await assert.rejects(work, error => isFailure(error, "providerUnreachable"))
  })
}

test("nobody listens", async () => {
  const work = new RealWeb().get("http://127.0.0.1:1/", LIMITS)
  await assert.rejects(work, error => isFailure(error, "providerUnreachable"))
})
