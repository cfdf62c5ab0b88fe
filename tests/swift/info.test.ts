/** `/info` over the model: what the public sees, and what administrators see who sign. */
import assert from "node:assert/strict"
import { createHmac } from "node:crypto"
import { after, before, test } from "node:test"
import { INFO, serveSwift, type SwiftWorld } from "./world.js"

let world: SwiftWorld
before(async () => {
  world = await serveSwift()
})
after(() => world.stop())

const LATER = Math.floor(Date.now() / 1000) + 3600
const signed = (method: string, expires: number | string, digest = "sha256", key = INFO.adminKey) =>
  createHmac(digest, key).update(`${method}\n${expires}\n/info`).digest("hex")
const ask = (sig: string, expires: number | string = LATER, method = "GET") =>
  world.ask(method, `/info?swiftinfo_sig=${sig}&swiftinfo_expires=${expires}`)
const documentOf = (text: string) => JSON.parse(text) as Record<string, Record<string, unknown>>

test("the public does not see hidden sections, administrators see all, and which are hidden", async () => {
  const seen = documentOf((await world.ask("GET", "/info")).text)
  assert.equal(seen["account_quotas"], undefined)
  assert.equal(seen["admin"], undefined)
  assert.ok(seen["swift"] !== undefined && !("policies" in seen["swift"]) && "max_file_size" in seen["swift"])
  const answer = await ask(signed("GET", LATER))
  assert.equal(answer.status, 200)
  const all = documentOf(answer.text)
  assert.ok(all["account_quotas"] !== undefined && all["swift"] !== undefined && "policies" in all["swift"])
  assert.deepEqual(all["admin"], { disallowed_sections: INFO.hidden })
})

test("a signature that is wrong, over, incomplete or of another method is refused", async () => {
  const statusOf = async (answer: ReturnType<typeof ask>) => (await answer).status
  assert.equal(await statusOf(ask(signed("GET", LATER), LATER, "HEAD")), 200)
  assert.equal(await statusOf(ask(signed("GET", LATER, "sha512"))), 200)
  const refused = [
    ask(signed("HEAD", LATER)),
    ask(signed("GET", LATER, "sha256", "another-key")),
    ask(signed("GET", LATER + 1)),
    ask(signed("GET", 1000), 1000),
    ask(signed("GET", "soon"), "soon"),
    ask(signed("GET", LATER, "sha1")),
    ask("x"),
    world.ask("GET", `/info?swiftinfo_sig=${signed("GET", LATER)}`),
    world.ask("GET", `/info?swiftinfo_expires=${LATER}`),
  ]
  assert.deepEqual(
    await Promise.all(refused.map(statusOf)),
    Array.from(refused, () => 401),
  )
})
