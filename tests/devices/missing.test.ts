/**
 * Folders that are gone at a start: up to the tolerance everything is read and written as before, a
 * folder that comes back is no stale truth, and beyond it the start is refused in one line.
 */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { rename, rm } from "node:fs/promises"
import { test } from "node:test"
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3"
import { dataFolders, withFolder } from "../harness/folders.js"
import { CREDENTIALS, REGION, ServerProcess } from "../harness/server.js"

const BUCKET = "survivors"
const SIZES = [0, 1, 4096, 4097, 70_000, 5_000_001]

function clientOf(server: ServerProcess): S3Client {
  const credentials = { accessKeyId: CREDENTIALS.accessKey, secretAccessKey: CREDENTIALS.secretKey }
  return new S3Client({ endpoint: server.endpoint, region: REGION, forcePathStyle: true, credentials, maxAttempts: 1 })
}

async function put(client: S3Client, bodies: Map<string, Buffer>, prefix: string): Promise<void> {
  for (const size of SIZES) {
    const [key, body] = [`${prefix}/${size}`, randomBytes(size)]
    await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: body }))
    bodies.set(key, body)
  }
}

async function check(client: S3Client, bodies: ReadonlyMap<string, Buffer>): Promise<void> {
  for (const [key, body] of bodies) {
    const { Body } = await client.send(new GetObjectCommand({ Bucket: BUCKET, Key: key }))
    assert.deepEqual(Buffer.from((await Body?.transformToByteArray()) ?? []), body, key)
  }
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: BUCKET }))
  assert.deepEqual(
    Contents.map(({ Key }) => Key),
    [...bodies.keys()].sort(),
  )
}

test("three of seven folders gone: all is read and written, and they may come back", async () => {
  await withFolder(async folder => {
    const folders = dataFolders(folder, 7)
    const server = await ServerProcess.start({ folders })
    try {
      const client = clientOf(server)
      const bodies = new Map<string, Buffer>()
      await client.send(new CreateBucketCommand({ Bucket: BUCKET }))
      await put(client, bodies, "before")
      const lost = [folders[0], folders[2], folders[6]].map(path => path ?? "")
      await server.stop()
      for (const path of lost) await rename(path, `${path}.away`)
      await server.launch()
      await check(client, bodies)
      await put(client, bodies, "meanwhile")
      const status = await server.hayloft(["status"])
      assert.match(status.stdout, /missing/)
      await server.kill()
      await server.launch()
      await check(client, bodies)
      await server.stop()
      for (const path of lost) await rename(`${path}.away`, path)
      await server.launch()
      await check(client, bodies)
      await put(client, bodies, "after")
      await server.kill()
      await server.launch()
      await check(client, bodies)
    } catch (error) {
      throw new Error(`the server said:\n${server.log}`, { cause: error })
    } finally {
      await server.kill()
    }
  })
})

test("four of seven folders gone: the start is refused in one line, and nothing is touched", async () => {
  await withFolder(async folder => {
    const folders = dataFolders(folder, 7)
    const server = await ServerProcess.start({ folders })
    try {
      await server.stop()
      for (const path of folders.slice(0, 4)) await rm(path, { recursive: true })
      await assert.rejects(server.launch(), /devices of this store are missing/)
    } finally {
      await server.kill()
    }
  })
})
