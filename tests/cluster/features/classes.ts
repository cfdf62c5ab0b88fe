/**
 * Storage classes: mapped at one node, they hold for what others store, and what is stored already is re-encoded. Each zone has
 * one disk, so that only a replica in every zone is read while two of them are dead.
 */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { GetObjectCommand, PutObjectCommand, S3Client, type StorageClass } from "@aws-sdk/client-s3"
import * as STORE_SCHEMAS from "@hayloft/admin/store/store-schemas.js"
import type { TestNode } from "../../harness/nodes.js"
import { areReencoded, isSettled, post } from "../stores.js"
import { asked, eventually, type Feature } from "./scene.js"

const BUCKET = "classes"
const BODY = randomBytes(300_000)

function sdk({ access: { endpoint, region, ...credentials } }: TestNode): S3Client {
  return new S3Client({ endpoint, region, credentials, forcePathStyle: true, maxAttempts: 2 })
}

async function put(node: TestNode, Key: string, StorageClass: StorageClass): Promise<void> {
  const client = sdk(node)
  try {
    await client.send(new PutObjectCommand({ Bucket: BUCKET, Key, StorageClass, Body: BODY }))
  } finally {
    client.destroy()
  }
}

/** The class of the object, once its bytes are right. */
async function classOf(node: TestNode, Key: string): Promise<string | undefined> {
  const client = sdk(node)
  try {
    const { Body, StorageClass } = await client.send(new GetObjectCommand({ Bucket: BUCKET, Key }))
    assert.ok(BODY.equals((await Body?.transformToByteArray()) ?? Buffer.alloc(0)))
    return StorageClass
  } finally {
    client.destroy()
  }
}

async function mapped(node: TestNode): Promise<string> {
  const { classes } = STORE_SCHEMAS.REDUNDANCY.parse(await asked(node, admin => admin.get("/v1/redundancy")))
  return classes.map(({ storageClass, policy }) => `${storageClass} ${policy}`).join()
}

const setClass = (node: TestNode, storageClass: string, policy: string) =>
  post(node, "/v1/redundancy/class", { storageClass, policy })

export const CLASSES: Feature = {
  name: "a class means the same at every node, for stored objects too",
  first: async ({ nodes }) => {
    const [one, two, three] = [nodes.at(1), nodes.at(2), nodes.at(3)]
    await one.client.createBucket(BUCKET)
    await setClass(one, "STANDARD_IA", "replica:3")
    for (const node of nodes.all)
      await eventually(`${node.name} knows the class`, async () => (await mapped(node)) === "STANDARD_IA replica:3")
    await put(two, "new", "STANDARD_IA")
    await put(one, "stored", "GLACIER_IR")
    await put(one, "standard", "STANDARD")
    await put(two, "cold", "GLACIER")
    await setClass(three, "GLACIER_IR", "replica:3")
    await areReencoded(one, "replica:3", [[BUCKET, "stored"]])
    await isSettled(one)
  },
  run: async ({ nodes, oneDead, twoDead }) => {
    const [two, three] = [nodes.at(2), nodes.at(3)]
    await oneDead()
    assert.equal(await classOf(two, "standard"), undefined)
    await twoDead()
    assert.equal(await classOf(three, "new"), "STANDARD_IA")
    assert.equal(await classOf(three, "stored"), "GLACIER_IR")
    await assert.rejects(classOf(three, "standard"))
  },
}
