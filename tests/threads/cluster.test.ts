/**
 * Nodes of a cluster with front threads, over a real PostgreSQL: each thread serves what every other one of the store has
 * written, races have one winner, threads and nodes end, and what they have left is removed. The tests share a store of three
 * nodes, and each has a bucket of its own; the last one ends nodes.
 */
import assert from "node:assert/strict"
import { writeFileSync } from "node:fs"
import { mkdtemp, readdir, rm, stat } from "node:fs/promises"
import { join } from "node:path"
import { after, before, test } from "node:test"
import * as STORE_SCHEMAS from "@hayloft/admin/store/store-schemas.js"
import { must } from "@hayloft/base/assert.js"
import { MIB } from "@hayloft/base/limits.js"
import type { RawResponse } from "../../conformance/raw-client.js"
import { elements, text } from "../../conformance/xml.js"
import { bodyBytes } from "../../sim/world/bodies.js"
import { haveJoined, statusSays } from "../cluster/stores.js"
import { quietParent } from "../harness/folders.js"
import { NODE_24, noNode24 } from "../harness/new-node.js"
import { TestNodes, type TestNode } from "../harness/nodes.js"
import { noPostgres } from "../harness/postgres.js"
import { until, UNTIL_MS_MAX } from "@hayloft/base/seams/clock/testing-until.js"
import { FILTER, FrontedStore, type Pinned } from "./fronted.js"

const [NODES, THREADS] = [3, 2]
const SIZES = { small: 700, medium: 300_000, large: 3 * MIB } as const
const WHOLE_BYTES = 4 * MIB
const RACES = 12

type FrontedNode = FrontedStore<ReturnType<typeof serverOf>>

const serverOf = (node: TestNode) => ({
  client: () => node.rawClient,
  metrics: async () => (await fetch(`${node.adminEndpoint}/metrics`)).text(),
})

interface Nodes {
  readonly nodes: TestNodes
  readonly fronted: readonly FrontedNode[]
}

const isSkipped = noNode24 || noPostgres

let folder = ""
let started: Nodes | undefined

before(async () => {
  if (isSkipped !== false) return
  folder = await mkdtemp(join(quietParent(), "hayloft-fronted-"))
  const filter = join(folder, "filter.cjs")
  writeFileSync(filter, FILTER)
  const args = ["--threads", String(THREADS), "--filter", filter, "--block-size", "1M"]
  const nodes = await TestNodes.start(folder, { nodes: NODES, foldersEach: 2, isHurried: true, args, node: NODE_24 })
  started = { nodes, fronted: nodes.all.map(node => new FrontedStore(serverOf(node), node.folders, folder)) }
  await withLogs(nodes, () => haveJoined(nodes.at(1), 2 * NODES))
})

after(async () => {
  await started?.nodes.end()
  if (folder !== "") await rm(folder, { recursive: true, force: true })
})

/** Runs the work. What the nodes logged is shown if it fails. */
async function withLogs(nodes: TestNodes, work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch (error) {
    const logs = nodes.all.map(({ name, output }) => `${name}:\n${output}`).join("\n")
    throw new Error(`${String(error)}; logs:\n${logs}`, { cause: error })
  }
}

/** Runs the work with a new bucket. */
function withBucket(
  bucket: string,
  work: (nodes: Nodes & { readonly bucket: string }) => Promise<void>,
): Promise<void> {
  const { nodes, fronted } = must(started, "it was started before all tests")
  return withLogs(nodes, async () => {
    assert.equal((await nodes.at(1).rawClient.call("PUT", { bucket })).status, 200)
    await work({ bucket, nodes, fronted })
  })
}

/** A connection to each thread of each node. */
async function threadsOf(fronted: readonly FrontedNode[]) {
  const all: { readonly store: FrontedNode; readonly pinned: Pinned }[] = []
  for (const store of fronted) for (const pinned of await store.toEach(THREADS)) all.push({ store, pinned })
  return all
}

test("threads of all nodes serve one store", { skip: isSkipped }, () =>
  withBucket("threads", async ({ bucket, nodes, fronted }) => {
    const threads = await threadsOf(fronted)
    assert.equal(threads.length, NODES * THREADS)
    await statusSays(nodes.at(1), ({ threads: shown }) => shown?.running === THREADS)

    // Every thread reads what any other one has written.
    for (const [from, { store, pinned }] of threads.entries()) {
      const bodies = new Map<string, Buffer>()
      for (const [size, bytes] of Object.entries(SIZES)) {
        const [key, body] = [`${from} ${size}`, bodyBytes(`${from} ${size}`, bytes)]
        bodies.set(size, body)
        assert.equal((await store.on(pinned.connection, "PUT", { bucket, key, body })).status, 200, key)
      }
      for (const reader of threads) {
        for (const size of Object.keys(SIZES)) {
          const key = `${from} ${size}`
          const got = await reader.store.on(reader.pinned.connection, "GET", { bucket, key })
          assert.equal(got.status, 200, key)
          assert.ok(must(bodies.get(size), size).equals(got.body), key)
        }
      }
    }

    // One of those that create a key at the same time does so, and one of those that replace a version.
    for (let race = 0; race < RACES; race += 1) {
      const key = `race ${race}`
      const send = (round: number, headers: Readonly<Record<string, string>>): Promise<readonly RawResponse[]> =>
        Promise.all(
          threads.map(({ store, pinned }, number) =>
            store.on(pinned.connection, "PUT", {
              bucket,
              key,
              headers,
              body: Buffer.from(`${race} ${round} ${number}`),
            }),
          ),
        )
      const created = await send(1, { "if-none-match": "*" })
      const etag = created.find(({ status }) => status === 200)?.header("etag") ?? ""
      const replaced = await send(2, { "if-match": etag })
      for (const answers of [created, replaced]) {
        const winners = answers.filter(({ status }) => status === 200)
        assert.equal(winners.length, 1, answers.map(({ status }) => status).join())
        assert.ok(answers.every(({ status }) => [200, 409, 412].includes(status)))
      }
    }

    // A policy that one node has acknowledged holds for the next request to any thread.
    const anonymous = (store: FrontedNode) =>
      fetch(
        `http://${store.client.endpoint.host}:${store.client.endpoint.port}/${bucket}/${encodeURIComponent("0 small")}`,
      )
    const statement = { Effect: "Allow", Principal: "*", Action: "s3:GetObject", Resource: `arn:aws:s3:::${bucket}/*` }
    const opened = await fronted[0]?.client.call("DELETE", { bucket, query: "publicAccessBlock" })
    assert.equal(opened?.status, 204)
    const policy = Buffer.from(JSON.stringify({ Version: "2012-10-17", Statement: [statement] }))
    const READERS = 12
    for (const [from, store] of fronted.entries()) {
      for (const [method, body, expected] of [
        ["PUT", policy, 200],
        ["DELETE", undefined, 403],
      ] as const) {
        const { status } = await store.client.call(method, { bucket, query: "policy", ...(body && { body }) })
        assert.ok(status < 300, `${status}`)
        for (const reader of fronted) {
          const answers = await Promise.all(Array.from({ length: READERS }, () => anonymous(reader)))
          for (const answer of answers) {
            await answer.arrayBuffer()
            assert.equal(answer.status, expected, `after ${method} by node ${from + 1}`)
          }
        }
      }
    }
    for (const { pinned } of threads) pinned.connection.destroy()
  }),
)

test("a node whose incarnation was ended goes on, with other threads", { skip: isSkipped }, () =>
  withBucket("incarnations", async ({ bucket, nodes, fronted }) => {
    const second = must(fronted[1], "there are three nodes")
    const before = await second.toEach(THREADS)
    const database = new URL(nodes.url).pathname.slice(1)
    const sql = (statement: string) => nodes.databases.server.sql(statement, database)
    const ofNode = `node = '${nodes.at(2).name}'`
    await sql(`UPDATE hayloft.incarnations SET ended = true WHERE ${ofNode} AND parent IS NULL`)
    await sql(`UPDATE hayloft.lanes SET ended = true
      WHERE incarnation IN (SELECT incarnation FROM hayloft.incarnations WHERE ${ofNode})`)
    for (const { connection } of before) await until("its threads end", () => connection.waitClosed(0))
    await second.untilEach(THREADS)
    const call = { bucket, key: "after" }
    const body = bodyBytes("after", SIZES.medium)
    await until("it writes", async () => (await second.client.call("PUT", { ...call, body })).status === 200)
    assert.ok(body.equals((await second.client.call("GET", call)).body))
  }),
)

/** The bytes of all volumes of all nodes. */
async function volumeBytes({ all }: TestNodes): Promise<number> {
  let bytes = 0
  for (const folder of all.flatMap(({ folders }) => folders)) {
    const names = await readdir(folder, { recursive: true })
    for (const name of names) if (name.endsWith(".volume")) bytes += (await stat(join(folder, name))).size
  }
  return bytes
}

async function pendingOf(node: TestNode): Promise<readonly string[]> {
  const admin = await node.admin()
  try {
    const { uploads } = STORE_SCHEMAS.PENDING_UPLOADS.parse(await admin.get("/v1/pending"))
    return uploads.map(({ key }) => key ?? "")
  } catch {
    // The node that had this work is away.
    return []
  } finally {
    admin.close()
  }
}

test("threads and nodes end while uploads are under way", { skip: isSkipped }, () =>
  withBucket("ends", async ({ bucket, nodes, fronted }) => {
    const [first, second, third] = fronted
    assert.ok(first && second && third)
    const there = new Map<string, Buffer>()
    const put = async (store: FrontedNode, key: string, bytes: number): Promise<void> => {
      const body = bodyBytes(key, bytes)
      // A node that has just ended may still be waited for.
      await until(`${key} is written`, async () => {
        return (await store.client.call("PUT", { bucket, key, body })).status === 200
      })
      there.set(key, body)
    }
    const checkThere = async (stores: readonly FrontedNode[]): Promise<void> => {
      for (const store of stores) {
        for (const [key, body] of there) {
          let got = await store.client.call("GET", { bucket, key })
          await until(`${key} is read`, async () => {
            if (got.status === 503) got = await store.client.call("GET", { bucket, key })
            return got.status !== 503
          })
          assert.equal(got.status, 200, key)
          assert.ok(body.equals(got.body), key)
        }
      }
    }
    for (const [number, store] of fronted.entries())
      for (const bytes of Object.values(SIZES)) await put(store, `${number} ${bytes}`, bytes)

    // A thread of the second node ends with an upload under way, beside one of the other thread, which goes on.
    const [dying, staying] = await second.toEach(THREADS)
    assert.ok(dying && staying)
    const begin = async (store: FrontedNode, front: string, key: string) => {
      const [body, connection] = [bodyBytes(key, WHOLE_BYTES), await store.to(front)]
      await store.begin(connection, "PUT", { bucket, key, body }, 3 * MIB)
      return { key, body, connection }
    }
    const before = await volumeBytes(nodes)
    const lost = await begin(second, dying.front, "of a thread that ends")
    // Else there may be nothing to find.
    await until("a block of it is stored", async () => (await volumeBytes(nodes)) >= before + MIB)
    const other = await begin(second, staying.front, "of one that goes on")
    await second.inFlight(2)
    await second.end(dying.connection, "exit")
    assert.ok(await lost.connection.waitClosed(UNTIL_MS_MAX))
    await other.connection.write(other.body.subarray(3 * MIB))
    assert.equal((await other.connection.read("PUT")).status, 200)
    there.set(other.key, other.body)
    await second.untilEach(THREADS)
    await checkThere(fronted)

    // Its number is over in the database, while its process goes on.
    const database = new URL(nodes.url).pathname.slice(1)
    const over = `SELECT count(*) FROM hayloft.incarnations i JOIN hayloft.incarnations p ON p.incarnation = i.parent
      WHERE i.ended AND NOT p.ended`
    await until("all know", async () => (await nodes.databases.server.sql(over, database)).trim() === "1")

    // A node ends with uploads of its threads under way; the others go on, and it comes back.
    const [one] = await third.toEach(THREADS)
    assert.ok(one)
    await begin(third, one.front, "of a node that ends")
    await third.inFlight(1)
    await nodes.at(3).kill()
    await put(first, "while a node is away", SIZES.large)
    await put(second, "while a node is away, too", SIZES.medium)
    await checkThere([first, second])
    await nodes.at(3).start()
    await third.untilEach(THREADS)
    await checkThere(fronted)
    // The blocks that the thread has left are found: whichever node has the search now has begun it since.
    for (const node of nodes.all) {
      await node.stop()
      await node.start()
    }
    await until("it is found", async () => {
      const found = await Promise.all(nodes.all.map(pendingOf))
      return found.some(keys => keys.includes(lost.key))
    })
    for (const store of fronted) await store.untilEach(THREADS)

    const listing = await second.client.call("GET", { bucket, query: "list-type=2" })
    assert.deepEqual(
      elements(listing.text, "Contents").map(entry => text(entry, "Key")),
      [...there.keys()].sort(),
    )
  }),
)
