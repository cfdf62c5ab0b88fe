/**
 * Encrypted objects in a rescue from folder to folder: `hayloft rescue` copies them as they are, with the keys of their
 * buckets, and the new store serves them to those who have the keys of clients. A rescued store can be rescued again.
 */
import assert from "node:assert/strict"
import { createHash, randomBytes } from "node:crypto"
import { rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import {
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3"
import { run } from "../harness/commands.js"
import { quietParent, withFolder } from "../harness/folders.js"
import { withClient } from "../harness/sdk-client.js"
import { HAYLOFT, ServerProcess } from "../harness/server.js"
import { until } from "@hayloft/base/seams/clock/testing-until.js"

const BUCKET = "private"
const PART_BYTES = 5 * 1024 * 1024
const CLIENT_KEY = createHash("sha256").update("a client's key").digest()
const OTHER_KEY = createHash("sha256").update("another key").digest()
const customer = (key: Buffer) => ({
  SSECustomerAlgorithm: "AES256",
  SSECustomerKey: key.toString("base64"),
  SSECustomerKeyMD5: createHash("md5").update(key).digest("base64"),
})
const KMS = { ServerSideEncryption: "aws:kms" } as const
const OF_BUCKET = { ...KMS, BucketKeyEnabled: true }
const MODES = ["s3", "client", "kms", "bucket key", "plain"]
const isRandom = (key: string): boolean => ["client", "kms", "bucket key"].some(mode => key.startsWith(mode))
const S3 = { ServerSideEncryption: "AES256" } as const
const SERVE = ["--allow-sse-c-without-tls"]

interface Stored {
  readonly body: Buffer
  readonly etag: string | undefined
}

class Contents {
  readonly stored = new Map<string, Stored>()

  constructor(private readonly client: S3Client) {}

  async put(Key: string, body: Buffer): Promise<void> {
    const [mode = ""] = /^[a-z3]+( key)?/.exec(Key) ?? []
    const how = { client: customer(CLIENT_KEY), s3: S3, kms: KMS, "bucket key": OF_BUCKET }[mode] ?? {}
    const { ETag } = await this.client.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body: body, ...how }))
    this.stored.set(Key, { body, etag: ETag })
  }

  async putParts(Key: string): Promise<void> {
    const key = Key.startsWith("client") ? customer(CLIENT_KEY) : {}
    const how = Key.startsWith("client") ? key : Key.startsWith("plain") ? {} : S3
    const { UploadId } = await this.client.send(new CreateMultipartUploadCommand({ Bucket: BUCKET, Key, ...how }))
    const target = { Bucket: BUCKET, Key, UploadId }
    const bodies = [randomBytes(PART_BYTES), randomBytes(70_001)]
    const Parts: { PartNumber: number; ETag: string | undefined }[] = []
    for (const [i, Body] of bodies.entries()) {
      const part = { ...target, PartNumber: i + 1, Body, ...key }
      Parts.push({ PartNumber: i + 1, ETag: (await this.client.send(new UploadPartCommand(part))).ETag })
    }
    const { ETag } = await this.client.send(
      new CompleteMultipartUploadCommand({ ...target, MultipartUpload: { Parts } }),
    )
    this.stored.set(Key, { body: Buffer.concat(bodies), etag: ETag })
  }
}

const SIZES = [100, 5_000, 100_000, 5_000_007]

async function check(client: S3Client, stored: ReadonlyMap<string, Stored>): Promise<void> {
  for (const [Key, { body, etag }] of stored) {
    const isClients = Key.startsWith("client")
    const get = (key: object) => client.send(new GetObjectCommand({ Bucket: BUCKET, Key, ...key }))
    const read = await get(isClients ? customer(CLIENT_KEY) : {})
    assert.ok(body.equals((await read.Body?.transformToByteArray()) ?? Buffer.alloc(0)), Key)
    const shown = Key.startsWith("s3") ? "AES256" : isRandom(Key) && !isClients ? "aws:kms" : undefined
    assert.equal(read.ServerSideEncryption, shown, Key)
    if (etag !== undefined) assert.equal(read.ETag, etag, Key)
    if (!isClients) continue
    await assert.rejects(get({}), Key)
    await assert.rejects(get(customer(OTHER_KEY)), Key)
  }
}

const NO_SNAPSHOT = /no snapshot of the metadata was found/

/** Returns the report. `lacks`: the complaint with which the command fails; undefined: it succeeds. */
const rescue = async (from: string, to: string, more: readonly string[] = [], lacks?: RegExp, env = {}) => {
  const args = [HAYLOFT, "rescue", "--json", "--from", from, "--to", to, ...more]
  const { code, stdout, stderr } = await run(process.execPath, args, { env })
  assert.equal(code, lacks === undefined ? 0 : 1, stderr)
  assert.match(stderr, lacks ?? /(?:)/)
  return stdout
}

test("encrypted objects are rescued as they are, with and without a snapshot, and again", { timeout: 300_000 }, () =>
  withFolder(async folder => {
    const at = (name: string) => join(folder, name)
    const server = await ServerProcess.start({ folders: [at("from")], args: SERVE })
    const stored = await withClient(server, async client => {
      await client.send(new CreateBucketCommand({ Bucket: BUCKET }))
      const contents = new Contents(client)
      for (const size of SIZES) for (const mode of MODES) await contents.put(`${mode} ${size}`, randomBytes(size))
      await contents.putParts("s3 parts")
      await contents.putParts("client parts")
      await server.backUp()
      await server.kill()
      return contents.stored
    })
    await rescue(at("from"), at("to"))
    await rm(at("from"), { recursive: true })
    const second = await ServerProcess.start({ folders: [at("to")], args: SERVE })
    await withClient(second, async client => {
      await check(client, stored)
      const contents = new Contents(client)
      await contents.put("s3 new", randomBytes(100_000))
      for (const [key, value] of contents.stored) stored.set(key, value)
    })
    await second.kill()
    // Only needles are left: nothing but shards and the control record tells of keys.
    await rm(join(at("to"), "base"), { recursive: true, force: true })
    await rm(join(at("to"), "log"), { recursive: true, force: true })
    await rescue(at("to"), at("again"), [], NO_SNAPSHOT)
    for (const [key, { body }] of [...stored]) {
      // Small ones are only in rows; of the others nothing but their bytes is left, and ETags that are digests.
      if (body.length < 4_096) stored.delete(key)
      else if (isRandom(key)) stored.set(key, { body, etag: undefined })
    }
    const third = await ServerProcess.start({ folders: [at("again")], args: SERVE })
    await withClient(third, client => check(client, stored))
    await third.kill()
  }, quietParent()),
)

test("plain objects that the new store encrypts do not cost the others of their bucket", { timeout: 300_000 }, () =>
  withFolder(async folder => {
    const at = (name: string) => join(folder, name)
    const masterKey = at("master.key")
    await writeFile(masterKey, randomBytes(32).toString("hex"), { mode: 0o600 })
    const server = await ServerProcess.start({ folders: [at("from")], args: SERVE })
    const stored = await withClient(server, async client => {
      await client.send(new CreateBucketCommand({ Bucket: BUCKET }))
      const contents = new Contents(client)
      // The first ones that a rescue writes, as many as it writes at the same time and more.
      for (let i = 10; i < 30; i += 1) await contents.put(`a plain ${i}`, randomBytes(100))
      await contents.put("s3 small", randomBytes(100))
      await contents.put("s3 large", randomBytes(100_000))
      await server.backUp()
      await server.kill()
      return contents.stored
    })
    const args = ["--master-key-file", masterKey]
    await rescue(at("from"), at("to"), args, undefined, { HAYLOFT_ENCRYPT_AT_REST: "yes" })
    const rescued = await ServerProcess.start({ folders: [at("to")], args: [...SERVE, ...args] })
    await withClient(rescued, client => check(client, stored))
    await rescued.kill()
  }, quietParent()),
)

test("without its keys nothing encrypted is rescued, and all of it is named", { timeout: 300_000 }, () =>
  withFolder(async folder => {
    const at = (name: string) => join(folder, name)
    const [masterKey, wrongKey] = [at("master.key"), at("wrong.key")]
    await writeFile(masterKey, randomBytes(32).toString("hex"), { mode: 0o600 })
    await writeFile(wrongKey, randomBytes(32).toString("hex"), { mode: 0o600 })
    const server = await ServerProcess.start({
      folders: [at("from")],
      args: [...SERVE, "--master-key-file", masterKey],
    })
    const stored = await withClient(server, async client => {
      await client.send(new CreateBucketCommand({ Bucket: BUCKET }))
      const contents = new Contents(client)
      for (const mode of MODES) await contents.put(`${mode} 100000`, randomBytes(100_000))
      return contents.stored
    })
    await server.kill()
    for (const [name, args] of [
      ["missing", []],
      ["wrong", ["--master-key-file", wrongKey]],
    ] as const) {
      const report = await rescue(at("from"), at(`to ${name}`), args, /incomplete objects not rescued/)
      for (const key of ["s3 100000", "client 100000", "kms 100000", "bucket key 100000"])
        assert.match(report, new RegExp(`"list":"incomplete"[^\n]*"key":"${key}"[^\n]*encrypted[^\n]*master key`))
      assert.match(report, /"list":"probable"[^\n]*"key":"plain 100000"[^\n]*"isWritten":true/)
    }
    await rescue(at("from"), at("to"), ["--master-key-file", masterKey], NO_SNAPSHOT)
    const rescued = await ServerProcess.start({ folders: [at("to")], args: [...SERVE, "--master-key-file", masterKey] })
    const inNeedles = new Map(Array.from(stored, ([key, { body }]) => [key, { body, etag: undefined }]))
    await withClient(rescued, client => check(client, inNeedles))
    await rescued.kill()
  }, quietParent()),
)

/** Waits until the job that encrypts existing objects says this. */
async function untilEncrypting(server: ServerProcess, what: RegExp): Promise<void> {
  await until(String(what), async () => what.test(JSON.stringify(await server.report("/v1/jobs"))))
}

test(
  "objects that were encrypted since the snapshot are rescued, as are those that were about to be",
  { timeout: 300_000 },
  () =>
    withFolder(async folder => {
      const at = (name: string) => join(folder, name)
      const keyFile = at("master.key")
      await writeFile(keyFile, randomBytes(32).toString("hex"))
      const env = { HAYLOFT_MASTER_KEY_FILE: keyFile }
      const plain = await ServerProcess.start({ folders: [at("from")], args: SERVE, env })
      const stored = await withClient(plain, async client => {
        await client.send(new CreateBucketCommand({ Bucket: BUCKET }))
        const contents = new Contents(client)
        for (const size of SIZES)
          for (const copy of [1, 2, 3]) await contents.put(`plain ${size} ${copy}`, randomBytes(size))
        await contents.putParts("plain parts")
        await plain.backUp()
        await plain.kill()
        return contents.stored
      })
      const args = ["--metadata-backup-every", "24h", "--encrypt-at-rest"]
      const server = await ServerProcess.start({ folders: [at("from")], args, env })
      for (const [i, what] of [/encrypted: [1-9]\d? %/, /all objects are encrypted/].entries()) {
        if (i > 0) await server.launch()
        await untilEncrypting(server, what)
        await server.kill()
        await rescue(at("from"), at(`to${i}`), [], undefined, env)
        const second = await ServerProcess.start({ folders: [at(`to${i}`)], args: SERVE, env })
        await withClient(second, client => check(client, stored))
        await second.kill()
      }
    }, quietParent()),
)
