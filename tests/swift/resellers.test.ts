/** Resellers over the model: who is one, and what it may do in accounts of others. */
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { parseAccessKeyId } from "@hayloft/base/ids.js"
import { OWNER, ownerAccount, rootKeyOf, STRANGER, userKeyOf } from "../s3/over-model.js"
import { accountsInMemory, ROOT_ACCOUNT, serveSwift, type SwiftUser, type SwiftWorld } from "./world.js"

const key = (id: string) => ({ id, secret: `secret-of-${id}` })
const [ROOT, DELEGATE, AUDITOR, PLAIN] = [key("AKIAROOT"), key("AKIADELEGATE"), key("AKIAAUDITOR"), key("AKIAPLAIN")]
const [FOREIGN, ONLY_HERE] = [key("AKIAFOREIGN"), key("AKIAONLYHERE")]
const [DENIED, BOUNDED, LIMITED] = [key("AKIADENIED"), key("AKIABOUNDED"), key("AKIALIMITED")]
const [DENIED_READER, KEEPER] = [key("AKIADENIEDREADER"), key("AKIAKEEPER")]
const policyOf = (...statements: readonly object[]) =>
  JSON.stringify({ Version: "2012-10-17", Statement: statements.map(each => ({ Resource: "*", ...each })) })
const allowing = (action: string, more: object = {}) => policyOf({ Effect: "Allow", Action: action, ...more })
const denying = (action: string) => ({ Effect: "Deny", Action: action })

let world: SwiftWorld
let owner: SwiftUser
before(async () => {
  const ofRoot = (of: typeof ROOT, name: string, policy: string) => userKeyOf(of, name, [policy], {}, ROOT_ACCOUNT)
  const elsewhere = { Condition: { IpAddress: { "aws:SourceIp": "192.0.2.0/24" } } }
  world = await serveSwift({
    keys: [
      rootKeyOf(parseAccessKeyId(ROOT.id), ROOT.secret, ROOT_ACCOUNT),
      ofRoot(DELEGATE, "delegate", allowing("hayloft:SwiftResellerAdmin")),
      ofRoot(AUDITOR, "auditor", allowing("hayloft:SwiftResellerReader")),
      ofRoot(PLAIN, "plain", allowing("s3:*")),
      ofRoot(ONLY_HERE, "here", allowing("hayloft:SwiftResellerAdmin", elsewhere)),
      ofRoot(
        DENIED,
        "denied",
        policyOf(
          { Effect: "Allow", Action: "hayloft:SwiftResellerAdmin" },
          denying("s3:DeleteObject"),
          denying("s3:PutBucketAcl"),
          denying("s3:PutBucketVersioning"),
        ),
      ),
      userKeyOf(
        BOUNDED,
        "bounded",
        [allowing("hayloft:SwiftResellerAdmin")],
        {
          boundary: policyOf(
            { Effect: "Allow", Action: "*" },
            denying("s3:DeleteObject"),
            denying("s3:PutBucketAcl"),
            denying("s3:PutBucketVersioning"),
          ),
        },
        ROOT_ACCOUNT,
      ),
      userKeyOf(
        LIMITED,
        "limited",
        [allowing("hayloft:SwiftResellerAdmin")],
        { session: policyOf({ Effect: "Allow", Action: ["hayloft:*", "s3:Get*", "s3:List*"] }) },
        ROOT_ACCOUNT,
      ),
      ofRoot(KEEPER, "keeper", policyOf({ Effect: "Allow", Action: "hayloft:*" }, denying("s3:DeleteObject"))),
      ofRoot(
        DENIED_READER,
        "denied-reader",
        policyOf({ Effect: "Allow", Action: "hayloft:SwiftResellerReader" }, denying("s3:GetObject")),
      ),
      userKeyOf(FOREIGN, "ann", [allowing("hayloft:*")]),
    ],
  })
  owner = await world.signIn(OWNER)
})
after(() => world.stop())

const status = async (answer: ReturnType<SwiftUser["call"]>): Promise<number> => (await answer).status

test("reseller admins do everything in accounts of others, and what they make belongs to those", async () => {
  for (const who of [ROOT, DELEGATE]) {
    const reseller = await world.signIn(who)
    const at = `${owner.account}/by-${who.id.toLowerCase()}`
    assert.equal(await status(reseller.call("PUT", at)), 201, who.id)
    assert.equal(await status(reseller.call("PUT", `${at}/o`, { body: "x" })), 201)
    assert.equal(await status(owner.call("GET", `${at}/o`)), 200)
    assert.equal(await status(reseller.call("POST", owner.account, { headers: { "X-Account-Meta-By": who.id } })), 204)
    assert.equal((await owner.call("HEAD", "")).header("x-account-meta-by"), who.id)
  }
})

test("what a reseller admin's policies or boundary deny it is denied in every account, its own too", async () => {
  const root = await world.signIn(ROOT)
  for (const [who, name] of [
    [DENIED, "denied"],
    [BOUNDED, "bounded"],
  ] as const) {
    const reseller = await world.signIn(who)
    for (const user of [owner, root]) {
      const at = `${user.account}/${name}-${user === owner ? "there" : "here"}`
      const lists = { headers: { "X-Container-Read": ".r:*" } }
      const asked = async () => [
        await status(reseller.call("PUT", `${at}-listed`, lists)),
        await status(reseller.call("PUT", `${at}-versions`, { headers: { "X-Versions-Enabled": "true" } })),
        await status(reseller.call("PUT", at)),
        await status(reseller.call("PUT", `${at}/o`, { body: "x" })),
        await status(reseller.call("POST", at, lists)),
        await status(reseller.call("DELETE", `${at}/o`)),
        await status(user.call("DELETE", `${at}/o`)),
      ]
      assert.deepEqual(await asked(), [403, 403, 201, 201, 403, 403, 204], at)
    }
  }
})

test("the policy of a reseller's key limits it in every account, its own too", async () => {
  const [root, limited, reader] = [
    await world.signIn(ROOT),
    await world.signIn(LIMITED),
    await world.signIn(DENIED_READER),
  ]
  for (const user of [owner, root]) {
    const at = `${user.account}/limited-${user === owner ? "there" : "here"}`
    assert.deepEqual([await status(user.call("PUT", at)), await status(user.call("PUT", `${at}/o`))], [201, 201])
    const asked = async (reseller: SwiftUser) => [
      await status(reseller.call("GET", user.account)),
      await status(reseller.call("GET", at)),
      await status(reseller.call("GET", `${at}/o`)),
      await status(reseller.call("PUT", `${at}/p`)),
      await status(reseller.call("DELETE", `${at}/o`)),
      await status(reseller.call("PUT", `${at}-new`)),
    ]
    assert.deepEqual(await asked(limited), [200, 200, 200, 403, 403, 403], at)
    assert.deepEqual(await asked(reader), [200, 200, 403, 403, 403, 403], at)
  }
})

test("a reseller admin whose rights are limited sees no key that would give it more, and sets no list by a PUT", async () => {
  await owner.call("POST", "", { headers: { "X-Account-Meta-Temp-URL-Key-2": "of-owner" } })
  const seen = async (who: typeof ROOT) =>
    (await (await world.signIn(who)).call("HEAD", owner.account)).header("x-account-meta-temp-url-key-2")
  assert.deepEqual([await seen(ROOT), await seen(DELEGATE), await seen(KEEPER)], ["of-owner", "of-owner", undefined])
  const access = { headers: { "X-Account-Access-Control": '{"admin":["000000000001"]}' } }
  for (const who of [DENIED, BOUNDED, LIMITED])
    assert.equal(await status((await world.signIn(who)).call("PUT", owner.account, access)), 403, who.id)
  assert.equal((await owner.call("HEAD", "")).header("x-account-access-control"), undefined)
  await owner.call("POST", "", { headers: { "X-Remove-Account-Meta-Temp-URL-Key-2": "x" } })
})

test("a reseller admin copies between accounts", async () => {
  const reseller = await world.signIn(ROOT)
  const stranger = await world.signIn(STRANGER)
  await owner.call("PUT", "/source")
  await owner.call("PUT", "/source/o", { body: "moved" })
  await stranger.call("PUT", "/target")
  const headers = { Destination: "target/o", "Destination-Account": stranger.account.slice("/v1/".length) }
  assert.equal(await status(stranger.call("COPY", `${owner.account}/source/o`, { headers })), 403)
  assert.equal(await status(reseller.call("COPY", `${owner.account}/source/o`, { headers })), 201)
  assert.equal((await stranger.call("GET", "/target/o")).text, "moved")
})

test("reseller readers read every account, and see no keys", async () => {
  const auditor = await world.signIn(AUDITOR)
  await owner.call("PUT", "/read", {
    headers: { "X-Container-Meta-Temp-URL-Key": "secret", "X-Container-Read": ".r:*" },
  })
  await owner.call("PUT", "/read/o", { body: "x" })
  await owner.call("POST", "", { headers: { "X-Account-Meta-Temp-URL-Key": "secret" } })
  const at = owner.account
  assert.match((await auditor.call("GET", at)).text, /^read$/m)
  assert.equal((await auditor.call("HEAD", at)).header("x-account-meta-temp-url-key"), undefined)
  const seen = await auditor.call("HEAD", `${at}/read`)
  assert.equal(seen.status, 204)
  assert.deepEqual(
    [seen.header("x-container-meta-temp-url-key"), seen.header("x-container-read")],
    [undefined, undefined],
  )
  assert.equal(await status(auditor.call("GET", `${at}/read/o`)), 200)
  assert.equal(await status(auditor.call("HEAD", "")), 204, "its own account too")
  const refused = [
    auditor.call("PUT", `${at}/read/p`, { body: "x" }),
    auditor.call("DELETE", `${at}/read/o`),
    auditor.call("POST", `${at}/read`, { headers: { "X-Container-Meta-A": "1" } }),
    auditor.call("PUT", `${at}/by-auditor`),
    auditor.call("POST", at, { headers: { "X-Account-Meta-A": "1" } }),
  ]
  assert.deepEqual(await Promise.all(refused.map(status)), [403, 403, 403, 403, 403])
})

test("other users of the root account, policies of other accounts, and conditions that do not hold make no reseller", async () => {
  await owner.call("PUT", "/closed")
  for (const who of [PLAIN, FOREIGN, ONLY_HERE]) {
    const stranger = await world.signIn(STRANGER)
    const user = await world.signIn(who)
    const at = who === FOREIGN ? stranger.account : owner.account
    assert.equal(await status(user.call("GET", at)), 403, who.id)
    assert.equal(await status(user.call("PUT", `${at}/by-nobody`)), 403, who.id)
  }
})

const QUOTA = ["x-account-quota-bytes", "x-account-meta-quota-bytes", "x-account-quota-count"]

test("quotas of accounts are set by reseller admins alone, and shown to all who read the account", async () => {
  const [reseller, auditor] = [await world.signIn(ROOT), await world.signIn(AUDITOR)]
  const at = owner.account
  const set = (user: SwiftUser, headers: Readonly<Record<string, string>>) => status(user.call("POST", at, { headers }))
  const seen = async () => {
    const answer = await owner.call("HEAD", "")
    return QUOTA.map(name => answer.header(name))
  }
  for (const user of [owner, auditor]) assert.equal(await set(user, { "X-Account-Meta-Quota-Bytes": "10" }), 403)
  assert.equal(await set(owner, { "X-Remove-Account-Quota-Count": "x" }), 403)
  assert.deepEqual(await seen(), [undefined, undefined, undefined])
  assert.equal(await set(reseller, { "X-Account-Meta-Quota-Bytes": "10", "X-Account-Meta-Note": "n" }), 204)
  assert.deepEqual(await seen(), ["10", "10", undefined])
  assert.equal(await set(reseller, { "X-Account-Quota-Count": "3" }), 204)
  assert.deepEqual(await seen(), ["10", "10", "3"])
  assert.equal(await set(reseller, { "X-Account-Quota-Bytes": "ten" }), 400)
  assert.equal(await set(reseller, { "X-Account-Quota-Bytes-Policy-STANDARD": "10" }), 501)
  assert.equal(await set(reseller, { "X-Remove-Account-Quota-Bytes": "x" }), 204)
  assert.deepEqual(await seen(), [undefined, undefined, "3"])
  assert.equal(await set(reseller, { "X-Account-Quota-Count": "" }), 204)
  assert.deepEqual(await seen(), [undefined, undefined, undefined])
  assert.equal((await owner.call("HEAD", "")).header("x-account-meta-note"), "n")
})

test("reseller admins make accounts, and nobody else does", async () => {
  const [reseller, auditor] = [await world.signIn(ROOT), await world.signIn(AUDITOR)]
  const at = "/v1/AUTH_3f1c9d2e5b7a4c8e9d0f1a2b3c4d5e6f"
  for (const user of [owner, auditor]) {
    assert.equal(await status(user.call("PUT", at)), 403)
    assert.equal(await status(user.call("PUT", user.account)), 403)
  }
  assert.equal(await status(world.anonymous.call("PUT", at)), 401)
  assert.equal(await status(reseller.call("GET", at)), 404)
  const headers = { "X-Account-Meta-Plan": "small", "X-Account-Quota-Bytes": "1000" }
  assert.equal(await status(reseller.call("PUT", at, { headers })), 201)
  const made = await reseller.call("HEAD", at)
  assert.deepEqual(
    [made.status, made.header("x-account-meta-plan"), made.header("x-account-quota-bytes")],
    [204, "small", "1000"],
  )
  assert.equal(await status(reseller.call("PUT", `${at}/first-of-new`)), 201)
  assert.equal(await status(reseller.call("PUT", at, { headers: { "X-Account-Meta-Plan": "" } })), 202)
  assert.equal((await reseller.call("HEAD", at)).header("x-account-meta-plan"), undefined)
  assert.equal(await status(reseller.call("PUT", owner.account)), 202, "by its number")
  for (const name of ["AUTH_000000000001", "AUTH_", "AUTH_a%20b", "other"])
    assert.equal(await status(reseller.call("PUT", `/v1/${name}`)), 400, name)
})

test("reseller admins delete accounts: they are gone for every request, and a PUT brings them back as they were", async () => {
  const [reseller, auditor] = [await world.signIn(ROOT), await world.signIn(AUDITOR)]
  const at = "/v1/AUTH_deleted-account"
  const made = { headers: { "X-Account-Meta-Plan": "small" } }
  assert.equal(await status(reseller.call("PUT", at, made)), 201)
  assert.equal(await status(reseller.call("PUT", `${at}/of-deleted`, { headers: { "X-Container-Read": ".r:*" } })), 201)
  assert.equal(await status(reseller.call("PUT", `${at}/of-deleted/o`, { body: "kept" })), 201)
  assert.deepEqual([await status(auditor.call("DELETE", at)), await status(owner.call("DELETE", ""))], [403, 403])
  assert.equal(await status(reseller.call("DELETE", "/v1/AUTH_no-such-account")), 404)
  assert.equal(await status(reseller.call("DELETE", reseller.account)), 403, "not that of the store's operator")
  const own = "/v1/AUTH_beside-deleted"
  assert.equal(await status(reseller.call("PUT", own, made)), 201)
  assert.equal(await status(reseller.call("PUT", `${own}/of-other`, { headers: { "X-Container-Read": ".r:*" } })), 201)
  const link = { "X-Symlink-Target": "of-deleted/o", "X-Symlink-Target-Account": "AUTH_deleted-account" }
  assert.equal(await status(reseller.call("PUT", `${own}/of-other/link`, { headers: link, body: "" })), 201)
  assert.equal((await world.anonymous.call("GET", `${own}/of-other/link`)).text, "kept")
  assert.equal(await status(reseller.call("DELETE", at)), 204)
  const from = { "X-Copy-From": "of-deleted/o", "X-Copy-From-Account": "AUTH_deleted-account" }
  const to = { Destination: "of-deleted/copy", "Destination-Account": "AUTH_deleted-account" }
  const through = [
    world.anonymous.call("GET", `${own}/of-other/link`),
    reseller.call("PUT", `${own}/of-other/copy`, { headers: from, body: "" }),
    reseller.call("COPY", `${own}/of-other/link?symlink=get`, { headers: to }),
  ]
  assert.deepEqual(await Promise.all(through.map(status)), [410, 410, 410], "through another account")
  const asked = [
    reseller.call("GET", at),
    reseller.call("DELETE", at),
    reseller.call("POST", at, made),
    reseller.call("GET", `${at}/of-deleted`),
    reseller.call("PUT", `${at}/of-deleted/p`, { body: "late" }),
    world.anonymous.call("GET", `${at}/of-deleted/o`),
  ]
  assert.deepEqual(await Promise.all(asked.map(status)), [410, 410, 410, 410, 410, 410])
  assert.equal(await status(owner.call("PUT", at)), 403)
  assert.equal(await status(reseller.call("PUT", at)), 202)
  assert.equal((await reseller.call("HEAD", at)).header("x-account-meta-plan"), "small")
  assert.equal((await world.anonymous.call("GET", `${at}/of-deleted/o`)).text, "kept")
})

test("a node whose clock is behind dates the deletion of an account by the time of the store", async () => {
  const storeMs = Date.now() + 10 * 86_400_000
  const swiftAccounts = accountsInMemory()
  const keys = [rootKeyOf(parseAccessKeyId(ROOT.id), ROOT.secret, ROOT_ACCOUNT)]
  const behind = await serveSwift({ keys }, undefined, [], { swiftAccounts, storeClock: { nowMs: () => storeMs } })
  try {
    assert.equal(await status((await behind.signIn(ROOT)).call("DELETE", owner.account)), 204)
    assert.equal((await swiftAccounts.of(ownerAccount.id)).deletedMs, storeMs)
  } finally {
    await behind.stop()
  }
})

test("an account that does not exist is missing for resellers, and closed for others", async () => {
  const [reseller, stranger] = [await world.signIn(ROOT), await world.signIn(STRANGER)]
  assert.equal(await status(reseller.call("GET", "/v1/AUTH_nobody")), 404)
  assert.equal(await status(stranger.call("GET", "/v1/AUTH_nobody")), 403)
})
