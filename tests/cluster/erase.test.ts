/** A bucket is erased while a node is dead: real processes, and a real PostgreSQL. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { readFile } from "node:fs/promises"
import { test } from "node:test"
import { setTimeout as wait } from "node:timers/promises"
import { ERASURE_STATE } from "../../src/admin/index.js"
import { must } from "../../src/base/assert.js"
import { parseControlRecord } from "../../src/format/control-record.js"
import type { TestNode, TestNodes } from "../harness/nodes.js"
import { noPostgres } from "../harness/postgres.js"
import { BUCKET, statusSays, withNodes } from "./stores.js"

const LOOK_MS = 250
const [KEY, BODY] = ["key", randomBytes(300_000)]

async function read(node: TestNode, bucket: string): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const piece of (await node.client.get(bucket, KEY)).body) all.push(piece)
  return Buffer.concat(all)
}

/** Numbers of the epoch keys in the record files of a node. */
async function epochsOn({ folders }: TestNode): Promise<readonly number[]> {
  const paths = folders.flatMap(folder => [`${folder}/control`, `${folder}/control.second`])
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

async function eraseWithoutNode(nodes: TestNodes): Promise<void> {
  const [one, two, three] = [nodes.at(1), nodes.at(2), nodes.at(3)]
  await one.client.createBucket("doomed")
  for (const bucket of ["doomed", BUCKET]) await one.client.put({ bucket, key: KEY, body: BODY })
  for (const node of nodes.all)
    for (const bucket of ["doomed", BUCKET]) assert.deepEqual(await read(node, bucket), BODY)
  // Its devices get the record a moment after the node has read it.
  while (!(await epochsOn(three)).includes(1)) await wait(LOOK_MS)
  await three.kill()
  const id = await begin(one, "doomed")
  await assert.rejects(read(two, "doomed"), /NoSuchBucket|does not exist/)
  const { erasures } = await statusSays(two, ({ erasures: found }) => {
    return found?.[0]?.keysReplaced === true && found[0].versions === 0 && found[0].devices.length === 1
  })
  const [erasure] = must(erasures, "it is under way")
  assert.deepEqual(
    erasure?.devices.map(({ node }) => node),
    [three.name],
  )
  for (const node of [one, two]) {
    assert.deepEqual(await read(node, BUCKET), BODY)
    await node.client.put({ bucket: BUCKET, key: `of ${node.name}`, body: BODY })
    await node.client.createBucket(`of-${node.name}`)
    await node.client.put({ bucket: `of-${node.name}`, key: KEY, body: BODY })
  }
  assert.equal(await stateOf(two, id), "erasing")
  assert.ok((await epochsOn(three)).includes(1), "the dead node still has the key")
  await three.start()
  while ((await stateOf(one, id)) !== "erased") await wait(LOOK_MS)
  for (const node of nodes.all) {
    assert.deepEqual(new Set(await epochsOn(node)), new Set([2]), node.name)
    for (const bucket of [BUCKET, `of-${one.name}`, `of-${two.name}`]) assert.deepEqual(await read(node, bucket), BODY)
  }
}

test(
  "an erasure waits for the devices of a dead node, and other buckets are served meanwhile",
  { skip: noPostgres },
  () =>
    withNodes(
      { nodes: 3, foldersEach: 1, isHurried: true, args: ["--encrypt-new-buckets", "--erased-keys-kept", "5s"] },
      eraseWithoutNode,
    ),
)
