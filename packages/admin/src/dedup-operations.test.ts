/** The admin API of deduplication: figures of a bucket, jobs, and who may see and start them. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { DEDUP } from "@hayloft/features/dedup/schemas.js"
import { STARTED_JOB } from "@hayloft/features/operator/index.js"
import { ERROR } from "./schemas.js"
import { world } from "./testing-api.js"
import { DEDUP_REPORT } from "./testing-features.js"
import { CREATED_ADMIN_TOKEN } from "./identities/token-schemas.js"

const PATH = "/v1/buckets/backups/dedup"

async function dedupWorld() {
  const it = world()
  assert.equal((await it.json("POST", "/v1/buckets", { body: { name: "backups" } })).status, 201)
  return it
}

test("the figures of a bucket are returned", async () => {
  const { json } = await dedupWorld()
  const { status, value } = await json("GET", PATH)
  assert.deepEqual([status, DEDUP.parse(value)], [200, DEDUP_REPORT])
  assert.equal((await json("GET", PATH.replace("backups", "none"))).status, 404)
})

test("jobs begin with what the caller asks for, and show it", async () => {
  const { json } = await dedupWorld()
  for (const body of [{ kind: "verify" }, { kind: "verify", read: true }, { kind: "rebuild" }, { kind: "compact" }]) {
    const { status, value } = await json("POST", `${PATH}/jobs`, { body: { ...body, itemsPerSecond: 10 } })
    const { id, kind, target, canCancel, progress } = STARTED_JOB.parse(value)
    assert.deepEqual([status, kind, target, canCancel], [202, `dedup-${body.kind}`, "backups", true])
    assert.equal(progress.unit, "rows")
    assert.equal(STARTED_JOB.parse((await json("GET", `/v1/jobs/${id}`)).value).id, id)
  }
})

test("what is wrong with a request is said", async () => {
  const { json } = await dedupWorld()
  for (const [path, body, status, message] of [
    [`${PATH}/jobs`, { kind: "shrink" }, 400, /kind/],
    [`${PATH}/jobs`, { kind: "verify", prefix: "a" }, 400, /prefix/],
    [`${PATH}/jobs`, { kind: "verify", itemsPerSecond: 0 }, 400, /itemsPerSecond/],
    [`${PATH.replace("backups", "none")}/jobs`, { kind: "verify" }, 404, /bucket/],
  ] as const) {
    const answered = await json("POST", path, { body })
    assert.equal(answered.status, status)
    assert.match(ERROR.parse(answered.value).error.message, message)
  }
})

test("tokens see figures with the scopes read, buckets and all, and start jobs with buckets and all", async () => {
  const { json } = await dedupWorld()
  const statuses: Record<string, readonly number[]> = {}
  for (const scope of ["read", "buckets", "identities", "devices", "all"]) {
    const made = await json("POST", "/v1/tokens", { body: { name: scope, scopes: [scope] } })
    const { token } = CREATED_ADMIN_TOKEN.parse(made.value)
    const started = await json("POST", `${PATH}/jobs`, { token, body: { kind: "verify" } })
    statuses[scope] = [(await json("GET", PATH, { token })).status, started.status]
  }
  assert.deepEqual(statuses, {
    read: [200, 403],
    buckets: [200, 202],
    identities: [403, 403],
    devices: [403, 403],
    all: [200, 202],
  })
})
