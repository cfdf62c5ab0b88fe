/** A machine is dead: a new one takes its place under load, and the store is whole again. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { noPostgres } from "../harness/postgres.js"
import { Load } from "./load.js"
import { BUCKET, isSettled, isWhole, post, statusSays, withNodes } from "./stores.js"

test("a dead machine is given up and replaced by a new one under load", { skip: noPostgres }, async () => {
  await withNodes({ nodes: 3, foldersEach: 2, isHurried: true, args: ["--redundancy", "ec:2+1"] }, async nodes => {
    const load = await Load.begin(nodes.all, { bucket: BUCKET })
    const [first, dead] = [nodes.at(1), nodes.at(2)]
    await dead.kill()
    await statusSays(first, ({ nodes: seen }) => seen?.nodes.find(({ name }) => name === dead.name)?.state === "silent")
    await post(first, `/v1/nodes/${dead.name}/forget`)
    const fresh = await nodes.add(2, { zone: dead.zone })
    await fresh.start()
    load.add(fresh)
    await statusSays(first, ({ devices }) => devices.filter(({ node }) => node === fresh.name).length === 2)
    const { devices, nodes: left } = await isSettled(first)
    assert.deepEqual(new Set(left?.nodes.map(({ name }) => name)), new Set(["node-1", "node-3", "node-4"]))
    assert.deepEqual(
      devices.map(({ state }) => state),
      Array.from({ length: 6 }, () => "active"),
    )
    await load.goesOn()
    await load.end()
    // A busy node may have missed a shard of the last writes.
    await isWhole(first)
    // The new machine has shards of everything.
    await nodes.at(3).kill()
    await load.check([first, fresh])
  })
})
