/**
 * Tests of what operators have set, in a rescue from folder to folder: `hayloft rescue` brings the redundancy of
 * storage classes, restores of archives until their end, quotas, which hold again but refuse nothing that is rescued,
 * and undelete, which keeps nothing of what is rescued; also by a rescue that is repeated. And K2V items, whose tokens
 * still count, appended bytes, and messages of queues, but for those that must not be delivered twice.
 */
import assert from "node:assert/strict"
import { ACCOUNTS } from "@hayloft/admin/schemas.js"
import { writeFile } from "node:fs/promises"
import { randomBytes } from "node:crypto"
import { join } from "node:path"
import { test } from "node:test"
import {
  CreateBucketCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  RestoreObjectCommand,
  type S3Client,
} from "@aws-sdk/client-s3"
import { adminOf, setSetting } from "../harness/admin-client.js"
import { run } from "../harness/commands.js"
import { freePort } from "../harness/free-port.js"
import { quietParent, withFolder } from "../harness/folders.js"
import { K2vClient } from "../harness/k2v-client.js"
import { QueueClient } from "../harness/queue-client.js"
import { withClient } from "../harness/sdk-client.js"
import { CREDENTIALS, HAYLOFT, ServerProcess } from "../harness/server.js"

const BUCKET = "archive"
const BODY = Buffer.alloc(100_000, "cold")
/** Less than what is stored: it was lowered. */
const LIMIT_BYTES = 150_000
/** Fewer objects than the account has. */
const OF_ACCOUNT = { hardObjects: 2 }

const put = (client: S3Client, Key: string, StorageClass?: "GLACIER") =>
  client.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body: BODY, ...(StorageClass && { StorageClass }) }))

const restoreOf = async (client: S3Client, Key: string) =>
  (await client.send(new HeadObjectCommand({ Bucket: BUCKET, Key }))).Restore

async function fill(server: ServerProcess, client: S3Client, k2v: K2vClient): Promise<string | undefined> {
  const { code, stderr } = await server.hayloft(["class", "set", "GLACIER", "replica:3", "--yes"])
  assert.equal(code, 0, stderr)
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }))
  await fillItem(k2v)
  for (const key of ["restored", "asleep"]) await put(client, key, "GLACIER")
  const restore = { Bucket: BUCKET, Key: "restored", RestoreRequest: { Days: 3 } }
  await client.send(new RestoreObjectCommand(restore))
  const admin = await adminOf(server)
  await admin.post(`/v1/buckets/${BUCKET}/quota`, { hardBytes: LIMIT_BYTES })
  await admin.post(`/v1/buckets/${BUCKET}/undelete`, { days: 7 })
  admin.close()
  return restoreOf(client, "restored")
}

/** The path of the quota of the root account. */
async function quotaOfRoot(server: ServerProcess): Promise<string> {
  const { accounts } = ACCOUNTS.parse(await server.report("/v1/accounts"))
  const root = accounts.find(({ displayName }) => displayName === "root") ?? assert.fail("it has a root account")
  return `/v1/accounts/${root.id}/quota`
}

async function limitRoot(server: ServerProcess): Promise<void> {
  const admin = await adminOf(server)
  await admin.post(await quotaOfRoot(server), OF_ACCOUNT)
  admin.close()
}

const k2vOf = (host: string) => new K2vClient({ host, ...CREDENTIALS }, BUCKET)
const [PARTITION, ITEM] = ["box", "item"]

/** Two values that do not know of each other, one of them large. */
async function fillItem(client: K2vClient): Promise<void> {
  for (const body of ["small", "large".repeat(1_000)])
    assert.equal((await client.insert(PARTITION, ITEM, body)).status, 204)
}

const LINES = Array.from({ length: 70 }, (_, i) => `line ${i} ${"x".repeat(i)}\n`)

/** An object with appends, in several segments. */
async function fillLog(server: ServerProcess): Promise<void> {
  const client = server.client()
  await client.call("PUT", { bucket: "logs" })
  await setSetting(server, "logs", "append")
  for (const body of LINES) {
    const { status } = await client.call("POST", { bucket: "logs", key: "log", query: "append", body })
    assert.equal(status, 200)
  }
  // Bytes whose own object is gone, and a part of them with those of others.
  await client.call("PUT", { bucket: "logs", key: "gone", body: LARGE })
  const copied = { bucket: "logs", key: "kept", headers: { "x-amz-copy-source": "/logs/gone" } }
  assert.equal((await client.call("PUT", copied)).status, 200)
  const begun = await client.call("POST", { bucket: "logs", key: "joined", query: "uploads" })
  const uploadId = /<UploadId>(.*?)<\/UploadId>/.exec(begun.text)?.[1] ?? ""
  const part = (number: number, source: string, range: string) =>
    `<Part><PartNumber>${number}</PartNumber><CopySource>${source}</CopySource><Range>${range}</Range></Part>`
  const body = `<CompleteMultipartUpload>${part(1, "logs/kept", "bytes=1000-1999999")}${part(2, "logs/log", "bytes=5-")}</CompleteMultipartUpload>`
  const joined = await client.call("POST", { bucket: "logs", key: "joined", query: `uploadId=${uploadId}`, body })
  assert.equal(joined.status, 200, joined.text)
  await client.call("DELETE", { bucket: "logs", key: "gone" })
}

const LARGE = randomBytes(2_500_000)

const readItem = (client: K2vClient) => client.read(PARTITION, ITEM, "application/json")

/** One that is being processed, one that must not be delivered twice, and one that waits for a consumer. */
async function fillQueue(client: QueueClient): Promise<void> {
  for (const [body, parameters] of [
    ["taken", ""],
    ["once", "?retry=0"],
    ["large".repeat(10_000), ""],
  ] as const)
    await client.add("mail", body, parameters)
  assert.equal((await client.get("mail")).length, 1)
}

test(
  "a rescue brings the redundancy of classes, restores until their end, quotas, undelete, K2V items, appends and messages",
  { timeout: 300_000 },
  () =>
    withFolder(async folder => {
      const numbers = [1, 2, 3]
      const [from, to] = ["from", "to"].map(side => numbers.map(number => join(folder, `${side}${number}`)))
      assert.ok(from && to)
      const host = `127.0.0.1:${await freePort()}`
      const queueHost = `127.0.0.1:${await freePort()}`
      const args = ["--k2v-listen", host, "--queue-listen", queueHost]
      const queues = new QueueClient({ host: queueHost, ...CREDENTIALS })
      const server = await ServerProcess.start({ folders: from, args })
      const storeId = /"storeId":"([^"]+)"/.exec(JSON.stringify(await server.report("/v1/status")))?.[1]
      let restored: string | undefined
      await withClient(server, async client => {
        restored = await fill(server, client, k2vOf(host))
        await fillLog(server)
        await limitRoot(server)
        await fillQueue(queues)
        await server.backUp()
      })
      const item = await readItem(k2vOf(host))
      assert.ok(restored)
      await server.kill()
      const rescue = () => run(process.execPath, [HAYLOFT, "rescue", "--json", "--from", ...from, "--to", ...to])
      const done = await rescue()
      assert.equal(done.code, 0, done.stderr)
      // This simulates an interruption at the very end: quotas and undelete are set by then.
      for (const path of to) await writeFile(join(path, "rescue"), `${storeId}\n`)
      const again = await rescue()
      assert.equal(again.code, 0, again.stderr)
      assert.match(done.stdout, /"kind":"class","name":"GLACIER"/)
      assert.match(done.stdout, /"kind":"items","bucket":"archive","key":"box",.*"1 item"/)
      const rescued = await ServerProcess.start({ folders: to, args })
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
        const ofRoot = JSON.stringify(await rescued.report(await quotaOfRoot(rescued)))
        assert.ok(ofRoot.includes(JSON.stringify(OF_ACCOUNT)), ofRoot)
      })
      assert.equal((await rescued.client().call("GET", { bucket: "logs", key: "log" })).text, LINES.join(""))
      const bodyOf = async (key: string) => (await rescued.client().call("GET", { bucket: "logs", key })).body
      assert.ok((await bodyOf("kept")).equals(LARGE))
      const joined = Buffer.concat([LARGE.subarray(1_000, 2_000_000), Buffer.from(LINES.join("").slice(5))])
      assert.ok((await bodyOf("joined")).equals(joined))
      const more = await rescued.client().call("POST", { bucket: "logs", key: "log", query: "append", body: "more" })
      assert.equal(more.status, 200)
      const found = await readItem(k2vOf(host))
      assert.deepEqual([found.json, found.token], [item.json, item.token])
      assert.equal((await k2vOf(host).delete(PARTITION, ITEM, item.token)).status, 204)
      assert.deepEqual((await readItem(k2vOf(host))).json, [null])
      const jobs = await queues.get("mail", "&nohang=1&count=10")
      assert.deepEqual(jobs.map(({ body }) => body.length).sort(), ["taken".length, 50_000])
      assert.equal(await queues.ack(jobs.map(({ id }) => id)), 2)
      queues.close()
      await rescued.kill()
    }, quietParent()),
)
