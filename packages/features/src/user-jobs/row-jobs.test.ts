/** Jobs of deduplication: each row counts once, whatever process dies, and a job ends with its bucket. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { decodeBlockPlace, encodeBlockPlace } from "@hayloft/engine/format/objects/dedup-rows.js"
import { damage, openScene, put, rowsOf, wait, type Scene } from "../dedup/testing-upkeep.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { OpenWork } from "../operator/index.js"
import { kindOfDedup, openUpkeepJob, textOfDedup, UPKEEP_KINDS } from "../dedup/upkeep-jobs.js"
import { StartedJobs } from "./started-jobs.js"

const OPERATOR = { kind: "operator", id: "", name: "" } as const
const BLOCK = 64 * 1_024
const OBJECTS = 60
const DAMAGED = 5
const HOUR_MS = 3_600_000

/** Objects of blocks of their own; for the first block of some of them the index states a wrong length. */
async function damaged(): Promise<Scene> {
  const scene = await openScene("dedup")
  for (let n = 0; n < OBJECTS; n += 1) await put(scene, `key ${n}`, scene.world.random.bytes(BLOCK + 1 + n))
  const firsts = [...rowsOf(scene, "blockIndex").entries()].filter(([, [, { value }]]) => isFirst(value))
  for (let n = 0; n < DAMAGED; n += 1) await damage(scene, "blockIndex", shortened, firsts[7 * n]?.[0])
  await wait(scene, HOUR_MS)
  return scene
}

const isFirst = (value: Uint8Array): boolean => decodeBlockPlace(value).offsetBytes === 0
const shortened = (value: Uint8Array): Uint8Array => encodeBlockPlace({ ...decodeBlockPlace(value), lengthBytes: 5 })

/** One process. `crashAt`: the row at which it ends. */
function processOf({ world }: Scene, seed: number, crashAt = Infinity) {
  const { clock, telemetry, tablet, services } = world
  const stopped = new AbortController()
  let worked = 0
  const jobs = new StartedJobs({
    clock,
    random: new SimRandom(seed),
    log: telemetry.log,
    metadata: tablet,
    prepare: async () => undefined,
    dueTimeMs: () => undefined,
    rowKinds: new Set(UPKEEP_KINDS),
  })
  const open: OpenWork = async job => {
    const work = await openUpkeepJob(services, job)
    return {
      prepare: () => work.prepare(),
      itemsAfter: (...page) => work.itemsAfter(...page),
      describe: item => work.describe(item),
      work(item, isRepeated) {
        worked += 1
        if (worked < crashAt) return work.work(item, isRepeated)
        stopped.abort()
        throw fail("stopping")
      },
    }
  }
  jobs.attach(
    open,
    () => [],
    () => undefined,
  )
  const run = async (): Promise<void> => {
    for (let step = 0; step < 100 && !stopped.signal.aborted; step += 1) {
      if ((await clock.runUntil(jobs.step(stopped.signal))) === "idle") return
      await clock.advance(1_000)
    }
  }
  return { jobs, run }
}

async function start({ world, bucket }: Scene, jobs: StartedJobs, kind: "verify" | "rebuild") {
  const request = { kind, read: false }
  const text = textOfDedup({ request, bucket: bucket.name, bucketId: bucket.id })
  const job = { kind: kindOfDedup(request), target: bucket.name, request: text, starter: OPERATOR, isDryRun: false }
  return world.clock.runUntil(jobs.start(job))
}

test("wherever a process dies, each row counts once, and each finding is listed once", async () => {
  for (const crashAt of [1, 50, 101, 170]) {
    const scene = await damaged()
    const first = processOf(scene, 1, crashAt)
    const { id } = await start(scene, first.jobs, "verify")
    await first.run()
    assert.equal((await first.jobs.get(id)).state, "running")
    const next = processOf(scene, 2)
    await next.run()
    const { state, counts, result, failures, progress } = await next.jobs.get(id)
    // A row of digests, and two blocks in the index, of each object.
    const rows = OBJECTS + 2 * OBJECTS
    assert.deepEqual([state, counts?.matched, counts?.failed, progress.unit], ["done", rows, DAMAGED, "rows"])
    assert.equal(counts?.done, rows - DAMAGED)
    assert.equal(result, `${rows} of ${rows} rows compared: ${DAMAGED} findings`)
    assert.equal(new Set(failures.map(({ key }) => key)).size, DAMAGED)
  }
})

test("what a rebuild has changed is counted once, and a verification finds nothing afterwards", async () => {
  const scene = await damaged()
  const first = processOf(scene, 1, 40)
  const { id } = await start(scene, first.jobs, "rebuild")
  await first.run()
  const next = processOf(scene, 2)
  await next.run()
  const { state, counts } = await next.jobs.get(id)
  assert.deepEqual([state, counts?.failed], ["done", 0])
  assert.ok((counts?.repaired ?? 0) > 0)
  const verified = await start(scene, next.jobs, "verify")
  await next.run()
  assert.match((await next.jobs.get(verified.id)).result ?? "", /: all agree$/)
})

test("a job is cancelled after the page under way", async () => {
  const scene = await damaged()
  const { jobs, run } = processOf(scene, 1)
  const { id } = await start(scene, jobs, "verify")
  await scene.world.clock.runUntil(jobs.step(new AbortController().signal))
  await jobs.cancel(id)
  await run()
  const { state, result } = await jobs.get(id)
  assert.equal(state, "cancelled")
  assert.match(result ?? "", /^cancelled: \d+ of \d+ rows compared/)
})

test("a job ends when its bucket was deleted and made again", async () => {
  const scene = await openScene("dedup")
  const { world, bucket } = scene
  const { jobs, run } = processOf(scene, 1)
  const { id } = await start(scene, jobs, "verify")
  await world.services.buckets.remove(bucket)
  await world.services.buckets.create({ name: bucket.name, owner: bucket.owner, location: "" })
  await run()
  const { state, result } = await jobs.get(id)
  assert.equal(state, "failed")
  assert.match(result ?? "", /the bucket was deleted, and made again/)
})
