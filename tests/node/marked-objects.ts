/** For tests of encryption at rest: objects whose names, bodies and metadata are found in any file that has them in plain. */
import assert from "node:assert/strict"
import { join } from "node:path"
import {
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3"
import { withClient } from "../harness/sdk-client.js"
import { ServerProcess } from "../harness/server.js"

/** The texts that nobody may read, by where each was given. */
export const MARKS = {
  bucket: "nobody-may-read-bucket",
  key: "nobody-may-read-key",
  body: "nobody-may-read-body",
  metadata: "nobody-may-read-metadata",
  tag: "nobody-may-read-tag",
  type: "text/nobody-may-read-type",
} as const
export const ALL_MARKS = Object.values(MARKS)
export const MASTER_KEY = "5e".repeat(32)
const SIZES = [0, 1_000, 4_096, 200_000]
/** Several blocks, of which each has the smallest size: in the first round only. */
const LARGE_BYTES = 2_200_000
const PART_BYTES = 300_000
const sizesOf = (round: string): readonly number[] => (round === "first" ? [...SIZES, LARGE_BYTES] : SIZES)

/** Each body is the beginning of it. */
const BODY = Buffer.alloc(LARGE_BYTES, `${MARKS.body} `)
const bodyOf = (lengthBytes: number): Buffer => BODY.subarray(0, lengthBytes)

const Bucket = MARKS.bucket
const described = {
  Metadata: { note: MARKS.metadata },
  Tagging: `mark=${MARKS.tag}`,
  ContentType: MARKS.type,
} as const

export async function fill(client: S3Client, round: string): Promise<void> {
  for (const size of sizesOf(round)) {
    await client.send(
      new PutObjectCommand({ Bucket, Key: `${MARKS.key}/${round}/${size}`, Body: bodyOf(size), ...described }),
    )
  }
  const target = { Bucket, Key: `${MARKS.key}/${round}/parts` }
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ ...target, ...described }))
  const { ETag } = await client.send(
    new UploadPartCommand({ ...target, UploadId, PartNumber: 1, Body: bodyOf(PART_BYTES) }),
  )
  await client.send(
    new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] } }),
  )
  await client.send(new PutObjectCommand({ Bucket, Key: `${MARKS.key}/${round}/gone`, Body: bodyOf(3_000) }))
  await client.send(new DeleteObjectCommand({ Bucket, Key: `${MARKS.key}/${round}/gone` }))
}

/** Everything is there, as it was written. */
export async function check(client: S3Client, rounds: readonly string[]): Promise<void> {
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket }))
  assert.equal(Contents.length, rounds.flatMap(round => [...sizesOf(round), "parts"]).length)
  for (const round of rounds) {
    for (const size of sizesOf(round)) {
      const Key = `${MARKS.key}/${round}/${size}`
      const { Body, ContentType, Metadata } = await client.send(new GetObjectCommand({ Bucket, Key }))
      const found = Buffer.from((await Body?.transformToByteArray()) ?? [])
      assert.ok(found.equals(bodyOf(size)), Key)
      assert.deepEqual([ContentType, Metadata?.["note"]], [MARKS.type, MARKS.metadata])
    }
    const Key = `${MARKS.key}/${round}/parts`
    const part = await client.send(new GetObjectCommand({ Bucket, Key, Range: "bytes=200000-200099" }))
    assert.deepEqual(
      Buffer.from((await part.Body?.transformToByteArray()) ?? []),
      bodyOf(PART_BYTES).subarray(200_000, 200_100),
    )
    const { TagSet = [] } = await client.send(new GetObjectTaggingCommand({ Bucket, Key }))
    assert.equal(TagSet[0]?.Value, MARKS.tag)
    const head = await client.send(new HeadObjectCommand({ Bucket, Key }))
    assert.equal(head.ServerSideEncryption, undefined, "clients do not see what is only encrypted at rest")
  }
}

/**
 * Writes two rounds in two processes, of which the first was stopped, and the second was killed: its log has what it wrote
 * last. `between` runs while the store is stopped after the first.
 */
export async function used(
  folder: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  between: (folders: readonly string[]) => Promise<void> = () => Promise.resolve(),
): Promise<ServerProcess> {
  const folders = ["d1", "d2", "d3", "d4"].map(name => join(folder, name))
  const server = await ServerProcess.start({ folders, args: [...args, "--block-size", "1MiB"], env })
  await withClient(server, async client => {
    await client.send(new CreateBucketCommand({ Bucket }))
    await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: "Enabled" } }))
    await fill(client, "first")
  })
  await server.stop()
  await between(folders)
  await server.launch()
  await withClient(server, client => fill(client, "second"))
  await server.kill()
  return server
}
