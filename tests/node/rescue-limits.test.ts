/**
 * What operators have set in a rescue from folder to folder: `hayloft rescue` brings the redundancy of storage classes,
 * restores of archives until their end, quotas, which hold again but refuse nothing that is rescued, and undelete, which keeps
 * nothing of what is rescued; also by a rescue that is repeated.
 */
import assert from "node:assert/strict"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { setTimeout as wait } from "node:timers/promises"
import {
  CreateBucketCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutBucketTaggingCommand,
  PutObjectCommand,
  RestoreObjectCommand,
  type S3Client,
} from "@aws-sdk/client-s3"
import { run } from "../harness/commands.js"
import { withFolder } from "../harness/folders.js"
import { withClient } from "../harness/sdk-client.js"
import { HAYLOFT, ServerProcess } from "../harness/server.js"

const BUCKET = "archive"
const BODY = Buffer.alloc(100_000, "cold")
/** Less than what is stored: it was lowered. */
const LIMIT_BYTES = 150_000
const LOOK_MS = 100

const put = (client: S3Client, Key: string, StorageClass?: "GLACIER") =>
  client.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body: BODY, ...(StorageClass && { StorageClass }) }))

const restoreOf = async (client: S3Client, Key: string) =>
  (await client.send(new HeadObjectCommand({ Bucket: BUCKET, Key }))).Restore

async function fill(server: ServerProcess, client: S3Client): Promise<string | undefined> {
  const hayloft = async (...args: readonly string[]) => {
    const { code, stderr } = await server.hayloft(args)
    assert.equal(code, 0, stderr)
  }
  await hayloft("class", "set", "GLACIER", "replica:3", "--yes")
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }))
  for (const key of ["restored", "asleep"]) await put(client, key, "GLACIER")
  const restore = { Bucket: BUCKET, Key: "restored", RestoreRequest: { Days: 3 } }
  await client.send(new RestoreObjectCommand(restore))
  await hayloft("quota", "set", BUCKET, "--bytes", String(LIMIT_BYTES))
  await hayloft("bucket", "undelete", "enable", BUCKET, "--days", "7")
  return restoreOf(client, "restored")
}

/** A snapshot that ended after now began after it, or the next one does. */
async function backUp(server: ServerProcess, client: S3Client): Promise<void> {
  await client.send(new CreateBucketCommand({ Bucket: "trigger" }))
  for (let sinceMs = Date.now(), lastMs = 0, seen = 0; seen < 2; await wait(LOOK_MS)) {
    const jobs = JSON.stringify(await server.report("/v1/jobs"))
    lastMs = Date.parse(/the last snapshot is from ([^ ,]+)/.exec(jobs)?.[1] ?? "")
    if (!(lastMs > sinceMs)) continue
    seen += 1
    sinceMs = Date.now()
    await client.send(new PutBucketTaggingCommand({ Bucket: "trigger", Tagging: { TagSet: [] } }))
  }
}

test(
  "a rescue brings the redundancy of classes, restores until their end, quotas and undelete",
  { timeout: 300_000 },
  () =>
    withFolder(async folder => {
      const numbers = [1, 2, 3]
      const [from, to] = ["from", "to"].map(side => numbers.map(number => join(folder, `${side}${number}`)))
      assert.ok(from && to)
      const server = await ServerProcess.start({ folders: from, args: ["--metadata-backup-every", "1s"] })
      const storeId = /"storeId":"([^"]+)"/.exec(JSON.stringify(await server.report("/v1/status")))?.[1]
      let restored: string | undefined
      await withClient(server, async client => {
        restored = await fill(server, client)
        await backUp(server, client)
      })
      assert.ok(restored)
      await server.kill()
      const rescue = () => run(process.execPath, [HAYLOFT, "rescue", "--json", "--from", ...from, "--to", ...to])
      const done = await rescue()
      assert.equal(done.code, 0, done.stderr)
      // As if it had been interrupted at the very end: quotas and undelete are set by then.
      for (const path of to) await writeFile(join(path, "rescue"), `${storeId}\n`)
      const again = await rescue()
      assert.equal(again.code, 0, again.stderr)
      assert.match(done.stdout, /"kind":"class","name":"GLACIER"/)
      const rescued = await ServerProcess.start({ folders: to })
      await withClient(rescued, async client => {
        assert.equal(await restoreOf(client, "restored"), restored)
        const { Body } = await client.send(new GetObjectCommand({ Bucket: BUCKET, Key: "restored" }))
        assert.ok(Buffer.from((await Body?.transformToByteArray()) ?? []).equals(BODY))
        assert.equal(await restoreOf(client, "asleep"), undefined)
        await assert.rejects(client.send(new GetObjectCommand({ Bucket: BUCKET, Key: "asleep" })), /storage class/)
        await assert.rejects(put(client, "more"), /exceed its quota/)
        const { stdout } = await rescued.hayloft(["class", "list", "--json"])
        assert.match(stdout, /GLACIER.*replica:3/s)
        const undelete = await rescued.report(`/v1/buckets/${BUCKET}/undelete`)
        assert.deepEqual(undelete, { days: 7, kept: { objects: 0, bytes: 0 } })
      })
      await rescued.kill()
    }),
)
