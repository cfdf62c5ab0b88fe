/** Objects of Swift that end at a second of their own. */
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import type { RawResponse } from "../../conformance/raw-client.js"
import { OWNER } from "../s3/over-model.js"
import { filesOf, serveSwift, type SwiftUser, type SwiftWorld } from "./world.js"

const LATER = 4_000_000_000

let world: SwiftWorld
let owner: SwiftUser
before(async () => {
  world = await serveSwift()
  owner = await world.signIn(OWNER)
})
after(() => world.stop())

const { container } = filesOf(() => owner)

const status = async (answer: Promise<RawResponse>): Promise<number> => (await answer).status

test("objects end at their second", async () => {
  const path = "/expiring-objects"
  await container("expiring-objects")
  const upload = (name: string, headers: Readonly<Record<string, string>>) =>
    owner.call("PUT", `${path}/${name}`, { body: "x", headers })
  assert.equal(await status(upload("past", { "X-Delete-At": "1000000000" })), 400)
  assert.equal(await status(upload("bad", { "X-Delete-After": "soon" })), 400)
  assert.equal(await status(upload("bad", { "X-Delete-After": "0" })), 400)
  assert.equal((await upload("bad", { "X-Delete-At": "*" })).text, "Non-integer X-Delete-At")
  for (const headers of [{ "X-Delete-At": "1".repeat(100) }, { "X-Delete-After": "9".repeat(400) }]) {
    assert.equal(await status(upload("far", headers)), 201)
    assert.equal((await owner.call("HEAD", `${path}/far`)).header("x-delete-at"), "9999999999")
  }
  assert.equal(await status(upload("o", { "X-Delete-At": String(LATER) })), 201)
  assert.equal((await owner.call("HEAD", `${path}/o`)).header("x-delete-at"), String(LATER))
  assert.equal(
    await status(owner.call("COPY", `${path}/o`, { headers: { Destination: "expiring-objects/copy" } })),
    201,
  )
  assert.equal((await owner.call("HEAD", `${path}/copy`)).header("x-delete-at"), String(LATER))
  assert.equal(await status(owner.call("POST", `${path}/o`, { headers: { "X-Remove-Delete-At": "x" } })), 202)
  assert.equal((await owner.call("HEAD", `${path}/o`)).header("x-delete-at"), undefined)
  assert.equal(await status(owner.call("POST", `${path}/o`, { headers: { "X-Delete-After": "100000" } })), 202)
  const seconds = Number((await owner.call("HEAD", `${path}/o`)).header("x-delete-at"))
  assert.ok(seconds > Date.now() / 1000 + 90_000)
  const short = await upload("short", { "X-Delete-After": "1" })
  assert.equal(short.status, 201)
  const endMs = Number((await owner.call("HEAD", `${path}/short`)).header("x-delete-at") ?? 0) * 1000
  await until("it has expired", () => Date.now() >= endMs)
  assert.deepEqual(
    [await status(owner.call("GET", `${path}/short`)), await status(owner.call("DELETE", `${path}/short`))],
    [404, 404],
  )
})

test("a node whose clock is behind counts seconds from the time of the store", async () => {
  const storeMs = Date.now() + 10 * 86_400_000
  const behind = await serveSwift({}, undefined, [], { storeClock: { nowMs: () => storeMs } })
  try {
    const user = await behind.signIn(OWNER)
    assert.equal(await status(user.call("PUT", "/behind")), 201)
    const headers = { "X-Delete-After": "3600" }
    const expiry = async (name: string) => Number((await user.call("HEAD", `/behind/${name}`)).header("x-delete-at"))
    const expected = storeMs / 1000 + 3600
    assert.equal(await status(user.call("PUT", "/behind/o", { body: "x", headers })), 201)
    assert.equal(await status(user.call("PUT", "/behind/posted", { body: "x" })), 201)
    assert.equal(await status(user.call("POST", "/behind/posted", { headers })), 202)
    const copy = { headers: { ...headers, Destination: "behind/copy" } }
    assert.equal(await status(user.call("COPY", "/behind/o", copy)), 201)
    // A moment is over by the earlier clock alone.
    const later = String(Math.ceil(Date.now() / 1000) + 3600)
    assert.equal(await status(user.call("PUT", "/behind/at", { body: "x", headers: { "X-Delete-At": later } })), 201)
    assert.equal(await expiry("at"), Number(later))
    for (const name of ["o", "posted", "copy"]) assert.ok(Math.abs((await expiry(name)) - expected) <= 1, name)
  } finally {
    await behind.stop()
  }
})
