/**
 * Stores with `--encrypt-at-rest` whose rows are in a database: nothing of an object but its name is readable in any file
 * of the PostgreSQL server, its log included, nor in any data folder. Real processes, and a real PostgreSQL.
 */
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import {
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  PutBucketPolicyCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3"
import { z } from "zod"
import { hayloftHere } from "../harness/command-here.js"
import { quietParent, withFolder } from "../harness/folders.js"
import { TestNodes, type TestNode } from "../harness/nodes.js"
import { noPostgres } from "../harness/postgres.js"
import { readable } from "../harness/readable.js"
import { Databases } from "../sql/databases.js"
import { MovableStore } from "./movable-store.js"
import { areSettled, statusOf } from "./stores.js"

/** The texts that nobody may read. */
const MARKS = {
  body: "nobody-may-read-body",
  metadata: "nobody-may-read-metadata",
  tag: "nobody-may-read-tag",
  type: "text/nobody-may-read-type",
  policy: "nobody-may-read-policy",
} as const
/** Names are in row keys, but in nothing else. */
const NAMES = { bucket: "a-name-of-a-bucket", key: "a-name-of-a-key" } as const
/** The last one is not in a row. */
const SIZES = [0, 1_000, 4_096, 20_000]
const PART_BYTES = 10_000
const Bucket = NAMES.bucket

const bodyOf = (lengthBytes: number): Buffer => Buffer.alloc(lengthBytes, `${MARKS.body} `)
const described = {
  Metadata: { note: MARKS.metadata },
  Tagging: `mark=${MARKS.tag}`,
  ContentType: MARKS.type,
} as const

/** Encrypted stores are first in it: the last test finds everything in the files of its server. */
let databases: Databases

if (noPostgres === false) {
  before(async () => {
    databases = await Databases.start()
  })
  after(() => databases.stop())
}

type Access = TestNode["access"]

async function withClient<T>({ endpoint, region, ...credentials }: Access, use: (client: S3Client) => Promise<T>) {
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true })
  try {
    return await use(client)
  } finally {
    client.destroy()
  }
}

async function makeBucket(client: S3Client): Promise<void> {
  await client.send(new CreateBucketCommand({ Bucket }))
  await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: "Enabled" } }))
  const statement = { Sid: "nobodymayread", Effect: "Deny", Principal: "*", Action: "s3:DeleteBucket" }
  const Resource = `arn:aws:s3:::${Bucket}`
  const Condition = { StringEquals: { "aws:UserAgent": MARKS.policy } }
  const Policy = JSON.stringify({ Version: "2012-10-17", Statement: [{ ...statement, Resource, Condition }] })
  await client.send(new PutBucketPolicyCommand({ Bucket, Policy }))
}

async function fill(client: S3Client, round: string): Promise<void> {
  for (const size of SIZES) {
    const Key = `${NAMES.key}/${round}/${size}`
    for (let version = 0; version < 2; version += 1)
      await client.send(new PutObjectCommand({ Bucket, Key, Body: bodyOf(size), ...described }))
  }
  const target = { Bucket, Key: `${NAMES.key}/${round}/parts` }
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ ...target, ...described }))
  const part = { ...target, UploadId, PartNumber: 1, Body: bodyOf(PART_BYTES) }
  const { ETag } = await client.send(new UploadPartCommand(part))
  const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] }
  await client.send(new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload }))
  // One that stays open.
  const open = await client.send(new CreateMultipartUploadCommand({ ...target, Key: `${target.Key} 2`, ...described }))
  await client.send(new UploadPartCommand({ ...part, Key: `${target.Key} 2`, UploadId: open.UploadId }))
}

async function check(client: S3Client, round: string): Promise<void> {
  const found = [...SIZES.map(size => [String(size), size] as const), ["parts", PART_BYTES] as const]
  for (const [name, size] of found) {
    const Key = `${NAMES.key}/${round}/${name}`
    const { Body, ContentType, Metadata } = await client.send(new GetObjectCommand({ Bucket, Key }))
    assert.ok(Buffer.from((await Body?.transformToByteArray()) ?? []).equals(bodyOf(size)), Key)
    assert.deepEqual([ContentType, Metadata?.["note"]], [MARKS.type, MARKS.metadata])
    const { TagSet = [] } = await client.send(new GetObjectTaggingCommand({ Bucket, Key }))
    assert.equal(TagSet[0]?.Value, MARKS.tag)
  }
}

/** Returns the contents of the columns of all rows, beside their keys, of all families but that of coordination. */
async function contentOf(url: string): Promise<Buffer> {
  const columns = ["value", "head", "payload"].map(name => `coalesce(encode(${name}, 'hex'), '')`)
  const name = new URL(url).pathname.slice(1)
  const lines = await databases.server.sql(`SELECT ${columns.join(", ")} FROM hayloft.rows WHERE family <> 28`, name)
  return Buffer.concat(lines.split(/\s+/).map(hex => Buffer.from(hex, "hex")))
}

/** Files of the server: tables, their index, and its log of all changes. */
async function nothingReadable(
  url: string,
  folders: readonly string[],
  secrets: readonly string[] = [],
): Promise<void> {
  const { server } = databases
  await server.sql("CHECKPOINT")
  const hidden = [...Object.values(MARKS), ...secrets]
  assert.deepEqual([...(await readable([server.folder], hidden))], [], "files of the server")
  const marks = [...hidden, ...Object.values(NAMES)]
  const columns = await contentOf(url)
  assert.ok(columns.length > 10_000, "there are rows")
  for (const mark of marks) assert.ok(!columns.includes(mark), mark)
  assert.deepEqual([...(await readable(folders, marks))], [], "files of the nodes")
}

const SECRET = z.object({ secretAccessKey: z.string() })

/** The secret of a new access key. */
async function newSecret(node: TestNode): Promise<string> {
  const admin = await node.admin()
  try {
    return SECRET.parse(await admin.post("/v1/keys", {})).secretAccessKey
  } finally {
    admin.close()
  }
}

async function withEncryptedNodes(work: (nodes: TestNodes) => Promise<void>): Promise<void> {
  await withFolder(async folder => {
    const args = ["--encrypt-at-rest", "--metadata-backup-every", "1s"]
    const nodes = await TestNodes.start(folder, { nodes: 2, foldersEach: 1, isHurried: true, databases, args })
    try {
      await areSettled(nodes.at(1), 2)
      await work(nodes)
    } catch (error) {
      if (process.env["SHOW"]) for (const node of nodes.all) console.error(node.name, node.output)
      throw error
    } finally {
      await nodes.end()
    }
  }, quietParent())
}

test(
  "nothing but names is readable in the database and the folders of nodes with --encrypt-at-rest",
  { skip: noPostgres, timeout: 240_000 },
  () =>
    withEncryptedNodes(async nodes => {
      const [one, two] = [nodes.at(1), nodes.at(2)]
      const folders = nodes.all.flatMap(node => node.folders)
      await withClient(one.access, async client => {
        await makeBucket(client)
        await fill(client, "first")
      })
      const secret = await newSecret(one)
      await withClient(two.access, client => check(client, "first"))
      const env = { HAYLOFT_MASTER_KEY_FILE: nodes.masterKeyFile ?? "" }
      assert.equal((await statusOf(two)).isEncryptedAtRest, true)
      const { stdout } = await hayloftHere(["status", "--data", two.folders[0] ?? ""], env)
      assert.match(stdout, /encryption +everything on the devices, at rest; values of rows in the database, but not/)
      await nothingReadable(nodes.url, folders, [secret])
      // One is killed; the other writes alone, and both go on. The switch is stored.
      await two.kill()
      await withClient(one.access, client => fill(client, "second"))
      await two.start()
      await withClient(two.access, async client => {
        for (const round of ["first", "second"]) await check(client, round)
        await fill(client, "third")
      })
      // A gateway, which has no device of its own.
      const gateway = await nodes.add(0, { zone: "a" })
      await gateway.start()
      await withClient(gateway.access, client => check(client, "third"))
      await nothingReadable(nodes.url, folders, [secret])
    }),
)

test(
  "a store encrypted at rest stays encrypted when it moves to a database and back",
  { skip: noPostgres, timeout: 240_000 },
  () =>
    withFolder(async folder => {
      const store = await MovableStore.create(folder, 1, ["--encrypt-at-rest"])
      try {
        const url = await databases.create()
        await store.start()
        await withClient(store.access, async client => {
          await makeBucket(client)
          await fill(client, "on devices")
        })
        await store.beginInit(url)
        assert.equal(await store.conversion(), "done")
        await withClient(store.access, async client => {
          await check(client, "on devices")
          await fill(client, "in the database")
        })
        await nothingReadable(url, store.folders)
        await store.stop()
        await store.start(url)
        await withClient(store.access, client => check(client, "in the database"))
        await store.beginLeave()
        assert.equal(await store.conversion(), "done")
        await withClient(store.access, async client => {
          for (const round of ["on devices", "in the database"]) await check(client, round)
          await fill(client, "on devices again")
        })
        await store.stop()
        await nothingReadable(url, store.folders)
        await store.start()
        const rounds = ["on devices", "in the database", "on devices again"]
        await withClient(store.access, async client => {
          for (const round of rounds) await check(client, round)
        })
      } catch (error) {
        if (process.env["SHOW"]) console.error(store.process?.output)
        throw error
      } finally {
        await store.stop()
      }
    }, quietParent()),
)

test("the same search finds everything in a database of a store without --encrypt-at-rest", { skip: noPostgres }, () =>
  withFolder(async folder => {
    const nodes = await TestNodes.start(folder, { nodes: 1, foldersEach: 1, databases })
    try {
      const node = nodes.at(1)
      await withClient(node.access, async client => {
        await makeBucket(client)
        await fill(client, "plain")
      })
      const columns = await contentOf(nodes.url)
      for (const mark of [...Object.values(MARKS), NAMES.bucket]) assert.ok(columns.includes(mark), mark)
      await node.stop()
      // A store that exists is not encrypted afterwards.
      assert.match(
        await Promise.resolve(node.start(["--encrypt-at-rest"])).then(
          () => "started",
          (error: unknown) => String(error) + node.output,
        ),
        /created without --encrypt-at-rest, and its rows in the database cannot be encrypted now/,
      )
    } finally {
      await nodes.end()
    }
  }, quietParent()),
)
