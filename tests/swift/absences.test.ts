/** Containers and objects that are not there, as their callers may know it. */
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import type { RawResponse } from "../../conformance/raw-client.js"
import { OWNER, STRANGER, userKeyOf } from "../s3/over-model.js"
import { filesOf, serveSwift, type SwiftUser, type SwiftWorld } from "./world.js"

const READER = { id: "AKIAREADER", secret: "reader-secret" }

let world: SwiftWorld
let owner: SwiftUser
let stranger: SwiftUser
before(async () => {
  world = await serveSwift({ keys: [userKeyOf(READER, "ann", [])] })
  owner = await world.signIn(OWNER)
  stranger = await world.signIn(STRANGER)
})
after(() => world.stop())

const { container, put } = filesOf(() => owner)

const status = async (answer: Promise<RawResponse>): Promise<number> => (await answer).status

test("others than an account's users do not learn which containers it has", async () => {
  await container("hidden-container")
  await put("/hidden-container/o", "x")
  await container("own-of-owner")
  for (const name of ["hidden-container", "missing-container", "not a name"].map(encodeURIComponent)) {
    const [path, object] = [`${owner.account}/${name}`, `${owner.account}/${name}/o`]
    for (const method of ["GET", "HEAD", "PUT", "POST", "DELETE"]) {
      if (method !== "PUT") assert.equal(await status(stranger.call(method, path)), 403, `${method} ${name}`)
      assert.equal(await status(stranger.call(method, object)), 403, `${method} ${name}/o`)
      assert.equal(await status(world.anonymous.call(method, object)), 401, `${method} ${name}/o without a token`)
    }
    const from = { "X-Copy-From": `${name}/o`, "X-Copy-From-Account": owner.account.slice("/v1/".length) }
    const to = { Destination: `${name}/o`, "Destination-Account": owner.account.slice("/v1/".length) }
    await stranger.call("PUT", "/own-of-stranger")
    assert.equal((await stranger.call("PUT", "/own-of-stranger/o", { body: "x" })).status, 201)
    assert.equal(await status(stranger.call("PUT", "/own-of-stranger/copy", { headers: from })), 403, name)
    assert.equal(await status(stranger.call("COPY", "/own-of-stranger/o", { headers: to })), 403, name)
  }
  assert.equal(await status(owner.call("GET", "/missing-container")), 404)
  assert.equal(await status((await world.signIn(READER)).call("GET", "/missing-container/o")), 404)
})

test("a reader of a container learns that an object is missing, others do not", async () => {
  const path = "/absent-objects"
  await container("absent-objects", { "X-Container-Read": ".r:*" })
  assert.equal(await status(world.anonymous.call("GET", `${path}/missing`)), 404)
  await owner.call("POST", path, { headers: { "X-Container-Read": "" } })
  assert.equal(await status(world.anonymous.call("GET", `${path}/missing`)), 401)
})
