/** The administrator's side of copies: what the status shows, pausing, filling again, and what is refused. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseBucketName } from "@hayloft/base/ids.js"
import { COPIES } from "@hayloft/features/copies/schemas.js"
import { world } from "./testing-api.js"

const PATH = "/v1/buckets/photos/copies"

async function copied() {
  const it = world()
  assert.equal((await it.json("POST", "/v1/buckets", { body: { name: "photos" } })).status, 201)
  const bucket = await it.store.buckets.open(parseBucketName("photos"))
  await it.store.copies.set(bucket, {
    store: "aws",
    bucket: "second",
    prefix: "p/",
    deletes: true,
    opaqueEtags: false,
  })
  return it
}

test("the status has the target, the lag, the last error, and what was not copied", async () => {
  const { json } = await copied()
  const { status, value } = await json("GET", PATH)
  assert.equal(status, 200)
  assert.deepEqual(COPIES.parse(value), value)
  assert.deepEqual(value, {
    target: { store: "aws", bucket: "second", prefix: "p/", deletes: true, opaqueEtags: false },
    phase: "following",
    sinceMs: 5,
    fills: 1,
    isPaused: false,
    error: "away",
    errorMs: 9,
    hasMoreParked: false,
    lag: { objects: 2, bytes: 30, seconds: 1.5, isCut: false },
    copiedTo: "2027-01-15T08:00:00.000000Z",
    parked: [
      { key: "día", reason: "refused", attempts: 2, sinceMs: 3, nextMs: 4 },
      { key: "secret", reason: "SSE-C", attempts: 1, sinceMs: 3 },
    ],
  })
})

test("copies are paused, go on and are filled again; a bucket without copies has no status", async () => {
  const { json, store } = await copied()
  for (const word of ["pause", "resume", "fill"]) assert.equal((await json("POST", `${PATH}/${word}`)).status, 200)
  assert.equal((await json("POST", `${PATH}/fill`, { body: { remove: true } })).status, 200)
  assert.equal((await json("POST", `${PATH}/fill`, { body: { removes: true } })).status, 400)
  assert.deepEqual(store.copies.calls, ["pause photos", "resume photos", "fill photos", "fill and remove photos"])
  store.copies.values.clear()
  assert.equal((await json("GET", PATH)).status, 400)
  assert.equal((await json("GET", "/v1/buckets/missing/copies")).status, 404)
})

test("the setting takes what the schema has, and no store that the file does not name", async () => {
  const { json } = await copied()
  const put = (value: unknown) => json("PUT", "/v1/buckets/photos/settings/copies", { body: { value } })
  assert.equal((await put({ store: "other", bucket: "b" })).status, 400)
  assert.equal((await put({ store: "aws", bucket: "b", more: 1 })).status, 400)
  assert.equal((await put({ store: "aws", bucket: "a/b" })).status, 400)
  assert.equal((await put({ store: "aws", bucket: "b" })).status, 200)
})
