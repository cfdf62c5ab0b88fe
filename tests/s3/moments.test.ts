/** Reads at moments and restores as requests of S3: the rights that they need, and the results of a restore. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseBucketName, type ObjectKey } from "@hayloft/base/ids.js"
import { textOfMoment } from "@hayloft/base/text/moment.js"
import { BULK_REQUEST, openWork, textOfBulk, type JobStarter } from "@hayloft/features/user-jobs/index.js"
import type { Bucket, ObjectDifference } from "@hayloft/objects/contract.js"
import { open, type World } from "@hayloft/upkeep/repair/testing-repair.js"
import { OwnRequests } from "@hayloft/protocols/s3/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { handleModel, OWNER_ACCOUNT, userKeyOf } from "./over-model.js"

const OPERATOR: JobStarter = { kind: "operator", id: "", name: "" }
const READER = { id: "AKIAREADERREADERREAD", secret: "reader-secret" }
const VERSION_READER = { id: "AKIAVERSIONVERSIONVE", secret: "version-secret" }
const LISTER = { id: "AKIALISTERLISTERLIST", secret: "lister-secret" }
const TAG_READER = { id: "AKIATAGSTAGSTAGSTAGS", secret: "tag-secret" }
const KEYS = ["a", "b/1", "b/2", "c", "d/e/f"]

const policyOf = (...actions: readonly string[]): string => policyIf(actions, {})
const policyIf = (actions: readonly string[], condition: object): string =>
  JSON.stringify({
    Version: "2012-10-17",
    Statement: [{ Effect: "Allow", Action: actions, Resource: "*", ...condition }],
  })
const SHOWN = { Condition: { StringEquals: { "s3:ExistingObjectTag/shown": "yes" } } }

type Pairs = readonly (readonly [string, string])[]

interface Sent {
  readonly headers?: Pairs
  readonly query?: Pairs
  readonly body?: string
  readonly by?: JobStarter
}

async function opened() {
  const world = await open("replica:2")
  await world.clock.advance(1_700_000_000_000 - world.clock.wallMs())
  const keys = [
    userKeyOf(READER, "reader", [policyOf("s3:GetObject", "s3:ListBucket")]),
    userKeyOf(VERSION_READER, "versions", [policyOf("s3:GetObjectVersion")]),
    userKeyOf(TAG_READER, "tags", [policyIf(["s3:GetObjectVersion"], SHOWN)]),
    userKeyOf(LISTER, "lister", [policyOf("s3:ListBucketVersions", "s3:ListBucket")]),
  ]
  const { services, settings } = handleModel({ services: () => world.services, keys })
  const requests = new OwnRequests(settings)
  const name = parseBucketName("photos")
  const made = await services.buckets.create({ name, owner: OWNER_ACCOUNT, location: "" })
  await services.buckets.setVersioning(made, "enabled")
  await world.services.histories.begin(made)
  const bucket = await services.buckets.open(name)
  const send = (method: "GET" | "HEAD" | "PUT" | "DELETE", key: string | undefined, sent: Sent = {}) =>
    world.clock.runUntil(
      (async () => {
        const { by = OPERATOR, body, ...more } = sent
        const requester = await requests.as(by, bucket)
        const of = key === undefined ? {} : { key: objectKeyOfText(key) }
        const bytes = body === undefined ? {} : { body: Buffer.from(body) }
        return requester.send({ method, bucket: "photos", ...of, ...more, ...bytes })
      })(),
    )
  const put = async (key: string, body: string, headers: Pairs = []): Promise<void> => {
    const { status, message } = await send("PUT", key, { body, headers })
    assert.equal(status, 200, message)
  }
  const moments = world.services.moments
  const at = async (): Promise<Pairs> => [["readTimestamp", textOfMoment(await moments.now())]]
  return { world, requests, bucket, send, put, at, moments }
}

type Opened = Awaited<ReturnType<typeof opened>>

const holder = ({ id }: { readonly id: string }): JobStarter => ({ kind: "key", id, name: "" })

test("to read at a moment needs the rights to versions, as it may show what was deleted", async () => {
  const { send, put, at } = await opened()
  await put("a", "first")
  const query = await at()
  await send("DELETE", "a")
  const cases: readonly (readonly [{ readonly id: string }, string | undefined, number])[] = [
    [READER, "a", 403],
    [READER, undefined, 403],
    [VERSION_READER, "a", 200],
    [VERSION_READER, undefined, 403],
    [LISTER, "a", 403],
    [LISTER, undefined, 200],
    // Only callers who may list learn whether there was an object.
    [VERSION_READER, "nothing", 403],
  ]
  for (const [key, name, status] of cases) {
    const reply = await send("GET", name, { query, by: holder(key) })
    assert.equal(reply.status, status, `${key.id} ${name}: ${reply.code}`)
  }
  assert.equal((await send("GET", "nothing", { query })).code, "NoSuchKey")
  // A caller without rights does not learn whether the bucket has a history.
  const long: Pairs = [["readTimestamp", "2001-09-09T01:46:40Z"]]
  assert.equal((await send("GET", "a", { query: long, by: holder(READER) })).code, "AccessDenied")
  assert.equal((await send("GET", undefined, { query: long, by: holder(READER) })).code, "AccessDenied")
  assert.equal((await send("GET", "a", { query: long })).code, "HistoryIncomplete")
})

test("only a caller who may read the version closes the moment", async () => {
  const { world, send, put, at } = await opened()
  await put("a", "first")
  const query = await at()
  const future: Pairs = [["readTimestamp", "2099-01-01T00:00:00Z"]]
  const close = world.tablet.closeTo.bind(world.tablet)
  let closings = 0
  world.tablet.closeTo = us => {
    closings += 1
    return close(us)
  }
  const statusOf = async (query: Pairs, by: { readonly id: string }) =>
    (await send("GET", "a", { query, by: holder(by) })).status
  for (const moment of [query, future]) {
    assert.equal(await statusOf(moment, LISTER), 403)
    assert.equal(await statusOf(moment, READER), 403)
  }
  assert.equal(closings, 0)
  assert.equal(await statusOf(query, VERSION_READER), 200)
  assert.equal(closings, 1)
  assert.equal(await statusOf(future, VERSION_READER), 400)
})

test("if closing the moment shows another version, that one is authorised", async () => {
  const { world, bucket, send, put, at, moments } = await opened()
  const read = async (query: Pairs): Promise<number> =>
    (await send("GET", "a", { query, by: holder(TAG_READER) })).status
  await put("a", "first", [["x-amz-tagging", "shown=yes"]])
  const firstUs = await moments.now()
  await put("a", "second")
  const [first, second] = [[["readTimestamp", textOfMoment(firstUs)]] as const, await at()]
  assert.equal(await read(first), 200)
  assert.equal(await read(second), 403)
  // This simulates that the second version is committed just after the first look.
  const versionId = await moments.versionAt(bucket, objectKeyOfText("a"), firstUs)
  world.services.moments.versionSoFar = async () => versionId
  assert.equal(await read(first), 200)
  assert.equal(await read(second), 403)
})

/** The state of all objects, as readers see it. */
async function stateOf({ world, bucket }: Opened): Promise<readonly unknown[]> {
  const { objects } = world.services
  const page = await objects.list({ bucket, prefix: "", delimiter: "", after: "", max: 1_000, withTypes: true })
  const shown: unknown[] = []
  for (const entry of page.entries) {
    assert.ok(entry.kind === "object")
    const { key, sizeBytes, etag, storageClass } = entry.object
    const info = await infoOf(world, bucket, key)
    shown.push([key, sizeBytes, etag, storageClass, info.headers, info.userMetadata, info.tags])
  }
  return shown
}

async function infoOf(world: World, bucket: Bucket, key: ObjectKey) {
  const body = await world.clock.runUntil(
    Promise.resolve(world.services.objects.get({ bucket, key, conditions: {}, headersOnly: true })),
  )
  body.close()
  return body.info
}

async function change({ send, put }: Opened, random: SimRandom): Promise<void> {
  const key = must(KEYS[random.below(KEYS.length)], "there are keys")
  if (random.below(3) === 0) return void (await send("DELETE", key))
  const headers = [
    [],
    [["x-amz-meta-a", String(random.below(3))]],
    [
      ["x-amz-tagging", "k=v"],
      ["x-amz-storage-class", "STANDARD_IA"],
    ],
    [
      ["x-amz-website-redirect-location", "/other"],
      ["cache-control", "no-cache"],
    ],
  ] as const
  await put(key, random.below(4) === 0 ? "" : "x", headers[random.below(headers.length)])
}

async function restoring({ world, requests, bucket }: Opened, request: object, asOfUs: number) {
  const parsed = BULK_REQUEST.parse({ kind: "restore-objects", ...request })
  const text = textOfBulk({ request: parsed, bucket: bucket.name, bucketId: bucket.id, asOfUs })
  const services = { ...world.services, requests, list: world.services.objects.list, hasConditions: async () => true }
  const job = await openWork(services, { kind: parsed.kind, request: text, starter: OPERATOR, startedMs: 0 })
  assert.ok("itemsAfter" in job)
  return job
}

/** Works through all pages, each of them twice, as after a crash. Returns the failures and the plan. */
async function workThrough(opened: Opened, request: object, asOfUs: number) {
  const job = await restoring(opened, request, asOfUs)
  await opened.world.clock.runUntil(job.prepare())
  const failed: unknown[] = []
  const planned: Record<string, number> = {}
  for (let cursor = ""; ;) {
    const page = await job.itemsAfter(cursor, undefined, 2)
    for (const { what, objects } of page.plan?.amounts ?? []) planned[what] = (planned[what] ?? 0) + objects
    for (const item of page.items.slice(0, 1)) assert.equal(await work(opened, job, item, false), undefined)
    const again = await job.itemsAfter(cursor, page.next, Infinity)
    assert.deepEqual(again.items, page.items, "a page that is read again has the same items")
    for (const item of again.items) {
      const reason = await work(opened, job, item, true)
      if (reason !== undefined) failed.push(reason)
    }
    if (page.next === undefined) return { failed, planned }
    cursor = page.next
  }
}

const work = ({ world }: Opened, job: Awaited<ReturnType<typeof restoring>>, item: unknown, isRepeated: boolean) =>
  world.clock.runUntil(job.work(item, isRepeated))

test("a restore makes every object what it was, and nothing differs from the moment afterwards", async () => {
  const random = new SimRandom(21)
  for (let round = 0; round < 5; round += 1) {
    const own = await opened()
    const { moments, bucket } = own
    for (let step = 0; step < 20; step += 1) await change(own, random)
    const [toUs, before] = [await moments.now(), await stateOf(own)]
    for (let step = 0; step < 20; step += 1) await change(own, random)
    const asOfUs = await moments.now()
    const isSelected = round % 2 === 1
    const selected = isSelected ? { selected: [{ key: "a" }, { key: "c" }, { prefix: "b/" }, { prefix: "d/" }] } : {}
    const { failed, planned } = await workThrough(own, { to: textOfMoment(toUs), ...selected }, asOfUs)
    assert.deepEqual(failed, [])
    assert.deepEqual(await stateOf(own), before)
    const all = { bucket, prefix: "", after: "", max: 100 }
    const left = await moments.differences({ ...all, fromUs: toUs, toUs: await moments.now() })
    assert.deepEqual([left.differences, left.unchanged.objects], [[], before.length])
    const found = await moments.differences({ ...all, fromUs: toUs, toUs: asOfUs })
    const isDeleted = ({ before: then }: ObjectDifference): boolean => then === undefined
    assert.deepEqual(planned, {
      restore: found.differences.filter(item => !isDeleted(item)).length,
      delete: found.differences.filter(isDeleted).length,
      unchanged: found.unchanged.objects,
    })
    // The history is as long as before: the restore has removed nothing.
    await moments.check(bucket, toUs)
  }
})

test("writes after the start of a restore stay, and are reported", async () => {
  const own = await opened()
  const { put, send, moments } = own
  for (const key of KEYS) await put(key, "first")
  const toUs = await moments.now()
  for (const key of ["a", "b/1"]) await put(key, "second")
  await send("DELETE", "b/2")
  await put("new", "new")
  const asOfUs = await moments.now()
  const job = await restoring(own, { to: textOfMoment(toUs) }, asOfUs)
  const { items } = await job.itemsAfter("", undefined, 100)
  assert.equal(items.length, 4)
  await put("a", "third")
  await put("b/2", "third")
  await put("new", "third")
  const reasons: unknown[] = []
  for (const item of items) reasons.push(await work(own, job, item, false))
  const stays = "it was written after the job had begun, and stays as it is"
  assert.deepEqual(reasons, [stays, undefined, stays, stays])
  const { objects } = own.world.services
  const page = await objects.list({ bucket: own.bucket, prefix: "", delimiter: "", after: "", max: 100 })
  assert.deepEqual(
    page.entries.map(entry => entry.kind === "object" && `${entry.object.key} ${entry.object.sizeBytes}`),
    ["a 5", "b/1 5", "b/2 5", "c 5", "d/e/f 5", "new 5"],
  )
})

test("writes after the start of a restore stay, also those of the same bytes, and removals", async () => {
  const own = await opened()
  const { put, send, moments } = own
  for (const key of ["a", "c", "d/e/f"]) await put(key, "first")
  await send("DELETE", "b/1")
  const toUs = await moments.now()
  for (const key of ["a", "b/1", "c"]) await put(key, "second")
  await send("DELETE", "d/e/f")
  const job = await restoring(own, { to: textOfMoment(toUs) }, await moments.now())
  const { items } = await job.itemsAfter("", undefined, 100)
  assert.equal(items.length, 4)
  // The same ETags, and no object as before.
  const headers: Pairs = [["x-amz-meta-owner", "new"]]
  await put("a", "second", headers)
  await put("b/1", "second", headers)
  await send("DELETE", "d/e/f")
  // The planned bytes are those of the moment, which the restore brings back.
  await put("c", "first", headers)
  const stays = "it was written after the job had begun, and stays as it is"
  for (const isRepeated of [false, true]) {
    for (const item of items) assert.equal(await work(own, job, item, isRepeated), stays)
  }
  const shown = await stateOf(own)
  assert.deepEqual(
    shown.map(entry => Array.isArray(entry) && [entry[0], entry[5]]),
    ["a", "b/1", "c"].map(key => [key, [["owner", "new"]]]),
  )
})

test("restores refuse other filters, moments in the future, and moments before the history", async () => {
  const own = await opened()
  const { put, moments, world, bucket } = own
  await put("a", "first")
  const nowUs = await moments.now()
  const refused = async (request: object, kind: "invalidArgument" | "historyIncomplete"): Promise<void> => {
    const job = await restoring(own, request, nowUs)
    await assert.rejects(world.clock.runUntil(job.prepare()), error => isFailure(error, kind))
  }
  await refused({ to: textOfMoment(nowUs), largerThanBytes: 3 }, "invalidArgument")
  await refused({ to: textOfMoment(nowUs), atMs: 3 }, "invalidArgument")
  await refused({ to: textOfMoment(nowUs + 1) }, "invalidArgument")
  await refused({ to: "2001-09-09T01:46:40Z" }, "historyIncomplete")
  await world.services.histories.end(bucket)
  await refused({ to: textOfMoment(nowUs) }, "historyIncomplete")
  assert.throws(() => BULK_REQUEST.parse({ kind: "restore-objects", to: "yesterday" }))
})
