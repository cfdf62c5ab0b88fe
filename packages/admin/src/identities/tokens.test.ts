/** Tokens of the admin API: how they are made and revoked, and what each scope allows, operation by operation. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { TOKEN_SCOPES } from "@hayloft/engine/format/accounts/admin-token.js"
import { STARTED_JOB } from "@hayloft/features/operator/index.js"
import { OPERATIONS } from "../operations.js"
import { ERROR } from "../schemas.js"
import { world } from "../testing-api.js"
import { CREATED_ADMIN_TOKEN } from "./token-schemas.js"

test("tokens are made, listed without secrets, and revoked", async () => {
  const { json } = world()
  const body = { name: "portal", scopes: ["read"], expiresMs: 9 }
  const { status, value } = await json("POST", "/v1/tokens", { body })
  assert.equal(status, 201)
  const { token, id } = CREATED_ADMIN_TOKEN.parse(value)
  const { value: listed } = await json("GET", "/v1/tokens")
  assert.deepEqual(listed, { tokens: [{ id, ...body, createdMs: 7 }] })
  assert.ok(!JSON.stringify(listed).includes(token))
  assert.equal((await json("GET", "/v1/status", { token })).status, 200)
  assert.equal((await json("DELETE", `/v1/tokens/${id}`)).status, 204)
  assert.equal((await json("GET", "/v1/status", { token })).status, 401)
  assert.equal((await json("DELETE", `/v1/tokens/${id}`)).status, 404)
  for (const wrong of [
    { ...body, scopes: [] },
    { ...body, scopes: ["write"] },
    { ...body, name: "" },
  ]) {
    assert.equal((await json("POST", "/v1/tokens", { body: wrong })).status, 400)
  }
})

test("a token may do what its scopes say, and nothing else, for every operation", async () => {
  const { json, send, store } = world()
  const tokens = new Map<string, string>()
  for (const scope of TOKEN_SCOPES) {
    const { value } = await json("POST", "/v1/tokens", { body: { name: scope, scopes: [scope] } })
    tokens.set(scope, CREATED_ADMIN_TOKEN.parse(value).token)
  }
  const allowed = async (method: string, path: string): Promise<string> => {
    const can: string[] = []
    for (const [scope, token] of tokens) {
      const before = store.touched.length
      // An unknown parameter is refused after the scope was checked, and before anything is done.
      const reply = await send(method, `${path}?unknown=1`, { token })
      const { error } = ERROR.parse(JSON.parse(new TextDecoder().decode(reply.body)))
      assert.ok(reply.status === 403 ? error.code === "outOfScope" : error.code === "invalidArgument", error.code)
      if (reply.status !== 403) can.push(scope)
      assert.equal(store.touched.length, before)
    }
    return can.join(" ")
  }
  const lines: string[] = []
  const computes = OPERATIONS.filter(({ isRead }) => isRead === true).map(({ method, path }) => `${method} ${path}: `)
  assert.deepEqual([...computes].sort(), [
    "POST /v1/buckets/{bucket}/lifecycle/preview: ",
    "POST /v1/ldap/check: ",
    "POST /v1/policy/simulate: ",
    "POST /v1/policy/validate: ",
    "POST /v1/simulations: ",
  ])
  for (const { method, path } of OPERATIONS) {
    lines.push(`${method} ${path}: ${await allowed(method, path.replace(/\{\w+\}/g, "x"))}`)
  }
  const by = (can: string): readonly string[] => lines.filter(line => line.endsWith(`: ${can}`))
  assert.deepEqual(
    lines.filter(
      line => !/: (read (buckets|identities|devices) all|read all|(buckets|identities|devices) all|all)$/.test(line),
    ),
    [],
  )
  for (const line of lines)
    assert.equal(
      (line.startsWith("GET") && !line.includes("/v1/tokens")) || computes.some(start => line.startsWith(start)),
      / read /.test(line),
      line,
    )
  for (const only of [
    "POST /v1/tokens",
    "GET /v1/tokens",
    "POST /v1/buckets/{bucket}/erase",
    "POST /v1/buckets/{bucket}/share",
    "POST /v1/buckets/{bucket}/undelete/purge",
    "PUT /v1/buckets/{bucket}/settings/{setting}",
    "DELETE /v1/buckets/{bucket}/settings/{setting}",
    "POST /v1/master-key/rotate",
  ]) {
    assert.ok(
      by("all").some(line => line.startsWith(`${only}:`)),
      only,
    )
  }
  // Jobs that act as others, or elsewhere, take everything; those that only rearrange what the bucket has do not.
  const startsJob = OPERATIONS.filter(
    ({ method, path, response }) =>
      method === "POST" &&
      path.startsWith("/v1/buckets/{bucket}/") &&
      "schema" in response &&
      response.schema === STARTED_JOB,
  )
  const arranging = ["POST /v1/buckets/{bucket}/dedup/jobs", "POST /v1/buckets/{bucket}/packing/undo"]
  const asOthers = startsJob.map(({ method, path }) => `${method} ${path}`).filter(name => !arranging.includes(name))
  assert.deepEqual([...asOthers].sort(), ["POST /v1/buckets/{bucket}/inventory", "POST /v1/buckets/{bucket}/jobs"])
  const copying = ["fill", "pause", "resume"].map(word => `POST /v1/buckets/{bucket}/copies/${word}`)
  for (const name of [...asOthers, ...copying]) assert.ok(by("all").includes(`${name}: all`), name)
  for (const name of arranging) assert.ok(by("buckets all").includes(`${name}: buckets all`), name)
  assert.ok(by("buckets all").some(line => line.startsWith("DELETE /v1/buckets/{bucket}:")))
  assert.ok(by("identities all").some(line => line.startsWith("POST /v1/keys:")))
  assert.ok(by("devices all").some(line => line.startsWith("POST /v1/devices:")))
})

test("a token of buckets ends undelete from then on, and neither removes what is kept nor changes other settings", async () => {
  const { json, store } = world()
  const { value } = await json("POST", "/v1/tokens", { body: { name: "portal", scopes: ["buckets"] } })
  await json("POST", "/v1/buckets", { body: { name: "photos" } })
  const { token } = CREATED_ADMIN_TOKEN.parse(value)
  const asked = async (method: "POST" | "PUT" | "DELETE", path: string, body?: unknown) =>
    (await json(method, `/v1/buckets/photos/${path}`, { token, ...(body !== undefined && { body }) })).status
  assert.equal(await asked("POST", "undelete", { days: 1 }), 200)
  assert.equal(await asked("DELETE", "undelete"), 204)
  const done = store.touched.length
  assert.equal(await asked("POST", "undelete/purge", { prefix: "" }), 403)
  // The request covers policies and lifecycle rules.
  for (const setting of ["policy", "lifecycle", "undelete", "quota"]) {
    assert.equal(await asked("PUT", `settings/${setting}`, { value: { days: 1 } }), 403)
    assert.equal(await asked("DELETE", `settings/${setting}`), 403)
  }
  assert.equal(store.touched.length, done)
})

test("metrics off loopback need a token that may read", async () => {
  const { json, send } = world(false)
  for (const [scope, status] of [
    ["read", 200],
    ["devices", 200],
    ["buckets", 403],
  ] as const) {
    const { value } = await json("POST", "/v1/tokens", { body: { name: scope, scopes: [scope] } })
    assert.equal((await send("GET", "/metrics", { token: CREATED_ADMIN_TOKEN.parse(value).token })).status, status)
  }
  assert.equal((await send("GET", "/metrics", { token: undefined })).status, 401)
})
