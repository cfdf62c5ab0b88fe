/** Transactions through two nodes that share a PostgreSQL: of those that contradict each other one is done, also if they check absence. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import { RemoteFailure, type S3Client, type TransactionOperation } from "../../src/client/index.js"
import { quietParent, withFolder } from "../harness/folders.js"
import { TestNodes } from "../harness/nodes.js"
import { noPostgres } from "../harness/postgres.js"

const ROUNDS = 25
const LARGE_BYTES = 300_000

/** Returns true if the transaction was done; false if a condition did not hold. */
async function isDone(client: S3Client, operations: readonly TransactionOperation[], token?: string): Promise<boolean> {
  try {
    await client.transaction(operations, { token })
    return true
  } catch (error) {
    if (error instanceof RemoteFailure && [404, 409, 412].includes(error.status)) return false
    throw error
  }
}

async function keysOf(client: S3Client, bucket: string): Promise<readonly string[]> {
  const { keys } = await client.list(bucket, { prefix: "", delimiter: "" })
  return keys.map(({ key }) => key)
}

const absent = (bucket: string, key: string): TransactionOperation => ({ check: { bucket, key, ifNoneMatch: "*" } })
const rename = (key: string, toKey: string): TransactionOperation => ({
  rename: { bucket: "one", key, toBucket: "two", toKey },
})

test("of transactions through two nodes that contradict each other one is done", { skip: noPostgres }, async () => {
  await withFolder(async folder => {
    const nodes = await TestNodes.start(folder, { nodes: 2, foldersEach: 2 })
    try {
      const [first, second] = [nodes.at(1).client, nodes.at(2).client]
      for (const bucket of ["one", "two"]) await first.createBucket(bucket)
      let done = 0
      for (let round = 0; round < ROUNDS; round += 1) {
        const [x, y] = [`x ${round}`, `y ${round}`]
        await first.put({ bucket: "one", key: `for ${y}`, body: randomBytes(100) })
        await second.put({ bucket: "one", key: `for ${x}`, body: randomBytes(100) })
        // Each transaction makes the object whose absence the other one requires.
        const both = await Promise.all([
          isDone(first, [absent("two", x), rename(`for ${y}`, y)]),
          isDone(second, [absent("two", y), rename(`for ${x}`, x)]),
        ])
        assert.ok(!(both[0] && both[1]), `round ${round}`)
        done += both.filter(Boolean).length
        const made = (await keysOf(second, "two")).filter(key => key === x || key === y)
        assert.deepEqual(made, both[0] ? [y] : both[1] ? [x] : [])
      }
      assert.ok(done > 0, "some are done")
      // Deletions that find nothing, while another node puts the object.
      for (let round = 0; round < ROUNDS; round += 1) {
        const [gone, there] = [`gone ${round}`, `there ${round}`]
        await first.put({ bucket: "one", key: there, body: randomBytes(100) })
        const removal: readonly TransactionOperation[] = [
          { delete: { bucket: "two", key: gone } },
          rename(there, there),
        ]
        await Promise.all([
          isDone(first, removal).then(is => assert.ok(is)),
          second.put({ bucket: "two", key: gone, body: randomBytes(100) }),
        ])
        assert.ok((await keysOf(second, "two")).includes(there))
      }
    } finally {
      if (process.env["SHOW"]) for (const node of nodes.all) console.error(node.name, node.output)
      await nodes.stop()
    }
  }, quietParent())
})

test(
  "a transaction is repeated through another node after the first one was killed",
  { skip: noPostgres },
  async () => {
    await withFolder(async folder => {
      const nodes = await TestNodes.start(folder, { nodes: 3, foldersEach: 1 })
      try {
        const [first, second] = [nodes.at(1).client, nodes.at(2).client]
        for (const bucket of ["one", "two"]) await first.createBucket(bucket)
        const body = randomBytes(LARGE_BYTES)
        await first.put({ bucket: "one", key: "large", body })
        await first.put({ bucket: "one", key: "gone", body: randomBytes(10) })
        const operations: readonly TransactionOperation[] = [
          rename("large", "large"),
          { delete: { bucket: "one", key: "gone" } },
          absent("one", "nothing"),
        ]
        const answered = await first.transaction(operations, { token: "t" })
        await nodes.at(1).kill()
        assert.deepEqual(await second.transaction(operations, { token: "t" }), answered)
        assert.deepEqual([await keysOf(second, "one"), await keysOf(second, "two")], [[], ["large"]])
        const { body: pieces } = await second.get("two", "large")
        const read: Uint8Array[] = []
        for await (const piece of pieces) read.push(piece)
        assert.ok(Buffer.concat(read).equals(body))
      } finally {
        if (process.env["SHOW"]) for (const node of nodes.all) console.error(node.name, node.output)
        await nodes.stop()
      }
    }, quietParent())
  },
)
