/**
 * Clients that stall, over real sockets against a server in its own process: readers that read nothing, and uploads
 * whose bodies do not arrive.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { seedsOf } from "@hayloft/base/testing-seed.js"
import { BLOCK_LIMITS } from "@hayloft/engine/block/limits.js"
import { HTTP_LIMITS } from "@hayloft/protocols/http/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { createOtherAccount } from "../harness/accounts.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { withServer, type ServerProcess } from "../harness/server.js"
import { threadsOfRun } from "../harness/threads.js"
import { Attackers, headOf, residentBytes } from "./attackers.js"

const BUCKET = "stalled"
const READERS = 300
/** More than the memory of a stalled reader: one short piece, its header, its request. */
const READER_BYTES = 160 * KIB
/** The variation of the heap between garbage collections. */
const HEAP_BYTES = 128 * MIB
/** Each front thread has a heap of its own, that is smaller. What is counted is divided among them. */
const THREAD_BYTES = threadsOfRun([], {}) * 64 * MIB
const UPLOADS = HTTP_LIMITS.inFlightMax + 76
/** The server takes long to show its metrics. */
const METRICS_LOOK_MS = 500

async function inFlight(server: ServerProcess): Promise<number> {
  const text = await server.metrics()
  return Number(/^hayloft_http_in_flight\{server="s3"\} (\d+)/m.exec(text)?.[1])
}

async function withBucket(folders: number, work: (server: ServerProcess) => Promise<void>): Promise<void> {
  await withFolder(folder =>
    withServer({ folders: dataFolders(folder, folders) }, async server => {
      assert.equal((await server.client().call("PUT", { bucket: BUCKET })).status, 200)
      await work(server)
    }),
  )
}

for (const seed of seedsOf(1)) {
  test(`readers that read nothing hold little memory, and others are served (seed ${seed})`, { timeout: 300_000 }, () =>
    withBucket(1 + (seed % 2), async server => {
      const random = new SimRandom(seed)
      const client = server.client()
      const body = Buffer.alloc(24 * MIB, "long ")
      for (const key of ["a", "b"]) assert.equal((await client.call("PUT", { bucket: BUCKET, key, body })).status, 200)
      const small = Buffer.alloc(20 * KIB, "small ")
      assert.equal((await client.call("PUT", { bucket: BUCKET, key: "small", body: small })).status, 200)
      const before = await residentBytes(server.pid)
      const attackers = new Attackers(server.port)
      try {
        await attackers.open(READERS, () => {
          const key = random.below(2) === 0 ? "a" : "b"
          // Larger than any socket buffer.
          const headers = random.below(2) === 0 ? {} : { Range: `bytes=${random.below(4 * MIB)}-` }
          return headOf(client, "GET", { bucket: BUCKET, key, headers })
        })
        await attackers.answered()
        for (let i = 0; i < 20; i += 1) {
          const { status, body: got } = await client.call("GET", { bucket: BUCKET, key: "small" })
          assert.deepEqual([status, got.length], [200, small.length])
        }
        const whole = await client.call("GET", { bucket: BUCKET, key: "a" })
        assert.ok(Buffer.compare(whole.body, body) === 0, "a long read was disturbed by the stalled readers")
        assert.equal(
          attackers.closedWithin(HTTP_LIMITS.receiveWindowMs),
          0,
          "a stalled reader was closed before its time",
        )
      } finally {
        attackers.close()
      }
      await until("no request is in flight", async () => (await inFlight(server)) === 0, METRICS_LOOK_MS)
      const { most } = await residentBytes(server.pid)
      const withoutReaders = BLOCK_LIMITS.readBytesMax + HEAP_BYTES + THREAD_BYTES
      const allowed = withoutReaders + READERS * READER_BYTES
      assert.ok(most - before.most < allowed, `${Math.round((most - before.most) / MIB)} MiB at most`)
      // Given back at a garbage collection, which only a process that works has.
      await until("the memory is given back", async () => {
        await client.call("GET", { bucket: BUCKET, key: "small" })
        const { now } = await residentBytes(server.pid)
        return now - before.now < withoutReaders
      })
    }),
  )
}

test("uploads of one account whose bodies do not arrive lock out no other account", { timeout: 300_000 }, () =>
  withBucket(1, async server => {
    const random = new SimRandom(3)
    const client = server.client()
    const other = server.client(await createOtherAccount(server))
    assert.equal((await other.call("PUT", { bucket: "another" })).status, 200)
    const attackers = new Attackers(server.port)
    try {
      await attackers.open(UPLOADS, number => {
        const lengthBytes = 128 * KIB + random.below(MIB)
        const headers = { "Content-Length": String(lengthBytes) }
        const sign = { payloadHash: "UNSIGNED-PAYLOAD" }
        const head = headOf(client, "PUT", { bucket: BUCKET, key: `k${number}`, headers, sign })
        return head + "x".repeat(random.below(2_000))
      })
      for (let i = 0; i < 20; i += 1) {
        const put = await other.call("PUT", { bucket: "another", key: `k${i}`, body: "small" })
        const got = await other.call("GET", { bucket: "another", key: `k${i}` })
        assert.deepEqual([put.status, got.status, got.text], [200, 200, "small"])
      }
      // The attackers' account may get requests to retry, until its stalled requests have released their places.
      await until("the bucket is listed", async () => (await client.call("GET", { bucket: BUCKET })).status === 200)
      assert.equal(attackers.closedWithin(HTTP_LIMITS.sendWindowMs), 0, "a stalled upload was closed before its time")
    } finally {
      attackers.close()
    }
    await until("no request is in flight", async () => (await inFlight(server)) === 0, METRICS_LOOK_MS)
  }),
)
