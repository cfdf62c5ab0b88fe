/**
 * Object lock in a rescue from folder to folder: `hayloft rescue` writes versions with their locks into a new store, which
 * then serves them, and a rescue that is repeated writes nothing twice although it cannot remove anything.
 */
import assert from "node:assert/strict"
import { readFile, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import {
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectLockConfigurationCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  PutObjectLegalHoldCommand,
  PutObjectLockConfigurationCommand,
  type S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3"
import { run } from "../harness/commands.js"
import { quietParent, withFolder } from "../harness/folders.js"
import { withClient } from "../harness/sdk-client.js"
import { HAYLOFT, ServerProcess } from "../harness/server.js"
import { until } from "@hayloft/base/seams/clock/testing-until.js"

const BUCKET = "ledger"
const UNTIL = new Date(Date.UTC(2200, 0))
/** A retention has to end in the future when it is set. */
const SOON_MS = 6_000

/** A null version, versions with and without a lock, one whose retention is over soon, a delete marker, and parts. */
async function fill(client: S3Client): Promise<void> {
  const put = (Key: string, text: string, lock: object = {}) =>
    client.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body: text, ...lock }))
  const compliance = (until: Date) => ({ ObjectLockMode: "COMPLIANCE", ObjectLockRetainUntilDate: until }) as const
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }))
  await put("key", "null version")
  await client.send(new PutBucketVersioningCommand({ Bucket: BUCKET, VersioningConfiguration: { Status: "Enabled" } }))
  const lock = (Rule?: object) =>
    client.send(
      new PutObjectLockConfigurationCommand({
        Bucket: BUCKET,
        ObjectLockConfiguration: { ObjectLockEnabled: "Enabled", ...(Rule && { Rule }) },
      }),
    )
  await lock()
  await put("key", "not locked")
  await put("key", "locked", compliance(UNTIL))
  await client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: "key" }))
  const soon = () => compliance(new Date(Date.now() + SOON_MS))
  await put("over", "its retention is over", soon())
  await put("twin", "removed when it is over", soon())
  await lock({ DefaultRetention: { Mode: "GOVERNANCE", Days: 3 } })
  await put("held", "by default, and held")
  await client.send(new PutObjectLegalHoldCommand({ Bucket: BUCKET, Key: "held", LegalHold: { Status: "ON" } }))
  const { UploadId } = await client.send(
    new CreateMultipartUploadCommand({ Bucket: BUCKET, Key: "parts", ...compliance(UNTIL) }),
  )
  const target = { Bucket: BUCKET, Key: "parts", UploadId }
  const { ETag } = await client.send(new UploadPartCommand({ ...target, PartNumber: 1, Body: "the only part" }))
  await client.send(
    new CompleteMultipartUploadCommand({ ...target, MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] } }),
  )
}

/** Until the retention that ends soon is over. */
async function untilOver(client: S3Client): Promise<void> {
  const { Versions = [] } = await client.send(new ListObjectVersionsCommand({ Bucket: BUCKET, Prefix: "twin" }))
  const command = new DeleteObjectCommand({ Bucket: BUCKET, Key: "twin", VersionId: Versions[0]?.VersionId })
  const isRemoved = () =>
    client.send(command).then(
      () => true,
      () => false,
    )
  await until("the retention is over", isRemoved)
}

async function check(client: S3Client): Promise<void> {
  const { Versions = [], DeleteMarkers = [] } = await client.send(new ListObjectVersionsCommand({ Bucket: BUCKET }))
  assert.deepEqual(
    Versions.map(({ Key, Size }) => `${Key} ${Size}`),
    ["held 20", "key 6", "key 10", "key 12", "over 21", "parts 13"],
  )
  assert.equal(DeleteMarkers.length, 1)
  const lockOf = async (Key: string, at = 0) => {
    const VersionId = Versions.filter(version => version.Key === Key)[at]?.VersionId
    const head = await client.send(new HeadObjectCommand({ Bucket: BUCKET, Key, VersionId }))
    return [head.ObjectLockMode, head.ObjectLockRetainUntilDate?.getTime(), head.ObjectLockLegalHoldStatus]
  }
  const none = [undefined, undefined, undefined]
  assert.deepEqual(await lockOf("key", 0), ["COMPLIANCE", UNTIL.getTime(), undefined])
  assert.deepEqual(await lockOf("key", 1), none)
  assert.deepEqual(await lockOf("key", 2), none)
  assert.deepEqual(await lockOf("parts"), ["COMPLIANCE", UNTIL.getTime(), undefined])
  const [mode, untilMs = 0, hold] = await lockOf("held")
  assert.deepEqual([mode, hold], ["GOVERNANCE", "ON"])
  assert.ok(Number(untilMs) > Date.now() + 2 * 86_400_000)
  const { ObjectLockConfiguration } = await client.send(new GetObjectLockConfigurationCommand({ Bucket: BUCKET }))
  assert.deepEqual(ObjectLockConfiguration?.Rule?.DefaultRetention, { Mode: "GOVERNANCE", Days: 3 })
  const locked = Versions.find(({ Size }) => Size === 6)?.VersionId
  await assert.rejects(
    client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: "key", VersionId: locked })),
    /protected by object lock/,
  )
}

test("a rescue keeps locks, names their buckets, and may be repeated", { timeout: 300_000 }, () =>
  withFolder(async folder => {
    const [from, to] = [join(folder, "from"), join(folder, "to")]
    const server = await ServerProcess.start({ folders: [from] })
    await withClient(server, async client => {
      await fill(client)
      await untilOver(client)
      await server.backUp()
    })
    await server.kill()
    const rescue = async (...more: readonly string[]) =>
      run(process.execPath, [HAYLOFT, "rescue", "--json", "--from", from, "--to", to, ...more])
    const refused = await rescue()
    assert.notEqual(refused.code, 0)
    assert.match(refused.stderr, /--locked-buckets ledger/)
    const mark = join(to, "rescue")
    const marked = await readFile(mark)
    assert.ok(marked.length > 0)
    const listen = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
    const served = await run(process.execPath, [HAYLOFT, "serve", "--data", to, ...listen])
    assert.notEqual(served.code, 0)
    assert.match(served.stderr, /hayloft rescue has not completed/)
    const named = ["--locked-buckets", BUCKET]
    const done = await rescue(...named)
    assert.equal(done.code, 0, done.stderr)
    assert.match(done.stdout, /"lockedBuckets":\["ledger"\]/)
    // This simulates an interruption at the very end.
    await writeFile(mark, marked)
    const again = await rescue(...named)
    assert.equal(again.code, 0, again.stderr)
    await rm(from, { recursive: true })
    const rescued = await ServerProcess.start({ folders: [to] })
    await withClient(rescued, check)
    await rescued.kill()
  }, quietParent()),
)
