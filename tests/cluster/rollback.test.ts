/**
 * A database that is put back to an earlier moment, under nodes that run and while all are off: every node halts, and
 * removes and writes nothing, until an operator has it reconciled.
 */
import assert from "node:assert/strict"
import { createHash, randomBytes } from "node:crypto"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { setTimeout as wait } from "node:timers/promises"
import type { z } from "zod"
import * as STORE_SCHEMAS from "@hayloft/admin/store/store-schemas.js"
import { RemoteFailure, S3Client } from "@hayloft/client/index.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { quietParent, withFolder } from "../harness/folders.js"
import { noPostgres } from "../harness/postgres.js"
import { hayloftHere } from "../harness/command-here.js"
import type { TestNode, TestNodes } from "../harness/nodes.js"
import { Databases } from "../sql/databases.js"
import { MovableStore } from "./movable-store.js"
import { areReencoded, BUCKET, statusOf, statusSays, withNodes } from "./stores.js"

const DROPPED = "dropped"
const NEWER = "newer-bucket"
const SIZE = 30_000
const PART_BYTES = 5 * 1024 * 1024
const LOOK_MS = 500
const START_TRIES = 60
const NEVER = new AbortController().signal
const CLOCK = new RealClock()
const TWO_NODES = { nodes: 2, foldersEach: 1 }

/** Every test has a database of its own in it, and puts all of them back. */
let databases: Databases

if (noPostgres === false) {
  before(async () => {
    databases = await Databases.start()
  })
  after(() => databases.stop())
}

const md5 = (body: Buffer = Buffer.alloc(0)): string => createHash("md5").update(body).digest("hex")

const isUnavailable = (error: unknown): boolean => error instanceof RemoteFailure && error.status === 503

const serves = (node: TestNode) => statusSays(node, ({ health }) => health.ready)

const isHalted = (node: TestNode, of = node) =>
  statusSays(node, ({ health }) => health.reasons.some(reason => /hayloft cluster reconcile/.test(reason)), of)

/** Starts a node that does not become ready, and waits until it answers. */
async function startHalted(node: TestNode): Promise<void> {
  node.process = node.spawn()
  for (let tries = 0; ; tries += 1) {
    try {
      await statusOf(node)
      return
    } catch (error) {
      if (tries === START_TRIES) throw error
      await wait(LOOK_MS)
    }
  }
}

/** Makes the changes of clients since the moment to which the database is put back. */
async function changeEverything(nodes: TestNodes, partUpload: string): Promise<ReadonlyMap<string, Buffer>> {
  const [{ client: a }, { client: b }] = [nodes.at(1), nodes.at(2)]
  const written = new Map<string, Buffer>()
  const put = async (client: S3Client, key: string, bucket = BUCKET) => {
    const body = randomBytes(SIZE)
    await client.put({ bucket, key, body, headers: [["content-type", "text/x-test"]] })
    written.set(key, body)
  }
  await put(b, "since")
  await put(b, "overwritten")
  await put(a, "twice")
  await put(a, "twice")
  await put(a, "by both")
  await put(b, "by both")
  await a.remove(BUCKET, "deleted")
  const second = randomBytes(SIZE)
  await a.putPart({ bucket: BUCKET, key: "parts", uploadId: partUpload, partNumber: 2, body: second })
  written.set("part 2", second)
  const upload = {
    bucket: BUCKET,
    key: "multipart",
    uploadId: await b.createMultipart({ bucket: BUCKET, key: "multipart" }),
  }
  const etag = await b.putPart({ ...upload, partNumber: 1, body: randomBytes(SIZE) })
  await b.complete({ ...upload, etags: [etag] })
  await b.removeBucket(DROPPED)
  await a.createBucket(NEWER)
  await put(a, "in a newer bucket", NEWER)
  const admin = await nodes.at(1).admin()
  await admin.post("/v1/redundancy", { policy: "replica:2", confirm: "replica:2" })
  admin.close()
  const keys = ["kept", "since", "overwritten", "twice", "by both", "multipart"]
  const objects = keys.map(key => [BUCKET, key] as const)
  await areReencoded(nodes.at(1), "replica:2", [...objects, [NEWER, "in a newer bucket"]])
  return written
}

async function bodyOf(client: S3Client, key: string): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of (await client.get(BUCKET, key)).body) pieces.push(piece)
  return Buffer.concat(pieces)
}

const ENTRY = STORE_SCHEMAS.RECONCILE_ENTRIES.shape.entries.element
type Entry = z.output<typeof ENTRY>

/** Runs the command on the machine of a node, once that reaches all devices; returns its list. */
async function reconcile(node: TestNode, folder: string): Promise<readonly Entry[]> {
  const report = join(folder, "report.jsonl")
  const where = ["--data", node.folders[0] ?? "", "--master-key-file", join(folder, "master.key"), "--report", report]
  const command = () => hayloftHere(["cluster", "reconcile", "--yes", ...where])
  let result = await command()
  for (let tries = 0; tries < START_TRIES && /out of reach|does not respond/.test(result.stderr); tries += 1) {
    await wait(LOOK_MS)
    result = await command()
  }
  const { code, stdout, stderr } = result
  assert.equal(code, 0, stdout + stderr)
  assert.match(stdout, /The store goes on/)
  const lines = readFileSync(report, "utf8").trim().split("\n")
  return lines.map(line => ENTRY.parse(JSON.parse(line)))
}

const outcomesOf = (entries: readonly Entry[], key: string) =>
  entries
    .filter(each => each.key === key)
    .map(({ outcome }) => outcome)
    .sort()

async function refusesClients({ access }: TestNode): Promise<void> {
  const client = new S3Client(access, CLOCK, NEVER, { attemptsMax: 1 })
  await assert.rejects(client.get(BUCKET, "kept"), isUnavailable)
  await assert.rejects(client.put({ bucket: BUCKET, key: "further", body: Buffer.alloc(SIZE) }), isUnavailable)
  client.close()
}

test(
  "a database that is restored halts every node; a reconciliation puts back what a store encrypted at rest has lost",
  { skip: noPostgres },
  () =>
    withNodes(
      { nodes: 3, foldersEach: 1, databases, isHurried: true, args: ["--encrypt-at-rest"] },
      async (nodes, folder) => {
        const [a, c] = [nodes.at(1), nodes.at(3)]
        const before = new Map(["kept", "overwritten", "deleted"].map(key => [key, randomBytes(SIZE)]))
        for (const [key, body] of before) await a.client.put({ bucket: BUCKET, key, body })
        await a.client.createBucket(DROPPED)
        const partUpload = await a.client.createMultipart({ bucket: BUCKET, key: "parts" })
        const first = randomBytes(PART_BYTES)
        const firstPart = { bucket: BUCKET, key: "parts", uploadId: partUpload, partNumber: 1, body: first }
        const firstTag = await a.client.putPart(firstPart)
        await databases.server.save()
        for (const node of nodes.all) await serves(node)
        const since = await changeEverything(nodes, partUpload)
        await databases.server.restore()
        for (const node of nodes.all) await isHalted(node, a)
        for (const node of nodes.all) await refusesClients(node)
        const entries = await reconcile(a, folder)
        for (const node of nodes.all) await serves(node)
        for (const [key, outcomes] of Object.entries({
          since: ["putBack"],
          overwritten: ["putBack"],
          twice: ["listed", "putBack"],
          parts: ["putBack"],
          "by both": ["listed", "listed"],
          multipart: ["listed"],
          "in a newer bucket": ["listed"],
        })) {
          assert.deepEqual(outcomesOf(entries, key), outcomes, `${key}: ${JSON.stringify(entries)}`)
        }
        assert.deepEqual(
          entries.filter(({ outcome }) => outcome === "missing"),
          [],
        )
        const client = new S3Client(c.access, CLOCK, NEVER)
        for (const key of ["kept", "deleted"]) assert.deepEqual(await bodyOf(client, key), before.get(key), key)
        for (const key of ["since", "overwritten", "twice"])
          assert.deepEqual(await bodyOf(client, key), since.get(key), key)
        const { etag, contentType } = await client.head(BUCKET, "since")
        assert.deepEqual([contentType, etag], ["text/x-test", md5(since.get("since"))])
        const second = since.get("part 2") ?? Buffer.alloc(0)
        await client.complete({ bucket: BUCKET, key: "parts", uploadId: partUpload, etags: [firstTag, md5(second)] })
        assert.deepEqual(await bodyOf(client, "parts"), Buffer.concat([first, second]))
        await client.put({ bucket: DROPPED, key: "further", body: second })
        client.close()
      },
    ),
)

test("a database that is restored while all nodes are off halts each of them", { skip: noPostgres }, () =>
  withNodes({ ...TWO_NODES, databases, isHurried: true }, async (nodes, folder) => {
    const [a, b] = [nodes.at(1), nodes.at(2)]
    await databases.server.save()
    for (const node of nodes.all) await serves(node)
    const body = randomBytes(SIZE)
    await a.client.put({ bucket: BUCKET, key: "since", body })
    // The disks have a newer control record than the database will have.
    const admin = await a.admin()
    await admin.post("/v1/redundancy", { policy: "replica:2", confirm: "replica:2" })
    admin.close()
    await Promise.all(nodes.all.map(node => node.stop()))
    await databases.server.restore()
    for (const node of [b, a]) {
      await startHalted(node)
      await isHalted(node)
    }
    const entries = await reconcile(b, folder)
    assert.deepEqual(
      entries.map(({ key, outcome }) => [key, outcome]),
      [["since", "putBack"]],
    )
    for (const node of nodes.all) {
      await serves(node)
      const client = new S3Client(node.access, CLOCK, NEVER)
      assert.deepEqual(await bodyOf(client, "since"), body)
      client.close()
    }
  }),
)

/** Begins to move the store, and kills it once the database belongs to it: then only some rows, or none, are copied. */
async function beginToCopy(store: MovableStore, url: string): Promise<void> {
  const claimed = new Promise<void>(resolve => {
    store.onLine = line => {
      if (line.endsWith("step=claimed")) resolve(store.kill())
    }
  })
  // The answer may be lost with the process.
  await store.beginInit(url).catch(() => undefined)
  await claimed
  store.onLine = () => undefined
}

test(
  "a database that is restored to a moment of cluster init is refused, however often a start is tried",
  { skip: noPostgres },
  async () => {
    await withFolder(async folder => {
      const store = await MovableStore.create(folder, 1)
      try {
        const url = await databases.create()
        await store.start()
        await beginToCopy(store, url)
        await databases.server.save()
        await store.start()
        await store.beginInit(url)
        assert.equal(await store.conversion(), "done")
        await store.stop()
        await databases.server.restore()
        for (let tries = 0; tries < 2; tries += 1)
          assert.match(await store.refusal(url), /restored to a moment at which the store had not moved into it yet/)
      } finally {
        await store.stop()
      }
    }, quietParent())
  },
)
