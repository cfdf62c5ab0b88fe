import { test } from "node:test"
import assert from "node:assert/strict"
import { readFileSync, writeFileSync } from "node:fs"
import { fail } from "@hayloft/base/failures.js"
import { parseAccountId, parseBucketName, parseDeviceId, parseModuleName, parseNodeName } from "@hayloft/base/ids.js"
import { BODY_BYTES_MAX } from "./api.js"
import type { StoreChange } from "@hayloft/node/index.js"
import { SIMULATION } from "./store/simulation-schemas.js"
import { openApiText } from "./open-api.js"
import { world, type Sent } from "./testing-api.js"
import { attemptsWithoutWaits } from "@hayloft/access/secrets/testing-attempts.js"
import { OPERATIONS } from "./operations.js"
import { KEY_WITH_SECRET } from "./schemas.js"
import { NODES_REPORT } from "./testing-reports.js"
import { ROOT, TOKEN } from "./testing-store.js"
import { DENIED_REQUEST } from "./testing-denials.js"
import { DRAINING } from "./testing-jobs.js"
import { deletedOf } from "./testing-undelete.js"

const errorCode = (value: unknown): unknown =>
  typeof value === "object" &&
  value !== null &&
  "error" in value &&
  typeof value.error === "object" &&
  value.error !== null
    ? "code" in value.error && value.error.code
    : undefined

test("health needs no token and reports the reasons", async () => {
  const { store, json } = world()
  assert.deepEqual(await json("GET", "/health/live", { token: undefined }), {
    status: 200,
    value: { status: "ok", reasons: [] },
  })
  assert.equal((await json("GET", "/health/ready", { token: undefined })).status, 200)
  store.healthReport = { ready: false, reasons: ["device 2 is missing"] }
  const notReady = await json("GET", "/health/ready", { token: undefined })
  assert.deepEqual(notReady, { status: 503, value: { status: "notReady", reasons: ["device 2 is missing"] } })
  assert.equal((await json("GET", "/health/live", { token: undefined })).status, 200)
})

test("free disks are those that have no device of the store", async () => {
  const { json } = world()
  const { value } = await json("GET", "/v1/devices/free")
  assert.deepEqual(value, {
    disks: [
      {
        path: "/mnt/9/hayloft",
        mount: "/mnt/9",
        source: "/dev/sdb1",
        fileSystemKind: "xfs",
        isOnSystem: false,
        totalBytes: 100,
        freeBytes: 90,
      },
    ],
  })
})

test("on loopback, pages and metrics accept only loopback Host names, or the token", async () => {
  const { send } = world(true)
  const status = async (path: string, host: string, token?: string) =>
    (await send("GET", path, { token, headers: { host } })).status
  const own = ["localhost", "localhost:9001", "LOCALHOST", "a.localhost:1", "127.0.0.1:9001", "127.9.9.9", "[::1]:9001"]
  const strange = [
    "evil.example.com",
    "evil.example.com:9001",
    "127.0.0.1.evil.com",
    "localhost.evil.com",
    "notlocalhost",
  ]
  for (const path of ["/metrics", "/", "/docs/", "/openapi.json", "/docs/install.md", "/console/"]) {
    for (const host of own) assert.notEqual(await status(path, host), 421, `${path} ${host}`)
    for (const host of [...strange, "10.0.0.1", ""]) assert.equal(await status(path, host), 421, `${path} ${host}`)
    assert.notEqual(await status(path, "proxy.example.com", TOKEN), 421)
  }
  for (const path of ["/health/live", "/health/ready"]) assert.equal(await status(path, "10.0.0.1:9001"), 200)
  const elsewhere = await world(false).send("GET", "/", { token: undefined, headers: { host: "any.example.com" } })
  assert.equal(elsewhere.status, 200, "off loopback any Host is accepted")
})

test("metrics need no token on loopback and a token elsewhere", async () => {
  assert.equal((await world(true).send("GET", "/metrics", { token: undefined })).status, 200)
  assert.equal((await world(false).send("GET", "/metrics", { token: undefined })).status, 401)
  assert.equal((await world(false).send("GET", "/metrics")).status, 200)
})

for (const [what, sent] of [
  ["no token", { token: undefined }],
  ["a wrong token", { token: `${TOKEN.slice(0, -1)}x` }],
  ["a prefix of the token", { token: TOKEN.slice(0, -1) }],
  ["the token and more", { token: `${TOKEN}a` }],
  ["an empty token", { headers: { authorization: "Bearer " } }],
  ["the token as basic", { headers: { authorization: `Basic ${TOKEN}` } }],
  ["the token without a scheme", { headers: { authorization: TOKEN } }],
] as const) {
  test(`${what}: every operation is refused, and so are unknown paths`, async () => {
    const { send, store } = world(true, { attempts: attemptsWithoutWaits() })
    for (const { method, path } of OPERATIONS) {
      const answer = await send(method, path.replace(/\{\w+\}/g, "photos"), sent)
      assert.equal(answer.status, 401, `${method} ${path}`)
      assert.equal(answer.headers["www-authenticate"], "Bearer")
    }
    assert.equal((await send("GET", "/v1/nothing", sent)).status, 401)
    assert.equal((await send("GET", "/v1", sent)).status, 401)
    assert.deepEqual(store.touched, [])
  })
}

test("a token in the URL is not accepted", async () => {
  assert.equal((await world().send("GET", `/v1/status?token=${TOKEN}`, { token: undefined })).status, 401)
})

test("browsers are sent to the console; its addresses are its page, and its files may be kept", async () => {
  const { send } = world()
  const get = async (path: string, headers: Readonly<Record<string, string>> = {}) => {
    const { status, headers: sent, body } = await send("GET", path, { token: undefined, headers })
    return { status, header: (name: string) => sent[name] ?? "", text: new TextDecoder().decode(body) }
  }
  const toConsole = await get("/", { accept: "text/html,*/*;q=0.8" })
  assert.deepEqual([toConsole.status, toConsole.header("location")], [303, "/console/"])
  assert.equal((await get("/", { accept: "*/*" })).status, 200)
  for (const path of ["/console/", "/console/buckets/a%2Fb/policy", "/console/../secret", "/console/%2e%2e/secret"]) {
    const page = await get(path)
    assert.deepEqual([page.status, page.text], [200, "content of index.html"], path)
    assert.equal(page.header("cache-control"), "no-store")
    assert.match(
      page.header("content-security-policy"),
      /default-src 'none'.*script-src 'self'.*frame-ancestors 'none'/,
    )
  }
  const script = await get("/console/assets/main-ABCD.js")
  assert.equal(script.text, "content of assets/main-ABCD.js")
  assert.match(script.header("cache-control"), /immutable/)
  const compressed = await get("/console/assets/main-ABCD.js", { "accept-encoding": "br, gzip" })
  assert.deepEqual(
    [compressed.header("content-encoding"), compressed.header("content-type"), compressed.text],
    ["gzip", "text/javascript; charset=utf-8", "content of assets/main-ABCD.js.gz"],
  )
  assert.equal((await get("/console/assets/main-OLD.js")).status, 404)
})

test("the page and the documents contain no secret and no script", async () => {
  const { send, store } = world()
  store.healthReport = { ready: true, reasons: ["<script>alert(1)</script>"] }
  const page = await send("GET", "/", { token: undefined })
  const text = new TextDecoder().decode(page.body)
  assert.match(text, /Hayloft 1\.2\.3/)
  assert.match(text, /ready, degraded/)
  assert.match(text, /href="\/docs\/"/)
  assert.ok(!text.includes(TOKEN) && !text.includes("<script"))
  assert.match(page.headers["content-security-policy"] ?? "", /default-src 'none'/)
  const list = new TextDecoder().decode((await send("GET", "/docs/", { token: undefined })).body)
  assert.match(list, /href="\/docs\/clients\/restic\.md"/)
  const document = await send("GET", "/docs/install.md", { token: undefined })
  assert.equal(new TextDecoder().decode(document.body), "# Install\n")
  const shown = await send("GET", "/docs/install.md", { token: undefined, headers: { accept: "text/html,*/*" } })
  assert.match(new TextDecoder().decode(shown.body), /<h1 id="install">Install<\/h1>/)
  assert.match(shown.headers["content-security-policy"] ?? "", /default-src 'none'/)
  for (const path of ["/docs/../secret", "/docs/%2e%2e/secret", "/docs/none.md", "/favicon.ico"]) {
    assert.equal((await send("GET", path, { token: undefined })).status, 404, path)
  }
})

test("accounts have a generated or chosen id, are listed, and cannot be created twice", async () => {
  const { json } = world()
  const created = await json("POST", "/v1/accounts", {
    body: { id: "team", displayName: "Team", email: "t@example.org" },
  })
  assert.deepEqual(created, {
    status: 201,
    value: { id: "team", number: "297855603245", displayName: "Team", email: "t@example.org", createdMs: 7 },
  })
  const again = await json("POST", "/v1/accounts", { body: { id: "team", displayName: "Team" } })
  assert.deepEqual([again.status, errorCode(again.value)], [409, "accountExists"])
  assert.equal((await json("POST", "/v1/accounts", { body: { displayName: "Other" } })).status, 201)
  const { value } = await json("GET", "/v1/accounts")
  assert.equal(JSON.stringify(value).match(/displayName/g)?.length, 3)
})

test("a generated secret is shown once, an imported one never, and a deleted key is gone", async () => {
  const { json, store } = world()
  const drawn = await json("POST", "/v1/keys", { body: {} })
  assert.equal(drawn.status, 201)
  assert.match(JSON.stringify(drawn.value), /"secretAccessKey":"secret-of-/)
  const pair = { accountId: ROOT, accessKeyId: "AKIA/IMPORTED+1", secretAccessKey: "brought-along" }
  const imported = await json("POST", "/v1/keys", { body: pair })
  assert.deepEqual(imported, {
    status: 201,
    value: { accessKeyId: "AKIA/IMPORTED+1", accountId: ROOT, createdMs: 7, isActive: true },
  })
  const listed = JSON.stringify((await json("GET", `/v1/keys?accountId=${ROOT}`)).value)
  assert.ok(listed.includes("AKIA/IMPORTED+1") && !listed.includes("secret") && !listed.includes("brought-along"))
  assert.equal((await json("DELETE", "/v1/keys/AKIA%2FIMPORTED%2B1")).status, 204)
  assert.deepEqual(errorCode((await json("DELETE", "/v1/keys/AKIA%2FIMPORTED%2B1")).value), "noSuchAccessKey")
  assert.equal((await json("POST", "/v1/keys", { body: { accessKeyId: "AKIAONLY" } })).status, 400)
  assert.equal(store.keys.size, 1)
})

test("keys of users and service keys are created, disabled and enabled", async () => {
  const { json } = world()
  const service = { description: "backup", expiresMs: 9, policy: "{}" }
  const drawn = await json("POST", "/v1/keys", { body: { userName: "bob", ...service } })
  const expected = { accessKeyId: "AKIA0", accountId: ROOT, createdMs: 7, userName: "bob", ...service }
  assert.deepEqual(drawn.value, { ...expected, isActive: true, secretAccessKey: "secret-of-AKIA0" })
  assert.equal((await json("POST", "/v1/keys/AKIA0/disable")).status, 204)
  assert.deepEqual((await json("GET", "/v1/keys")).value, { keys: [{ ...expected, isActive: false }] })
  assert.equal((await json("POST", "/v1/keys/AKIA0/enable")).status, 204)
  assert.deepEqual((await json("GET", "/v1/keys")).value, { keys: [{ ...expected, isActive: true }] })
  assert.equal((await json("POST", "/v1/keys/NOBODYS/disable")).status, 404)
})

test("buckets are created, read, listed over owners page by page, and deleted", async () => {
  const { json } = world()
  await json("POST", "/v1/accounts", { body: { id: "aa", displayName: "A" } })
  for (const [name, owner] of [
    ["b-1", ROOT],
    ["b-2", "aa"],
    ["b-3", "aa"],
    ["b-4", ROOT],
  ] as const) {
    assert.equal((await json("POST", "/v1/buckets", { body: { name, owner } })).status, 201)
  }
  const names: string[] = []
  let next: string | undefined = ""
  for (let page = 0; next !== undefined && page < 10; page += 1) {
    const { value } = await json("GET", `/v1/buckets?max=1&after=${encodeURIComponent(next)}`)
    const text = JSON.stringify(value)
    names.push(...[...text.matchAll(/"name":"([^"]+)"/g)].map(match => match[1] ?? ""))
    next = /"next":"([^"]+)"/.exec(text)?.[1]
  }
  assert.deepEqual(names, ["b-2", "b-3", "b-1", "b-4"])
  const one = await json("GET", "/v1/buckets/b-2")
  assert.match(JSON.stringify(one.value), /"owner":"aa".*"usage":\{"objects":3,/)
  assert.match(JSON.stringify((await json("GET", "/v1/buckets?owner=aa")).value), /b-2.*b-3/)
  assert.equal((await json("GET", "/v1/buckets?owner=nobody")).status, 404)
  assert.equal((await json("DELETE", "/v1/buckets/b-2")).status, 204)
  assert.deepEqual(errorCode((await json("GET", "/v1/buckets/b-2")).value), "noSuchBucket")
  assert.equal((await json("POST", "/v1/buckets", { body: { name: "b-9", owner: "nobody" } })).status, 404)
})

test("a bucket is erased by its name, and the answer says what it waits for", async () => {
  const { json, store } = world()
  const refused = await json("POST", "/v1/buckets/secrets/erase", { body: { confirm: "other" } })
  assert.equal(refused.status, 400)
  const { status, value } = await json("POST", "/v1/buckets/secrets/erase", { body: { confirm: "secrets" } })
  assert.equal(status, 202)
  assert.match(JSON.stringify(value), /^\{"bucketId":3,"state":"erasing","report":\{"bucket":"secrets",.*"path":"\/d2"/)
  assert.deepEqual(store.touched, ["erase secrets"])
  assert.deepEqual((await json("GET", "/v1/erasures/4")).value, { bucketId: 4, state: "erased" })
  assert.equal((await json("GET", "/v1/erasures/x")).status, 400)
})

test("status and devices are returned complete, and replies match the document", async () => {
  const { json, store } = world()
  store.shown = { nodes: NODES_REPORT }
  for (const name of ["b-1", "remote-1"]) await json("POST", "/v1/buckets", { body: { name } })
  const target = { store: "aws", bucket: "second", prefix: "", deletes: true, opaqueEtags: false }
  await store.copies.set(await store.buckets.open(parseBucketName("b-1")), target)
  await json("POST", "/v1/queues", { body: { name: "mail", account: ROOT } })
  await store.transforms.putModule(parseModuleName("upper"), Buffer.from("\0asm"), "text/plain")
  const { accessKeyId: key } = KEY_WITH_SECRET.parse((await json("POST", "/v1/keys", { body: {} })).value)
  const { id: job } = await store.startedJobs.follow(DRAINING, { kind: "operator", id: "", name: "" })
  for (const { method, path, response } of OPERATIONS) {
    // identity-operations.test.ts has identities to show.
    const isOfIdentities = path.startsWith("/v1/accounts/{account}/") && !path.includes("/quota")
    if (method !== "GET" || isOfIdentities || response.isStream === true) continue
    const isAtMoments = path.endsWith("/differences")
    const query = /\/(explain|shards)$/.test(path) ? "?key=logs/1" : isAtMoments ? "?from=2025-01-01T00:00:00Z" : ""
    const bucket = path.startsWith("/v1/erasures") ? "3" : path.includes("/remote/") ? "remote-1" : "b-1"
    const place = path
      .replace("{bucket}", bucket)
      .replace("/queues/{account}/{queue}", "/queues/-/mail")
      .replace("{namespace}", "jobs")
      .replace("{module}", "upper")
      .replace("{account}", "root")
      .replace("{key}", key)
      .replace("{job}", job)
      .replace("{request}", DENIED_REQUEST)
      .replace("{setting}", "policy")
    const { status, value } = await json(method, `${place}${query}`)
    assert.equal(status, response.status)
    assert.deepEqual(response.schema?.parse(value), value, path)
  }
  assert.match(JSON.stringify((await json("GET", "/v1/status")).value), /"sentence":"replica:1 in 1 folder /)
  assert.match(JSON.stringify((await json("GET", "/v1/devices")).value), /"devices":\[\{"id":/)
})

test("quotas are shown, set, removed, checked and counted again; a bucket may have none", async () => {
  const { json, store } = world()
  const path = "/v1/buckets/photos/quota"
  const shown = await json("GET", path)
  assert.match(
    JSON.stringify(shown.value),
    /"used":\{"bytes":900,"partBytes":200,"objects":4\},"percent":90,"isAboveWarning":true/,
  )
  const set = await json("POST", path, { body: { hardBytes: 9_000 } })
  assert.match(JSON.stringify(set.value), /"limits":\{"hardBytes":9000\}.*"percent":10/)
  assert.ok(store.touched.includes('setQuota {"hardBytes":9000}'))
  assert.equal((await json("POST", path, { body: { hardBytes: -1 } })).status, 400)
  assert.equal((await json("POST", `${path}/recount`, { body: {} })).status, 200)
  assert.match(JSON.stringify((await json("GET", `${path}/check`)).value), /"agrees":true/)
  assert.equal((await json("DELETE", path)).status, 204)
  assert.deepEqual((await json("GET", "/v1/buckets/unlimited/quota")).value, {})
  const unlimited = await json("GET", "/v1/buckets/unlimited/quota/check")
  assert.match(JSON.stringify(unlimited.value), /"hasQuota":false,"counters":.*"walked":.*"agrees":true/)
})

test("queues are made, listed in pages, set, paused, looked into, purged and deleted", async () => {
  const { json, store } = world()
  const account = "team"
  assert.equal((await json("POST", "/v1/accounts", { body: { id: account, displayName: "Team" } })).status, 201)
  for (const name of ["mail", "other"])
    assert.equal((await json("POST", "/v1/queues", { body: { name, account } })).status, 201)
  assert.equal((await json("POST", "/v1/queues", { body: { name: "a b", account } })).status, 400)
  const page = (await json("GET", "/v1/queues?max=1")).value
  assert.match(JSON.stringify(page), /"name":"mail".*"next":"team\/mail"/)
  const second = (await json("GET", `/v1/queues?max=1&after=${account}%2Fmail`)).value
  assert.match(JSON.stringify(second), /"name":"other"/)
  const path = `/v1/queues/${account}/mail`
  const redrive = { maxDeliveries: 3, deadQueue: "other" }
  const set = await json("POST", path, { body: { pause: "out", visibilitySeconds: 7, redrive } })
  assert.match(JSON.stringify(set.value), /"pause":"out".*"visibilitySeconds":7.*"deadQueue":"other"/)
  assert.equal((await json("POST", path, { body: { redrive: null } })).status, 200)
  const content = { body: Buffer.from("hello"), attributes: [], trace: undefined }
  const name = { account: parseAccountId(account), name: "mail" }
  await store.queues.add(name, [{ content, sender: "arn" }], { copiesNow: 1 })
  const shown = JSON.stringify((await json("GET", path)).value)
  assert.match(shown, /"messages":1,"bytes":5,"due":1,"inFlight":0,"delayed":0/)
  assert.doesNotMatch(shown, /redrive/)
  assert.match(JSON.stringify((await json("GET", `${path}/messages`)).value), /"body":"hello"/)
  assert.equal((await json("POST", `${path}/purge`)).status, 204)
  assert.match(JSON.stringify((await json("GET", path)).value), /"messages":0/)
  assert.equal((await json("DELETE", path)).status, 204)
  assert.equal((await json("GET", path)).status, 404)
})

test("undelete is set and shown; what is kept is listed in pages, restored and removed", async () => {
  const { json, store } = world()
  assert.equal((await json("POST", "/v1/buckets", { body: { name: "photos" } })).status, 201)
  const path = "/v1/buckets/photos/undelete"
  assert.deepEqual((await json("POST", path)).value, { kept: { objects: 2, bytes: 700 } })
  assert.equal((await json("POST", path, { body: { days: 366 } })).status, 400)
  assert.equal((await json("DELETE", path)).status, 204)
  const set = store.touched.filter(what => what.startsWith("setUndelete"))
  assert.deepEqual(set, ["setUndelete 3", "setUndelete undefined"])
  store.undelete.deleted.push(...["a/1", "a/2", "a/exists", "b"].map(deletedOf))
  const first = await json("GET", `${path}/deleted?prefix=a/`)
  assert.match(JSON.stringify(first.value), /"key":"a\/1","id":.*"key":"a\/2",.*\],"next":"2"\}$/)
  assert.match(
    JSON.stringify((await json("GET", `${path}/deleted?after=2&prefix=a/`)).value),
    /^\{"deleted":\[\{"key":"a\/exists"/,
  )
  for (const query of ["max=0", "max=1001", "sinceMs=-1", "sinceMs=x"]) {
    assert.equal((await json("GET", `${path}/deleted?${query}`)).status, 400, query)
  }
  store.undelete.deleted.unshift(deletedOf("é 1"))
  const beyondAscii = await json("GET", `${path}/deleted?prefix=%C3%A9%20`)
  assert.match(JSON.stringify(beyondAscii.value), /^\{"deleted":\[\{"key":"é 1"/)
  store.undelete.deleted.shift()
  const restore = async (body: object) => (await json("POST", `${path}/restore`, { body })).value
  assert.deepEqual(await restore({ key: "a/1", atMs: 9 }), { outcome: "restored" })
  assert.deepEqual(await restore({ key: "a/exists" }), { outcome: "exists" })
  assert.deepEqual(await restore({ key: "a/exists", over: true }), { outcome: "restored" })
  assert.deepEqual(await restore({ key: "a/1", id: "other" }), { outcome: "nothingKept" })
  assert.ok(store.touched.includes("undelete a/1 at 9"))
  const below = await json("POST", `${path}/restore-prefix`, { body: { prefix: "a/" } })
  assert.deepEqual(below.value, { restored: 2, exist: 0, nothingKept: 0, next: '["2","a/2"]' })
  assert.deepEqual((await json("POST", `${path}/purge`, { body: { key: "b" } })).value, {
    objects: 1,
    bytes: 5,
    hasMore: false,
  })
  assert.deepEqual((await json("POST", `${path}/purge`, { body: { prefix: "" } })).value, {
    objects: 2,
    bytes: 10,
    hasMore: true,
  })
  for (const body of [{}, { key: "b", prefix: "" }]) {
    assert.equal((await json("POST", `${path}/purge`, { body })).status, 400, "everything must be named")
  }
})

const ID = "0123456789abcdef"
const CHANGES: readonly (readonly [path: string, body: Record<string, unknown>, change: StoreChange])[] = [
  ["devices", { path: "/mnt/b" }, { kind: "addDevice", path: "/mnt/b", weight: undefined }],
  ["devices", { path: "/mnt/b", weight: 2.5 }, { kind: "addDevice", path: "/mnt/b", weight: 2.5 }],
  [`devices/${ID}/drain`, {}, { kind: "drainDevice", id: parseDeviceId(ID) }],
  [`devices/${ID}/remove`, {}, { kind: "removeDevice", id: parseDeviceId(ID) }],
  [`devices/${ID}/forget`, {}, { kind: "forgetDevice", id: parseDeviceId(ID), acceptLoss: false }],
  [`devices/${ID}/forget`, { acceptLoss: true }, { kind: "forgetDevice", id: parseDeviceId(ID), acceptLoss: true }],
  [
    `devices/${ID}/replace`,
    { path: "/mnt/c" },
    { kind: "replaceDevice", id: parseDeviceId(ID), path: "/mnt/c", acceptLoss: false },
  ],
  [`devices/${ID}/weight`, { weight: 3 }, { kind: "setWeight", id: parseDeviceId(ID), weight: 3 }],
  [`devices/${ID}/use`, {}, { kind: "useDevice", id: parseDeviceId(ID) }],
  [
    "devices",
    { path: "/mnt/b", node: "n2" },
    { kind: "addDevice", path: "/mnt/b", weight: undefined, node: parseNodeName("n2") },
  ],
  ["nodes/n2/drain", {}, { kind: "drainNode", node: parseNodeName("n2") }],
  ["nodes/n2/remove", {}, { kind: "removeNode", node: parseNodeName("n2") }],
  ["nodes/n2/use", {}, { kind: "useNode", node: parseNodeName("n2") }],
  ["nodes/n2/forget", { acceptLoss: true }, { kind: "forgetNode", node: parseNodeName("n2"), acceptLoss: true }],
  [
    "layout",
    {
      changes: [
        { kind: "setWeight", id: ID, weight: 2 },
        { kind: "removeNode", node: "n2" },
      ],
    },
    {
      kind: "changeLayout",
      changes: [
        { kind: "setWeight", id: parseDeviceId(ID), weight: 2 },
        { kind: "removeNode", node: parseNodeName("n2") },
      ],
    },
  ],
  ["layout/revert", {}, { kind: "revertLayout" }],
  ["redundancy", { policy: "automatic" }, { kind: "setRedundancy", policy: "automatic", bucket: undefined }],
  [
    "redundancy",
    { policy: "replica:3", bucket: "photos" },
    { kind: "setRedundancy", policy: { kind: "replica", copies: 3 }, bucket: parseBucketName("photos") },
  ],
]
const templateOf = (path: string): string => path.replace(ID, "{device}").replace("/n2/", "/{node}/")
for (const [path, body, change] of CHANGES) {
  test(`POST /v1/${path} ${JSON.stringify(body)}: a dry run returns the plan and changes nothing, the real change is made`, async () => {
    const { json, store } = world()
    const operation = OPERATIONS.find(each => each.method === "POST" && each.path === `/v1/${templateOf(path)}`)
    const dry = await json("POST", `/v1/${path}`, { body: { ...body, dryRun: true } })
    assert.equal(dry.status, 200)
    assert.deepEqual(operation?.response.schema?.parse(dry.value), dry.value)
    assert.match(
      JSON.stringify(dry.value),
      /^\{"applied":false,"plan":\{"summary":"\w+ as asked".*"warnings":\["mind the gap"\]\}\}$/,
    )
    assert.deepEqual([store.touched, store.changes], [["plan"], []])
    const made = await json("POST", `/v1/${path}`, { body })
    assert.deepEqual(operation?.response.schema?.parse(made.value), made.value)
    assert.match(JSON.stringify(made.value), /^\{"applied":true,"plan":.*"generation":6\}$/)
    assert.deepEqual(store.changes, [change])
  })
}

test("a change whose plan requires a name is refused without it, with a message that states what to send", async () => {
  const { json, store } = world()
  store.confirmBy = "replica:1"
  for (const confirm of [undefined, "replica:2"]) {
    const { status, value } = await json("POST", "/v1/redundancy", { body: { policy: "replica:1", confirm } })
    assert.equal(status, 400)
    assert.match(JSON.stringify(value), /"code":"invalidArgument".*mind the gap.*send \\"confirm\\": \\"replica:1\\"/)
  }
  assert.deepEqual(store.changes, [])
  const made = await json("POST", "/v1/redundancy", { body: { policy: "replica:1", confirm: "replica:1" } })
  assert.deepEqual([made.status, store.changes.length], [200, 1])
  assert.equal((await json("POST", "/v1/redundancy", { body: { policy: "replica:1", confirm: 1 } })).status, 400)
})

test("a change that makes buckets with object lock less safe is refused until all of them are named", async () => {
  const { json, store } = world()
  store.lockedBuckets = ["backups", "ledger"]
  const body = { policy: "replica:1" }
  const dry = await json("POST", "/v1/redundancy", { body: { ...body, dryRun: true } })
  assert.match(JSON.stringify(dry.value), /"lockedBuckets":\["backups","ledger"\]/)
  for (const lockedBuckets of [undefined, [], ["backups"], ["backups,ledger"]]) {
    const { status, value } = await json("POST", "/v1/redundancy", { body: { ...body, lockedBuckets } })
    assert.equal(status, 400)
    assert.match(JSON.stringify(value), /"code":"invalidArgument".*--locked-buckets backups,ledger/)
  }
  assert.deepEqual(store.changes, [])
  const made = await json("POST", "/v1/redundancy", { body: { ...body, lockedBuckets: ["ledger", "backups"] } })
  assert.deepEqual([made.status, store.changes.length], [200, 1])
})

test("a change that was confirmed after its plan is refused once the plan is outdated, and others are not", async () => {
  const { json, store } = world()
  store.outlook = "disks=1 locked=0"
  const path = `/v1/devices/${ID}/forget`
  const dry = await json("POST", path, { body: { acceptLoss: true, dryRun: true } })
  assert.match(JSON.stringify(dry.value), /"outlook":"disks=1 locked=0"/)
  store.outlook = "disks=0 locked=0"
  const refused = await json("POST", path, { body: { acceptLoss: true, outlook: "disks=1 locked=0" } })
  assert.equal(refused.status, 409)
  assert.match(JSON.stringify(refused.value), /"code":"planOutdated".*the change was not made/)
  assert.deepEqual(store.changes, [])
  assert.equal((await json("POST", path, { body: { acceptLoss: true, outlook: "disks=0 locked=0" } })).status, 200)
  assert.equal((await json("POST", path, { body: { acceptLoss: true } })).status, 200)
  assert.equal(store.changes.length, 2)
  assert.equal((await json("POST", path, { body: { acceptLoss: true, outlook: 1 } })).status, 400)
})

test("the cluster is left with an empty body, with none, and with buckets that are named", async () => {
  const { json, store } = world()
  for (const body of [undefined, {}, { lockedBuckets: ["backups"] }]) {
    assert.equal((await json("POST", "/v1/cluster/leave", body === undefined ? {} : { body })).status, 200)
  }
  assert.deepEqual(store.touched, ["toDevices", "toDevices", "toDevices backups"])
  assert.equal((await json("POST", "/v1/cluster/leave", { body: { lockedBucket: ["backups"] } })).status, 400)
})

test("the store's refusals are returned with their message, as a 4xx", async () => {
  const { json, store } = world()
  for (const [failure, status] of [
    [fail("invalidArgument", { message: "no device 0123456789abcdef belongs to this store" }), 400],
    [fail("conflict", { message: "another change is under way" }), 409],
    [fail("folderNotEmpty", { message: "/mnt/b holds other files" }), 409],
    [fail("invalidConfig", { message: "ec:9+3 needs 12 devices, and there are 3" }), 400],
    [fail("deviceFull", { message: "the others have no space for it" }), 507],
  ] as const) {
    store.broken = failure
    const { status: answered, value } = await json("POST", `/v1/devices/${ID}/drain`, { body: {} })
    assert.equal(answered, status)
    assert.deepEqual(value, { error: { code: failure.kind, message: failure.details["message"] } })
  }
  assert.deepEqual(store.changes, [])
})

test("repair, scrub and jobs are paused, started and throttled", async () => {
  const { json, store } = world()
  assert.match(JSON.stringify(await json("POST", "/v1/repair/pause")), /"isPaused":true/)
  assert.match(JSON.stringify(await json("GET", "/v1/repair")), /"isPaused":true/)
  assert.match(JSON.stringify(await json("POST", "/v1/repair/resume")), /"isPaused":false/)
  assert.equal((await json("POST", "/v1/scrub/start", { body: { device: ID } })).status, 200)
  assert.equal((await json("POST", "/v1/scrub/start", { body: {} })).status, 200)
  assert.equal((await json("POST", "/v1/scrub/pause")).status, 200)
  assert.deepEqual(
    store.touched.filter(what => what.includes("crub")),
    [`startScrub ${ID}`, "startScrub all", "pauseScrub"],
  )
  const paced = await json("POST", "/v1/jobs/repair/throttle", { body: { throttle: 0.5 } })
  assert.match(JSON.stringify(paced.value), /"name":"repair".*"throttle":0.5/)
  assert.equal((await json("POST", "/v1/jobs/repair/wake")).status, 200)
  assert.match(JSON.stringify(await json("POST", `/v1/devices/${ID}/check`)), /"state":"rebuilding","finding":"answers/)
})

const BAD: readonly (readonly [method: string, target: string, status: number, sent?: Sent])[] = [
  ["POST", "/v1/accounts", 400, { text: "{" }],
  ["POST", "/v1/accounts", 400, { text: "\xff" }],
  ["POST", "/v1/accounts", 400, { body: [] }],
  ["POST", "/v1/accounts", 400, { body: {} }],
  ["POST", "/v1/accounts", 400, { body: { displayName: "x", admin: true } }],
  ["POST", "/v1/accounts", 400, { body: { displayName: "x", id: "no spaces" } }],
  ["POST", "/v1/accounts", 413, { text: `{"displayName": "${"x".repeat(BODY_BYTES_MAX)}"}` }],
  ["POST", "/v1/keys", 404, { body: { accountId: "nobody" } }],
  ["POST", "/v1/keys", 400, { body: { accessKeyId: "AKIA", secretAccessKey: "short" } }],
  ["POST", "/v1/buckets", 400, { body: { name: "Not_A_Bucket" } }],
  ["GET", "/v1/buckets?max=0", 400],
  ["GET", "/v1/buckets?max=1001", 400],
  ["GET", "/v1/buckets?limit=3", 400],
  ["GET", "/v1/buckets/NO$BUCKET", 400],
  ["GET", "/v1/buckets/%zz", 400],
  ["PUT", "/v1/buckets", 405],
  ["DELETE", "/v1/status", 405],
  ["POST", "/", 405],
  ["GET", "/v1/denials/0000000000000000", 404],
  ["GET", "/v1/denials/nothing", 400],
  ["GET", "/v1/nothing", 404],
  ["GET", "/v1/status/", 404],
  ["GET", "nonsense", 400],
  ["POST", "/v1/devices", 400, { body: { path: "relative" } }],
  ["POST", "/v1/devices", 400, { body: { path: "/mnt/b", weight: 0 } }],
  ["POST", "/v1/devices", 400, { body: { path: "/mnt/b", dryrun: true } }],
  ["POST", "/v1/devices/nothing/drain", 400, { body: {} }],
  ["POST", "/v1/devices/0123456789abcdef/weight", 400, { body: { weight: -1 } }],
  ["POST", "/v1/devices/0123456789abcdef/drain/now", 404, { body: {} }],
  ["POST", "/v1/devices//drain", 404, { body: {} }],
  ["GET", "/v1/devices/0123456789abcdef/drain", 405],
  ["POST", "/v1/redundancy", 400, { body: { policy: "raid:5" } }],
  ["POST", "/v1/redundancy", 400, { body: { policy: "ec:4+2", bucket: "No*Bucket" } }],
  ["POST", "/v1/scrub/start", 400, { body: { device: "nothing" } }],
  ["POST", "/v1/jobs/nothing/wake", 400],
  ["POST", "/v1/jobs/repair/throttle", 400, { body: { throttle: "slow" } }],
]
for (const [method, target, status, sent] of BAD) {
  test(`${method} ${target} ${JSON.stringify(sent ?? {}).slice(0, 60)}: ${status} with an error object`, async () => {
    const answer = await world().json(method, target, sent)
    assert.equal(answer.status, status, JSON.stringify(answer.value))
    assert.equal(typeof errorCode(answer.value), "string")
  })
}

test("internal errors show no details", async () => {
  const { json, store } = world()
  store.broken = new Error("stack with a secret path")
  const answer = await json("GET", "/v1/status")
  assert.deepEqual(answer, {
    status: 500,
    value: { error: { code: "internal", message: "internal error; see the log" } },
  })
})

test("docs/reference/openapi.json is the document that the port serves", async () => {
  const { send } = world()
  const served = new TextDecoder().decode((await send("GET", "/openapi.json", { token: undefined })).body)
  const path = "docs/reference/openapi.json"
  if (process.env["REWRITE"] === "1") writeFileSync(path, served)
  assert.equal(readFileSync(path, "utf8"), served, "run REWRITE=1 npm test -- admin/api, and check the difference")
  assert.equal(served, openApiText())
})

test("the document names every operation, and every reference resolves", () => {
  const text = openApiText()
  for (const { id } of OPERATIONS) assert.ok(text.includes(`"operationId": "${id}"`), id)
  assert.match(text, /"\/v1\/s3\/\{target\}": \{[^}]*"x-hayloft-protocol": "s3"/)
  const names = new Set([...text.matchAll(/"\$ref": "([^"]+)"/g)].map(match => match[1] ?? ""))
  assert.ok(names.size > 5)
  for (const name of names) {
    assert.match(name, /^#\/components\/schemas\/\w+$/)
    assert.ok(text.includes(`      "${name.split("/").at(-1) ?? ""}": {`), name)
  }
})

test("a simulation compares policies, names what is wrong with a request, and is not in the audit log", async () => {
  const { store, json } = world()
  const body = { machines: [{ devices: 6, deviceBytes: 1e12 }], policies: ["ec:4+2", "ec:8+3"], cycles: 10 }
  const { status, value } = await json("POST", "/v1/simulations", { body })
  assert.equal(status, 200)
  const { layout, outcomes, limits } = SIMULATION.parse(value)
  assert.deepEqual([layout.devices, outcomes.length, limits.length], [6, 2, 3])
  assert.deepEqual(outcomes[1], { policy: "ec:8+3", problem: "needs 11 devices; the layout has 6" })
  assert.equal((await json("POST", "/v1/simulations", { text: "" })).status, 200)
  const wrong = await json("POST", "/v1/simulations", { body: { ...body, cycles: 1e9 } })
  assert.equal(wrong.status, 400)
  assert.match(JSON.stringify(wrong.value), /cycles/)
  assert.deepEqual((await store.audit.list(undefined, 9)).entries, [])
})
