/** Tokens of Keystone, which a stand-in validates: what its roles mean, what is cached, and what is not admitted. */
import assert from "node:assert/strict"
import { createServer } from "node:http"
import { after, before, test } from "node:test"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { RealWeb } from "@hayloft/base/seams/web/real.js"
import { ownerAccount, OWNER, STRANGER_ACCOUNT } from "../s3/over-model.js"
import { serveSwift, SwiftUser, type SwiftWorld } from "./world.js"

interface Told {
  readonly project?: string
  readonly roles: readonly string[]
  readonly expires?: string
  /** The domain of the user; undefined: the default one. */
  readonly domain?: string
  /** The name of the user, if it is not made of the token. */
  readonly name?: string
}

const LATER = "2099-01-01T00:00:00.000000Z"
/** It has no account here. */
const SERVICE_PROJECT = "e".repeat(32)
const tokens = new Map<string, Told>([
  ["operator", { project: ownerAccount.id, roles: ["Member"] }],
  ["reader", { project: ownerAccount.id, roles: ["reader"] }],
  ["nobody", { project: ownerAccount.id, roles: ["other"] }],
  ["namesake", { project: ownerAccount.id, roles: ["other"], domain: "1f2e", name: "name-of-nobody" }],
  ["stranger", { project: STRANGER_ACCOUNT, roles: ["admin"] }],
  ["seller", { project: STRANGER_ACCOUNT, roles: ["reselleradmin"] }],
  ["auditor", { project: STRANGER_ACCOUNT, roles: ["auditor"] }],
  ["service", { project: SERVICE_PROJECT, roles: ["Service"] }],
  ["late-service", { project: SERVICE_PROJECT, roles: ["service"], expires: "2020-01-01T00:00:00Z" }],
  ["homeless", { project: "d".repeat(32), roles: ["admin"] }],
  ["unscoped", { roles: ["admin"] }],
  ["ended", { project: ownerAccount.id, roles: ["admin"], expires: "2020-01-01T00:00:00Z" }],
])
let asked: string[] = []
let isDown = false

/** A server that answers `GET /v3/auth/tokens` like Keystone. */
const keystone = createServer((request, response) => {
  const token = String(request.headers["x-subject-token"])
  asked.push(token)
  const told = tokens.get(token)
  const isAsked = request.url === "/v3/auth/tokens?nocatalog" && request.headers["x-auth-token"] === token
  if (isDown || !isAsked || told === undefined) return void response.writeHead(isDown ? 503 : 404).end()
  const { project, roles, expires = LATER, domain = "default", name = `name-of-${token}` } = told
  const user = { id: `id-of-${token}`, name, domain: { id: domain } }
  const shown = {
    expires_at: expires,
    user,
    roles: roles.map(name => ({ name })),
    ...(project && { project: { id: project } }),
  }
  response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify({ token: shown }))
})

const ROLES = {
  operators: ["admin", "member"],
  readers: ["reader"],
  resellerAdmins: ["ResellerAdmin"],
  resellerReaders: ["auditor"],
  services: ["service"],
}
const clock = new SimClock(Date.now())
const web = new RealWeb(true)
let world: SwiftWorld
let port = 0
before(async () => {
  await new Promise<void>(resolve => keystone.listen(0, "127.0.0.1", resolve))
  const address = keystone.address()
  const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}/v3/`
  world = await serveSwift({ clock }, { url, ...ROLES, web }, [], { serviceAccounts: true })
  port = world.port
})
after(async () => {
  await world.stop()
  web.close()
  await new Promise(resolve => keystone.close(resolve))
})

const user = (token: string, account: string = ownerAccount.id) => new SwiftUser(port, token, `/v1/AUTH_${account}`)
const status = async (answer: ReturnType<SwiftUser["call"]>): Promise<number> => (await answer).status

test("an operator of a project does everything in its account, whose path has the project's id", async () => {
  const operator = user("operator")
  assert.equal(await status(operator.call("PUT", "/of-operator")), 201)
  assert.equal(await status(operator.call("PUT", "/of-operator/o", { body: "x" })), 201)
  assert.equal(await status(operator.call("POST", "", { headers: { "X-Account-Meta-A": "1" } })), 204)
  assert.match((await operator.call("GET", "")).text, /^of-operator$/m)
  const own = await world.signIn(OWNER)
  assert.equal(
    (await own.call("GET", "/of-operator/o")).text,
    "x",
    "the same account by its number, with a token of its own",
  )
})

test("a reader reads, and a user without a role has what access lists give", async () => {
  const [operator, reader, nobody] = [user("operator"), user("reader"), user("nobody")]
  await operator.call("PUT", "/of-roles")
  await operator.call("PUT", "/of-roles/o", { body: "x" })
  assert.deepEqual(
    [await status(reader.call("GET", "/of-roles/o")), await status(reader.call("PUT", "/of-roles/p", { body: "x" }))],
    [200, 403],
  )
  assert.equal(await status(nobody.call("GET", "/of-roles/o")), 403)
  const list = { "X-Container-Read": `${ownerAccount.id}:name-of-nobody` }
  assert.equal(await status(operator.call("POST", "/of-roles", { headers: list })), 204)
  assert.equal(await status(nobody.call("GET", "/of-roles/o")), 200)
  assert.equal(await status(user("stranger").call("GET", "/of-roles/o")), 403)
})

test("a list names users by their ids, and by names only those of the default domain, since others have the same", async () => {
  const [operator, nobody, namesake] = [user("operator"), user("nobody"), user("namesake")]
  await operator.call("PUT", "/of-domains")
  await operator.call("PUT", "/of-domains/o", { body: "x" })
  const read = async (name: string): Promise<readonly number[]> => {
    const list = { "X-Container-Read": `${ownerAccount.id}:${name}` }
    assert.equal(await status(operator.call("POST", "/of-domains", { headers: list })), 204)
    return [await status(nobody.call("GET", "/of-domains/o")), await status(namesake.call("GET", "/of-domains/o"))]
  }
  assert.deepEqual(await read("name-of-nobody"), [200, 403])
  assert.deepEqual(await read("id-of-nobody"), [200, 403])
  assert.deepEqual(await read("id-of-namesake"), [403, 200])
})

test("reseller roles act in every account, or read every account", async () => {
  assert.equal(await status(user("seller").call("PUT", "/of-reseller")), 201)
  assert.equal(await status(user("seller").call("PUT", "/of-reseller/o", { body: "x" })), 201)
  assert.equal(await status(user("operator").call("GET", "/of-reseller/o")), 200, "it is the account's own")
  const auditor = user("auditor")
  assert.deepEqual(
    [
      await status(auditor.call("GET", "/of-reseller/o")),
      await status(auditor.call("HEAD", "")),
      await status(auditor.call("PUT", "/of-reseller/p", { body: "x" })),
      await status(auditor.call("PUT", "/of-auditor")),
    ],
    [200, 204, 403, 403],
  )
})

test("a service opens the account of services of a project, and its own project needs no account", async () => {
  const at = `/v1/SERVICE_${ownerAccount.id}`
  const call = (method: string, path: string, token: string, service?: string) =>
    status(
      user(token).call(method, `${at}${path}`, {
        headers: service === undefined ? {} : { "X-Service-Token": service },
      }),
    )
  assert.equal(await call("PUT", "/of-service", "operator", "service"), 201)
  assert.equal(await call("PUT", "/of-service/o", "operator", "service"), 201)
  assert.equal(await call("PUT", "/of-service/p", "reader", "service"), 403)
  assert.equal(await call("GET", "/of-service/o", "reader", "service"), 200)
  assert.equal(await call("GET", "/of-service/o", "nobody", "service"), 403)
  for (const [token, service, expected] of [
    ["operator", undefined, 403],
    ["operator", "stranger", 403],
    ["operator", "unknown", 401],
    ["operator", "late-service", 401],
    ["stranger", "service", 403],
    ["seller", undefined, 200],
  ] as const)
    assert.equal(await call("GET", "/of-service/o", token, service), expected, `${token} with ${service ?? "none"}`)
  assert.equal(await call("GET", "/of-service/o", (await world.signIn(OWNER)).token ?? "", "service"), 200)
  assert.doesNotMatch((await user("operator").call("GET", "")).text, /of-service/)
})

test("unknown tokens, tokens without a project or an account, and those that are over, are not admitted", async () => {
  assert.equal(await status(user("unknown").call("GET", "")), 401)
  assert.equal(await status(user("unscoped").call("GET", "")), 401)
  assert.equal(await status(user("ended").call("GET", "")), 401)
  const homeless = await user("homeless", "d".repeat(32)).call("GET", "")
  assert.equal(homeless.status, 401)
  assert.match(homeless.text, /hayloft account create --id d{32}/)
})

test("a token is asked for once a minute, and refused within it once it is revoked", async () => {
  tokens.set("revoked", { project: ownerAccount.id, roles: ["admin"] })
  const revoked = user("revoked")
  const all = await Promise.all(Array.from({ length: 5 }, () => status(revoked.call("HEAD", ""))))
  assert.deepEqual(all, [204, 204, 204, 204, 204])
  tokens.delete("revoked")
  assert.equal(await status(revoked.call("HEAD", "")), 204)
  assert.equal(asked.filter(token => token === "revoked").length, 1)
  await clock.advance(60_001)
  assert.equal(await status(revoked.call("HEAD", "")), 401)
})

test("while Keystone does not answer, its tokens are not admitted, and others are", async () => {
  const own = await world.signIn(OWNER)
  isDown = true
  asked = []
  assert.equal(await status(user("reader").call("HEAD", "")), 503)
  assert.equal(await status(own.call("HEAD", "")), 204)
  isDown = false
  assert.equal(await status(user("reader").call("HEAD", "")), 204)
})
