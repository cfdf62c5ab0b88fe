/** A bucket of small objects that is written and checked while disks fail and return. */
import assert from "node:assert/strict"
import { setTimeout as later } from "node:timers/promises"
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3"
import { STORE_SCHEMAS } from "../../src/admin/index.js"
import { TEST_SEED } from "../../src/base/testing-seed.js"
import { SimRandom } from "../../src/seams/random/sim.js"
import { CREDENTIALS, REGION, type ServerProcess } from "../harness/server.js"

const BUCKET = "survivors"
const SETTLE_TIMEOUT_MS = 90_000
const SETTLE_POLL_MS = 250

/** The objects that the store must have, whatever happened to its disks. */
export class SmallStore {
  private readonly bodies = new Map<string, Buffer>()
  private readonly drawn = new SimRandom(TEST_SEED)

  constructor(private readonly sizes: readonly number[]) {}

  private clientOf(server: ServerProcess): S3Client {
    const credentials = { accessKeyId: CREDENTIALS.accessKey, secretAccessKey: CREDENTIALS.secretKey }
    return new S3Client({
      ...{ endpoint: server.endpoint, region: REGION, forcePathStyle: true, credentials, maxAttempts: 1 },
    })
  }

  async make(server: ServerProcess): Promise<void> {
    await this.clientOf(server).send(new CreateBucketCommand({ Bucket: BUCKET }))
    await this.put(server, "first")
  }

  async put(server: ServerProcess, prefix: string): Promise<void> {
    const client = this.clientOf(server)
    for (const size of this.sizes) {
      const [key, body] = [`${prefix}/${size}`, Buffer.from(this.drawn.bytes(size))]
      await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: body }))
      this.bodies.set(key, body)
    }
  }

  async remove(server: ServerProcess, prefix: string): Promise<void> {
    const client = this.clientOf(server)
    for (const key of [...this.bodies.keys()].filter(each => each.startsWith(`${prefix}/`))) {
      await client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: key }))
      this.bodies.delete(key)
    }
  }

  /** Checks that exactly these objects exist, with their bytes. */
  async check(server: ServerProcess): Promise<void> {
    const client = this.clientOf(server)
    for (const [key, body] of this.bodies) {
      const { Body } = await client.send(new GetObjectCommand({ Bucket: BUCKET, Key: key }))
      assert.deepEqual(Buffer.from((await Body?.transformToByteArray()) ?? []), body, key)
    }
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: BUCKET }))
    assert.deepEqual(
      Contents.map(({ Key }) => Key),
      [...this.bodies.keys()].sort(),
    )
  }
}

/** States of the devices by folder, from the running store. */
export async function statesOf(server: ServerProcess): Promise<Map<string, string>> {
  const { code, stdout, stderr } = await server.hayloft(["device", "list", "--json"])
  assert.equal(code, 0, stderr)
  const states = new Map<string, string>()
  for (const line of stdout.trim().split("\n")) {
    const device: unknown = JSON.parse(line)
    if (typeof device !== "object" || device === null || !("path" in device) || !("state" in device)) continue
    states.set(String(device.path), String(device.state))
  }
  return states
}

/** Waits until every device has all its data and metadata. */
export async function settled(server: ServerProcess): Promise<void> {
  const deadline = performance.now() + SETTLE_TIMEOUT_MS
  for (;;) {
    const { devices, metadata } = STORE_SCHEMAS.STATUS.parse(await server.report("/v1/status"))
    if (devices.every(({ state }) => state === "active") && metadata.copies === metadata.copiesWanted) return
    if (performance.now() > deadline) assert.fail(`not settled: ${JSON.stringify({ devices, metadata })}`)
    await later(SETTLE_POLL_MS)
  }
}
