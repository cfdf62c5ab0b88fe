/**
 * A store with `--encrypt-at-rest`: no name, body, metadata or tag of an object is in any file of any of its folders.
 * The same search in a store without the switch finds them.
 */
import assert from "node:assert/strict"
import { mkdir, readdir, rm, stat, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { setTimeout as wait } from "node:timers/promises"
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
import { run } from "../harness/commands.js"
import { withFolder } from "../harness/folders.js"
import { readable } from "../harness/readable.js"
import { withClient } from "../harness/sdk-client.js"
import { HAYLOFT, ServerProcess } from "../harness/server.js"

/** What nobody may read, by where it was given. */
const MARKS = {
  bucket: "nobody-may-read-bucket",
  key: "nobody-may-read-key",
  body: "nobody-may-read-body",
  metadata: "nobody-may-read-metadata",
  tag: "nobody-may-read-tag",
  type: "text/nobody-may-read-type",
} as const
const ALL_MARKS = Object.values(MARKS)
const MASTER_KEY = "5e".repeat(32)
const SIZES = [0, 1_000, 4_096, 200_000, 9_000_000]

const bodyOf = (lengthBytes: number): Buffer => Buffer.alloc(lengthBytes, `${MARKS.body} `)

const Bucket = MARKS.bucket
const described = {
  Metadata: { note: MARKS.metadata },
  Tagging: `mark=${MARKS.tag}`,
  ContentType: MARKS.type,
} as const

async function fill(client: S3Client, round: string): Promise<void> {
  for (const size of SIZES) {
    await client.send(
      new PutObjectCommand({ Bucket, Key: `${MARKS.key}/${round}/${size}`, Body: bodyOf(size), ...described }),
    )
  }
  const target = { Bucket, Key: `${MARKS.key}/${round}/parts` }
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ ...target, ...described }))
  const { ETag } = await client.send(
    new UploadPartCommand({ ...target, UploadId, PartNumber: 1, Body: bodyOf(6_000_000) }),
  )
  await client.send(
    new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] } }),
  )
  await client.send(new PutObjectCommand({ Bucket, Key: `${MARKS.key}/${round}/gone`, Body: bodyOf(3_000) }))
  await client.send(new DeleteObjectCommand({ Bucket, Key: `${MARKS.key}/${round}/gone` }))
}

/** Everything is there, as it was written. */
async function check(client: S3Client, rounds: readonly string[]): Promise<void> {
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket }))
  assert.equal(Contents.length, rounds.length * (SIZES.length + 1))
  for (const round of rounds) {
    for (const size of SIZES) {
      const Key = `${MARKS.key}/${round}/${size}`
      const { Body, ContentType, Metadata } = await client.send(new GetObjectCommand({ Bucket, Key }))
      const found = Buffer.from((await Body?.transformToByteArray()) ?? [])
      assert.ok(found.equals(bodyOf(size)), Key)
      assert.deepEqual([ContentType, Metadata?.["note"]], [MARKS.type, MARKS.metadata])
    }
    const Key = `${MARKS.key}/${round}/parts`
    const part = await client.send(new GetObjectCommand({ Bucket, Key, Range: "bytes=5000000-5000099" }))
    assert.deepEqual(
      Buffer.from((await part.Body?.transformToByteArray()) ?? []),
      bodyOf(6_000_000).subarray(5e6, 5000100),
    )
    const { TagSet = [] } = await client.send(new GetObjectTaggingCommand({ Bucket, Key }))
    assert.equal(TagSet[0]?.Value, MARKS.tag)
    const head = await client.send(new HeadObjectCommand({ Bucket, Key }))
    assert.equal(head.ServerSideEncryption, undefined, "clients do not see what is only encrypted at rest")
  }
}

const LOOK_MS = 100

async function untilBackedUp(server: ServerProcess): Promise<void> {
  const isThere = async (): Promise<boolean> =>
    /the last snapshot is from/.test(JSON.stringify(await server.report("/v1/jobs")))
  while (!(await isThere())) await wait(LOOK_MS)
}

async function volumeBytesIn(device: string): Promise<number> {
  const folder = join(device, "volumes")
  const names = await readdir(folder)
  const sizes = await Promise.all(names.map(async name => (await stat(join(folder, name))).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}

/** Writes in three processes, of which one is killed: log, checkpoints, merges, backup and repair have run. */
async function used(
  folder: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<ServerProcess> {
  const folders = ["d1", "d2", "d3", "d4"].map(name => join(folder, name))
  const server = await ServerProcess.start({ folders, args, env })
  await withClient(server, async client => {
    await client.send(new CreateBucketCommand({ Bucket }))
    await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: "Enabled" } }))
    await fill(client, "first")
  })
  await server.stop()
  await server.launch()
  await withClient(server, client => fill(client, "second"))
  await server.kill()
  await server.launch()
  await withClient(server, async client => {
    await fill(client, "third")
    await check(client, ["first", "second", "third"])
  })
  return server
}

test("nothing of an object is readable in the folders of a store with --encrypt-at-rest", { timeout: 240_000 }, () =>
  withFolder(async folder => {
    const keyFile = join(folder, "master.key")
    await writeFile(keyFile, MASTER_KEY)
    const [args, env] = [["--metadata-backup-every", "1s"], { HAYLOFT_MASTER_KEY_FILE: keyFile }]
    const folders = ["d1", "d2", "d3", "d4"].map(name => join(folder, name))
    const server = await used(folder, [...args, "--encrypt-at-rest"], env)
    assert.deepEqual([...(await readable(folders, ALL_MARKS))], [], "while it runs")
    const status = await run(process.execPath, [HAYLOFT, "status", "--data", folders[0] ?? ""], { env })
    assert.match(status.stdout, /encryption +everything on the devices, at rest/)
    await untilBackedUp(server)
    await server.stop()
    assert.deepEqual([...(await readable(folders, ALL_MARKS))], [], "after a stop")
    // The switch is stored: a start without it goes on.
    const again = await ServerProcess.start({ folders, args, env })
    await withClient(again, client => check(client, ["first", "second", "third"]))
    await again.stop()
    // Repair rebuilds the device in the emptied folder.
    await rm(join(folder, "d2"), { recursive: true })
    await mkdir(join(folder, "d2"))
    const repaired = await ServerProcess.start({ folders, args, env })
    await withClient(repaired, async client => {
      await check(client, ["first", "second", "third"])
      await fill(client, "fourth")
    })
    while ((await volumeBytesIn(join(folder, "d2"))) < 9_000_000) await wait(LOOK_MS)
    await repaired.stop()
    assert.deepEqual([...(await readable(folders, ALL_MARKS))], [], "after a repair")
  }),
)

test("the same search finds the marks in a store without --encrypt-at-rest", () =>
  withFolder(async folder => {
    const server = await used(folder, [])
    await server.stop()
    const found = await readable(
      ["d1", "d2", "d3", "d4"].map(name => join(folder, name)),
      ALL_MARKS,
    )
    for (const mark of ALL_MARKS) {
      assert.ok(
        [...found.values()].some(marks => marks.includes(mark)),
        mark,
      )
    }
  }))

test("--encrypt-at-rest is refused without a key file, and for a store that is not encrypted", () =>
  withFolder(async folder => {
    const data = join(folder, "d")
    const keyFile = join(folder, "master.key")
    await writeFile(keyFile, MASTER_KEY)
    const refusal = async (...args: string[]): Promise<string> => {
      const { code, stderr } = await run(process.execPath, [HAYLOFT, "serve", "--data", data, ...args])
      assert.notEqual(code, 0)
      return stderr
    }
    assert.match(await refusal("--encrypt-at-rest"), /--master-key-file.*hayloft key move-out/)
    const server = await ServerProcess.start({ folders: [data], args: ["--master-key-file", keyFile] })
    await server.stop()
    assert.match(await refusal("--encrypt-at-rest", "--master-key-file", keyFile), /created without --encrypt-at-rest/)
  }))
