/** Policies of users and keys decide which operations of the admin port they may use. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { BUCKET_SETTINGS } from "@hayloft/admin/index.js"
import { OPERATIONS } from "@hayloft/admin/operations.js"
import { SESSION } from "@hayloft/admin/session-schemas.js"
import { parseAccountId } from "@hayloft/base/ids.js"
import { allow, ROOT_KEY } from "../access/world.js"
import { Browser, ConsoleWorld, keyOf, signInOf, TOKEN } from "./world.js"

const BUCKET = { body: { name: "photos" } }

test("a user without permissions may use no operation at all", async () => {
  const world = await ConsoleWorld.open()
  const browser = new Browser(world.node())
  const ann = await keyOf(world, "ann")
  await browser.signIn(signInOf(ann))
  assert.deepEqual((await browser.session())["operations"], [])
  for (const { id, method, path } of OPERATIONS) {
    const { status, code } = await browser.send(method, path.replace(/\{\w+\}/g, "some-thing"), { body: {} })
    assert.deepEqual([status, code], [403, "accessDenied"], id)
  }
  assert.deepEqual(world.store.touched, [])
})

test("principals with powers elsewhere have none here", async () => {
  const world = await ConsoleWorld.open()
  const { accounts, identities } = world.access.access
  const account = await accounts.createAccount({ id: parseAccountId("other"), displayName: "other", email: "" })
  const users = world.access
  const eve = await users.create("user", "eve", undefined, account.id)
  await identities.putInline(eve, "own", allow("*"))
  const { key, secret } = await accounts.createKey({ accountId: account.id, userName: "eve" })
  const own = await accounts.createKey({ accountId: account.id, userName: undefined })
  const limitedRoot = await accounts.createKey({
    accountId: ROOT_KEY.accountId,
    userName: undefined,
    service: { description: "", expiresMs: undefined, policy: allow("s3:*") },
  })
  const bounded = await keyOf(world, "bounded", "*")
  const limit = await identities.createPolicy(ROOT_KEY.accountId, {
    name: "limit",
    path: "/",
    description: "",
    tags: [],
    text: allow("s3:*"),
  })
  const { account: root } = await world.access.mustKnow(ROOT_KEY.accessKeyId)
  await identities.setBoundary(bounded.ref, `arn:aws:iam::${root.number}:policy/${limit.name}`)
  const s3Only = await keyOf(world, "s3-only", "s3:*")
  const lists: readonly (readonly [string, { accessKeyId: string; secretAccessKey: string }])[] = [
    ["everything in another account", { accessKeyId: key.id, secretAccessKey: secret }],
    ["the root user of another account", { accessKeyId: own.key.id, secretAccessKey: own.secret }],
    [
      "a key of root with a restricting policy",
      { accessKeyId: limitedRoot.key.id, secretAccessKey: limitedRoot.secret },
    ],
    ["a user with a boundary", bounded],
    ["a user of S3", s3Only],
  ]
  for (const [what, credentials] of lists) {
    const browser = new Browser(world.node())
    await browser.signIn(signInOf(credentials), { address: what })
    for (const { id, method, path, permission, own: ofCaller } of OPERATIONS) {
      const target = path.replace("{account}", ROOT_KEY.accountId).replace(/\{\w+\}/g, "some-thing")
      const { status, code, value } = await browser.send(method, target, { body: {} })
      if (id === "listJobs") {
        assert.deepEqual([value["jobs"], value["started"]], [[], []], `${what}: no jobs of others`)
        continue
      }
      if (id === "listPolicyActions") {
        assert.equal(status, 200, `${what}: the same in every store`)
        continue
      }
      // Faults of a request to a place where the caller may act are reported first.
      const isRefused =
        permission === undefined && ofCaller === undefined ? status === 403 : status >= 400 && code !== undefined
      assert.ok(isRefused, `${what}: ${id}: ${status}`)
    }
    const mine = await browser.send("GET", `/v1/accounts/${ROOT_KEY.accountId}/users`)
    assert.equal(mine.status, 403, `${what}: users of the root account`)
  }
  const looked = world.store.touched.filter(call => call !== "buckets.open")
  assert.deepEqual(looked, [], "whose a bucket is has to be looked up")
})

test("policies of the root account allow single operations, and conditions apply", async () => {
  const world = await ConsoleWorld.open()
  const { identities } = world.access.access
  const ann = await keyOf(world, "ann")
  const statement = { Effect: "Allow", Action: ["hayloft:ListTokens", "hayloft:CreateAccount"], Resource: "*" }
  const Condition = { IpAddress: { "aws:SourceIp": "192.0.2.0/24" } }
  const text = JSON.stringify({ Version: "2012-10-17", Statement: [{ ...statement, Condition }] })
  await identities.putInline(ann.ref, "own", text)
  const browser = new Browser(world.node())
  await browser.signIn(signInOf(ann))
  const shown = await browser.session()
  assert.deepEqual([shown["operations"], shown["depends"]], [["listTokens", "createAccount"], []])
  assert.equal((await browser.send("GET", "/v1/tokens")).status, 200)
  assert.equal((await browser.send("POST", "/v1/accounts", { body: { displayName: "portal" } })).status, 201)
  assert.equal((await browser.send("DELETE", "/v1/buckets/photos")).status, 403)
  assert.equal((await browser.send("GET", "/v1/tokens", { address: "203.0.113.1" })).status, 403)
  const audit = await world.store.audit.list(undefined, 9)
  const entry = audit.entries.find(({ operation }) => operation === "createAccount")
  assert.deepEqual(
    [entry?.caller.kind, entry?.caller.id, entry?.caller.name.replace(/\d{12}/, "N")],
    ["key", ann.accessKeyId, "arn:aws:iam::N:user/ann"],
  )
  assert.deepEqual(
    audit.entries.filter(({ operation }) => operation === "signIn").map(({ caller }) => caller.id),
    [ann.accessKeyId],
  )
})

test("what depends on the bucket or identity is told apart from what is certain", async () => {
  const world = await ConsoleWorld.open()
  const ann = await keyOf(world, "ann")
  const Statement = { Effect: "Allow", Action: ["hayloft:GetStatus", "s3:GetBucketPolicy"], Resource: "*" }
  const text = JSON.stringify({ Version: "2012-10-17", Statement })
  await world.access.access.identities.putInline(ann.ref, "own", text)
  const browser = new Browser(world.node())
  await browser.signIn(signInOf(ann))
  const { operations, depends } = SESSION.parse(await browser.session())
  assert.deepEqual(
    operations.filter(id => !depends.includes(id)),
    ["getStatus"],
  )
  assert.ok(depends.includes("getBucket") && !depends.includes("getUser"))
})

test("a user makes, sets and deletes buckets as its policies for S3 allow, and sees the settings that it may read", async () => {
  const world = await ConsoleWorld.open()
  const { identities } = world.access.access
  const ann = await keyOf(world, "ann")
  const may = async (...Action: readonly string[]): Promise<void> => {
    const statement = { Effect: "Allow", Action: Action.map(name => `s3:${name}`), Resource: "arn:aws:s3:::photos*" }
    await identities.putInline(ann.ref, "own", JSON.stringify({ Version: "2012-10-17", Statement: [statement] }))
  }
  const browser = new Browser(world.node())
  await may("CreateBucket", "ListBucket", "GetBucketAcl", "PutBucketPolicy")
  await browser.signIn(signInOf(ann))
  const send = async (method: string, path: string, body: object = {}) =>
    (await browser.send(method, `/v1/buckets${path}`, { body })).status
  assert.equal(await send("POST", "", { name: "photos" }), 201)
  assert.equal(await send("POST", "", { name: "others" }), 403)
  assert.equal(await send("PUT", "/photos/settings/policy", { value: {} }), 200)
  for (const refused of ["GET", "DELETE"]) assert.equal(await send(refused, "/photos/settings/policy"), 403)
  assert.equal(await send("PUT", "/photos/settings/quota", { value: {} }), 403, "quotas are the operator's")
  assert.equal(await send("PUT", "/photos/settings/nothing", { value: {} }), 400)
  const { value } = await browser.send("GET", "/v1/buckets/photos/settings")
  const refused = BUCKET_SETTINGS.parse(value).settings.filter(setting => setting.refused !== undefined)
  assert.deepEqual(
    refused.map(({ setting }) => setting),
    ["policy", "quota", "undelete", "history", "copies", "dedup", "packing", "append"],
  )
  assert.equal(await send("DELETE", "/photos"), 403)
  assert.equal((await browser.send("GET", "/v1/buckets")).status, 403)
  const own = `?owner=${ROOT_KEY.accountId}`
  assert.equal((await browser.send("GET", `/v1/buckets${own}`)).status, 403)
  await identities.putInline(ann.ref, "list", allow("s3:ListAllMyBuckets"))
  assert.equal((await browser.send("GET", `/v1/buckets${own}`)).status, 200)
  await may("DeleteBucket")
  assert.equal(await send("DELETE", "/photos"), 204)
})

test("jobs on objects need no permission of the store: each object is decided when its turn comes", async () => {
  const world = await ConsoleWorld.open()
  const node = world.node()
  const [ann, eve] = [await keyOf(world, "ann", "s3:*"), await keyOf(world, "eve", "s3:*")]
  const [annBrowser, eveBrowser, operator] = [new Browser(node), new Browser(node), new Browser(node)]
  const { value } = await annBrowser.signIn(signInOf(ann))
  await eveBrowser.signIn(signInOf(eve))
  await operator.signIn({ token: TOKEN })
  assert.ok((value["operations"] as string[]).includes("startJob"))
  assert.equal((await operator.send("POST", "/v1/buckets", BUCKET)).status, 201)
  const job = { kind: "delete-objects", selected: [{ key: "a" }] }
  const started = await annBrowser.send("POST", "/v1/buckets/photos/jobs", { body: { job } })
  assert.equal(started.status, 202)
  const id = String(started.value["id"])
  const idsFor = async (browser: Browser) =>
    ((await browser.send("GET", "/v1/jobs")).value["started"] as { id: string }[]).map(each => each.id)
  assert.deepEqual([await idsFor(annBrowser), await idsFor(eveBrowser), await idsFor(operator)], [[id], [], [id]])
  assert.deepEqual((await annBrowser.send("GET", "/v1/jobs")).value["jobs"], [], "the work of the store is not ann's")
  for (const [method, word] of [
    ["GET", ""],
    ["POST", "/pause"],
    ["POST", "/resume"],
    ["POST", "/cancel"],
  ] as const) {
    assert.equal((await eveBrowser.send(method, `/v1/jobs/${id}${word}`)).status, 403, `eve: ${word}`)
    const own = await annBrowser.send(method, `/v1/jobs/${id}${word}`)
    assert.ok(own.status < 300, `ann: ${word}: ${own.status}`)
  }
  assert.equal((await annBrowser.send("POST", "/v1/jobs/repair/pause")).status, 403)
  const known = await world.access.mustKnow(ann.accessKeyId)
  const issued = world.access.access.sessions.ofKey(known, { seconds: 900, nowMs: world.clock.wallMs() })
  const temporary = new Browser(node)
  await temporary.signIn({
    accessKeyId: issued.accessKeyId,
    secretAccessKey: issued.secret,
    sessionToken: issued.token,
  })
  assert.equal((await temporary.send("POST", "/v1/buckets/photos/jobs", { body: { job } })).status, 400)
})
