/**
 * Objects that requests or buckets ask to encrypt, in a store that does not encrypt anything else: no bytes of theirs are
 * in any file of any folder. The same search finds those of an object beside them that is not encrypted.
 */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { mkdir, readdir, rm, stat } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  PutBucketEncryptionCommand,
  PutObjectCommand,
  UploadPartCommand,
  type S3Client,
} from "@aws-sdk/client-s3"
import { quietParent, withFolder } from "../harness/folders.js"
import { readable } from "../harness/readable.js"
import { withClient } from "../harness/sdk-client.js"
import { ServerProcess } from "../harness/server.js"

const Bucket = "plain-store"
const DEFAULT = "encrypts-by-default"
const [SECRET, PLAIN] = ["encrypted-body-of-a-client ", "a-body-that-is-not-encrypted "]
/** With the row, in blocks, and in several blocks. */
const SIZES = [1_000, 200_000, 2_200_000]
const PART_BYTES = 1_300_000
const LOOK_MS = 100

const bodyOf = (lengthBytes: number, mark = SECRET): Buffer => Buffer.alloc(lengthBytes, mark)
const clientKey = Buffer.alloc(32, 7)
const customer = {
  SSECustomerAlgorithm: "AES256",
  SSECustomerKey: clientKey.toString("base64"),
  SSECustomerKeyMD5: createHash("md5").update(clientKey).digest("base64"),
}

interface Mode {
  readonly name: string
  readonly bucket: string
  /** The parameters of requests that begin an object. */
  readonly asked: Readonly<Record<string, string>>
  /** The parameters of requests for its bytes. */
  readonly read: Readonly<Record<string, string>>
}

const MODES: readonly Mode[] = [
  { name: "s3", bucket: Bucket, asked: { ServerSideEncryption: "AES256" }, read: {} },
  { name: "kms", bucket: Bucket, asked: { ServerSideEncryption: "aws:kms" }, read: {} },
  { name: "client", bucket: Bucket, asked: customer, read: customer },
  { name: "default", bucket: DEFAULT, asked: {}, read: {} },
]

async function fill(client: S3Client, { name, bucket, asked, read }: Mode): Promise<void> {
  for (const size of SIZES) {
    await client.send(new PutObjectCommand({ Bucket: bucket, Key: `${name}/${size}`, Body: bodyOf(size), ...asked }))
  }
  const target = { Bucket: bucket, Key: `${name}/parts` }
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ ...target, ...asked }))
  const part = { ...target, UploadId, PartNumber: 1, Body: bodyOf(PART_BYTES), ...read }
  const { ETag } = await client.send(new UploadPartCommand(part))
  const Parts = [{ PartNumber: 1, ETag }]
  await client.send(new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts } }))
  // An upload that is not completed, and an object that is deleted.
  const open = await client.send(new CreateMultipartUploadCommand({ ...target, ...asked }))
  await client.send(new UploadPartCommand({ ...part, UploadId: open.UploadId }))
  const gone = { Bucket: bucket, Key: `${name}/gone` }
  await client.send(new PutObjectCommand({ ...gone, Body: bodyOf(3_000), ...asked }))
  await client.send(new DeleteObjectCommand(gone))
}

async function check(client: S3Client): Promise<void> {
  for (const { name, bucket, read } of MODES) {
    for (const [key, size] of [...SIZES.map(bytes => [`${bytes}`, bytes] as const), ["parts", PART_BYTES] as const]) {
      const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: `${name}/${key}`, ...read }))
      const found = Buffer.from((await Body?.transformToByteArray()) ?? [])
      assert.ok(found.equals(bodyOf(size)), `${name}/${key}`)
    }
  }
}

async function volumeBytesIn(device: string): Promise<number> {
  const folder = join(device, "volumes")
  const names = await readdir(folder)
  const sizes = await Promise.all(names.map(async name => (await stat(join(folder, name))).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}

test("no bytes of an encrypted object are in the folders of a store", { timeout: 240_000 }, () =>
  withFolder(async folder => {
    const folders = ["d1", "d2", "d3", "d4"].map(name => join(folder, name))
    const args = ["--metadata-backup-every", "1s", "--allow-sse-c-without-tls", "--block-size", "1MiB"]
    const server = await ServerProcess.start({ folders, args })
    await withClient(server, async client => {
      await client.send(new CreateBucketCommand({ Bucket }))
      await client.send(new CreateBucketCommand({ Bucket: DEFAULT }))
      const Rules = [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm: "AES256" as const } }]
      const ServerSideEncryptionConfiguration = { Rules }
      await client.send(new PutBucketEncryptionCommand({ Bucket: DEFAULT, ServerSideEncryptionConfiguration }))
      for (const size of SIZES) {
        await client.send(new PutObjectCommand({ Bucket, Key: `plain/${size}`, Body: bodyOf(size, PLAIN) }))
      }
      for (const mode of MODES) await fill(client, mode)
    })
    assert.deepEqual([...(await readable(folders, [SECRET]))], [], "while it runs")
    await server.kill()
    await server.launch()
    await withClient(server, async client => {
      await check(client)
      for (const { name, bucket, asked } of MODES) {
        const CopySource = `${DEFAULT}/default/200000`
        await client.send(new CopyObjectCommand({ Bucket: bucket, Key: `${name}/copy`, CopySource, ...asked }))
      }
    })
    await server.stop()
    assert.deepEqual([...(await readable(folders, [SECRET]))], [], "after a crash and a stop")
    const [, second = ""] = folders
    await rm(second, { recursive: true })
    await mkdir(second)
    await server.launch()
    await withClient(server, check)
    await until("the new folder is filled", async () => (await volumeBytesIn(second)) >= 2_000_000, LOOK_MS)
    await server.stop()
    assert.deepEqual([...(await readable(folders, [SECRET]))], [], "after a repair")
    assert.ok((await readable(folders, [PLAIN])).size > 0, "the search finds what is not encrypted")
  }, quietParent()),
)
