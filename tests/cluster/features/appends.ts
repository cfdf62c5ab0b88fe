/** Appends: clients of all nodes append to one object and others follow it, while a node dies. */
import assert from "node:assert/strict"
import { setTimeout as wait } from "node:timers/promises"
import type { TestNodes } from "../../harness/nodes.js"
import { anywhere, asked, type Feature } from "./scene.js"

const BUCKET = "appends"
const KEY = "shared"
const WRITERS = 3
const RECORDS = 12
/** So many records of each are there when a node is killed. */
const RECORDS_BEFORE = 4
/** More than the database is asked for one after another. */
const JOINED = 60

/** Appends records one after another, each repeated with its id until it is acknowledged, at any node that answers. */
async function append(nodes: TestNodes, name: string, first: number): Promise<readonly string[]> {
  const records = Array.from({ length: RECORDS }, (_, i) => `${name}-${i} ${"x".repeat((i * 37) % 200)}\n`)
  for (const [i, body] of records.entries()) {
    const headers = { "x-hayloft-append-id": `${name}-${i}` }
    const { status, text } = await anywhere(nodes, first + i, "POST", {
      bucket: BUCKET,
      key: KEY,
      query: "append",
      headers,
      body,
    })
    assert.equal(status, 200, text)
  }
  return records
}

/** Returns what a client reads, at this node first, until it has so many records or is told to end. */
async function follow(nodes: TestNodes, first: number, records: number, end: AbortSignal): Promise<string> {
  for (let text = ""; ;) {
    const query = `follow&offset=${text.length}&wait=5`
    const answer = await anywhere(nodes, first, "GET", { bucket: BUCKET, key: KEY, query })
    if (answer.status === 206) text += answer.text
    else if (answer.status !== 204) await wait(20)
    if (text.split("\n").length > records || end.aborted) return text
  }
}

/** One node stores sources, another joins them, and a third request removes them. */
async function joinMany(nodes: TestNodes): Promise<void> {
  const [one, two] = [nodes.at(1).client, nodes.at(2).client]
  const keys = Array.from({ length: JOINED }, (_, i) => `part ${i}`)
  await Promise.all(keys.map(key => one.put({ bucket: BUCKET, key, body: Buffer.from(`${key}\n`) })))
  await two.join({ bucket: BUCKET, key: "joined" }, keys, [])
  await one.removeMany(BUCKET, keys)
  const { text } = await nodes.at(2).rawClient.call("GET", { bucket: BUCKET, key: "joined" })
  assert.equal(text, keys.map(key => `${key}\n`).join(""))
}

export const APPENDS: Feature = {
  name: "appends have one order, which followers at all nodes read",
  run: async ({ nodes, beforeTheKill, oneDead }) => {
    await nodes.at(1).client.createBucket(BUCKET)
    await asked(nodes.at(1), admin => admin.put(`/v1/buckets/${BUCKET}/settings/append`, { value: {} }))
    await joinMany(nodes)
    await beforeTheKill()
    const over = new AbortController()
    try {
      const writers = Promise.all(Array.from({ length: WRITERS }, (_, i) => append(nodes, `client${i}`, i)))
      const followers = [0, 1].map(first => follow(nodes, first, WRITERS * RECORDS, over.signal))
      await Promise.race([follow(nodes, 2, WRITERS * RECORDS_BEFORE, over.signal), writers])
      await oneDead()
      const records = await writers
      const { text } = await nodes.at(2).rawClient.call("GET", { bucket: BUCKET, key: KEY })
      // The followers do not wait for records that are lost.
      if (text.split("\n").length <= WRITERS * RECORDS) over.abort()
      assert.deepEqual(await Promise.all(followers), [text, text])
      const lines = text.split("\n").slice(0, -1)
      assert.equal(lines.length, WRITERS * RECORDS)
      for (const [i, own] of records.entries())
        assert.deepEqual(
          lines.filter(line => line.startsWith(`client${i}-`)),
          own.map(line => line.slice(0, -1)),
        )
    } finally {
      over.abort()
    }
  },
}
