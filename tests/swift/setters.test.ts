/** Keys that let requests in without a token act as who has set them: temporary URLs, forms and container sync, over the model. */
import assert from "node:assert/strict"
import { createHmac } from "node:crypto"
import { after, before, test } from "node:test"
import { parseRealms } from "@hayloft/protocols/swift/index.js"
import { ownerAccount, OWNER, OWNER_ACCOUNT, userKeyOf } from "../s3/over-model.js"
import { accountsInMemory, serveSwift, type SwiftUser, type SwiftWorld } from "./world.js"

const LATER = 4_000_000_000
const REALM = parseRealms("[there]\nkey = realm\ncluster_here = http://127.0.0.1:1/v1/\n")
const SETTING = ["s3:PutBucketTagging", "s3:PutBucketAcl", "s3:ListBucket"]
const SETTER = { id: "AKIASETTER", secret: "setter-secret" }
/** May also set where versions go. */
const MOVER = { id: "AKIAMOVER", secret: "mover-secret" }
const LIMITED = { id: "AKIALIMITED", secret: "limited-secret" }
const FULL = { id: "AKIAFULL", secret: "full-secret" }
const LEAVING = { id: "AKIALEAVING", secret: "leaving-secret" }

const policyOf = (...statements: readonly object[]) => JSON.stringify({ Version: "2012-10-17", Statement: statements })
const allow = (Action: readonly string[] | string) => ({ Effect: "Allow", Action, Resource: "*" })
const deny = (Action: readonly string[] | string, Resource = "*") => ({ Effect: "Deny", Action, Resource })

const keys = [
  userKeyOf(SETTER, "setter", [policyOf(allow(SETTING))]),
  userKeyOf(MOVER, "mover", [policyOf(allow([...SETTING, "s3:PutBucketVersioning"]))]),
  userKeyOf(LIMITED, "limited", [policyOf(allow("s3:*"), deny("s3:*Object", "arn:aws:s3:::*/secret*"))]),
  userKeyOf(FULL, "full", [policyOf(allow("s3:*"))]),
  userKeyOf(LEAVING, "leaving", [policyOf(allow("s3:*"))]),
]
const swiftAccounts = accountsInMemory()
let world: SwiftWorld
let owner: SwiftUser
before(async () => {
  world = await serveSwift({ keys }, undefined, [], { realms: REALM, swiftAccounts })
  owner = await world.signIn(OWNER)
})
after(() => world.stop())

const KEY = { "X-Container-Meta-Temp-URL-Key": "mykey" }
const hmac = (text: string) => createHmac("sha256", "mykey").update(text).digest("hex")

async function made(name: string, setter: SwiftUser): Promise<string> {
  assert.equal((await owner.call("PUT", `/${name}`)).status, 201)
  for (const object of ["open", "secret"])
    assert.equal((await owner.call("PUT", `/${name}/${object}`, { body: object })).status, 201)
  assert.equal((await setter.call("POST", `${owner.account}/${name}`, { headers: KEY })).status, 204)
  return name
}

async function byUrl(method: string, path: string, body?: string): Promise<number> {
  const signature = hmac(`${method}\n${LATER}\n${owner.account}/${path}`)
  const target = `${owner.account}/${path}?temp_url_sig=${signature}&temp_url_expires=${LATER}`
  return (await world.anonymous.call(method, target, body === undefined ? {} : { body })).status
}

async function byForm(path: string, name: string): Promise<number> {
  const signature = hmac(`${owner.account}/${path}\n\n100\n1\n${LATER}`)
  const part = (about: string, text: string) => `--b\r\nContent-Disposition: form-data; ${about}\r\n\r\n${text}\r\n`
  const fields = { max_file_size: "100", max_file_count: "1", expires: String(LATER), signature }
  const parts = Object.entries(fields).map(([field, value]) => part(`name="${field}"`, value))
  const body = `${parts.join("")}${part(`name="f"; filename="${name}"`, "posted")}--b--\r\n`
  const headers = { "Content-Type": "multipart/form-data; boundary=b" }
  return (await world.anonymous.call("POST", `${owner.account}/${path}`, { headers, body })).status
}

async function bySync(method: string, path: string, body?: string): Promise<number> {
  const timestamp = `${Math.floor(Date.now() / 1000)}.00000`
  const text = [method, `${owner.account}/${path}`, timestamp, "nonce", "mykey"].join("\n")
  const signature = createHmac("sha1", "realm").update(text).digest("hex")
  const headers = { "X-Timestamp": timestamp, "X-Container-Sync-Auth": `there nonce ${signature}` }
  return (
    await world.anonymous.call(method, `${owner.account}/${path}`, body === undefined ? { headers } : { headers, body })
  ).status
}

const methodsOf = async (name: string, object: string) => [
  await byUrl("GET", `${name}/${object}`),
  await byUrl("HEAD", `${name}/${object}`),
  await byUrl("PUT", `${name}/${object}`, "new"),
  await byUrl("POST", `${name}/${object}`),
  await byForm(name, object),
  await byUrl("DELETE", `${name}/${object}`),
]

test("a key of a user who may set keys and nothing else reads, writes and deletes nothing", async () => {
  const name = await made("by-setter", await world.signIn(SETTER))
  assert.deepEqual(await methodsOf(name, "open"), [401, 401, 401, 401, 401, 401])
  assert.equal((await owner.call("GET", `/${name}/open`)).text, "open")
})

test("an identity's Deny holds for the temporary URLs and forms of its keys", async () => {
  const name = await made("by-limited", await world.signIn(LIMITED))
  assert.deepEqual(await methodsOf(name, "secret"), [401, 401, 401, 401, 401, 401])
  assert.deepEqual(await methodsOf(name, "open"), [200, 200, 201, 202, 201, 204])
  assert.equal((await owner.call("GET", `/${name}/secret`)).text, "secret")
})

test("a bucket policy's Deny of the setter, or of everybody, holds, also for one that comes later", async () => {
  const name = await made("by-full", await world.signIn(FULL))
  assert.equal(await byUrl("GET", `${name}/open`), 200)
  const full = `arn:aws:iam::${ownerAccount.number}:user/full`
  for (const Principal of [{ AWS: full }, "*"]) {
    const policy = policyOf({ ...deny("s3:GetObject", `arn:aws:s3:::${name}/*`), Principal })
    assert.equal((await world.s3.call("PUT", { bucket: name, query: "policy", body: policy })).status, 204)
    assert.equal(await byUrl("GET", `${name}/open`), 401)
  }
  assert.equal((await world.s3.call("DELETE", { bucket: name, query: "policy" })).status, 204)
  assert.equal(await byUrl("GET", `${name}/open`), 200)
})

test("a key ends with its setter, and works again once another one has set it", async () => {
  const name = await made("by-leaving", await world.signIn(LEAVING))
  assert.equal(await byUrl("GET", `${name}/open`), 200)
  keys.splice(
    keys.findIndex(({ id }) => id === LEAVING.id),
    1,
  )
  assert.equal(await byUrl("GET", `${name}/open`), 401)
  assert.equal(await byForm(name, "posted"), 401)
  assert.equal((await owner.call("POST", `/${name}`, { headers: KEY })).status, 204)
  assert.equal(await byUrl("GET", `${name}/open`), 200)
})

test("a key of the account acts as its setter too, and one whose setter is not known is refused until it is set again", async () => {
  const name = await made("by-account", owner)
  assert.equal(
    (await owner.call("POST", `/${name}`, { headers: { "X-Remove-Container-Meta-Temp-URL-Key": "x" } })).status,
    204,
  )
  const headers = { "X-Account-Meta-Temp-URL-Key": "mykey" }
  assert.equal((await owner.call("POST", "", { headers })).status, 204)
  assert.equal(await byUrl("GET", `${name}/open`), 200)
  await swiftAccounts.change(OWNER_ACCOUNT, ({ setters: _lost, ...others }) => others)
  assert.equal(await byUrl("GET", `${name}/open`), 401)
  assert.equal((await owner.call("POST", "", { headers })).status, 204)
  assert.equal(await byUrl("GET", `${name}/open`), 200)
  await owner.call("POST", "", { headers: { "X-Remove-Account-Meta-Temp-URL-Key": "x" } })
})

test("only the setter of a key and the root user see it: who read it would act as the setter", async () => {
  const setter = await world.signIn(SETTER)
  const full = await world.signIn(FULL)
  const name = await made("seen", owner)
  const seen = async (user: SwiftUser) =>
    (await user.call("HEAD", `${owner.account}/${name}`)).header("x-container-meta-temp-url-key")
  assert.deepEqual([await seen(owner), await seen(setter), await seen(full)], ["mykey", undefined, undefined])
  assert.equal((await setter.call("POST", `${owner.account}/${name}`, { headers: KEY })).status, 204)
  assert.deepEqual([await seen(owner), await seen(setter), await seen(full)], ["mykey", "mykey", undefined])
})

test("another cluster acts as who has set the key of container sync", async () => {
  const name = await made("synced", owner)
  const headers = { "X-Container-Sync-Key": "mykey" }
  const set = async (user: SwiftUser) => (await user.call("POST", `${owner.account}/${name}`, { headers })).status
  const requests = async () => [
    await bySync("HEAD", `${name}/secret`),
    await bySync("PUT", `${name}/secret`, "synced"),
    await bySync("GET", `${name}/open`),
    await bySync("PUT", `${name}/new`, "synced"),
  ]
  assert.equal(await set(await world.signIn(SETTER)), 204)
  assert.deepEqual(await requests(), [401, 401, 401, 401])
  assert.equal(await set(await world.signIn(LIMITED)), 204)
  assert.deepEqual(await requests(), [401, 401, 200, 201])
  assert.equal(await set(owner), 204)
  assert.equal(await bySync("HEAD", `${name}/secret`), 200)
})

test("versions go to another container only with the rights of who has set it, as they are then", async () => {
  const names = ["kept-open", "kept-versions"] as const
  const [name, location] = names
  await made(name, owner)
  assert.equal((await owner.call("PUT", `/${location}`)).status, 201)
  const headers = { "X-Versions-Location": location }
  const set = async (user: SwiftUser) =>
    assert.equal((await user.call("POST", `${owner.account}/${name}`, { headers })).status, 204)
  const put = async (object: string, body = "new") => (await owner.call("PUT", `/${name}/${object}`, { body })).status
  const kept = async () => (await owner.call("GET", `/${location}`)).text.split("\n").filter(line => line !== "")
  const limited = await world.signIn(LIMITED)
  await set(limited)
  assert.deepEqual([await put("secret"), await kept()], [403, []], "he may not read it")
  assert.equal((await owner.call("GET", `/${name}/secret`)).text, "secret")
  assert.deepEqual([await put("open"), (await kept()).length], [201, 1])
  assert.equal((await owner.call("DELETE", `/${name}/open`)).status, 204)
  assert.deepEqual([(await owner.call("GET", `/${name}/open`)).text, await kept()], ["open", []], "it came back")
  const policy = policyOf({
    ...deny("s3:PutObject", `arn:aws:s3:::${location}/*`),
    Principal: { AWS: `arn:aws:iam::${ownerAccount.number}:user/limited` },
  })
  assert.equal((await world.s3.call("PUT", { bucket: location, query: "policy", body: policy })).status, 204)
  assert.deepEqual([await put("open"), await kept()], [403, []], "he may not write there any more")
  await set(await world.signIn(MOVER))
  assert.deepEqual([await put("open"), await put("secret"), await kept()], [403, 403, []])
  await set(owner)
  assert.deepEqual([await put("open"), await put("secret"), (await kept()).length], [201, 201, 2])
  await set(await world.signIn(MOVER))
  assert.equal((await owner.call("DELETE", `/${name}/open`)).status, 403, "he may not bring one back")
  assert.equal((await kept()).length, 2)
  keys.splice(
    keys.findIndex(({ id }) => id === MOVER.id),
    1,
  )
  assert.deepEqual([await put("open"), (await kept()).length], [412, 2], "he is not there any more")
  await set(owner)
  assert.equal((await owner.call("DELETE", `/${name}/open`)).status, 204)
  assert.equal((await kept()).length, 1)
})

test("a public access block refuses whom a list lets in, and not temporary URLs and forms: they act as a known user", async () => {
  const name = await made("blocked", owner)
  assert.equal((await owner.call("POST", `/${name}`, { headers: { "X-Container-Read": ".r:*" } })).status, 204)
  const byList = async () => (await world.anonymous.call("GET", `${owner.account}/${name}/open`)).status
  assert.deepEqual([await byList(), await byUrl("GET", `${name}/open`)], [200, 200])
  const switches = ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"]
  const document = switches.map(each => `<${each}>true</${each}>`).join("")
  const body = `<PublicAccessBlockConfiguration>${document}</PublicAccessBlockConfiguration>`
  assert.equal((await world.s3.call("PUT", { bucket: name, query: "publicAccessBlock", body })).status, 200)
  assert.equal(await byList(), 401)
  assert.deepEqual(await methodsOf(name, "open"), [200, 200, 201, 202, 201, 204])
})
