/**
 * A zone of two machines is lost under load, one crashed and one frozen, and returns without any help of an operator. Then a
 * machine is dead permanently: a new one takes its place under load, and the store is whole again.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { setTimeout as wait } from "node:timers/promises"
import { quietParent, withFolder } from "../harness/folders.js"
import { TestNodes } from "../harness/nodes.js"
import { noPostgres } from "../harness/postgres.js"
import { Load } from "./load.js"
import { areSettled, BUCKET, isSettled, isWhole, post, statusSays } from "./stores.js"

const ZONES = ["a", "b", "c", "c"]
/** The others hang up on the frozen node, and another node takes its jobs. */
const AWAY_MS = 20_000

async function losesAZone(nodes: TestNodes): Promise<void> {
  const [first, second, crashed, frozen] = [nodes.at(1), nodes.at(2), nodes.at(3), nodes.at(4)]
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
}

async function isReplaced(nodes: TestNodes): Promise<void> {
  const bucket = "replaced"
  const [first, dead, third, fourth] = [nodes.at(1), nodes.at(2), nodes.at(3), nodes.at(4)]
  await dead.kill()
  await first.client.createBucket(bucket)
  const load = await Load.begin([first, third, fourth], { bucket })
  await statusSays(first, ({ nodes: seen }) => seen?.nodes.find(({ name }) => name === dead.name)?.state === "silent")
  await post(first, `/v1/nodes/${dead.name}/forget`)
  const fresh = await nodes.add(2, { zone: dead.zone })
  await fresh.start()
  load.add(fresh)
  await statusSays(first, ({ devices }) => devices.filter(({ node }) => node === fresh.name).length === 2)
  const { devices, nodes: left } = await isSettled(first)
  assert.deepEqual(new Set(left?.nodes.map(({ name }) => name)), new Set(["node-1", "node-3", "node-4", "node-5"]))
  assert.deepEqual(
    devices.map(({ state }) => state),
    Array.from({ length: 5 }, () => "active"),
  )
  await load.goesOn()
  await load.end()
  // A busy node may have missed a shard of the last writes.
  await isWhole(first)
  // The new machine has shards of everything.
  for (const node of [third, fourth]) await node.kill()
  await load.check([first, fresh])
}

test("nodes of three zones are lost", { skip: noPostgres }, async t => {
  await withFolder(async folder => {
    const nodes = await TestNodes.empty(folder, ["--redundancy", "ec:2+1"], true)
    try {
      for (const zone of ZONES) await (await nodes.add(1, { zone })).start()
      await nodes.at(1).client.createBucket(BUCKET)
      await areSettled(nodes.at(1), ZONES.length)
      await t.test("a zone is lost under load, and is whole again after its return", () => losesAZone(nodes))
      await t.test("a dead machine is given up and replaced by a new one under load", () => isReplaced(nodes))
    } catch (error) {
      if (process.env["SHOW"]) for (const node of nodes.all) console.error(node.name, node.output)
      throw error
    } finally {
      await nodes.end()
    }
  }, quietParent())
})
