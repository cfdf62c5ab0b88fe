/**
 * Three nodes in three zones: real processes, a real PostgreSQL, and clients that talk to any of them. What one stores the
 * others read, and while a node is dead a bucket is erased, which waits for its devices.
 */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { ERASURE_STATE } from "@hayloft/admin/schemas.js"
import { must } from "@hayloft/base/assert.js"
import { parseControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { quietParent } from "../harness/folders.js"
import { TestNodes, type TestNode } from "../harness/nodes.js"
import { noPostgres } from "../harness/postgres.js"
import { areSettled, BUCKET, statusSays } from "./stores.js"

const NODES = 3
const ARGS = ["--encrypt-new-buckets", "--erased-keys-kept", "5s"]
/** Inline, packed, and one and two blocks. */
const SIZES = [10, 4_096, 100_000, 5_000_000]
const LOOK_MS = 250
const [DOOMED, KEY, BODY] = ["doomed", "key", randomBytes(300_000)]

let folder = ""
let opened: TestNodes | undefined
/** Everything that clients have stored in the bucket that stays. */
const bodies = new Map<string, Buffer>()

before(async () => {
  if (noPostgres !== false) return
  folder = await mkdtemp(join(quietParent(), "hayloft-nodes-"))
  opened = await TestNodes.start(folder, { nodes: NODES, foldersEach: 1, isHurried: true, args: ARGS })
  await areSettled(opened.at(1), NODES)
})

after(async () => {
  await opened?.end()
  if (folder !== "") await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
})

/** A test that fails shows the log of each node. */
function storeTest(name: string, work: (nodes: TestNodes) => Promise<void>): void {
  test(name, { skip: noPostgres }, async () => {
    const nodes = must(opened, "the store is open")
    try {
      await work(nodes)
    } catch (error) {
      if (process.env["SHOW"]) for (const node of nodes.all) console.error(node.name, node.output)
      throw error
    }
  })
}

async function read(node: TestNode, bucket: string, key = KEY): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const piece of (await node.client.get(bucket, key)).body) all.push(piece)
  return Buffer.concat(all)
}

async function put(node: TestNode, key: string, body: Buffer): Promise<void> {
  await node.client.put({ bucket: BUCKET, key, body })
  bodies.set(key, body)
}

async function check(node: TestNode): Promise<void> {
  for (const [key, body] of bodies) assert.ok((await read(node, BUCKET, key)).equals(body), `${key} from ${node.name}`)
}

/** Numbers of the epoch keys in the record files of a node. */
async function epochsOn({ folders }: TestNode): Promise<readonly number[]> {
  const paths = folders.flatMap(path => [`${path}/control`, `${path}/control.second`])
  const records = await Promise.all(paths.map(async path => parseControlRecord(await readFile(path))))
  return records.flatMap(({ keyring }) => keyring?.epochs.map(({ number }) => number) ?? [])
}

async function begin(node: TestNode, bucket: string): Promise<number> {
  const admin = await node.admin()
  try {
    return ERASURE_STATE.parse(await admin.post(`/v1/buckets/${bucket}/erase`, { confirm: bucket })).bucketId
  } finally {
    admin.close()
  }
}

async function stateOf(node: TestNode, id: number): Promise<string> {
  const admin = await node.admin()
  try {
    return ERASURE_STATE.parse(await admin.get(`/v1/erasures/${id}`)).state
  } finally {
    admin.close()
  }
}

storeTest("what one node stores every node reads, also while one of them is dead", async nodes => {
  const [one, two, three] = [nodes.at(1), nodes.at(2), nodes.at(3)]
  await one.client.createBucket(BUCKET)
  await one.client.createBucket(DOOMED)
  await one.client.put({ bucket: DOOMED, key: KEY, body: BODY })
  for (const size of SIZES) await put(two, `size-${size}`, randomBytes(size))
  for (const node of nodes.all) {
    await check(node)
    assert.deepEqual(await read(node, DOOMED), BODY)
  }
  const stewards = () => nodes.all.filter(({ output }) => output.includes("lease=steward"))
  await until("there is a steward", () => stewards().length > 0, LOOK_MS)
  assert.equal(stewards().length, 1, "one of them is the steward")
  // Its devices get the record a moment after the node has read it.
  await until("its devices have the record", async () => (await epochsOn(three)).includes(1), LOOK_MS)
  await three.kill()
  for (const node of [one, two]) await check(node)
  await put(one, "late", randomBytes(5_000_000))
  await check(two)
})

storeTest("an erasure waits for the devices of a dead node, and other buckets are served meanwhile", async nodes => {
  const [one, two, three] = [nodes.at(1), nodes.at(2), nodes.at(3)]
  const id = await begin(one, DOOMED)
  await assert.rejects(read(two, DOOMED), /NoSuchBucket|does not exist/)
  const { erasures } = await statusSays(two, ({ erasures: found }) => {
    return found?.[0]?.keysReplaced === true && found[0].versions === 0 && found[0].devices.length === 1
  })
  const [erasure] = must(erasures, "it is under way")
  assert.deepEqual(
    erasure?.devices.map(({ node }) => node),
    [three.name],
  )
  for (const node of [one, two]) {
    await check(node)
    await put(node, `of ${node.name}`, BODY)
    await node.client.createBucket(`of-${node.name}`)
    await node.client.put({ bucket: `of-${node.name}`, key: KEY, body: BODY })
  }
  assert.equal(await stateOf(two, id), "erasing")
  assert.ok((await epochsOn(three)).includes(1), "the dead node still has the key")
  await three.start()
  await until("the key is erased", async () => (await stateOf(one, id)) === "erased", LOOK_MS)
  for (const node of nodes.all) {
    assert.deepEqual(new Set(await epochsOn(node)), new Set([2]), node.name)
    await check(node)
    for (const bucket of [`of-${one.name}`, `of-${two.name}`]) assert.deepEqual(await read(node, bucket), BODY)
  }
})
