/** K2V in a store of two nodes: what one writes the other reads, its polls wake, and a node may die in between. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { ROOT_KEY } from "@hayloft/client/testing-store-process.js"
import { base64, K2vClient, listingOf, type K2vReply } from "../harness/k2v-client.js"
import { freePort } from "../harness/free-port.js"
import { quietParent, withFolder } from "../harness/folders.js"
import { TestNodes } from "../harness/nodes.js"
import { noPostgres } from "../harness/postgres.js"
import { BUCKET } from "./stores.js"

const valueOf = ({ status, json }: K2vReply): readonly unknown[] => {
  assert.ok(Array.isArray(json), String(status))
  return json.map((value: unknown) => (typeof value === "string" ? Buffer.from(value, "base64").toString() : value))
}

const tokenOf = ({ token }: K2vReply): string => token ?? assert.fail("the answer has a token")

const clientAt = (port: number): K2vClient => {
  const { accessKeyId: accessKey, secretAccessKey: secretKey } = ROOT_KEY
  return new K2vClient({ host: `127.0.0.1:${port}`, accessKey, secretKey }, BUCKET)
}

async function acrossNodes(nodes: TestNodes, one: K2vClient, two: K2vClient): Promise<void> {
  // Nobody needs to wait for a write to be everywhere.
  for (let i = 0; i < 20; i += 1) {
    const from: K2vClient = i % 2 === 0 ? one : two
    const before = await from.read("p", "a")
    assert.equal((await from.insert("p", "a", `${i}`, before.token)).status, 204)
    for (const node of [one, two]) assert.deepEqual(valueOf(await node.read("p", "a")), [`${i}`])
  }
  // Writers at both nodes that do not know of each other: nothing is lost, and the counts are exact.
  await Promise.all(
    Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? one : two).insert("race", `${i % 4}`, `value ${i}`)),
  )
  const index = (await two.index({ prefix: "race" })).json
  assert.deepEqual(index && typeof index === "object" && "partitionKeys" in index ? index.partitionKeys : undefined, [
    { pk: "race", entries: 4, conflicts: 4, values: 40, bytes: 10 * 7 + 30 * 8 },
  ])
  // A poll at one node ends by a write at the other.
  const token = tokenOf(await one.read("p", "a"))
  const marker = listingOf((await one.pollRange("p", {})).json).seenMarker
  const [item, range] = [one.poll("p", "a", token), one.pollRange("p", { seenMarker: marker })]
  await two.insert("p", "a", "from two", token)
  assert.deepEqual(valueOf(await item), ["from two"])
  assert.deepEqual(
    listingOf((await range).json).items.map(({ v }) => v),
    [[base64("from two")]],
  )
  // The client of a node that dies goes on at the other, with its token, and misses nothing.
  const seen = tokenOf(await one.read("p", "a"))
  const broken = one.poll("p", "a", seen).then(
    () => "answered",
    () => "broken",
  )
  await nodes.at(1).kill()
  assert.equal(await broken, "broken")
  await two.insert("p", "a", "meanwhile", seen)
  assert.deepEqual(valueOf(await two.poll("p", "a", seen)), ["meanwhile"])
}

test("what one node writes the other reads, and its polls wake", { skip: noPostgres }, () =>
  withFolder(async folder => {
    const nodes = await TestNodes.empty(folder, ["--redundancy", "replica:1"])
    try {
      const [first, second] = [await freePort(), await freePort()]
      for (const port of [first, second]) {
        const node = await nodes.add(1, { environment: { HAYLOFT_K2V_LISTEN: `127.0.0.1:${port}` } })
        await node.start()
      }
      await nodes.at(1).client.createBucket(BUCKET)
      await acrossNodes(nodes, clientAt(first), clientAt(second))
    } finally {
      await nodes.end()
    }
  }, quietParent()),
)
