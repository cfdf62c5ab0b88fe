/** Accounts of services over the model: both tokens open them, and what is in them is apart from the account of the users. */
import assert from "node:assert/strict"
import { createHmac } from "node:crypto"
import { after, before, test } from "node:test"
import { FakeAudit } from "@hayloft/access/audit/testing-audit.js"
import { parseAccessKeyId } from "@hayloft/base/ids.js"
import type { RawResponse } from "../../conformance/raw-client.js"
import { OWNER, ownerAccount, rootKeyOf, STRANGER, userKeyOf } from "../s3/over-model.js"
import { ROOT_ACCOUNT, serveSwift, type SwiftCall, type SwiftUser, type SwiftWorld } from "./world.js"

const key = (id: string) => ({ id, secret: `secret-of-${id}` })
const [ROOT, SERVICE, PLAIN, FOREIGN] = [key("AKIAROOT"), key("AKIASERVICE"), key("AKIAPLAIN"), key("AKIAFOREIGN")]
const READER = key("AKIAREADER")
const allowing = (...actions: readonly string[]) =>
  JSON.stringify({ Version: "2012-10-17", Statement: [{ Effect: "Allow", Action: actions, Resource: "*" }] })
const KEYS = [
  rootKeyOf(parseAccessKeyId(ROOT.id), ROOT.secret, ROOT_ACCOUNT),
  userKeyOf(SERVICE, "glance", [allowing("hayloft:SwiftService")], {}, ROOT_ACCOUNT),
  userKeyOf(PLAIN, "plain", [allowing("s3:*", "hayloft:SwiftResellerReader")], {}, ROOT_ACCOUNT),
  userKeyOf(FOREIGN, "ann", [allowing("hayloft:*", "s3:*")]),
  userKeyOf(READER, "bob", [allowing("s3:Get*", "s3:List*")]),
]
const AT = `/v1/SERVICE_${ownerAccount.number}`

const audit = new FakeAudit()
let world: SwiftWorld
let owner: SwiftUser
let stranger: SwiftUser
let reseller: SwiftUser
let service: SwiftUser
before(async () => {
  world = await serveSwift({ keys: KEYS, audit }, undefined, [], { serviceAccounts: true })
  owner = await world.signIn(OWNER)
  stranger = await world.signIn(STRANGER)
  reseller = await world.signIn(ROOT)
  service = await world.signIn(SERVICE)
  // The first container, which makes the account.
  assert.equal((await withService("GET", "")).status, 404)
  assert.equal((await withService("HEAD", "/images")).status, 404)
  assert.equal(audit.last("swift:CreateAccount"), undefined)
  assert.equal((await withService("PUT", "/images")).status, 201)
  assert.equal((await withService("PUT", "/images/o", { body: "of the service" })).status, 201)
})
after(() => world.stop())

/** Sends a request like Glance does: with the token of a user, and its own. */
const withService = (method: string, path: string, { headers, body }: SwiftCall = {}, user = owner) =>
  user.call(method, AT + path, {
    headers: { "X-Service-Token": service.token ?? "", ...headers },
    ...(body && { body }),
  })
const status = async (answer: Promise<RawResponse>): Promise<number> => (await answer).status

test("the account is made by the first container, in the name of the user, and the audit log says so", async () => {
  const made = audit.last("swift:CreateAccount")
  assert.deepEqual([made?.target, made?.caller.id], [`SERVICE_${ownerAccount.number}`, OWNER.id])
  assert.equal(await status(withService("PUT", "/second-one")), 201)
  assert.equal(audit.all.filter(({ operation }) => operation === "swift:CreateAccount").length, 1)
})

test("what a service stores for an account is apart from what its users store", async () => {
  assert.equal(await status(owner.call("PUT", "/of-users")), 201)
  assert.equal((await withService("GET", "/images/o")).text, "of the service")
  const [ofService, ofUsers] = [await withService("GET", ""), await owner.call("GET", "")]
  assert.match(ofService.text, /^images$/m)
  assert.doesNotMatch(ofService.text, /of-users/)
  assert.match(ofUsers.text, /^of-users$/m)
  assert.doesNotMatch(ofUsers.text, /images/)
  assert.equal(ofService.header("x-account-object-count"), "1")
  assert.equal(ofUsers.header("x-account-object-count"), "0")
  assert.equal(await status(owner.call("GET", "/images/o")), 404, "it is no container of the users")
  assert.equal(await status(withService("GET", "/of-users")), 404, "nor theirs one of the service")
  assert.equal(await status(withService("PUT", "/of-users")), 409, "names are unique in the store")
  assert.equal((await world.s3.call("GET", { bucket: "images", key: "o" })).status, 403, "S3 has no way in")
  const byId = `/v1/SERVICE_${ownerAccount.id}/images/o`
  const headers = { "X-Service-Token": service.token ?? "" }
  assert.equal((await owner.call("GET", byId, { headers })).text, "of the service")
})

test("both tokens are needed: of a user of the account, and of a service", async () => {
  const [plain, foreign, reader] = [await world.signIn(PLAIN), await world.signIn(FOREIGN), await world.signIn(READER)]
  const forged = `${service.token ?? ""}x`
  const cases: readonly (readonly [
    what: string,
    user: SwiftUser,
    serviceToken: string | undefined,
    expected: number,
  ])[] = [
    ["no token of a service", owner, undefined, 403],
    ["a user's token in its place", owner, owner.token, 403],
    ["a key of the root account that is no service", owner, plain.token, 403],
    ["a policy of another account than the root's", owner, foreign.token, 403],
    ["a forged token of a service", owner, forged, 401],
    ["a user of another account", stranger, service.token, 403],
    ["the service without a user", service, service.token, 403],
    ["a service alone", world.anonymous, service.token, 401],
    ["no token at all", world.anonymous, undefined, 401],
    ["a reseller reader may not write", plain, undefined, 403],
    ["a user who only reads", reader, service.token, 403],
  ]
  for (const [what, user, token, expected] of cases) {
    const headers = token === undefined ? {} : { "X-Service-Token": token }
    for (const [method, path] of [
      ["PUT", "/images/o"],
      ["DELETE", "/images/o"],
      ["POST", "/images"],
      ["PUT", "/not-made"],
      ["POST", ""],
    ] as const)
      assert.equal(await status(user.call(method, AT + path, { headers })), expected, `${what}: ${method} ${path}`)
  }
  for (const [what, user, token, expected] of cases) {
    if (user === plain || user === reader) continue
    const headers = token === undefined ? {} : { "X-Service-Token": token }
    for (const path of ["", "/images", "/images/o"])
      assert.equal(await status(user.call("GET", AT + path, { headers })), expected, `${what}: GET ${path}`)
  }
  assert.equal((await withService("GET", "/images/o")).text, "of the service")
})

test("a user is in the account of services who it is in its own", async () => {
  const reader = await world.signIn(READER)
  assert.equal(await status(withService("GET", "/images/o", {}, reader)), 200)
  assert.equal(await status(withService("PUT", "/images/p", { body: "x" }, reader)), 403)
  assert.equal(await status(withService("POST", "", { headers: { "X-Account-Meta-Color": "red" } })), 204)
  assert.equal((await withService("HEAD", "")).header("x-account-meta-color"), "red")
  assert.equal((await owner.call("HEAD", "")).header("x-account-meta-color"), undefined)
  assert.equal(await status(withService("PUT", "")), 403, "accounts are made by resellers")
  assert.equal(await status(withService("DELETE", "")), 403)
})

test("lists of its containers let others in without a service, and temporary URLs do", async () => {
  const lists = { "X-Container-Read": ownerAccount.number, "X-Container-Meta-Temp-URL-Key": "mykey" }
  assert.equal(await status(withService("PUT", "/listed", { headers: lists })), 201)
  assert.equal(await status(withService("PUT", "/listed/o", { body: "listed" })), 201)
  assert.equal((await owner.call("GET", `${AT}/listed/o`)).text, "listed")
  assert.equal(await status(owner.call("PUT", `${AT}/listed/o`, { body: "x" })), 403)
  assert.equal(await status(stranger.call("GET", `${AT}/listed/o`)), 403)
  const hmac = createHmac("sha256", "mykey").update(`GET\n4000000000\n${AT}/listed/o`).digest("hex")
  const path = `${AT}/listed/o?temp_url_sig=${hmac}&temp_url_expires=4000000000`
  assert.equal((await world.anonymous.call("GET", path)).text, "listed")
})

test("objects are copied between both accounts of a user, and no others", async () => {
  await owner.call("PUT", "/copies-of-users")
  await owner.call("PUT", "/copies-of-users/o", { body: "of the users" })
  await stranger.call("PUT", "/copies-of-strangers")
  await stranger.call("PUT", "/copies-of-strangers/o", { body: "of strangers" })
  const from = (container: string, account: SwiftUser) => ({
    headers: { "X-Copy-From": `/${container}/o`, "X-Copy-From-Account": account.account.slice("/v1/".length) },
  })
  assert.equal(await status(withService("PUT", "/images/copied", from("copies-of-users", owner))), 201)
  assert.equal((await withService("GET", "/images/copied")).text, "of the users")
  assert.equal(await status(withService("PUT", "/images/copied", from("copies-of-strangers", stranger))), 403)
  const headers = { Destination: "copies-of-users/copied", "Destination-Account": `AUTH_${ownerAccount.number}` }
  assert.equal(await status(withService("COPY", "/images/o", { headers })), 201)
  assert.equal((await owner.call("GET", "/copies-of-users/copied")).text, "of the service")
  const back = { "X-Copy-From": "/images/o", "X-Copy-From-Account": `SERVICE_${ownerAccount.number}` }
  assert.equal(await status(owner.call("PUT", "/copies-of-users/taken", { headers: back })), 403)
})

test("reseller admins need no service: they make such accounts, limit and delete them", async () => {
  assert.equal((await reseller.call("GET", `${AT}/images/o`)).text, "of the service")
  const at = `/v1/SERVICE_${stranger.account.slice("/v1/AUTH_".length)}`
  assert.equal(await status(reseller.call("GET", at)), 404)
  assert.equal(await status(reseller.call("PUT", `/v1/SERVICE_no-such-account`)), 404)
  assert.equal(await status(reseller.call("PUT", at)), 201)
  assert.equal(await status(reseller.call("PUT", at)), 202)
  assert.equal(await status(withService("GET", at.slice(AT.length), {}, stranger)), 403, "that of the other account")
  const headers = { "X-Service-Token": service.token ?? "" }
  assert.equal(await status(stranger.call("GET", at, { headers })), 204)
  assert.equal(await status(reseller.call("POST", at, { headers: { "X-Account-Quota-Bytes": "10" } })), 204)
  assert.equal((await stranger.call("HEAD", at, { headers })).header("x-account-quota-bytes"), "10")
  assert.equal(await status(stranger.call("POST", at, { headers: { ...headers, "X-Account-Quota-Bytes": "" } })), 403)
  assert.equal(await status(reseller.call("DELETE", at)), 204)
  assert.equal(await status(stranger.call("GET", at, { headers })), 410)
  assert.equal(await status(stranger.call("HEAD", "")), 204, "the account of its users stays")
})

test("a store that serves no accounts of services refuses them by name, and a service's token changes nothing elsewhere", async () => {
  const plain = await serveSwift({ keys: KEYS })
  try {
    const [user, glance] = [await plain.signIn(OWNER), await plain.signIn(SERVICE)]
    const headers = { "X-Service-Token": glance.token ?? "" }
    for (const [method, path] of [
      ["GET", ""],
      ["PUT", "/images"],
      ["GET", "/images/o"],
      ["OPTIONS", "/images"],
      ["POST", "/images"],
    ] as const) {
      const answer = await user.call(method, AT + path, { headers })
      assert.equal(answer.status, 501, `${method} ${path}`)
      assert.match(answer.text, /--swift-service-accounts/)
    }
    assert.equal(await status(user.call("PUT", "/plain", { headers })), 201)
    assert.equal(await status(glance.call("GET", `${user.account}/plain`, { headers })), 403)
  } finally {
    await plain.stop()
  }
})
