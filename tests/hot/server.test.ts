/**
 * Hot copies of a real server: reads need no disk while an object is hot, writes and deletes are seen at once, and a killed
 * server starts without copies.
 */
import assert from "node:assert/strict"
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { HOT_COPIES } from "@hayloft/admin/index.js"
import { must } from "@hayloft/base/assert.js"
import { noiseOf } from "@hayloft/client/load/work-mix.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { withServer, type ServerProcess } from "../harness/server.js"

const SIZE = 3_000_000
const BUCKET = "bucket"
/** Each front thread would have copies of its own. */
const ONE_THREAD = ["--threads", "0"]

const copiesOf = async (server: ServerProcess) => HOT_COPIES.parse(await server.report("/v1/hot-copies"))

/** Damages everything in the volumes of these folders. */
function damage(folders: readonly string[]): void {
  for (const folder of folders) {
    for (const name of readdirSync(join(folder, "volumes"))) {
      const path = join(folder, "volumes", name)
      if (!statSync(path).isFile()) continue
      const bytes = readFileSync(path)
      writeFileSync(path, bytes.fill(0xee, 4_096))
    }
  }
}

test("a hot object is served from memory, also when its disks are damaged; overwritten and deleted objects are not", async () => {
  await withFolder(async folder => {
    const folders = dataFolders(folder, 4)
    await withServer({ folders, args: ["--hot-copies", "8MiB", "--hot-reads", "3", ...ONE_THREAD] }, async server => {
      const client = server.client()
      const [old, recent] = [noiseOf(SIZE), Buffer.from(noiseOf(SIZE)).reverse()]
      const get = (key: string) => client.call("GET", { bucket: BUCKET, key })
      await client.call("PUT", { bucket: BUCKET })
      for (const key of ["hot", "cold"]) await client.call("PUT", { bucket: BUCKET, key, body: old })
      assert.equal((await copiesOf(server)).copies, 0)
      for (let i = 0; i < 4; i += 1) assert.ok(old.equals((await get("hot")).body))
      const { hottest, usedBytes } = await copiesOf(server)
      assert.deepEqual(
        hottest.map(({ bucket, key, bytes }) => [bucket, key, bytes]),
        [[BUCKET, "hot", SIZE]],
      )
      assert.equal(usedBytes, SIZE)
      damage(folders)
      const { body, headers } = await get("hot")
      assert.ok(old.equals(body))
      await assert.rejects(async () => assert.equal((await get("cold")).body.length, SIZE))

      assert.equal((await client.call("PUT", { bucket: BUCKET, key: "hot", body: recent })).status, 200)
      for (let i = 0; i < 5; i += 1) assert.ok(recent.equals((await get("hot")).body))
      const etag = must(headers.find(([name]) => name.toLowerCase() === "etag")?.[1], "objects have ETags")
      const stale = await client.call("GET", { bucket: BUCKET, key: "hot", headers: { "if-match": etag } })
      assert.equal(stale.status, 412)
      await client.call("DELETE", { bucket: BUCKET, key: "hot" })
      assert.equal((await get("hot")).status, 404)
      assert.ok((await copiesOf(server)).usedBytes <= 8 * 1024 * 1024)
    })
  })
})

test("after a kill there are no copies, and objects are as they were; without the option there are none at all", async () => {
  await withFolder(async folder => {
    const args = ["--hot-copies", "8MiB", "--hot-reads", "2", ...ONE_THREAD]
    await withServer({ folders: dataFolders(folder, 1), args }, async server => {
      const client = server.client()
      const body = noiseOf(100_000)
      const get = () => client.call("GET", { bucket: BUCKET, key: "k" })
      await client.call("PUT", { bucket: BUCKET })
      await client.call("PUT", { bucket: BUCKET, key: "k", body })
      for (let i = 0; i < 4; i += 1) assert.ok(body.equals((await get()).body))
      assert.equal((await copiesOf(server)).copies, 1)
      await server.kill()
      await server.launch()
      const { isOn, copies, hits } = await copiesOf(server)
      assert.deepEqual([isOn, copies, hits], [true, 0, 0])
      assert.ok(body.equals((await get()).body))
    })
    await withServer({ folders: dataFolders(folder, 1) }, async server => {
      assert.equal((await copiesOf(server)).isOn, false)
      assert.ok(!JSON.stringify(await server.report("/v1/jobs")).includes("hot-copies"))
      assert.ok(!(await server.metrics()).includes("hayloft_hot"))
    })
  })
})
