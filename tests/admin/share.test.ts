/** Links for objects: who signs them, what they allow on the S3 port, and when they end. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { SHARED } from "@hayloft/admin/buckets/share-schemas.js"
import { endpointFor } from "@hayloft/server/links.js"
import { parseBucketName } from "@hayloft/base/ids.js"
import { allow, ROOT_KEY } from "../access/world.js"
import { serveModel } from "../s3/over-model.js"
import { Browser, ConsoleWorld, MINUTE_MS, TOKEN } from "./world.js"

const DAY_SECONDS = 86_400

async function open() {
  const world = await ConsoleWorld.open()
  const { accounts, identities } = world.access.access
  const served = await serveModel({ accounts, clock: world.clock })
  world.s3Endpoint = served.endpoint
  const name = parseBucketName("photos")
  await served.services.buckets.create({ name, owner: ROOT_KEY.accountId, location: "" })
  await world.store.parts.buckets.create({ name, owner: ROOT_KEY.accountId, location: "" })
  const operator = new Browser(world.node())
  await operator.signIn({ token: TOKEN })
  const user = async (userName: string, action: string) => {
    const ref = await world.access.create("user", userName)
    await identities.putInline(ref, "own", allow(action, "arn:aws:s3:::photos/ours/*"))
    const { key, secret } = await accounts.createKey({ accountId: ROOT_KEY.accountId, userName })
    const browser = new Browser(world.node())
    await browser.signIn({ accessKeyId: key.id, secretAccessKey: secret })
    return { browser, id: key.id }
  }
  const share = async (browser: Browser, body: object) => {
    const answer = await browser.send("POST", "/v1/buckets/photos/share", { body })
    assert.equal(answer.status, 201, JSON.stringify(answer.value))
    return SHARED.parse(answer.value)
  }
  return { world, served, operator, user, share }
}

const ROOT = ROOT_KEY.accessKeyId
const put = (url: string, body: string) => fetch(url, { method: "PUT", body })

test("a link of the operator is signed by the key it names, works on the S3 port, and ends", async t => {
  const { world, served, operator, share } = await open()
  t.after(() => served.stop())
  const key = "a b/ünï+?.txt"
  const writing = await share(operator, { key, method: "PUT", accessKeyId: ROOT, expiresSeconds: 60 })
  assert.equal((await put(writing.url, "hello")).status, 200)
  assert.equal((await fetch(writing.url)).status, 403)
  const reading = await share(operator, { key, accessKeyId: ROOT, expiresSeconds: 7 * DAY_SECONDS })
  assert.equal(reading.accessKeyId, ROOT)
  assert.equal(reading.expiresMs, world.clock.wallMs() + 7 * DAY_SECONDS * 1_000)
  assert.equal(await (await fetch(reading.url)).text(), "hello")
  await world.clock.advance(MINUTE_MS + 1_000)
  assert.equal((await put(writing.url, "later")).status, 403)
  assert.equal(await (await fetch(reading.url)).text(), "hello")
  const [audited] = (await world.store.audit.list(undefined, 9)).entries
  assert.equal(audited?.operation, "shareObject")
  assert.ok(!JSON.stringify(audited).includes("Signature"), JSON.stringify(audited))
})

test("a link names a version, and the endpoint that clients reach", async t => {
  const { served, operator, share } = await open()
  t.after(() => served.stop())
  const named = { key: "k", accessKeyId: ROOT }
  const versioned = new URL((await share(operator, { ...named, versionId: "v 1" })).url)
  assert.equal(versioned.searchParams.get("versionId"), "v 1")
  const elsewhere = new URL((await share(operator, { ...named, endpoint: "https://s3.example.com" })).url)
  assert.equal(elsewhere.origin, "https://s3.example.com")
  const everywhere = { host: "0.0.0.0", port: 9000 }
  assert.equal(
    endpointFor("http://127.0.0.1:9000", everywhere, "files.example.com:9001"),
    "http://files.example.com:9000",
  )
  assert.equal(endpointFor("http://127.0.0.1:9000", everywhere, "[::5]:9001"), "http://[::5]:9000")
  assert.equal(endpointFor("http://10.0.0.1:9000", { host: "10.0.0.1", port: 9000 }, "x:9001"), "http://10.0.0.1:9000")
})

test("who has signed in with a key signs with that one, and only what its policies allow", async t => {
  const { served, operator, user, share } = await open()
  t.after(() => served.stop())
  await put((await share(operator, { key: "ours/1", method: "PUT", accessKeyId: ROOT })).url, "hello")
  const ann = await user("ann", "s3:GetObject")
  const link = await share(ann.browser, { key: "ours/1" })
  assert.equal(link.accessKeyId, ann.id)
  assert.equal(await (await fetch(link.url)).text(), "hello")
  const refuse = async (browser: Browser, body: object, code: string) =>
    assert.equal((await browser.send("POST", "/v1/buckets/photos/share", { body })).code, code, JSON.stringify(body))
  await refuse(ann.browser, { key: "theirs/1" }, "accessDenied")
  await refuse(ann.browser, { key: "ours/1", method: "PUT" }, "accessDenied")
  await refuse(ann.browser, { key: "ours/1", versionId: "v" }, "accessDenied")
  await refuse(ann.browser, { key: "ours/1", accessKeyId: ROOT }, "invalidArgument")
  await refuse(operator, { key: "k" }, "invalidArgument")
  await refuse(operator, { key: "k", accessKeyId: "AKIANOSUCHKEY" }, "noSuchAccessKey")
  await refuse(operator, { key: "k", accessKeyId: ROOT, expiresSeconds: 7 * DAY_SECONDS + 1 }, "invalidArgument")
  await refuse(operator, { key: "k", accessKeyId: ROOT, endpoint: "javascript:alert(1)" }, "invalidArgument")
  await refuse(operator, { key: "k", accessKeyId: ROOT, method: "PUT", versionId: "v" }, "invalidArgument")
})

test("tokens need the scope all; temporary credentials sign with their session token, and end the link with them", async t => {
  const { world, served, operator, share } = await open()
  t.after(() => served.stop())
  const made = await operator.send("POST", "/v1/tokens", { body: { name: "ci", scopes: ["buckets"] } })
  const token = new Browser(world.node())
  await token.signIn({ token: made.value["token"] })
  const refused = await token.send("POST", "/v1/buckets/photos/share", { body: { key: "k", accessKeyId: ROOT } })
  assert.equal(refused.code, "outOfScope")
  const { sessions } = world.access.access
  const root = await world.access.mustKnow(ROOT)
  const issued = sessions.ofKey(root, { seconds: 900, nowMs: world.clock.wallMs() })
  const { accessKeyId, secret: secretAccessKey, token: sessionToken } = issued
  const browser = new Browser(world.node())
  await browser.signIn({ accessKeyId, secretAccessKey, sessionToken })
  const writing = await share(browser, { key: "k", method: "PUT", expiresSeconds: DAY_SECONDS })
  assert.equal((await put(writing.url, "v")).status, 200)
  assert.equal(writing.expiresMs, world.clock.wallMs() + 900_000)
})
