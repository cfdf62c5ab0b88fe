/** Appends in a store of two nodes: clients of both append to one object, others follow it, and a node dies. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { setTimeout as wait } from "node:timers/promises"
import type { TestNode, TestNodes } from "../harness/nodes.js"
import { noPostgres } from "../harness/postgres.js"
import { BUCKET, withNodes } from "./stores.js"

const RECORDS = 40
/** More than the database is asked for one after another. */
const JOINED = 60
const KEY = "shared"

/** Appends records one after another, each repeated with its id until it is acknowledged, at any node that answers. */
async function appends(nodes: TestNodes, name: string, first: number): Promise<readonly string[]> {
  const records = Array.from({ length: RECORDS }, (_, i) => `${name}-${i} ${"x".repeat((i * 37) % 200)}\n`)
  for (const [i, body] of records.entries()) {
    const headers = { "x-hayloft-append-id": `${name}-${i}` }
    for (let attempt = first; ; attempt += 1) {
      const node = nodes.at((attempt % 2) + 1)
      const answer = await node.rawClient
        .call("POST", { bucket: BUCKET, key: KEY, query: "append", headers, body })
        .catch(() => undefined)
      if (answer?.status === 200) break
      await wait(20)
    }
  }
  return records
}

/**
 * Returns what a client of this node reads until it has so many records; it goes on at the other one if it gets no
 * answer.
 */
async function follows(nodes: TestNodes, first: TestNode, records: number): Promise<string> {
  let node = first
  let text = ""
  while (text.split("\n").length <= records) {
    const query = `follow&offset=${text.length}&wait=5`
    const answer = await node.rawClient.call("GET", { bucket: BUCKET, key: KEY, query }).catch(() => undefined)
    if (answer?.status === 206) text += answer.text
    else if (answer?.status !== 204) {
      node = node === nodes.at(1) ? nodes.at(2) : nodes.at(1)
      await wait(20)
    }
  }
  return text
}

test(
  "appends at two nodes have one order, which followers at both read, also when a node dies",
  { skip: noPostgres },
  () =>
    withNodes({ nodes: 2, foldersEach: 1, args: ["--redundancy", "replica:2"] }, async nodes => {
      const admin = await nodes.at(1).admin()
      await admin.put(`/v1/buckets/${BUCKET}/settings/append`, { value: {} })
      admin.close()
      const writers = Array.from({ length: 4 }, (_, i) => appends(nodes, `client${i}`, i))
      const followers = [1, 2].map(number => follows(nodes, nodes.at(number), 4 * RECORDS))
      for (;;) {
        const head = await nodes.at(1).rawClient.call("HEAD", { bucket: BUCKET, key: KEY })
        if (Number(head.header("content-length") ?? 0) > 4_000) break
        await wait(20)
      }
      await nodes.at(2).kill()
      await nodes.at(2).start()
      const records = await Promise.all(writers)
      const seen = await Promise.all(followers)
      const { text } = await nodes.at(1).rawClient.call("GET", { bucket: BUCKET, key: KEY })
      assert.ok(seen.every(one => one === text))
      const lines = text.split("\n").slice(0, -1)
      assert.equal(lines.length, 4 * RECORDS)
      for (const [i, own] of records.entries())
        assert.deepEqual(
          lines.filter(line => line.startsWith(`client${i}-`)),
          own.map(line => line.slice(0, -1)),
        )
      await joinsMany(nodes)
    }),
)

/** One node stores sources, another joins them, and a third request removes them. */
async function joinsMany(nodes: TestNodes): Promise<void> {
  const [one, two] = [nodes.at(1).client, nodes.at(2).client]
  const keys = Array.from({ length: JOINED }, (_, i) => `part ${i}`)
  for (const key of keys) await one.put({ bucket: BUCKET, key, body: Buffer.from(`${key}\n`) })
  await two.join({ bucket: BUCKET, key: "joined" }, keys, [])
  await one.removeMany(BUCKET, keys)
  const { text } = await nodes.at(2).rawClient.call("GET", { bucket: BUCKET, key: "joined" })
  assert.equal(text, keys.map(key => `${key}\n`).join(""))
}
