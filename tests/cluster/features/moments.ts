/** Reads at moments: clients write through all nodes, others read through any of them, and a node dies. */
import assert from "node:assert/strict"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { HISTORY } from "@hayloft/features/history/schemas.js"
import type { TestNodes } from "../../harness/nodes.js"
import { anywhere, asked, type Feature } from "./scene.js"

const BUCKET = "moments"
const WRITES = 9
const READS = 5
const WRITERS = 3

interface Recorded {
  readonly moment: string
  /** The number of the last write of each writer that was acknowledged before the moment was asked for. */
  readonly acknowledged: readonly number[]
  readonly shown: string
}

/** A moment that has everything acknowledged so far, from any node that answers. */
async function nowOf(nodes: TestNodes, first: number): Promise<string> {
  let [now, attempt] = ["", first]
  const isAnswered = async (): Promise<boolean> => {
    const node = nodes.at((attempt % nodes.all.length) + 1)
    attempt += 1
    const answer = await asked(node, admin => admin.get(`/v1/buckets/${BUCKET}/history`)).catch(() => undefined)
    if (answer === undefined) return false
    now = HISTORY.parse(answer).now
    return true
  }
  await until("a node answers what the moment is", isAnswered, 20)
  return now
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

async function check(nodes: TestNodes, recorded: readonly Recorded[]): Promise<void> {
  for (const [at, { moment, acknowledged, shown }] of recorded.entries()) {
    for (const [writer, n] of acknowledged.entries())
      assert.ok(sizeIn(shown, writer) >= n, `write ${n} of ${writer} was acknowledged before ${moment}: ${shown}`)
    for (const node of [1, 2]) assert.equal(await listedAt(nodes, at + node, moment), shown, moment)
  }
  const ordered = [...recorded].sort((a, b) => (a.moment < b.moment ? -1 : 1))
  for (let writer = 0; writer < WRITERS; writer += 1) {
    const sizes = ordered.map(({ shown }) => sizeIn(shown, writer))
    assert.deepEqual(
      sizes,
      [...sizes].sort((a, b) => a - b),
      "later moments show later writes",
    )
  }
}

export const MOMENTS: Feature = {
  name: "moments are the same through all nodes",
  run: async ({ nodes, beforeTheKill, oneDead }) => {
    await nodes.at(1).client.createBucket(BUCKET)
    await asked(nodes.at(1), async admin => {
      await admin.put(`/v1/buckets/${BUCKET}/settings/versioning`, { value: { Status: "Enabled" } })
      await admin.put(`/v1/buckets/${BUCKET}/settings/history`, { value: {} })
    })
    await beforeTheKill()
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
    const working = Promise.all([read(), ...[...acknowledged.keys()].map(write)])
    const isUnderWay = () =>
      until("a third of the writes is acknowledged", () => Math.min(...acknowledged) >= WRITES / 3, 10)
    await Promise.race([working, isUnderWay()])
    await oneDead()
    await working
    await check(nodes, recorded)
  },
}
