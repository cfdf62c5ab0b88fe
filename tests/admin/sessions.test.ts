/** Sessions of browsers with the admin port: how they begin and end, on all nodes, and attacks on them. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { OPERATIONS } from "@hayloft/admin/operations.js"
import { SESSION } from "@hayloft/admin/session-schemas.js"
import { fail } from "@hayloft/base/failures.js"
import { allow, ROOT_KEY, trust } from "../access/world.js"
import { Browser, ConsoleWorld, keyOf, MINUTE_MS, signInOf, TOKEN, type Sent } from "./world.js"

const ROOT = { accessKeyId: ROOT_KEY.accessKeyId, secretAccessKey: ROOT_KEY.secret }
const BUCKET = { body: { name: "photos" } }
const HOUR_MS = 60 * MINUTE_MS

async function signedIn(body: object = { token: TOKEN }) {
  const world = await ConsoleWorld.open()
  const browser = new Browser(world.node())
  await browser.signIn(body)
  return { world, browser }
}

test("the operator's token, a scoped token and keys sign in; the answer says who, and has no secret", async () => {
  const world = await ConsoleWorld.open()
  const node = world.node()
  const operator = new Browser(node)
  const first = await operator.signIn({ token: TOKEN })
  assert.deepEqual(first.value["who"], { kind: "operator" })
  assert.deepEqual(
    first.value["operations"],
    OPERATIONS.map(({ id }) => id),
  )
  assert.deepEqual(first.value["depends"], [])
  SESSION.parse(first.value)
  const { value } = await operator.send("POST", "/v1/tokens", { body: { name: "ci", scopes: ["buckets"] } })
  const token = new Browser(node)
  const shown = await token.signIn({ token: value["token"] })
  assert.deepEqual(shown.value["who"], { kind: "token", id: value["id"], name: "ci", scopes: ["buckets"] })
  assert.ok(!(shown.value["operations"] as string[]).includes("createKey"))
  assert.equal((await token.send("POST", "/v1/keys", { body: {} })).code, "outOfScope")
  assert.equal((await token.send("POST", "/v1/buckets", BUCKET)).status, 201)
  const root = new Browser(node)
  const { who } = SESSION.parse((await root.signIn(ROOT)).value)
  assert.ok(who?.kind === "principal" && who.isRoot && who.accessKeyId === ROOT_KEY.accessKeyId)
  assert.equal((await root.send("POST", "/v1/keys", { body: {} })).status, 201)
  for (const browser of [operator, token, root]) {
    const [line = ""] = browser.lines
    assert.match(line, /^hayloft-session=HLC1\.[\w-]+; Path=\/; HttpOnly; SameSite=Strict$/)
    const all = `${browser.cookie} ${Buffer.from(browser.cookie, "base64url").toString("latin1")}`
    for (const secret of [TOKEN, ROOT_KEY.secret, String(value["token"])]) assert.ok(!all.includes(secret))
  }
})

test("users, service keys and temporary credentials sign in; wrong, disabled and expired ones do not", async () => {
  const world = await ConsoleWorld.open()
  const { accounts, sessions } = world.access.access
  const node = world.node()
  const ann = await keyOf(world, "ann")
  assert.match(
    String(((await new Browser(node).signIn(signInOf(ann))).value["who"] as { arn: string }).arn),
    /user\/ann$/,
  )
  const expiresMs = world.clock.wallMs() + MINUTE_MS
  const service = await accounts.createKey({
    accountId: ROOT_KEY.accountId,
    userName: "ann",
    service: { description: "ci", expiresMs, policy: undefined },
  })
  const short = { accessKeyId: service.key.id, secretAccessKey: service.secret }
  const shown = await new Browser(node).signIn(short)
  assert.equal(shown.value["endMs"], expiresMs, "a session is no longer than its key")
  const known = await world.access.mustKnow(ann.accessKeyId)
  const issued = sessions.ofKey(known, { seconds: 900, nowMs: world.clock.wallMs() })
  const temporary = { accessKeyId: issued.accessKeyId, secretAccessKey: issued.secret, sessionToken: issued.token }
  await new Browser(node).signIn(temporary)
  await world.clock.advance(MINUTE_MS)
  await accounts.setKeyActive(ann.accessKeyId, false)
  const wrong: readonly (readonly [string, object])[] = [
    ["a wrong token", { token: `${TOKEN}x` }],
    ["a wrong secret", { ...ROOT, secretAccessKey: "root-secreT" }],
    ["no such key", { ...ROOT, accessKeyId: "HLNOBODY" }],
    ["no key id at all", { ...ROOT, accessKeyId: "?" }],
    ["a disabled key", signInOf(ann)],
    ["an expired key", short],
    ["temporary credentials of a disabled key", temporary],
    ["temporary credentials without their token", { ...temporary, sessionToken: undefined }],
    ["a root key with a token of others", { ...ROOT, sessionToken: issued.token }],
  ]
  const messages = new Set<string>()
  for (const [i, [what, body]] of wrong.entries()) {
    const browser = new Browser(node)
    const { status, value } = await browser.send("POST", "/v1/session", { body, address: `198.51.100.${i}` })
    assert.equal(status, 401, what)
    messages.add(JSON.stringify(value))
    assert.deepEqual(browser.lines, [], what)
  }
  assert.equal(messages.size, 1, "a refusal does not tell what was wrong")
})

test("a session serves all nodes, and none once it is signed out, not even a copy of its cookie", async () => {
  const { world, browser } = await signedIn()
  const nodes = [world.node(), world.node()]
  const thief = new Browser(nodes[0] ?? browser.node)
  thief.cookies.set("hayloft-session", browser.cookies.get("hayloft-session") ?? "")
  for (const node of nodes) {
    browser.node = node
    assert.ok(await browser.isSignedIn())
  }
  assert.ok(await thief.isSignedIn())
  assert.equal((await browser.send("DELETE", "/v1/session")).status, 204)
  assert.match(browser.lines.at(-1) ?? "", /^hayloft-session=; .*Max-Age=0$/)
  for (const node of [...nodes, world.node()]) {
    thief.node = node
    assert.ok(!(await thief.isSignedIn()))
    assert.equal((await thief.send("GET", "/v1/accounts")).status, 401)
  }
  assert.equal((await browser.send("DELETE", "/v1/session")).status, 204, "once more does no harm")
  await browser.signIn({ token: TOKEN })
  assert.ok(await browser.isSignedIn(), "the same holder signs in again")
})

test("a session ends when it is idle, and after some hours in any case", async () => {
  const { world, browser } = await signedIn()
  const started = browser.cookies.get("hayloft-session")
  await world.clock.advance(29 * MINUTE_MS)
  assert.ok(await browser.isSignedIn())
  assert.notEqual(browser.cookies.get("hayloft-session"), started, "its use is noted in the cookie")
  await world.clock.advance(29 * MINUTE_MS)
  assert.ok(await browser.isSignedIn())
  await world.clock.advance(30 * MINUTE_MS)
  assert.ok(!(await browser.isSignedIn()), "idle")
  await browser.signIn({ token: TOKEN })
  for (let usedMs = 0; usedMs < 8 * HOUR_MS; usedMs += 20 * MINUTE_MS) {
    assert.ok(await browser.isSignedIn(), `after ${usedMs / MINUTE_MS} minutes`)
    await world.clock.advance(20 * MINUTE_MS)
  }
  assert.ok(!(await browser.isSignedIn()), "over")
})

test("a session ends with the token, the key, the user and the secret that it rests on", async () => {
  const { world, browser } = await signedIn()
  const { value } = await browser.send("POST", "/v1/tokens", { body: { name: "ci", scopes: ["all"] } })
  const token = new Browser(world.node())
  await token.signIn({ token: value["token"] })
  await browser.send("DELETE", `/v1/tokens/${String(value["id"])}`)
  assert.ok(!(await token.isSignedIn()), "revoked")
  const { accounts, identities } = world.access.access
  for (const end of ["disabled", "deleted", "another secret", "another user"] as const) {
    const ann = await keyOf(world, `ann-${end.replace(" ", "-")}`, "hayloft:ListAccounts")
    const user = new Browser(world.node())
    await user.signIn(signInOf(ann))
    assert.equal((await user.send("GET", "/v1/accounts")).status, 200)
    const id = ann.accessKeyId
    if (end === "disabled") await accounts.setKeyActive(id, false)
    else await accounts.removeKey(id)
    if (end === "another secret") {
      const owner = { accountId: ROOT_KEY.accountId, userName: ann.ref.name }
      await accounts.importKey({ id, secret: "another-secret-of-the-same-key", ...owner })
    }
    if (end === "another user") {
      await world.access.create("user", "bob")
      const owner = { accountId: ROOT_KEY.accountId, userName: "bob" }
      await accounts.importKey({ id, secret: ann.secretAccessKey, ...owner })
      await identities.putInline(world.access.ref("user", "bob"), "own", allow("hayloft:*"))
    }
    assert.ok(!(await user.isSignedIn()), end)
    assert.equal((await user.send("GET", "/v1/accounts")).status, 401, end)
  }
  const other = new Browser(world.node({ operatorToken: "f".repeat(32) }))
  other.cookies.set("hayloft-session", browser.cookies.get("hayloft-session") ?? "")
  assert.ok(!(await other.isSignedIn()), "the operator has another token")
  assert.ok(await browser.isSignedIn())
})

test("the role of temporary credentials: its deletion ends the session, and its policy applies at once", async () => {
  const world = await ConsoleWorld.open()
  const { identities, sessions } = world.access.access
  const ann = await keyOf(world, "ann", "sts:AssumeRole")
  const known = await world.access.mustKnow(ann.accessKeyId)
  const role = await world.access.create("role", "ops", trust({ AWS: known.principal.arn }))
  await identities.putInline(role, "own", allow("hayloft:List*"))
  const roleArn = `arn:aws:iam::${known.account.number}:role/ops`
  const request = { roleArn, sessionName: "shift", seconds: undefined, policyArns: [], tags: [] }
  const context = { valuesOf: () => undefined }
  const nowMs = world.clock.wallMs()
  const issued = await sessions.assume(known, { ...request, policy: allow("hayloft:ListA*"), context, nowMs })
  const browser = new Browser(world.node())
  const credentials = { accessKeyId: issued.accessKeyId, secretAccessKey: issued.secret, sessionToken: issued.token }
  await browser.signIn(credentials)
  assert.equal((await browser.send("GET", "/v1/accounts")).status, 200)
  assert.equal((await browser.send("GET", "/v1/keys")).status, 403, "its session policy does not allow that")
  await identities.removeInline(role, "own")
  assert.equal((await browser.send("GET", "/v1/accounts")).status, 403)
  await identities.remove(role)
  assert.equal((await browser.send("GET", "/v1/accounts")).status, 401)
})

test("cookies that were cut, changed, made for something else or sent twice are none", async () => {
  const { world, browser } = await signedIn()
  const good = browser.cookies.get("hayloft-session") ?? ""
  const ann = await world.access.mustKnow(ROOT_KEY.accessKeyId)
  const { token } = world.access.access.sessions.ofKey(ann, { seconds: 900, nowMs: world.clock.wallMs() })
  const other = new Browser(browser.node)
  await other.signIn(ROOT)
  const flipped = (at: number) => `${good.slice(0, at)}${good[at] === "A" ? "B" : "A"}${good.slice(at + 1)}`
  const bad = [
    "",
    "HLC1.",
    good.slice(0, -1),
    good.slice(0, 40),
    `${good}A`,
    good.toLowerCase(),
    `HLC2${good.slice(4)}`,
    flipped(5),
    flipped(20),
    flipped(60),
    flipped(good.length - 1),
    token,
    `HLC1.${token.slice(4)}`,
    "A".repeat(9_000),
  ]
  for (const value of bad) {
    const cookie = `hayloft-session=${value}`
    assert.ok(!(await browser.isSignedIn({ headers: { cookie } })), value.slice(0, 60))
    const { status } = await browser.send("POST", "/v1/buckets", { ...BUCKET, headers: { cookie } })
    assert.equal(status, 401)
  }
  const twice = `hayloft-session=${good}; hayloft-session=${other.cookies.get("hayloft-session") ?? ""}`
  assert.ok(!(await browser.isSignedIn({ headers: { cookie: twice } })))
  assert.ok(await browser.isSignedIn({ headers: { cookie: `a=b; hayloft-session=${good};c` } }))
})

test("pages of other origins can neither use, begin nor end a session", async () => {
  const { world, browser } = await signedIn()
  const foreign: readonly (readonly [string, NonNullable<Sent["headers"]>])[] = [
    ["another site", { "sec-fetch-site": "cross-site", origin: "https://evil.example" }],
    ["another port of this machine", { "sec-fetch-site": "same-site", origin: "http://localhost:9000" }],
    ["an old browser there", { "sec-fetch-site": undefined, origin: "http://localhost:9000" }],
    ["a page without an origin", { "sec-fetch-site": undefined, origin: "null" }],
    ["a page under TLS at another port", { "sec-fetch-site": undefined, origin: "https://localhost" }],
  ]
  for (const [what, headers] of foreign) {
    for (const [method, path] of [
      ["GET", "/v1/accounts"],
      ["GET", "/v1/session"],
      ["POST", "/v1/buckets"],
      ["DELETE", "/v1/session"],
    ] as const) {
      const { status, code } = await browser.send(method, path, { ...BUCKET, headers })
      assert.deepEqual([status, code], [403, "accessForbidden"], `${what}: ${method} ${path}`)
    }
    const stranger = new Browser(browser.node)
    const { status } = await stranger.send("POST", "/v1/session", { body: { token: TOKEN }, headers })
    assert.equal(status, 403, `${what} signs nobody in`)
    assert.deepEqual(stranger.lines, [])
  }
  assert.equal(world.store.touched.length, 0)
  const typed = { "sec-fetch-site": "none" }
  assert.equal((await browser.send("GET", "/v1/accounts", { headers: typed })).status, 200, "an address that was typed")
  assert.equal((await browser.send("POST", "/v1/buckets", { ...BUCKET, headers: typed })).status, 403)
})

test("with a cookie, every change needs the token that only pages of this port can read", async () => {
  const { browser } = await signedIn()
  const other = new Browser(browser.node)
  await other.signIn({ token: TOKEN })
  const good = browser.csrf ?? ""
  for (const csrf of [undefined, "", good.slice(1), `${good}A`, other.csrf]) {
    const headers = { "x-hayloft-csrf": csrf }
    for (const [method, path] of [
      ["POST", "/v1/buckets"],
      ["DELETE", "/v1/keys/HLX"],
      ["DELETE", "/v1/session"],
    ] as const) {
      const { status, code } = await browser.send(method, path, { ...BUCKET, headers })
      assert.deepEqual([status, code], [403, "accessForbidden"], `${method} ${path} with ${csrf ?? "none"}`)
    }
    assert.equal((await browser.send("GET", "/v1/accounts", { headers })).status, 200, "reading needs none")
  }
  assert.equal((await browser.send("POST", "/v1/buckets", BUCKET)).status, 201)
})

test("a host name that is none of this port gets nothing: another site's DNS may lead here", async () => {
  const { world, browser } = await signedIn()
  const rebound = { host: "evil.example:9001", origin: "http://evil.example:9001" }
  assert.equal((await browser.send("GET", "/v1/session", { headers: rebound })).status, 421)
  assert.equal((await browser.send("POST", "/v1/session", { body: { token: TOKEN }, headers: rebound })).status, 421)
  assert.equal((await browser.send("POST", "/v1/buckets", { ...BUCKET, headers: rebound })).status, 403)
  assert.equal((await browser.send("GET", "/", { headers: rebound })).status, 421)
  const bearer = { ...rebound, cookie: undefined, authorization: `Bearer ${TOKEN}` }
  assert.equal((await browser.send("GET", "/v1/accounts", { headers: bearer })).status, 200, "it has the token itself")
  const node = world.node({ onLoopback: false, hosts: ["console.example.org"] })
  for (const [host, status] of [
    ["console.example.org", 201],
    ["Console.Example.org:9001", 201],
    ["10.1.2.3:9001", 201],
    ["[2001:db8::1]:9001", 201],
    ["localhost:9001", 201],
    ["example.org", 421],
    ["console.example.org.evil.example", 421],
    ["1.2.3.4.evil.example", 421],
    ["", 421],
  ] as const) {
    const visitor = new Browser(node, host)
    const answer = await visitor.send("POST", "/v1/session", { body: { token: TOKEN } })
    assert.equal(answer.status, status, host)
  }
  const onLoopback = new Browser(world.node(), "10.1.2.3:9001")
  assert.equal((await onLoopback.send("POST", "/v1/session", { body: { token: TOKEN } })).status, 421)
})

test("under TLS, also of a proxy, the cookie is for this host and for TLS alone", async () => {
  const world = await ConsoleWorld.open()
  const node = world.node({ onLoopback: false, hosts: ["console.example.org"] })
  const direct = new Browser(node, "console.example.org:9001", "https")
  const sent = { isEncrypted: true }
  await direct.signIn({ token: TOKEN }, sent)
  assert.match(direct.lines[0] ?? "", /^__Host-hayloft-session=\S+; Path=\/; HttpOnly; SameSite=Strict; Secure$/)
  assert.ok(await direct.isSignedIn(sent))
  const value = direct.cookies.get("__Host-hayloft-session") ?? ""
  const plain = { headers: { cookie: `hayloft-session=${value}` }, isEncrypted: true }
  assert.ok(!(await direct.isSignedIn(plain)), "a cookie without the prefix may be somebody else's")
  const tossed = `hayloft-session=x; __Host-hayloft-session=${value}`
  assert.ok(await direct.isSignedIn({ headers: { cookie: tossed }, isEncrypted: true }))
  const downgraded = { headers: { origin: "http://console.example.org:9001" }, isEncrypted: true }
  assert.equal((await direct.send("POST", "/v1/buckets", { ...BUCKET, ...downgraded })).status, 403)
  const behindProxy = new Browser(node, "console.example.org", "https")
  await behindProxy.signIn({ token: TOKEN })
  assert.match(behindProxy.lines[0] ?? "", /^__Host-.*; Secure$/)
  assert.ok(await behindProxy.isSignedIn())
})

test("a request with an Authorization header is judged by that alone", async () => {
  const { browser } = await signedIn()
  for (const authorization of ["Bearer wrong", "Basic YTpi", ""]) {
    const { status } = await browser.send("GET", "/v1/accounts", { headers: { authorization } })
    assert.equal(status, 401, authorization)
  }
})

test("failed sign-ins slow their address down, whatever succeeds in between, and no other one", async () => {
  const world = await ConsoleWorld.open()
  const browser = new Browser(world.node())
  const attempt = (body: object, address = "203.0.113.7") => browser.send("POST", "/v1/session", { body, address })
  const wrong = { token: "guess" }
  for (let i = 0; i < 5; i += 1) {
    assert.equal((await attempt({ token: TOKEN })).status, 201)
    assert.equal((await attempt(wrong)).status, 401)
  }
  const slowed = await attempt({ token: TOKEN })
  assert.deepEqual([slowed.status, slowed.headers["retry-after"]], [429, "1"])
  assert.equal((await attempt({ token: TOKEN }, "203.0.113.8")).status, 201, "another address")
  await world.clock.advance(1_000)
  assert.equal((await attempt(wrong)).status, 401)
  assert.equal((await attempt({ token: TOKEN })).headers["retry-after"], "2", "longer each time")
  for (let i = 0; i < 20; i += 1) {
    await world.clock.advance(30_000)
    assert.equal((await attempt(wrong)).status, 401)
  }
  assert.equal((await attempt({ token: TOKEN })).headers["retry-after"], "30", "but not without end")
  await world.clock.advance(30_000)
  assert.equal((await attempt({ token: TOKEN })).status, 201)
  const prefix = "2001:db8:1:2:"
  for (let i = 0; i < 5; i += 1) await attempt(wrong, `${prefix}:${i}`)
  assert.equal((await attempt(wrong, `${prefix}9::1`)).status, 429, "one prefix of IPv6 is one client")
  await world.clock.advance(15 * MINUTE_MS)
  for (let i = 0; i < 5; i += 1) assert.equal((await attempt(wrong)).status, 401, "it was a while ago")
})

test("wrong bearer tokens count by the token that they name, and the audit log has them and failed sign-ins", async () => {
  const world = await ConsoleWorld.open()
  const browser = new Browser(world.node())
  const made = await browser.send("POST", "/v1/tokens", {
    body: { name: "ci", scopes: ["read"] },
    headers: { authorization: `Bearer ${TOKEN}` },
  })
  const [token, id] = [String(made.value["token"]), String(made.value["id"])]
  const use = async (text: string, address?: string) => {
    const sent = { headers: { authorization: `Bearer ${text}` }, ...(address && { address }) }
    return (await browser.send("GET", "/v1/accounts", sent)).status
  }
  const wrong = `${token.slice(0, -1)}${token.endsWith("a") ? "b" : "a"}`
  const unknown = `hlt_${"B".repeat(12)}_${token.slice(-40)}`
  for (const text of [wrong, unknown, "guess"]) {
    for (let i = 0; i < 5; i += 1) assert.equal(await use(text), 401, text)
    assert.equal(await use(text), 429, text)
    assert.equal(await use(text, "203.0.113.9"), 401, "another address")
  }
  assert.deepEqual([await use(token), await use(TOKEN)], [429, 429])
  assert.deepEqual([await use(token, "203.0.113.8"), await use(TOKEN, "203.0.113.8")], [200, 200])
  await world.clock.advance(1_000)
  for (let i = 0; i < 9; i += 1) assert.deepEqual([await use(token), await use(wrong)], [200, 401], "it was proved")
  assert.equal((await browser.send("POST", "/v1/session", { body: { token: "guess" } })).status, 401)
  const failed = world.store.audit.all.filter(({ caller }) => caller.kind === "anonymous")
  const linesOf = (operation: string, target: string) =>
    failed.filter(line => line.operation === operation && line.target === target).length
  assert.deepEqual(
    [linesOf("useToken", id), linesOf("useToken", ""), linesOf("useToken", "operator"), linesOf("signIn", "")],
    [15, 6, 6, 1],
  )
  assert.ok(failed.every(({ ended }) => ended?.outcome === "accessDenied"))
  for (const text of [TOKEN, token, wrong, "guess"]) assert.ok(!JSON.stringify(failed).includes(text))
})

test("many sign-outs of one holder keep one bounded row, and all of them hold", async () => {
  const { world, browser } = await signedIn()
  const stolen: string[] = []
  for (let i = 0; i < 200; i += 1) {
    await browser.signIn({ token: TOKEN }, { address: `10.0.0.${i}` })
    stolen.push(browser.cookies.get("hayloft-session") ?? "")
    assert.equal((await browser.send("DELETE", "/v1/session")).status, 204)
    await world.clock.advance(10)
  }
  for (const value of stolen) {
    assert.ok(!(await browser.isSignedIn({ headers: { cookie: `hayloft-session=${value}` } })))
  }
  const everything = { start: "" as never, end: "\xff" as never }
  const rows = [...world.metadata.committed.range("signOuts", everything)]
  assert.equal(rows.length, 1)
  assert.ok((rows[0]?.[1].value.length ?? 0) < 4_096)
  await browser.signIn({ token: TOKEN })
  assert.ok(await browser.isSignedIn())
  await world.clock.advance(10 * HOUR_MS)
  await browser.signIn(ROOT)
  await browser.send("DELETE", "/v1/session")
  const left = [...world.metadata.committed.range("signOuts", everything)]
  assert.deepEqual(
    left.map(([key]) => key),
    [`key ${ROOT_KEY.accessKeyId}`],
    "rows of sessions that are over are removed",
  )
})

test("a clock that is ahead for a while brings no session back that was signed out", async () => {
  for (const next of [{ token: TOKEN }, ROOT]) {
    const { world, browser } = await signedIn()
    const cookie = `hayloft-session=${browser.cookies.get("hayloft-session") ?? ""}`
    await browser.send("DELETE", "/v1/session")
    world.clock.jumpWall(24 * HOUR_MS)
    await browser.signIn(next)
    await browser.send("DELETE", "/v1/session")
    world.clock.jumpWall(-24 * HOUR_MS)
    assert.ok(!(await browser.isSignedIn({ headers: { cookie } })))
  }
})

test("a session that a clock which was ahead has issued is over once the clock is right", async () => {
  const { world, browser } = await signedIn()
  world.clock.jumpWall(24 * HOUR_MS)
  await browser.signIn({ token: TOKEN })
  assert.ok(await browser.isSignedIn())
  world.clock.jumpWall(-24 * HOUR_MS)
  assert.ok(!(await browser.isSignedIn()), "it would last a day longer than others")
})

test("while it is unknown whether a session was signed out, it is refused, and not ended", async () => {
  const { world, browser } = await signedIn()
  browser.node = world.node()
  world.metadata.later = () => Promise.reject(fail("databaseUnreachable"))
  assert.equal((await browser.send("GET", "/v1/accounts")).status, 503)
  world.metadata.later = () => undefined
  assert.equal((await browser.send("GET", "/v1/accounts")).status, 200)
})
