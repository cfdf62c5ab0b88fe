/** Three nodes in three zones: real processes, a real PostgreSQL, and clients that talk to any of them. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import { setTimeout as wait } from "node:timers/promises"
import { quietParent, withFolder } from "../harness/folders.js"
import { TestNodes } from "../harness/nodes.js"
import { noPostgres } from "../harness/postgres.js"

const BUCKET = "bucket"
const SIZES = [10, 4_096, 100_000, 5_000_000, 12_000_000]

async function wholeOf(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const piece of pieces) all.push(piece)
  return Buffer.concat(all)
}

test("what one node stores every node reads, also while one of them is dead", { skip: noPostgres }, async () => {
  await withFolder(async folder => {
    const nodes = await TestNodes.start(folder, { nodes: 3, foldersEach: 2 })
    try {
      await nodes.at(1).client.createBucket(BUCKET)
      const bodies = new Map(SIZES.map(size => [`size-${size}`, randomBytes(size)]))
      for (const [key, body] of bodies) await nodes.at(2).client.put({ bucket: BUCKET, key, body })
      const check = async (number: number): Promise<void> => {
        for (const [key, body] of bodies) {
          const { body: pieces } = await nodes.at(number).client.get(BUCKET, key)
          assert.ok((await wholeOf(pieces)).equals(body), `${key} from node ${number}`)
        }
      }
      for (const number of [1, 2, 3]) await check(number)
      const stewards = () => nodes.all.filter(({ output }) => output.includes("lease=steward"))
      while (stewards().length === 0) await wait(100)
      assert.equal(stewards().length, 1, "one of them is the steward")
      await nodes.at(3).kill()
      for (const number of [1, 2]) await check(number)
      const late = randomBytes(6_000_000)
      await nodes.at(1).client.put({ bucket: BUCKET, key: "late", body: late })
      bodies.set("late", late)
      await check(2)
      await nodes.at(3).start()
      await check(3)
    } finally {
      if (process.env["SHOW"]) for (const node of nodes.all) console.error(node.name, node.output)
      await nodes.stop()
    }
  }, quietParent())
})
