/**
 * Tests of what Swift's requests store without an HTTP parser, and of words and lengths of answers that Swift's own
 * tests compare.
 */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { after, before, test } from "node:test"
import type { RawResponse } from "../../conformance/raw-client.js"
import { OWNER } from "../s3/over-model.js"
import { filesOf, serveSwift, tarOf, type SwiftUser, type SwiftWorld } from "./world.js"

let world: SwiftWorld
let owner: SwiftUser
before(async () => {
  world = await serveSwift()
  owner = await world.signIn(OWNER)
})
after(() => world.stop())

const md5 = (body: string): string => createHash("md5").update(body).digest("hex")
const status = async (answer: Promise<RawResponse>): Promise<number> => (await answer).status
const { container } = filesOf(() => owner)

/** One extended attribute, as a pax header has it. */
function paxOf(key: string, value: string): string {
  const record = ` ${key}=${value}\n`
  const lengthOf = (digits: number): number => digits + record.length
  const length = [1, 2, 3].map(lengthOf).find(each => String(each).length + record.length === each)
  return `${length}${record}`
}

test("members whose attributes no header can carry are refused, and what is stored can be read", async () => {
  const attributes = [
    ["good", "user.meta.Color", "dark red"],
    ["feed", "user.meta.color", "a\nx-amz-meta-evil:1"],
    ["control", "user.meta.color", "a\x01b"],
    ["blank", "user.meta.two words", "a"],
    ["colon", "user.meta.a:b", "a"],
    ["type", "user.mime_type", "text/plain\nx-amz-website-redirect-location:/x"],
  ] as const
  const members = attributes.flatMap(([name, key, value]) => [
    ["pax", paxOf(`SCHILY.xattr.${key}`, value), "x"] as const,
    [`bulk-attributes/${name}`, name] as const,
  ])
  const headers = { Accept: "application/json" }
  const answer = await owner.call("PUT", "?extract-archive=tar", { body: tarOf(members), headers })
  const report = JSON.parse(answer.text) as Record<string, unknown>
  assert.deepEqual([report["Number Files Created"], report["Response Status"]], [1, "400 Bad Request"])
  const refused = ["feed", "control", "blank", "colon", "type"]
  assert.deepEqual(
    report["Errors"],
    refused.map(name => [`bulk-attributes/${name}`, "400 Bad Request"]),
  )
  assert.equal((await owner.call("HEAD", "/bulk-attributes/good")).header("x-object-meta-color"), "dark red")
  for (const name of refused) assert.equal(await status(owner.call("GET", `/bulk-attributes/${name}`)), 404, name)
})

test("accounts and containers without a body say so by Content-Length, as Swift's servers do", async () => {
  await container("without-body")
  const path = "/without-body"
  for (const [method, target] of [
    ["HEAD", ""],
    ["HEAD", path],
    ["GET", path],
    ["GET", "?prefix=no-such-container"],
  ] as const) {
    const answer = await owner.call(method, target)
    assert.deepEqual([answer.status, answer.header("content-length")], [204, "0"], `${method} ${target}`)
  }
})

test("names with NUL and names that are no UTF-8 are answered with Swift's words alone", async () => {
  for (const path of ["/abc%00def", "/container/abc%00def", "/%ff"]) {
    const answer = await owner.call("PUT", path)
    assert.deepEqual([answer.status, answer.text], [412, "Invalid UTF8 or contains NULL"], path)
  }
})

test("objects under a default retention need no digest, and a wrong one is refused", async () => {
  const bucket = "retained"
  const made = await world.s3.call("PUT", { bucket, headers: [["x-amz-bucket-object-lock-enabled", "true"]] })
  assert.equal(made.status, 200, made.text)
  const rule = "<Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule>"
  const xml = `<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>${rule}</ObjectLockConfiguration>`
  const digest = createHash("md5").update(xml).digest("base64")
  const lock = { bucket, query: "object-lock", body: xml, headers: [["content-md5", digest]] as const }
  const set = await world.s3.call("PUT", lock)
  assert.equal(set.status, 200, set.text)
  assert.equal(await status(owner.call("PUT", "/retained/plain", { body: "a" })), 201)
  assert.equal(await status(owner.call("PUT", "/retained/etag", { body: "a", headers: { ETag: md5("a") } })), 201)
  assert.equal(await status(owner.call("PUT", "/retained/wrong", { body: "a", headers: { ETag: md5("b") } })), 422)
  const md5Of = (body: string) => ({ "Content-MD5": createHash("md5").update(body).digest("base64") })
  assert.equal(await status(owner.call("PUT", "/retained/md5", { body: "a", headers: md5Of("a") })), 201)
  assert.equal(await status(owner.call("PUT", "/retained/other", { body: "a", headers: md5Of("b") })), 422)
})
