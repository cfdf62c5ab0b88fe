/** Reads at moments in a store of two nodes: clients of both write, others read through either node, and a node dies. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { setTimeout as wait } from "node:timers/promises"
import { HISTORY } from "../../src/admin/index.js"
import type { Call, Client } from "../../conformance/client.js"
import type { TestNodes } from "../harness/nodes.js"
import { noPostgres } from "../harness/postgres.js"
import { BUCKET, withNodes } from "./stores.js"

const WRITES = 25
const READS = 12
const WRITERS = 3

interface Recorded {
  readonly moment: string
  /** The number of the last write of each writer that was acknowledged before the moment was asked for. */
  readonly acknowledged: readonly number[]
  readonly shown: string
}

/** The answer of a node, this one first, once one answers. */
async function anywhere(nodes: TestNodes, first: number, method: string, call: Call): ReturnType<Client["call"]> {
  for (let attempt = first; ; attempt += 1) {
    const node = nodes.at((attempt % 2) + 1)
    const answer = await node.rawClient.call(method, call).catch(() => undefined)
    if (answer !== undefined && answer.status < 500) return answer
    await wait(20)
  }
}

/** A moment that has everything acknowledged so far, from any node that answers. */
async function nowOf(nodes: TestNodes, first: number): Promise<string> {
  for (let attempt = first; ; attempt += 1) {
    try {
      const admin = await nodes.at((attempt % 2) + 1).admin()
      try {
        return HISTORY.parse(await admin.get(`/v1/buckets/${BUCKET}/history`)).now
      } finally {
        admin.close()
      }
    } catch {
      await wait(20)
    }
  }
}

/** Keys and sizes at a moment. */
async function listedAt(nodes: TestNodes, first: number, moment: string): Promise<string> {
  const query = `list-type=2&readTimestamp=${encodeURIComponent(moment)}`
  const { status, text } = await anywhere(nodes, first, "GET", { bucket: BUCKET, query })
  assert.equal(status, 200, text)
  return [...text.matchAll(/<Key>([^<]*)<\/Key>.*?<Size>(\d+)<\/Size>/gs)]
    .map(([, key, size]) => `${key} ${size}`)
    .join(", ")
}

const sizeIn = (shown: string, writer: number): number =>
  Number(new RegExp(`\\bk${writer} (\\d+)`).exec(shown)?.[1] ?? 0)

test("moments are the same through both nodes, also when one has died", { skip: noPostgres }, () =>
  withNodes({ nodes: 2, foldersEach: 1, args: ["--redundancy", "replica:2"] }, async nodes => {
    const admin = await nodes.at(1).admin()
    await admin.put(`/v1/buckets/${BUCKET}/settings/versioning`, { value: { Status: "Enabled" } })
    await admin.put(`/v1/buckets/${BUCKET}/settings/history`, { value: {} })
    admin.close()
    const acknowledged = Array.from({ length: WRITERS }, () => 0)
    // The n-th write of a writer has n bytes.
    const write = async (writer: number): Promise<void> => {
      for (let n = 1; n <= WRITES; n += 1) {
        const call = { bucket: BUCKET, key: `k${writer}`, body: "x".repeat(n) }
        const { status, text } = await anywhere(nodes, writer + n, "PUT", call)
        assert.equal(status, 200, text)
        acknowledged[writer] = n
      }
    }
    const recorded: Recorded[] = []
    const read = async (): Promise<void> => {
      for (let n = 0; n < READS; n += 1) {
        const before = [...acknowledged]
        const moment = await nowOf(nodes, n)
        recorded.push({ moment, acknowledged: before, shown: await listedAt(nodes, n + 1, moment) })
      }
    }
    const working = Promise.all([...acknowledged.keys()].map(write))
    const reading = read()
    while (Math.min(...acknowledged) < WRITES / 3) await wait(20)
    await nodes.at(2).kill()
    await nodes.at(2).start()
    await Promise.all([working, reading])
    for (const [at, { moment, acknowledged: before, shown }] of recorded.entries()) {
      for (const [writer, n] of before.entries())
        assert.ok(sizeIn(shown, writer) >= n, `write ${n} of ${writer} was acknowledged before ${moment}: ${shown}`)
      for (const node of [0, 1]) assert.equal(await listedAt(nodes, at + node, moment), shown, moment)
    }
    const ordered = [...recorded].sort((a, b) => (a.moment < b.moment ? -1 : 1))
    for (const [writer] of acknowledged.entries()) {
      const sizes = ordered.map(({ shown }) => sizeIn(shown, writer))
      assert.deepEqual(
        sizes,
        [...sizes].sort((a, b) => a - b),
        "later moments show later writes",
      )
    }
  }),
)
