/**
 * Jobs on many objects over a real store: a job that is killed with its process goes on with exact counts, and does not do
 * what object lock forbids.
 */
import assert from "node:assert/strict"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import {
  CreateBucketCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutObjectCommand,
  PutObjectRetentionCommand,
} from "@aws-sdk/client-s3"
import { jobsOfFeatures } from "@hayloft/features/index.js"
import { STARTED_JOB } from "@hayloft/features/operator/index.js"
import type { AdminClient } from "@hayloft/client/index.js"
import { adminOf } from "../harness/admin-client.js"
import { forTestsOfFile } from "../harness/folders.js"
import { withClient } from "../harness/sdk-client.js"
import { ServerProcess } from "../harness/server.js"

const LOOK_MS = 150
let server: ServerProcess
let admin: AdminClient
let folder: string

forTestsOfFile(async of => {
  folder = of
  // With hot copies, every feature has started its jobs.
  server = await ServerProcess.start({ folders: [join(folder, "d")], args: ["--hot-copies", "16MiB"] })
  admin = await adminOf(server)
  return async () => {
    admin.close()
    await server.kill()
  }
})

/** The command line starts the job. */
async function command(Bucket: string, ...args: readonly string[]): Promise<string> {
  const [kind = "", ...rest] = args
  const { code, stdout, stderr } = await server.hayloft(["jobs", "start", kind, Bucket, ...rest, "--yes", "--json"])
  assert.equal(code, 0, stderr)
  return STARTED_JOB.parse(JSON.parse(stdout)).id
}

async function start(Bucket: string, job: Readonly<Record<string, unknown>>): Promise<string> {
  return STARTED_JOB.parse(await admin.post(`/v1/buckets/${Bucket}/jobs`, { job })).id
}

const jobOf = async (id: string) => STARTED_JOB.parse(await server.report(`/v1/jobs/${id}`))

async function jobUntil(id: string, isSo: (done: number, isOver: boolean) => boolean) {
  let job = await jobOf(id)
  const isSeen = async (): Promise<boolean> => {
    job = await jobOf(id)
    return isSo(job.counts?.done ?? 0, job.endedMs !== undefined)
  }
  await until(() => `the job is as awaited: ${JSON.stringify(job)}`, isSeen, LOOK_MS)
  return job
}

test("a job whose process is killed goes on, and counts each object once", async () => {
  const Bucket = "many"
  const count = 120
  await withClient(server, async client => {
    await client.send(new CreateBucketCommand({ Bucket }))
    for (let i = 0; i < count; i += 1) {
      await client.send(new PutObjectCommand({ Bucket, Key: `a/${String(i).padStart(3, "0")}`, Body: "body" }))
    }
    await client.send(new PutObjectCommand({ Bucket, Key: "kept", Body: "body" }))
  })
  const id = await command(Bucket, "delete-objects", "--prefix", "a/", "--rate", "40")
  await jobUntil(id, done => done > 0)
  await server.kill()
  await server.launch()
  const ended = await jobUntil(id, (_, isOver) => isOver)
  assert.equal(ended.state, "done")
  assert.deepEqual([ended.counts?.matched, ended.counts?.done, ended.counts?.failed], [count, count, 0])
  await withClient(server, async client => {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket }))
    assert.deepEqual(
      Contents.map(({ Key }) => Key),
      ["kept"],
    )
  })
})

test("object lock holds for jobs; deleted objects come back; a cancelled job says how far it was", () =>
  withClient(server, async client => {
    const Bucket = "locked"
    await client.send(new CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket: true }))
    for (const Key of ["a", "b", "c"]) await client.send(new PutObjectCommand({ Bucket, Key, Body: "body" }))
    const Retention = { Mode: "COMPLIANCE", RetainUntilDate: new Date(Date.now() + 86_400_000) } as const
    await client.send(new PutObjectRetentionCommand({ Bucket, Key: "b", Retention }))
    const over = (_: number, isOver: boolean): boolean => isOver
    await jobUntil(await start(Bucket, { kind: "delete-objects" }), over)
    assert.equal((await client.send(new ListObjectsV2Command({ Bucket }))).KeyCount, 0)
    const restored = await jobUntil(await start(Bucket, { kind: "restore-objects" }), over)
    assert.equal(restored.counts?.done, 3)
    assert.equal((await client.send(new ListObjectsV2Command({ Bucket }))).KeyCount, 3)
    const purged = await jobUntil(await start(Bucket, { kind: "delete-versions" }), over)
    assert.deepEqual([purged.counts?.done, purged.counts?.failed], [2, 1])
    assert.deepEqual([purged.failures[0]?.key, /AccessDenied/.test(purged.failures[0]?.reason ?? "")], ["b", true])
    const { Versions = [] } = await client.send(new ListObjectVersionsCommand({ Bucket }))
    assert.deepEqual(
      Versions.map(({ Key }) => Key),
      ["b"],
    )
    const keys = join(folder, "keys.txt")
    await writeFile(keys, "c\nnothing\nd\n")
    for (const Key of ["c", "d", "e"]) await client.send(new PutObjectCommand({ Bucket, Key, Body: "body" }))
    const selected = await jobUntil(await command(Bucket, "delete-versions", "--keys", keys), over)
    assert.deepEqual([selected.target, selected.counts?.done], ["locked/ (3 selected)", 2])
    const slow = await start(Bucket, { kind: "tag-objects", tags: [{ key: "k", value: "v" }], itemsPerSecond: 1 })
    await admin.post(`/v1/jobs/${slow}/cancel`, {})
    const cancelled = await jobUntil(slow, over)
    assert.match(cancelled.result ?? "", /cancelled|done/)
  }))

test("each job of a feature runs under the name by which it is paused and shared among nodes", async () => {
  const report = JSON.stringify(await server.report("/v1/jobs"))
  const named = jobsOfFeatures().map(({ name }) => name)
  assert.ok(named.length > 5)
  assert.deepEqual(
    named.filter(name => !report.includes(`"${name}"`)),
    [],
  )
})
