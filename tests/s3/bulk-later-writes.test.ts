/** Jobs on many objects leave what is written after their start, whatever the clock shows of the node that started them. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { objectKeyOfText, parseBucketName } from "@hayloft/base/ids.js"
import {
  BULK_REQUEST,
  openBulkWork,
  textOfBulk,
  type JobStarter,
  type ObjectRequest,
} from "@hayloft/features/user-jobs/index.js"
import type { Bucket, ListRequest } from "@hayloft/objects/contract.js"
import { open } from "@hayloft/upkeep/repair/testing-repair.js"
import { OwnRequests } from "@hayloft/protocols/s3/index.js"
import { handleModel, OWNER_ACCOUNT } from "./over-model.js"

const OPERATOR: JobStarter = { kind: "operator", id: "", name: "" }
const DAY_MS = 86_400_000
const hasConditions = async () => true

async function scene(versioning: Bucket["versioning"]) {
  const { clock, services } = await open("replica:2")
  await clock.advance(1_700_000_000_000 - clock.wallMs())
  const { settings } = handleModel({ services: () => services })
  const requests = new OwnRequests(settings)
  const name = parseBucketName("photos")
  const made = await clock.runUntil(services.buckets.create({ name, owner: OWNER_ACCOUNT, location: "" }))
  if (versioning !== "never") await clock.runUntil(services.buckets.setVersioning(made, "enabled"))
  const suspend = () => clock.runUntil(services.buckets.setVersioning(made, "suspended"))
  if (versioning === "suspended") await suspend()
  const bucket = await services.buckets.open(name)
  const send = (request: Pick<ObjectRequest, "method" | "body">, key: string) =>
    clock.runUntil(
      (async () => {
        const root = await requests.as(OPERATOR, bucket)
        const { status, message } = await root.send({ ...request, bucket: "photos", key: objectKeyOfText(key) })
        assert.ok(status < 300, message)
      })(),
    )
  const put = (key: string, body = "same") => send({ method: "PUT", body: Buffer.from(body) }, key)
  const remove = (key: string) => send({ method: "DELETE" }, key)
  const list = async (request: ListRequest) => services.objects.list(request)
  /** A job that was started now, by a node whose clock is so far ahead. */
  const started = async (request: object, aheadMs = 3 * DAY_MS) => {
    const asOfUs = await services.moments.now()
    const stored = { request: BULK_REQUEST.parse(request), bucket: "photos", bucketId: bucket.id, asOfUs }
    const job = { request: textOfBulk(stored), starter: OPERATOR, startedMs: clock.wallMs() + aheadMs }
    const work = await openBulkWork({ ...services, requests, list, hasConditions }, job)
    const find = async () => (await clock.runUntil(work.itemsAfter("", undefined, 100))).items
    const workOn = (item: Awaited<ReturnType<typeof find>>[number]) => clock.runUntil(work.work(item, false))
    return { find, workOn }
  }
  const left = async () => {
    const all = { bucket, prefix: "", delimiter: "", max: 100 } as const
    const page = await services.objects.listVersions({ ...all, keyMarker: "", versionIdMarker: undefined })
    return page.entries.flatMap(entry => (entry.kind === "version" ? [entry.object.key] : []))
  }
  return { clock, put, remove, suspend, started, left }
}

for (const versioning of ["never", "enabled", "suspended"] as const)
  for (const kind of ["delete-objects", "delete-versions"] as const)
    test(`${kind}, versioning ${versioning}: what is written after the start stays`, async () => {
      const { clock, put, started, left } = await scene(versioning)
      for (const key of ["a", "b"]) await put(key)
      const { find, workOn } = await started({ kind })
      await clock.advance(DAY_MS)
      await put("b", "later")
      await put("c")
      for (const item of await find()) assert.equal(await workOn(item), undefined)
      const keys = await left()
      assert.ok(keys.includes(objectKeyOfText("b")) && keys.includes(objectKeyOfText("c")), keys.join())
      assert.equal(keys.includes(objectKeyOfText("a")), versioning === "enabled" && kind === "delete-objects")
    })

const assertStays = (outcome: unknown): void => {
  assert.ok(typeof outcome === "string")
  assert.match(outcome, /stays as it is/)
}

for (const kind of ["delete-objects", "delete-versions", "set-class"] as const)
  test(`${kind}: an object that is written again after it was found stays, though its bytes are the same`, async () => {
    const { put, started, left } = await scene("never")
    await put("a")
    const request = kind === "set-class" ? { kind, storageClass: "STANDARD_IA" } : { kind }
    const { find, workOn } = await started(request)
    const [item] = await find()
    assert.ok(item)
    await put("a")
    assertStays(await workOn(item))
    assert.deepEqual(await left(), ["a"])
  })

for (const kind of ["delete-objects", "delete-versions"] as const)
  test(`${kind}: an object that somebody else has deleted since it was found counts as done`, async () => {
    const { put, remove, started, left } = await scene("never")
    await put("a")
    const { find, workOn } = await started({ kind })
    const [item] = await find()
    assert.ok(item)
    await remove("a")
    assert.equal(await workOn(item), undefined)
    assert.deepEqual(await left(), [])
  })

test("restore-objects: an object that is written in place of the delete marker stays", async () => {
  const { put, remove, suspend, started, left } = await scene("enabled")
  await put("a")
  await suspend()
  await remove("a")
  const { find, workOn } = await started({ kind: "restore-objects" })
  const [item] = await find()
  assert.ok(item)
  // It is the null version, as the marker was.
  await put("a", "later")
  assertStays(await workOn(item))
  assert.deepEqual(await left(), ["a", "a"])
})

test("a job means everything that was written before its start, also if the clock of its node is behind", async () => {
  const { put, started, left } = await scene("never")
  await put("a")
  const { find, workOn } = await started({ kind: "delete-objects" }, -3 * DAY_MS)
  for (const item of await find()) assert.equal(await workOn(item), undefined)
  assert.deepEqual(await left(), [])
})
