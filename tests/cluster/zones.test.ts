/** A zone of two machines is lost under load, one crashed and one frozen, and returns without any help of an operator. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { setTimeout as wait } from "node:timers/promises"
import { quietParent, withFolder } from "../harness/folders.js"
import { TestNodes } from "../harness/nodes.js"
import { noPostgres } from "../harness/postgres.js"
import { Load } from "./load.js"
import { areSettled, BUCKET, isSettled, isWhole } from "./stores.js"

const ZONES = ["a", "b", "c", "c"]
/** The others hang up on the frozen node, and another node takes its jobs. */
const AWAY_MS = 20_000

test("a zone is lost under load, and is whole again after its return", { skip: noPostgres }, async () => {
  await withFolder(async folder => {
    const nodes = await TestNodes.empty(folder, ["--redundancy", "ec:2+1"], true)
    try {
      for (const zone of ZONES) await (await nodes.add(1, { zone })).start()
      const [first, second, crashed, frozen] = [nodes.at(1), nodes.at(2), nodes.at(3), nodes.at(4)]
      await first.client.createBucket(BUCKET)
      await areSettled(first, ZONES.length)
      const load = await Load.begin(nodes.all, { bucket: BUCKET })
      frozen.signal("SIGSTOP")
      try {
        await crashed.kill()
        await wait(AWAY_MS)
        // Reads and writes go on while the zone is away.
        await load.goesOn()
      } finally {
        frozen.signal("SIGCONT")
      }
      await crashed.start()
      await load.goesOn()
      const { devices: known } = await isSettled(second)
      assert.ok(known.every(({ state }) => state === "active"))
      await load.end()
      // A busy node may have missed a shard of the last writes.
      await isWhole(second)
      // Everything written meanwhile is also in the zone that was away.
      await second.kill()
      await load.check([first, crashed, frozen])
    } catch (error) {
      if (process.env["SHOW"]) for (const node of nodes.all) console.error(node.name, node.output)
      throw error
    } finally {
      await nodes.end()
    }
  }, quietParent())
})
