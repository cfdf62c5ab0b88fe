/** Access lists of accounts, over the model: whom they let into the account, its containers and its metadata. */
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { FakeAudit } from "@hayloft/access/audit/testing-audit.js"
import type { RawResponse } from "../../conformance/raw-client.js"
import { ownerAccount, OWNER, STRANGER, userKeyOf } from "../s3/over-model.js"
import { serveSwift, type SwiftUser, type SwiftWorld } from "./world.js"

const READER = { id: "AKIAREADER", secret: "reader-secret" }
const WRITER = { id: "AKIAWRITER", secret: "writer-secret" }
const LIMITED = { id: "AKIALIMITED", secret: "limited-secret" }
const EVERYTHING = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'

const audit = new FakeAudit()
let world: SwiftWorld
let owner: SwiftUser
let stranger: SwiftUser
before(async () => {
  const session = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}'
  world = await serveSwift({
    audit,
    keys: [
      userKeyOf(READER, "ann", []),
      userKeyOf(WRITER, "bob", [EVERYTHING]),
      userKeyOf(LIMITED, "carl", [], { session }),
    ],
  })
  owner = await world.signIn(OWNER)
  stranger = await world.signIn(STRANGER)
})
after(() => world.stop())

const status = async (answer: Promise<RawResponse>): Promise<number> => (await answer).status

test("the audit log shows who gets access by lists and keys of accounts and containers, and no key", async () => {
  const path = "/audited"
  const post = (at: string, headers: Readonly<Record<string, string>>) => status(owner.call("POST", at, { headers }))
  const states = (operation: string, ...members: readonly string[]): readonly unknown[] => {
    const { before: former, after: latter } = audit.last(operation) ?? {}
    const states = [former, latter].map(text => JSON.parse(text ?? "{}") as Readonly<Record<string, unknown>>)
    return states.map(state => members.map(member => state[member]))
  }
  const ofContainer = ["metadata", "read", "write"]
  assert.equal(await status(owner.call("PUT", path, { headers: { "X-Container-Read": ".r:*" } })), 201)
  const made = [{}, ".r:*", ""]
  assert.deepEqual(states("s3:CreateBucket", ...ofContainer), [[undefined, undefined, undefined], made])
  assert.equal(await post(path, { "X-Container-Write": "friend", "X-Container-Meta-Temp-URL-Key": "hush1" }), 204)
  const changed = [{ "temp-url-key": "(hidden)" }, ".r:*", "friend"]
  assert.deepEqual(states("s3:PutBucketTagging", ...ofContainer), [made, changed])
  const access = JSON.stringify({ admin: ["friend"] })
  assert.equal(await post("", { "X-Account-Access-Control": access, "X-Account-Meta-Temp-URL-Key": "hush2" }), 204)
  assert.deepEqual(states("swift:SetAccount", "access", "metadata"), [
    ["", {}],
    ['{"admin":["friend"]}', { "temp-url-key": "(hidden)" }],
  ])
  assert.equal(audit.last("swift:SetAccount")?.target, ownerAccount.id)
  assert.equal(await post("", { "X-Account-Access-Control": "{}", "X-Remove-Account-Meta-Temp-URL-Key": "x" }), 204)
  assert.doesNotMatch(JSON.stringify(audit.all), /hush/)
  const records = audit.all.length
  assert.equal(await post("", { "X-Remove-Account-Meta-Temp-URL-Key": "x" }), 204)
  assert.equal(audit.all.length, records, "it has changed nothing")
})

test("an account's access list gives others levels of rights in its containers", async () => {
  const path = "/account-list"
  assert.equal(await status(owner.call("PUT", path)), 201)
  assert.equal(await status(owner.call("PUT", `${path}/o`, { body: "x" })), 201)
  const at = `${owner.account}${path}`
  const set = async (access: unknown) => {
    const answer = await owner.call("POST", "", { headers: { "X-Account-Access-Control": JSON.stringify(access) } })
    return answer.status
  }
  const name = stranger.account.slice("/v1/AUTH_".length)
  const may = async () => [
    await status(stranger.call("GET", `${at}/o`)),
    await status(stranger.call("PUT", `${at}/p`, { body: "x" })),
    await status(stranger.call("POST", at, { headers: { "X-Container-Meta-A": "1" } })),
    await status(stranger.call("POST", at, { headers: { "X-Container-Read": ".r:-nobody" } })),
    await status(stranger.call("POST", at, { headers: { "X-Container-Meta-Temp-URL-Key": "k" } })),
  ]
  assert.deepEqual(await may(), [403, 403, 403, 403, 403])
  assert.equal(await set({ "read-only": [name] }), 204)
  assert.deepEqual(await may(), [200, 403, 403, 403, 403])
  assert.equal(await set({ "read-write": [`${name}:${STRANGER.id}`] }), 204)
  assert.deepEqual(await may(), [200, 201, 204, 403, 403])
  assert.equal(await set({ admin: [name] }), 204)
  assert.deepEqual(await may(), [200, 201, 204, 204, 204])
  assert.equal((await owner.call("HEAD", "")).header("x-account-access-control"), `{"admin":["${name}"]}`)
  assert.deepEqual([await set({ other: [] }), await set([])], [400, 400])
  assert.equal(await set({}), 204)
  assert.deepEqual(await may(), [403, 403, 403, 403, 403])
})

test("an account's access list lets others list the account, make containers in it, and change it, by their level", async () => {
  await world.s3.call("PUT", { bucket: "made-by-s3" })
  assert.equal(await status(owner.call("PUT", "/made-by-s3/o", { body: "x" })), 201)
  const set = (user: SwiftUser, access: unknown, path: string) =>
    status(user.call("POST", path, { headers: { "X-Account-Access-Control": JSON.stringify(access) } }))
  const name = stranger.account.slice("/v1/AUTH_".length)
  const at = owner.account
  const may = async (level: string) => [
    await status(stranger.call("HEAD", at)),
    await status(stranger.call("GET", `${at}?format=json`)),
    await status(stranger.call("GET", `${at}/made-by-s3/o`)),
    await status(stranger.call("PUT", `${at}/made-by-${level}`)),
    await status(stranger.call("DELETE", `${at}/made-by-${level}`)),
    await status(stranger.call("POST", at, { headers: { "X-Account-Meta-Level": level } })),
  ]
  const anonymous = await status(world.anonymous.call("GET", at))
  assert.deepEqual([await may("nobody"), anonymous], [[403, 403, 403, 403, 403, 403], 401])
  assert.equal(await set(owner, { "read-only": [name] }, at), 204)
  assert.deepEqual(await may("reader"), [204, 200, 200, 403, 404, 403])
  assert.equal(await set(owner, { "read-write": [name] }, at), 204)
  assert.deepEqual(await may("writer"), [204, 200, 200, 201, 204, 403])
  assert.equal((await stranger.call("HEAD", at)).header("x-account-access-control"), undefined)
  assert.equal(await set(owner, { admin: [name] }, at), 204)
  assert.deepEqual(await may("admin"), [204, 200, 200, 201, 204, 204])
  const seen = await stranger.call("HEAD", at)
  assert.equal(seen.header("x-account-access-control"), `{"admin":["${name}"]}`)
  assert.equal(seen.header("x-account-meta-level"), "admin")
  assert.equal(await status(stranger.call("PUT", `${at}/of-the-owner`)), 201)
  assert.match((await owner.call("GET", "")).text, /^of-the-owner$/m)
  assert.doesNotMatch((await stranger.call("GET", "")).text, /of-the-owner/)
  assert.equal(await set(stranger, {}, at), 204, "an admin changes the list, here to its own loss")
  assert.equal(await status(stranger.call("HEAD", at)), 403)
})

test("a user lists its own account if the account's list names it, and not if the list names only the account", async () => {
  const reader = await world.signIn(READER)
  const set = (access: unknown) =>
    status(owner.call("POST", "", { headers: { "X-Account-Access-Control": JSON.stringify(access) } }))
  assert.equal(await status(reader.call("GET", "")), 403)
  assert.equal(await set({ "read-only": [ownerAccount.number] }), 204)
  assert.equal(await status(reader.call("GET", "")), 403)
  assert.equal(await set({ "read-only": [`${ownerAccount.number}:ann`] }), 204)
  assert.deepEqual([await status(reader.call("GET", "")), await status(reader.call("PUT", "/of-ann"))], [200, 403])
  assert.equal(await set({}), 204)
})

test("a list that names only its own account as admin makes no admins of its users", async () => {
  const writer = await world.signIn(WRITER)
  const set = (access: unknown) =>
    status(owner.call("POST", "", { headers: { "X-Account-Access-Control": JSON.stringify(access) } }))
  const change = () => status(writer.call("POST", "", { headers: { "X-Account-Meta-By": "bob" } }))
  const shown = async () => (await writer.call("HEAD", "")).header("x-account-access-control") !== undefined
  assert.equal(await set({ admin: [ownerAccount.number] }), 204)
  assert.deepEqual([await change(), await shown()], [403, false])
  assert.equal(await set({ admin: [`${ownerAccount.number}:bob`] }), 204)
  assert.deepEqual([await change(), await shown()], [204, true])
  assert.equal(await set({}), 204)
})

test("a list that names a user gives a key of it no more than the key's own policy allows", async () => {
  const limited = await world.signIn(LIMITED)
  const at = `${owner.account}/limited`
  const names = `${owner.account.slice("/v1/AUTH_".length)}:carl`
  assert.equal(await status(owner.call("PUT", at)), 201)
  assert.equal(await status(owner.call("PUT", `${at}/o`, { body: "x" })), 201)
  const may = async () => [
    await status(limited.call("GET", `${at}/o`)),
    await status(limited.call("PUT", `${at}/p`, { body: "x" })),
    await status(limited.call("DELETE", `${at}/o`)),
  ]
  assert.deepEqual(await may(), [403, 403, 403])
  const lists = { "X-Container-Read": names, "X-Container-Write": names }
  assert.equal(await status(owner.call("POST", at, { headers: lists })), 204)
  assert.deepEqual(await may(), [200, 403, 403])
  const list = async () => status(limited.call("GET", at))
  assert.equal(await list(), 403)
  assert.equal(await status(world.s3.call("DELETE", { bucket: "limited", query: "publicAccessBlock" })), 204)
  const open = { "X-Container-Read": `.r:*,.rlistings,${names}`, "X-Container-Write": names }
  assert.equal(await status(owner.call("POST", at, { headers: open })), 204)
  assert.equal(await list(), 200, "as for everybody")
  const none = { "X-Container-Read": "", "X-Container-Write": "" }
  assert.equal(await status(owner.call("POST", at, { headers: none })), 204)
  const access = { "X-Account-Access-Control": JSON.stringify({ admin: [names] }) }
  assert.equal(await status(owner.call("POST", "", { headers: access })), 204)
  assert.deepEqual(await may(), [200, 403, 403])
  assert.equal(await status(owner.call("POST", "", { headers: { "X-Account-Access-Control": "{}" } })), 204)
})
