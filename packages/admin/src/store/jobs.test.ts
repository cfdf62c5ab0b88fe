/** Jobs in the admin API: what goes on is a job that can be watched, and cancelled or undone. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { z } from "zod"
import { JOB, JOBS, STARTED_JOB, STORE_SCHEMAS } from "../index.js"
import { world } from "../testing-api.js"
import { HISTORY_PARTS } from "../testing-history.js"
import { DRAINING, NO_OBJECTS } from "../testing-jobs.js"

test("a change whose work goes on answers 202 with its job, which names what undoes it", async () => {
  const { store, json } = world()
  const [path] = ["/v1/devices/00000000000000aa/drain"]
  assert.equal((await json("POST", path)).status, 200, "nothing goes on")
  store.works = [DRAINING]
  const { status, value } = await json("POST", path)
  assert.equal(status, 202)
  const { job } = STORE_SCHEMAS.CHANGE.parse(value)
  assert.deepEqual([job?.kind, job?.progress.total, job?.canCancel], ["drain", 100, false])
  const refused = await json("POST", `/v1/jobs/${job?.id}/cancel`)
  assert.equal(refused.status, 409)
  assert.match(JSON.stringify(refused.value), /hayloft device use 00000000000000aa/)
  const listed = JOBS.parse((await json("GET", "/v1/jobs")).value)
  assert.deepEqual(
    listed.started.map(({ id }) => id),
    [job?.id],
  )
  const same = await json("GET", `/v1/jobs?revision=${listed.revision}&waitMs=0`)
  assert.equal(JOBS.parse(same.value).revision, listed.revision)
  const shown = await json("GET", `/v1/jobs/${job?.id}`)
  assert.equal(STARTED_JOB.parse(shown.value).starter.kind, "operator")
  assert.equal((await json("GET", "/v1/jobs/drain-aaaaaaaa")).status, 404)
  assert.equal((await json("GET", "/v1/jobs?waitMs=60001")).status, 400)
})

test("a job on objects knows the moment of its start, so that it leaves what is written later", async () => {
  const { store, json } = world()
  assert.equal((await json("POST", "/v1/buckets", { body: { name: "photos" } })).status, 201)
  const opened: unknown[] = []
  store.startedJobs.attach(
    async ({ request }) => (opened.push(JSON.parse(request)), NO_OBJECTS),
    () => [],
    () => undefined,
  )
  const { status } = await json("POST", "/v1/buckets/photos/jobs", { body: { job: { kind: "delete-objects" } } })
  assert.equal(status, 202)
  const [{ asOfUs }] = z.tuple([z.object({ asOfUs: z.number() })]).parse(opened)
  assert.equal(asOfUs, await HISTORY_PARTS.moments.now())
})

test("a background job is paused by its name; work on objects needs a bucket, and a kind that there is", async () => {
  const { json } = world()
  assert.equal(JOB.parse((await json("POST", "/v1/jobs/repair/pause")).value).isPaused, true)
  assert.equal((await json("POST", "/v1/jobs/nothing/pause")).status, 400)
  assert.equal((await json("POST", "/v1/jobs/drain-aaaaaaaa/resume")).status, 404)
  const start = async (bucket: string, job: object) =>
    (await json("POST", `/v1/buckets/${bucket}/jobs`, { body: { job } })).status
  assert.equal(await start("nothing", { kind: "delete-objects" }), 404)
  assert.equal(await start("nothing", { kind: "delete-everything" }), 400)
  assert.equal(await start("nothing", { kind: "delete-objects", itemsPerSecond: 0 }), 400)
})
