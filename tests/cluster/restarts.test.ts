/** Nodes that stop, crash and freeze under load: clients see nothing that a retry does not solve, and lose nothing. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { setTimeout as wait } from "node:timers/promises"
import { noPostgres } from "../harness/postgres.js"
import { BUCKET, isWhole, withNodes } from "./stores.js"
import { Load } from "./load.js"

test("nodes restarted one after another under load fail no request", { skip: noPostgres }, async () => {
  await withNodes({ nodes: 3, foldersEach: 2 }, async nodes => {
    const load = await Load.begin(nodes.all, { bucket: BUCKET })
    for (const node of nodes.all) {
      await node.stop()
      await load.goesOn()
      await node.start()
      await load.goesOn()
    }
    await load.end()
    await load.check(nodes.all)
  })
})

test("a node that crashes under load and returns gets the shards that it lacks", { skip: noPostgres }, async () => {
  await withNodes({ nodes: 3, foldersEach: 2 }, async nodes => {
    const load = await Load.begin(nodes.all, { bucket: BUCKET })
    await nodes.at(2).kill()
    await load.goesOn(100)
    await nodes.at(2).start()
    await load.goesOn()
    await load.end()
    await isWhole(nodes.at(3))
    await nodes.at(1).kill()
    await load.check([nodes.at(2), nodes.at(3)])
  })
})

test("a node that is frozen under load serves again once it continues", { skip: noPostgres }, async () => {
  await withNodes({ nodes: 3, foldersEach: 2 }, async nodes => {
    const load = await Load.begin(nodes.all, { bucket: BUCKET })
    nodes.at(3).signal("SIGSTOP")
    try {
      await wait(20_000)
      const { done } = load
      await load.goesOn()
      assert.ok(load.done > done, "the others go on")
    } finally {
      nodes.at(3).signal("SIGCONT")
    }
    await load.goesOn(100)
    await load.end()
    await load.check(nodes.all)
  })
})
