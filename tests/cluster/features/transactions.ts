/** Transactions: of those that contradict each other one is done, also if they check absence, and a node may die after one. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { RemoteFailure, type S3Client, type TransactionEntry } from "@hayloft/client/index.js"
import type { TestNodes } from "../../harness/nodes.js"
import { bytesOf, keysOf, type Feature } from "./scene.js"

const ROUNDS = 5
const LARGE_BYTES = 300_000
const [FROM, TO] = ["transactions-from", "transactions-to"]

/** Returns true if the transaction was done; false if a condition did not hold. */
async function isDone(client: S3Client, operations: readonly TransactionEntry[]): Promise<boolean> {
  try {
    await client.transaction(operations, { token: undefined })
    return true
  } catch (error) {
    if (error instanceof RemoteFailure && [404, 409, 412].includes(error.status)) return false
    throw error
  }
}

const absent = (bucket: string, key: string): TransactionEntry => ({ check: { bucket, key, ifNoneMatch: "*" } })
const rename = (key: string, toKey: string): TransactionEntry => ({
  rename: { bucket: FROM, key, toBucket: TO, toKey },
})

/** Each transaction makes the object whose absence the other one requires. */
async function contradict(nodes: TestNodes): Promise<void> {
  const [first, second] = [nodes.at(1).client, nodes.at(2).client]
  let done = 0
  for (let round = 0; round < ROUNDS; round += 1) {
    const [x, y] = [`x ${round}`, `y ${round}`]
    await first.put({ bucket: FROM, key: `for ${y}`, body: randomBytes(100) })
    await second.put({ bucket: FROM, key: `for ${x}`, body: randomBytes(100) })
    const both = await Promise.all([
      isDone(first, [absent(TO, x), rename(`for ${y}`, y)]),
      isDone(second, [absent(TO, y), rename(`for ${x}`, x)]),
    ])
    assert.ok(!(both[0] && both[1]), `round ${round}`)
    done += both.filter(Boolean).length
    const made = (await keysOf(nodes.at(2), TO)).filter(key => key === x || key === y)
    assert.deepEqual(made, both[0] ? [y] : both[1] ? [x] : [])
  }
  assert.ok(done > 0, "some are done")
}

/** Deletions that find nothing, while another node puts the object. */
async function removeNothing(nodes: TestNodes): Promise<void> {
  const [first, second] = [nodes.at(1).client, nodes.at(2).client]
  for (let round = 0; round < ROUNDS; round += 1) {
    const [gone, there] = [`gone ${round}`, `there ${round}`]
    await first.put({ bucket: FROM, key: there, body: randomBytes(100) })
    const [isRemoved] = await Promise.all([
      isDone(first, [{ delete: { bucket: TO, key: gone } }, rename(there, there)]),
      second.put({ bucket: TO, key: gone, body: randomBytes(100) }),
    ])
    assert.ok(isRemoved)
    assert.ok((await keysOf(nodes.at(2), TO)).includes(there))
  }
}

export const TRANSACTIONS: Feature = {
  name: "of transactions that contradict each other one is done; one is repeated through another node",
  run: async ({ nodes, beforeTheKill, oneDead }) => {
    const [first, second] = [nodes.at(1).client, nodes.at(2).client]
    for (const bucket of [FROM, TO]) await first.createBucket(bucket)
    await contradict(nodes)
    await removeNothing(nodes)
    await beforeTheKill()
    const body = randomBytes(LARGE_BYTES)
    await first.put({ bucket: FROM, key: "large", body })
    await first.put({ bucket: FROM, key: "gone", body: randomBytes(10) })
    const operations: readonly TransactionEntry[] = [
      rename("large", "large"),
      { delete: { bucket: FROM, key: "gone" } },
      absent(FROM, "nothing"),
    ]
    const answered = await first.transaction(operations, { token: "t" })
    await oneDead()
    assert.deepEqual(await second.transaction(operations, { token: "t" }), answered)
    const [from, to] = [await keysOf(nodes.at(2), FROM), await keysOf(nodes.at(2), TO)]
    assert.deepEqual([from.filter(key => /large|gone$/.test(key)), to.includes("large")], [[], true])
    assert.ok((await bytesOf(nodes.at(2), TO, "large")).equals(body))
  },
}
