/** Accounts against a real server: a reseller admin makes one and limits it, and the store's quota holds for all ways to write. */
import assert from "node:assert/strict"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { freePort } from "../harness/free-port.js"
import { CREDENTIALS, ServerProcess } from "../harness/server.js"
import { SwiftUser } from "./world.js"

const ID = "3f1c9d2e5b7a4c8e9d0f1a2b3c4d5e6f"
let folder = ""
let server: ServerProcess
let reseller: SwiftUser

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-swift-accounts-"))
  const port = await freePort()
  server = await ServerProcess.start({
    folders: [join(folder, "data")],
    args: ["--swift-listen", `127.0.0.1:${port}`],
  })
  const headers = { "X-Auth-User": CREDENTIALS.accessKey, "X-Auth-Key": CREDENTIALS.secretKey }
  const signedIn = await fetch(`http://127.0.0.1:${port}/auth/v1.0`, { headers })
  reseller = new SwiftUser(port, signedIn.headers.get("x-auth-token") ?? "", `/v1/AUTH_${ID}`)
})
after(async () => {
  await server?.kill()
  await rm(folder, { recursive: true, force: true })
})

const status = async (answer: ReturnType<SwiftUser["call"]>): Promise<number> => (await answer).status
const bytes = (length: number) => "x".repeat(length)

test("a new account is limited by the store's quota, whatever writes; what is there stays", async () => {
  assert.equal(await status(reseller.call("GET", "")), 404)
  assert.equal(await status(reseller.call("PUT", "")), 201)
  assert.equal(await status(reseller.call("PUT", "")), 202)
  assert.equal(await status(reseller.call("PUT", "/limited")), 201)
  assert.equal(await status(reseller.call("PUT", "/limited/first", { body: bytes(600) })), 201)
  assert.equal(await status(reseller.call("POST", "", { headers: { "X-Account-Meta-Quota-Bytes": "1000" } })), 204)
  assert.equal((await reseller.call("HEAD", "")).header("x-account-quota-bytes"), "1000")
  assert.equal(await status(reseller.call("PUT", "/limited/second", { body: bytes(600) })), 413)
  assert.equal(await status(reseller.call("COPY", "/limited/first", { headers: { Destination: "limited/copy" } })), 413)
  assert.equal(await status(reseller.call("PUT", "/limited/small", { body: bytes(300) })), 201)
  assert.equal(await status(reseller.call("POST", "", { headers: { "X-Account-Quota-Bytes": "100" } })), 204)
  assert.equal((await reseller.call("GET", "/limited/first")).text, bytes(600))
  assert.equal(await status(reseller.call("DELETE", "/limited/small")), 204)
  assert.equal(await status(reseller.call("POST", "", { headers: { "X-Account-Quota-Bytes": "" } })), 204)
  assert.equal(await status(reseller.call("PUT", "/limited/second", { body: bytes(600) })), 201)
})
