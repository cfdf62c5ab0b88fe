/** The admin API of packing: the setting, figures of a bucket, the job that undoes it, and who may see and start it. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { STARTED_JOB } from "@hayloft/features/operator/index.js"
import { PACKING } from "@hayloft/features/packing/schemas.js"
import { ERROR } from "./schemas.js"
import { BUCKET_SETTING } from "@hayloft/features/operator/index.js"
import { world } from "./testing-api.js"
import { CREATED_ADMIN_TOKEN } from "./identities/token-schemas.js"

const PATH = "/v1/buckets/readings/packing"
const SETTING = "/v1/buckets/readings/settings/packing"

async function packingWorld() {
  const it = world()
  assert.equal((await it.json("POST", "/v1/buckets", { body: { name: "readings" } })).status, 201)
  return it
}

test("the figures of a bucket are returned, with the last pass", async () => {
  const { json } = await packingWorld()
  const { status, value } = await json("GET", PATH)
  const { packs, pass, leftOut } = PACKING.parse(value)
  assert.deepEqual([status, packs], [200, 3])
  assert.deepEqual(pass, { startedMs: 1_000, endedMs: 61_000, packs: 3, objects: 300, bytes: 307_200 })
  assert.deepEqual(leftOut, { packed: 200, young: 1_000, encrypted: 5 })
  assert.equal((await json("GET", PATH.replace("readings", "none"))).status, 404)
})

test("the setting is in days or seconds, and has defaults", async () => {
  const { json } = await packingWorld()
  for (const [value, afterSeconds, maxBytes] of [
    [{}, 2_592_000, 65_536],
    [{ afterDays: 0.5, maxBytes: 4_096 }, 43_200, 4_096],
    [{ afterSeconds: 0 }, 0, 65_536],
  ] as const) {
    const put = await json("PUT", SETTING, { body: { value } })
    assert.deepEqual([put.status, BUCKET_SETTING.parse(put.value).value], [200, { afterSeconds, maxBytes }])
  }
  for (const value of [
    { afterDays: 1, afterSeconds: 1 },
    { afterDays: 4_000 },
    { maxBytes: 65_537 },
    { maxBytes: 0 },
    { after: 1 },
  ]) {
    const put = await json("PUT", SETTING, { body: { value } })
    assert.equal(put.status, 400, JSON.stringify(value))
  }
})

test("packing is undone by a job, once the setting is removed", async () => {
  const { json } = await packingWorld()
  await json("PUT", SETTING, { body: { value: {} } })
  const refused = await json("POST", `${PATH}/undo`, { body: {} })
  assert.equal(refused.status, 400)
  assert.match(ERROR.parse(refused.value).error.message, /remove the setting first/)
  assert.equal((await json("DELETE", SETTING)).status, 204)
  const { status, value } = await json("POST", `${PATH}/undo`, { body: { itemsPerSecond: 10 } })
  const { kind, target, canCancel, progress } = STARTED_JOB.parse(value)
  assert.deepEqual([status, kind, target, canCancel, progress.unit], [202, "pack-undo", "readings", true, "rows"])
})

test("tokens see figures with the scopes read, buckets and all, and undo with buckets and all", async () => {
  const { json } = await packingWorld()
  const statuses: Record<string, readonly number[]> = {}
  for (const scope of ["read", "buckets", "identities", "all"]) {
    const made = await json("POST", "/v1/tokens", { body: { name: scope, scopes: [scope] } })
    const { token } = CREATED_ADMIN_TOKEN.parse(made.value)
    const started = await json("POST", `${PATH}/undo`, { token, body: {} })
    statuses[scope] = [(await json("GET", PATH, { token })).status, started.status]
  }
  assert.deepEqual(statuses, { read: [200, 403], buckets: [200, 202], identities: [403, 403], all: [200, 202] })
})
