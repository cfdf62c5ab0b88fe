/** Buckets that are remote to themselves, directly or through another one. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { forTestsOfFile } from "../harness/folders.js"
import { Proxy, RemoteWorld } from "./worlds.js"

/** The remote store that is the store itself, once the test says so. */
let again: Proxy
let world: RemoteWorld

forTestsOfFile(async folder => {
  again = await Proxy.start("http://127.0.0.1:1")
  world = await RemoteWorld.start(folder, [], { again: again.endpoint })
  return async () => {
    await world.stop()
    await again.close()
  }
})

const near = (method: string, bucket: string, key: string) => world.clientOf("near").call(method, { bucket, key })

/** A loop from before the store found such, or one that a change of addresses has made. */
async function loop(bucket: string, remote: string, prefix?: string): Promise<void> {
  again.aim(world.far.endpoint)
  await world.at("far", "PUT", { bucket: remote })
  await world.remote(bucket, {
    store: "again",
    bucket: remote,
    writes: "Through",
    ...(prefix !== undefined && { prefix }),
  })
  again.aim(world.near.endpoint)
  again.taken()
}

test("a setting that makes a loop is refused", async () => {
  again.aim(world.near.endpoint)
  await world.at("near", "PUT", { bucket: "self" })
  const self = await world.setRemote("self", { store: "again", bucket: "self", prefix: "p/" }, 502)
  assert.match(self.body.toString(), /remote to itself/)
  await world.at("near", "PUT", { bucket: "back" })
  await world.remote("there", { store: "again", bucket: "back" })
  const back = await world.setRemote("back", { store: "again", bucket: "there" }, 502)
  assert.match(back.body.toString(), /remote to itself/)
})

test("a request into a loop goes round once", async () => {
  await loop("deeper", "deeper", "p/")
  for (const method of ["GET", "HEAD", "PUT"]) {
    const { status } = await near(method, "deeper", "k")
    assert.deepEqual([method, status, again.taken().length], [method, 502, 1])
  }
  await loop("one", "two")
  await loop("two", "one")
  const { status } = await near("GET", "one", "k")
  assert.deepEqual([status, again.taken().length], [502, 2])
})

test("requests that enter a loop at both ends do not wait for each other", async () => {
  await loop("left", "right")
  await loop("right", "left")
  const entered = Array.from({ length: 16 }, (_, i) => near("GET", i % 2 === 0 ? "left" : "right", "k"))
  const statuses = new Set((await Promise.all(entered)).map(({ status }) => status))
  assert.deepEqual([...statuses], [502])
})

test("a chain of remote buckets is no loop", async () => {
  again.aim(world.near.endpoint)
  await world.at("near", "PUT", { bucket: "last" })
  await world.remote("middle", { store: "again", bucket: "last", writes: "Through" })
  await world.remote("first", { store: "again", bucket: "middle", writes: "Through" })
  await world.at("near", "PUT", { bucket: "first", key: "k", body: "through all" })
  assert.equal((await world.at("near", "GET", { bucket: "last", key: "k" })).body.toString(), "through all")
  assert.equal((await world.at("near", "GET", { bucket: "first", key: "k" })).body.toString(), "through all")
})
