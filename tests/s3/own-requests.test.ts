/** Work on many objects sends requests of S3: what a client of the starter could not do, it does not do either. */
import type { ListRequest } from "@hayloft/objects/index.js"
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, type FailureKind } from "@hayloft/base/failures.js"
import { parseBucketName, objectKeyOfText, type ObjectKey } from "@hayloft/base/ids.js"
import { BULK_REQUEST, openBulkWork, textOfBulk } from "@hayloft/features/user-jobs/index.js"
import type { JobStarter } from "@hayloft/features/user-jobs/index.js"
import { OwnRequests } from "@hayloft/protocols/s3/index.js"
import { handleModel, OWNER_ACCOUNT, userKeyOf } from "./over-model.js"

const OPERATOR: JobStarter = { kind: "operator", id: "", name: "" }
const USER = { id: "AKIAUSERUSERUSERUSER", secret: "user-secret" }
const POLICY = JSON.stringify({
  Version: "2012-10-17",
  Statement: [
    { Effect: "Allow", Action: ["s3:ListBucket", "s3:GetObject"], Resource: "*" },
    { Effect: "Allow", Action: "s3:DeleteObject", Resource: "arn:aws:s3:::photos/mine/*" },
  ],
})

/** Failures of the store, by key. */
type Failing = Map<string, FailureKind>

async function world() {
  const failing: Failing = new Map()
  const check = ({ key }: { readonly key: ObjectKey }): void => {
    const kind = failing.get(key)
    if (kind !== undefined) throw fail(kind)
  }
  const { services, settings } = handleModel({
    keys: [userKeyOf(USER, "bob", [POLICY])],
    services: model => {
      const { remove, getTags } = model.objects
      Object.assign(model.objects, {
        remove: (...args: Parameters<typeof remove>) => (check(args[0]), remove.apply(model.objects, args)),
        getTags: (...args: Parameters<typeof getTags>) => (check(args[0]), getTags.apply(model.objects, args)),
      })
      return model
    },
  })
  const requests = new OwnRequests(settings)
  const bucket = await services.buckets.create({ name: parseBucketName("photos"), owner: OWNER_ACCOUNT, location: "" })
  const root = await requests.as(OPERATOR, bucket)
  const put = async (key: string): Promise<void> => {
    const body = Buffer.from(key)
    const { status, message } = await root.send({ method: "PUT", bucket: "photos", key: objectKeyOfText(key), body })
    assert.equal(status, 200, message)
  }
  const keys = async (): Promise<readonly string[]> => {
    const page = await services.objects.list({ bucket, prefix: "", delimiter: "", after: "", max: 100 })
    return page.entries.flatMap(entry => (entry.kind === "object" ? [entry.object.key] : []))
  }
  const list = async (request: ListRequest) => {
    if (failing.has("*")) throw fail("remoteUnavailable")
    return services.objects.list(request)
  }
  const work = (starter: JobStarter, request: object) => {
    const parsed = BULK_REQUEST.parse(request)
    const text = textOfBulk({ request: parsed, bucket: "photos", bucketId: bucket.id })
    return openBulkWork(
      { ...services, requests, list, hasConditions },
      { request: text, starter, startedMs: Date.now() + 1_000 },
    )
  }
  return { services, settings, bucket, failing, put, keys, work, requests, list, hasConditions }
}

const hasConditions = async () => true

test("the operator acts as the owner; the holder of a key may do what its policies allow when it is done", async () => {
  const { put, keys, work } = await world()
  for (const key of ["mine/1", "mine/2", "other/1"]) await put(key)
  const asUser = await work({ kind: "key", id: USER.id, name: "bob" }, { kind: "delete-objects" })
  await asUser.prepare()
  const { items, next, bytes } = await asUser.itemsAfter("", undefined, 100)
  assert.deepEqual([items.length, next, bytes], [3, undefined, 19])
  const outcomes = await Promise.all(items.map(item => asUser.work(item, false)))
  assert.deepEqual(
    outcomes.map(reason => (typeof reason === "string" ? reason.split(":")[0] : reason)),
    [undefined, undefined, "AccessDenied"],
  )
  assert.deepEqual(await keys(), ["other/1"])
  const asOwner = await work(OPERATOR, { kind: "delete-objects" })
  for (const item of (await asOwner.itemsAfter("", undefined, 100)).items)
    assert.equal(await asOwner.work(item, false), undefined)
  assert.deepEqual(await keys(), [])
})

test("a starter that may not list begins nothing, and one whose key is gone does nothing more", async () => {
  const { work, services, settings, list } = await world()
  const stranger = userKeyOf(USER, "eve", [])
  const requests = new OwnRequests({ ...handleModel({ keys: [stranger] }).settings, services })
  const text = textOfBulk({ request: BULK_REQUEST.parse({ kind: "delete-objects" }), bucket: "photos", bucketId: 1 })
  const bucket = await services.buckets.open(parseBucketName("photos"))
  const job = {
    request: text.replace('"bucketId":1', `"bucketId":${bucket.id}`),
    starter: { kind: "key", id: USER.id, name: "" } as const,
    startedMs: 9,
  }
  const refused = await openBulkWork({ ...services, requests, list, hasConditions }, job)
  await assert.rejects(refused.prepare(), /cannot be listed: AccessDenied/)
  await assert.rejects(
    work({ kind: "key", id: "AKIAGONEGONEGONEGONE", name: "" }, { kind: "delete-objects" }),
    /not valid any more/,
  )
  await assert.rejects(
    openBulkWork(
      { ...services, list, hasConditions, requests: new OwnRequests(settings) },
      { ...job, request: text.replace('"bucketId":1', '"bucketId":999') },
    ),
    /made again/,
  )
})

test("an object that was replaced since it was listed stays", async () => {
  const { put, keys, work } = await world()
  await put("a")
  const job = await work(OPERATOR, { kind: "delete-objects" })
  const [item] = (await job.itemsAfter("", undefined, 100)).items
  assert.ok(item)
  const outcome = await job.work({ ...item, etag: "0".repeat(32) }, false)
  assert.ok(typeof outcome === "string")
  assert.match(outcome, /stays as it is/)
  assert.deepEqual(await keys(), ["a"])
})

test("pages of versions end where a repeated page ends too, whatever was removed of it", async () => {
  const { services, put, work, bucket } = await world()
  await put("null")
  await services.buckets.setVersioning(bucket, "enabled")
  for (const key of ["a", "a", "null", "b"]) await put(key)
  const job = await work(OPERATOR, { kind: "delete-versions" })
  const first = await job.itemsAfter("", undefined, 2)
  assert.equal(first.items.length, 2)
  assert.ok(first.next)
  const [one] = first.items
  assert.equal(await job.work(one ?? assert.fail(), false), undefined)
  const again = await job.itemsAfter("", first.next, Infinity)
  assert.deepEqual(again.items, first.items.slice(1))
  const rest = await job.itemsAfter(first.next, undefined, 100)
  assert.equal(rest.items.length, 3)
  for (const item of [...again.items, ...rest.items]) assert.equal(await job.work(item, false), undefined)
  assert.equal((await job.itemsAfter("", undefined, 100)).items.length, 0)
})

test("deleted objects come back, tags filter, and a copy keeps its tags", async () => {
  const { services, put, keys, work, bucket, requests } = await world()
  await services.buckets.setVersioning(bucket, "enabled")
  for (const key of ["a", "b"]) await put(key)
  const run = async (request: object): Promise<number> => {
    const job = await work(OPERATOR, request)
    await job.prepare()
    const { items } = await job.itemsAfter("", undefined, 100)
    for (const item of items) assert.equal(await job.work(item, false), undefined)
    return items.length
  }
  assert.equal(await run({ kind: "tag-objects", prefix: "a", tags: [{ key: "k", value: "v = w" }] }), 1)
  assert.equal(await run({ kind: "delete-objects" }), 2)
  assert.deepEqual(await keys(), [])
  assert.equal(await run({ kind: "restore-objects" }), 2)
  assert.deepEqual(await keys(), ["a", "b"])
  assert.equal(
    await run({ kind: "copy-objects", toBucket: "photos", toPrefix: "c/", tag: { key: "k", value: "v = w" } }),
    1,
  )
  assert.deepEqual(await keys(), ["a", "b", "c/a"])
  const root = await requests.as(OPERATOR, bucket)
  const gone = await root.send({ method: "GET", bucket: "photos", key: objectKeyOfText("nothing") })
  assert.deepEqual([gone.status, gone.code], [404, "NoSuchKey"])
  const target = { bucket, key: objectKeyOfText("c/a") }
  assert.deepEqual((await services.objects.getTags(target)).tags, [["k", "v = w"]])
})

test("a selection is worked through in pages like a prefix: keys, folders and single versions", async () => {
  const { services, put, keys, work, bucket } = await world()
  for (const key of ["a", "ab", "b/1", "b/2", "b/3", "c", "d"]) await put(key)
  const selected = [{ key: "c" }, { prefix: "b/" }, { key: "a" }, { key: "nothing" }]
  const job = await work(OPERATOR, { kind: "delete-objects", selected })
  await job.prepare()
  const found: string[] = []
  for (let cursor = ""; ;) {
    const { items, next } = await job.itemsAfter(cursor, undefined, 2)
    assert.ok(items.length <= 2)
    // Done again after a crash, with one of its objects deleted already, the page ends at the same place.
    if (items[0] !== undefined) assert.equal(await job.work(items[0], false), undefined)
    const again = await job.itemsAfter(cursor, next, Infinity)
    assert.deepEqual(again.items.slice(0, items.length - 1), items.slice(1))
    found.push(...items.map(({ key }) => key))
    for (const item of again.items) assert.equal(await job.work(item, true), undefined)
    if (next === undefined) break
    cursor = next
  }
  assert.deepEqual(found, ["a", "b/1", "b/2", "b/3", "c"])
  assert.deepEqual(await keys(), ["ab", "d"])
  await services.buckets.setVersioning(bucket, "enabled")
  for (let at = 0; at < 3; at += 1) await put("d")
  const versionsOf = async () =>
    (await (await work(OPERATOR, { kind: "delete-versions", prefix: "d" })).itemsAfter("", undefined, 100)).items
  const [newest, second, ...others] = await versionsOf()
  const ids = [newest, second].map(item => ({ key: "d", versionId: item?.versionId }))
  const ofVersions = await work(OPERATOR, { kind: "delete-versions", selected: ids })
  const { items, next } = await ofVersions.itemsAfter("", undefined, 100)
  assert.deepEqual([items.length, next], [2, undefined])
  for (const item of items) assert.equal(await ofVersions.work(item, false), undefined)
  assert.deepEqual(await versionsOf(), others)
})

test("an object at which its remote always fails is failing while the remote answers; a remote that is away is waited for", async () => {
  const { put, keys, work, failing } = await world()
  for (const key of ["bad", "good"]) await put(key)
  const find = async () => {
    const job = await work(OPERATOR, { kind: "delete-objects" })
    return { job, items: (await job.itemsAfter("", undefined, 100)).items }
  }
  failing.set("bad", "remoteUnavailable")
  const first = await find()
  const outcomes = await Promise.all(first.items.map(item => first.job.work(item, false)))
  assert.match(JSON.stringify(outcomes), /^\[\{"failing":"ServiceUnavailable: /)
  assert.deepEqual([outcomes[1], await keys()], [undefined, ["bad"]])
  const { job, items } = await find()
  failing.set("*", "remoteUnavailable")
  const [bad] = items
  assert.ok(bad)
  await assert.rejects(job.work(bad, false), /bad: ServiceUnavailable/)
})

test("an object whose tags the store fails to read is an item that is failing, and holds up no listing", async () => {
  const { put, work, failing } = await world()
  for (const key of ["a", "damaged", "far", "z"]) await put(key)
  failing.set("damaged", "corruptRecord").set("far", "remoteUnavailable")
  const wanted = { tag: { key: "is", value: "old" } }
  for (const request of [{ kind: "delete-objects" }, { kind: "tag-objects", tags: [{ key: "is", value: "new" }] }]) {
    const job = await work(OPERATOR, { ...request, ...wanted })
    const { items, next } = await job.itemsAfter("", undefined, 100)
    assert.deepEqual([items.map(({ key }) => key), next], [["damaged", "far"], undefined])
    const outcomes = await Promise.all(items.map(item => job.work(item, false)))
    assert.match(
      JSON.stringify(outcomes),
      /^\[\{"failing":"InternalError: .*\},\{"failing":"ServiceUnavailable: .*\}\]$/,
    )
  }
  failing.set("a", "tooManyInFlight")
  const waiting = await work(OPERATOR, { kind: "delete-objects", ...wanted })
  await assert.rejects(waiting.itemsAfter("", undefined, 100), /SlowDown/)
})
