/**
 * Reads at moments, restores and differences over a real store: Amazon's SDK with the parameter, the command line, and kills
 * while clients write and while a job restores.
 */
import assert from "node:assert/strict"
import { join } from "node:path"
import { test } from "node:test"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type S3Client,
} from "@aws-sdk/client-s3"
import { z } from "zod"
import { DIFFERENCES, HISTORY } from "@hayloft/features/history/schemas.js"
import { STARTED_JOB } from "@hayloft/features/operator/index.js"
import { setSetting } from "../harness/admin-client.js"
import { forTestsOfFile, withFolder } from "../harness/folders.js"
import { withClient } from "../harness/sdk-client.js"
import { ServerProcess } from "../harness/server.js"

/** The bucket of the test that runs: each has its own. */
let Bucket = ""
let tests = 0
let shared: ServerProcess

forTestsOfFile(async folder => {
  shared = await ServerProcess.start({ folders: [join(folder, "d")] })
  return () => shared.kill()
})

const LOOK_MS = 150
const LINES = z.array(z.looseObject({ key: z.string().optional() }))

/** A bucket that has a history. */
const withHistory = (work: (server: ServerProcess, client: S3Client, folder: string) => Promise<void>): Promise<void> =>
  withFolder(folder =>
    withClient(shared, async client => {
      tests += 1
      Bucket = `photos-${tests}`
      await client.send(new CreateBucketCommand({ Bucket }))
      await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: "Enabled" } }))
      await setSetting(shared, Bucket, "history")
      await work(shared, client, folder)
    }),
  )

async function run(server: ServerProcess, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await server.hayloft(args)
  assert.equal(code, 0, `${args.join(" ")}: ${stderr}`)
  return stdout
}

const linesOf = (text: string) =>
  LINES.parse(
    text
      .split("\n")
      .filter(Boolean)
      .map(line => JSON.parse(line) as unknown),
  )

/** A moment that has everything acknowledged so far. */
const now = async (server: ServerProcess): Promise<string> =>
  HISTORY.parse(await server.report(`/v1/buckets/${Bucket}/history`)).now

/** The same client, whose requests read at a moment. */
async function at<T>(server: ServerProcess, moment: string, use: (client: S3Client) => Promise<T>): Promise<T> {
  return withClient(server, client => {
    client.middlewareStack.add(
      next => args => {
        const { request } = args
        if (typeof request === "object" && request !== null && "query" in request) {
          Object.assign(request.query ?? {}, { readTimestamp: moment })
        }
        return next(args)
      },
      { step: "build", name: "readTimestamp" },
    )
    return use(client)
  })
}

const put = async (client: S3Client, Key: string, Body: string): Promise<void> => {
  await client.send(new PutObjectCommand({ Bucket, Key, Body }))
}

/** All objects with their sizes, a page of two at a time. */
async function listed(client: S3Client): Promise<readonly string[]> {
  const found: string[] = []
  for (let ContinuationToken: string | undefined; ;) {
    const page = await client.send(new ListObjectsV2Command({ Bucket, MaxKeys: 2, ContinuationToken }))
    found.push(...(page.Contents ?? []).map(({ Key, ETag, Size }) => `${Key} ${Size} ${ETag}`))
    if (page.IsTruncated !== true) return found
    ContinuationToken = page.NextContinuationToken
  }
}

const bodyOf = async (client: S3Client, Key: string): Promise<string> => {
  const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }))
  return (await Body?.transformToString()) ?? ""
}

test("GET, HEAD and listings show the bucket as it was, and what is no moment is refused by name", () =>
  withHistory(async (server, client) => {
    for (const key of ["a", "b", "c/1", "c/2"]) await put(client, key, `first ${key}`)
    const moment = await now(server)
    const before = await listed(client)
    await put(client, "a", "second a, longer")
    await client.send(new DeleteObjectCommand({ Bucket, Key: "b" }))
    await put(client, "d", "new")
    assert.deepEqual(await at(server, moment, listed), before)
    await at(server, moment, async then => {
      assert.equal(await bodyOf(then, "a"), "first a")
      assert.equal(await bodyOf(then, "b"), "first b")
      const ranged = await then.send(new GetObjectCommand({ Bucket, Key: "a", Range: "bytes=0-4" }))
      assert.equal(await ranged.Body?.transformToString(), "first")
      const head = await then.send(new HeadObjectCommand({ Bucket, Key: "b" }))
      assert.equal(head.ContentLength, 7)
      assert.ok(head.VersionId)
      await assert.rejects(then.send(new GetObjectCommand({ Bucket, Key: "d" })), { name: "NoSuchKey" })
      await assert.rejects(
        then.send(
          new GetObjectCommand({ Bucket, Key: "a", IfNoneMatch: head.ETag === undefined ? "" : '"x"', IfMatch: '"y"' }),
        ),
        {
          name: "PreconditionFailed",
        },
      )
      const attributes = { Bucket, Key: "b", ObjectAttributes: ["ObjectSize" as const] }
      assert.equal((await then.send(new GetObjectAttributesCommand(attributes))).ObjectSize, 7)
      const folders = await then.send(new ListObjectsCommand({ Bucket, Delimiter: "/", MaxKeys: 2 }))
      assert.deepEqual(
        [folders.Contents?.map(({ Key }) => Key), folders.IsTruncated, folders.NextMarker],
        [["a", "b"], true, "b"],
      )
      const rest = await then.send(new ListObjectsCommand({ Bucket, Delimiter: "/", Marker: "b" }))
      assert.deepEqual([rest.Contents, rest.CommonPrefixes?.map(({ Prefix }) => Prefix)], [undefined, ["c/"]])
      await assert.rejects(then.send(new PutObjectCommand({ Bucket, Key: "a", Body: "x" })), { name: "NotImplemented" })
      await assert.rejects(then.send(new ListObjectVersionsCommand({ Bucket })), { name: "NotImplemented" })
      const versioned = new GetObjectCommand({ Bucket, Key: "a", VersionId: head.VersionId })
      await assert.rejects(then.send(versioned), { name: "InvalidRequest" })
    })
    const page = await at(server, moment, then => then.send(new ListObjectsV2Command({ Bucket, MaxKeys: 1 })))
    const again = new ListObjectsV2Command({ Bucket, ContinuationToken: page.NextContinuationToken })
    await assert.rejects(client.send(again), { name: "InvalidArgument" })
    await assert.rejects(
      at(server, await now(server), then => then.send(again)),
      { name: "InvalidArgument" },
    )
    for (const wrong of ["yesterday", "2026-01-01", "1700000000", "2030-01-01T00:00:00", "2099-01-01T00:00:00Z"])
      await assert.rejects(
        at(server, wrong, then => bodyOf(then, "a")),
        { name: "InvalidArgument" },
        wrong,
      )
    await assert.rejects(at(server, "2020-01-01T00:00:00Z", listed), { name: "HistoryIncomplete" })
    await client.send(new CreateBucketCommand({ Bucket: "plain" }))
    await assert.rejects(
      at(server, moment, then => then.send(new ListObjectsV2Command({ Bucket: "plain" }))),
      { name: "HistoryIncomplete", message: /has no history/ },
    )
  }))

test("the command line lists, reads and copies a bucket as it was", () =>
  withHistory(async (server, client, folder) => {
    await put(client, "x/1", "one")
    await put(client, "x/2", "two")
    const moment = await now(server)
    await put(client, "x/1", "other")
    await client.send(new DeleteObjectCommand({ Bucket, Key: "x/2" }))
    assert.deepEqual(
      linesOf(await run(server, "ls", "-r", `s3://${Bucket}/`, "--at", moment, "--json")).map(({ key }) => key),
      ["x/1", "x/2"],
    )
    assert.equal(await run(server, "cat", `s3://${Bucket}/x/1`, "--at", moment), "one")
    await run(server, "cp", "-r", `s3://${Bucket}/x/`, join(folder, "then"), "--at", moment)
    assert.equal(await run(server, "cp", `s3://${Bucket}/x/2`, "-", "--at", moment), "two")
    const refused = await server.hayloft(["cp", join(folder, "then"), `s3://${Bucket}/`, "-r", "--at", moment])
    assert.notEqual(refused.code, 0)
    assert.match(await run(server, "bucket", "history", Bucket), /can be read at every moment from/)
    const diff = await run(server, "bucket", "diff", Bucket, moment)
    assert.match(diff, /^~ x\/1 {2}3 B -> 5 B/m)
    assert.match(diff, /^- x\/2/m)
    assert.match(diff, /0 added, 1 removed, 1 changed, 0 objects unchanged/)
  }))

const jobOf = async (server: ServerProcess, id: string) => STARTED_JOB.parse(await server.report(`/v1/jobs/${id}`))

const amountsOf = ({ plan }: Awaited<ReturnType<typeof jobOf>>) =>
  Object.fromEntries(plan?.amounts.map(({ what, objects }) => [what, objects]) ?? [])

test(
  "a restore makes the bucket what it was, does what its preview shows, and survives a kill",
  { timeout: 300_000 },
  () =>
    withHistory(async (server, client) => {
      const count = 30
      const keyOf = (i: number): string => `k/${String(i).padStart(3, "0")}`
      for (let i = 0; i < count; i += 1) await put(client, keyOf(i), `first ${i}`)
      const moment = await now(server)
      const before = await listed(client)
      for (let i = 0; i < count; i += 3) await put(client, keyOf(i), `second ${i}`)
      for (let i = 1; i < count; i += 3) await client.send(new DeleteObjectCommand({ Bucket, Key: keyOf(i) }))
      for (const key of ["k/new", "l"]) await put(client, key, "new")
      const copied = { Bucket, Key: "copied", CopySource: `${Bucket}/${keyOf(2)}` }
      await client.send(new CopyObjectCommand(copied))
      const changed = await listed(client)
      const preview = STARTED_JOB.parse(
        linesOf(await run(server, "bucket", "restore", Bucket, "--to", moment, "--preview", "--json"))[0],
      )
      assert.deepEqual(amountsOf(preview), { restore: 20, delete: 3, unchanged: 10 })
      assert.equal(preview.plan?.first.length, 23)
      assert.deepEqual(await listed(client), changed, "a preview changes nothing")
      const started = STARTED_JOB.parse(
        linesOf(await run(server, "bucket", "restore", Bucket, "--to", moment, "--yes", "--rate", "10", "--json"))[0],
      )
      const isUnderWay = async (): Promise<boolean> => ((await jobOf(server, started.id)).counts?.done ?? 0) > 0
      await until("the job is under way", isUnderWay, LOOK_MS)
      await server.kill()
      await server.launch()
      // A write after the start stays.
      await put(client, keyOf(28), "third")
      let ended = await jobOf(server, started.id)
      const isEnded = async (): Promise<boolean> => (ended = await jobOf(server, started.id)).endedMs !== undefined
      await until("the job ends", isEnded, LOOK_MS)
      assert.equal(ended.state, "done")
      assert.deepEqual(amountsOf(ended), amountsOf(preview))
      assert.deepEqual([ended.counts?.matched, (ended.counts?.done ?? 0) + (ended.counts?.failed ?? 0)], [23, 23])
      assert.equal(await bodyOf(client, keyOf(28)), "third")
      await run(server, "bucket", "restore", Bucket, "--to", moment, "--yes", "--wait")
      assert.deepEqual(await listed(client), before)
      const rest = DIFFERENCES.parse(
        await server.report(`/v1/buckets/${Bucket}/differences?from=${encodeURIComponent(moment)}`),
      )
      assert.deepEqual([rest.differences, rest.unchanged.objects], [[], count])
      assert.deepEqual(await at(server, moment, listed), before, "the moment is still what it was")
    }),
)

test(
  "after kills, every acknowledged write is in the moments that follow it, and in none before",
  { timeout: 300_000 },
  () =>
    withHistory(async (server, client) => {
      const states: { readonly moment: string; readonly shown: readonly string[] }[] = []
      for (let round = 0; round < 2; round += 1) {
        for (let i = 0; i < 5; i += 1) {
          await put(client, `k${i}`, `${round} ${i} ${"x".repeat(round * 10)}`)
          states.push({ moment: await now(server), shown: await listed(client) })
        }
        await server.kill()
        await server.launch()
      }
      for (const { moment, shown } of states) assert.deepEqual(await at(server, moment, listed), shown, moment)
    }),
)
