/**
 * Storage classes of a store of three nodes: mapped at one node, they hold for what others store, and what is stored
 * already is re-encoded. Each zone has one disk, so that only a replica in every zone is read while two of them are dead.
 */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import { setTimeout as wait } from "node:timers/promises"
import { GetObjectCommand, PutObjectCommand, S3Client, type StorageClass } from "@aws-sdk/client-s3"
import { STORE_SCHEMAS } from "../../src/admin/index.js"
import type { TestNode, TestNodes } from "../harness/nodes.js"
import { noPostgres } from "../harness/postgres.js"
import { BUCKET, isSettled, post, statusSays, withNodes } from "./stores.js"

const LOOK_MS = 100
const BODY = randomBytes(300_000)

function sdk({ access: { endpoint, region, ...credentials } }: TestNode): S3Client {
  return new S3Client({ endpoint, region, credentials, forcePathStyle: true, maxAttempts: 2 })
}

async function put(node: TestNode, Key: string, StorageClass: StorageClass): Promise<void> {
  const client = sdk(node)
  await client.send(new PutObjectCommand({ Bucket: BUCKET, Key, StorageClass, Body: BODY }))
  client.destroy()
}

/** The class of the object, once its bytes are right. */
async function classOf(node: TestNode, Key: string): Promise<string | undefined> {
  const client = sdk(node)
  try {
    const { Body, StorageClass } = await client.send(new GetObjectCommand({ Bucket: BUCKET, Key }))
    assert.ok(Body && Buffer.from(await Body.transformToByteArray()).equals(BODY), Key)
    return StorageClass
  } finally {
    client.destroy()
  }
}

async function mapped(node: TestNode): Promise<readonly string[]> {
  const admin = await node.admin()
  try {
    const { classes } = STORE_SCHEMAS.REDUNDANCY.parse(await admin.get("/v1/redundancy"))
    return classes.map(({ storageClass, policy }) => `${storageClass} ${policy}`)
  } finally {
    admin.close()
  }
}

const setClass = (node: TestNode, storageClass: string, policy: string) =>
  post(node, "/v1/redundancy/class", { storageClass, policy })

const IS_REENCODED = /^[1-9]\d* bytes re-encoded, 0 remaining, 0 uploads/

/** Waits until some node has re-encoded what was stored. */
const isReencoded = (nodes: TestNodes) =>
  Promise.any(
    nodes.all.map(node =>
      statusSays(node, ({ jobs }) =>
        jobs.some(({ name, progress }) => name.startsWith("reencode") && IS_REENCODED.test(progress)),
      ),
    ),
  )

test("a class means the same at every node, for stored objects too", { skip: noPostgres }, () =>
  withNodes({ nodes: 3, foldersEach: 1, args: ["--redundancy", "ec:2+1"] }, async nodes => {
    const [one, two, three] = [nodes.at(1), nodes.at(2), nodes.at(3)]
    await setClass(one, "STANDARD_IA", "replica:3")
    for (const node of nodes.all) while ((await mapped(node))[0] !== "STANDARD_IA replica:3") await wait(LOOK_MS)
    await put(two, "new", "STANDARD_IA")
    await put(three, "stored", "GLACIER_IR")
    await put(three, "standard", "STANDARD")
    await assert.rejects(put(two, "cold", "GLACIER"), { name: "NotImplemented" })
    await setClass(three, "GLACIER_IR", "replica:3")
    await isReencoded(nodes)
    await isSettled(one)
    await two.kill()
    await three.kill()
    assert.equal(await classOf(one, "new"), "STANDARD_IA")
    assert.equal(await classOf(one, "stored"), "GLACIER_IR")
    await assert.rejects(classOf(one, "standard"))
    await two.start()
    // It is read once the nodes have found each other again.
    while ((await classOf(one, "standard").catch(() => "not yet")) !== undefined) await wait(LOOK_MS)
  }),
)
