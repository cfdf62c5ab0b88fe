/** Objects that are stored while the wall clock is behind, over a store in simulated time with a lifecycle rule. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { objectKeyOfText, parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import { encodeLifecycleRules } from "@hayloft/features/lifecycle/index.js"
import type { Engine } from "@hayloft/node/engine.js"
import { CONFIRMED_TIME_LIMITS } from "@hayloft/objects/confirmed-time-core.js"
import { bodyBytes, putRequest, sourceOf } from "../../sim/world/bodies.js"
import { World } from "../../sim/world/world.js"

const HOUR_MS = 3_600_000
const DAY_MS = HOUR_MS
const RULE_DAYS = 3
const BEHIND_MS = 40 * HOUR_MS
const { believeMs } = CONFIRMED_TIME_LIMITS
const NAME = parseBucketName("expiring")
const never = new AbortController().signal

/** A store whose objects go after `RULE_DAYS`, on a machine whose wall clock is set while it runs or is stopped. */
class Store {
  private readonly world = new World({ seed: 1, devices: 1, days: { dayMs: DAY_MS, abandonedDays: 0 } })
  private engine: Engine | undefined
  private behindMs = 0

  async start(): Promise<void> {
    this.engine = await this.world.run(this.world.start())
  }

  async stop(): Promise<void> {
    await this.world.run(this.world.stop(must(this.engine, "it runs")))
  }

  async setRules(): Promise<void> {
    const { buckets } = this.services
    const owner = parseAccountId("root")
    const bucket = await this.world.run(buckets.create({ name: NAME, owner, location: "" }))
    const rule = { id: "all", isEnabled: true, filter: { form: "filter" }, expiration: { days: RULE_DAYS } } as const
    const document = encodeLifecycleRules({ transitionMinimum: "all_storage_classes_128K", rules: [rule] })
    await this.world.run(buckets.setSetting(bucket, "lifecycle", document))
  }

  /** Returns by how much its date is behind the true time. */
  async put(key: string): Promise<number> {
    const request = putRequest(await this.bucket(), objectKeyOfText(key), sourceOf(bodyBytes(key, 100)))
    const { lastModifiedMs } = await this.world.run(this.services.objects.put(request))
    return this.world.clock.wallMs() + this.behindMs - lastModifiedMs
  }

  setBehind(behindMs: number): void {
    this.world.clock.jumpWall(this.behindMs - behindMs)
    this.behindMs = behindMs
  }

  /** Lets time pass and lifecycle remove what is due, and returns the keys that are left. */
  async after(durationMs: number): Promise<readonly string[]> {
    for (let passedMs = 0; passedMs < durationMs; passedMs += DAY_MS) {
      await this.world.pass(DAY_MS)
      while ((await this.world.run(this.services.lifecycle.step(never))) === "busy");
    }
    const request = { bucket: await this.bucket(), prefix: "", delimiter: "", after: "", max: 10 }
    const { entries } = await this.world.run(this.services.objects.list(request))
    return entries.flatMap(entry => (entry.kind === "object" ? [String(entry.object.key)] : []))
  }

  private get services(): Engine["services"] {
    return must(this.engine, "it runs").services
  }

  private bucket() {
    return this.world.run(this.services.buckets.open(NAME))
  }
}

async function storeThatRan(durationMs: number): Promise<Store> {
  const store = new Store()
  await store.start()
  await store.setRules()
  await store.after(durationMs)
  return store
}

for (const isStopped of [true, false])
  test(`an object that is stored while the clock is behind is not removed as an old one (set ${isStopped ? "before the start" : "in between"})`, async () => {
    const store = await storeThatRan(believeMs + HOUR_MS)
    if (isStopped) await store.stop()
    store.setBehind(BEHIND_MS)
    if (isStopped) await store.start()
    else await store.after(HOUR_MS)
    const lateMs = await store.put("young")
    assert.ok(lateMs >= 0 && lateMs <= HOUR_MS, `it is dated ${lateMs} ms too early`)
    store.setBehind(0)
    assert.deepEqual(await store.after((RULE_DAYS - 1) * DAY_MS), ["young"])
    assert.deepEqual(await store.after(3 * DAY_MS), [], "the rule holds for it")
    await store.stop()
  })

test("a wall clock that has been behind for six hours is believed: it had been ahead before", async () => {
  const store = await storeThatRan(believeMs + HOUR_MS)
  store.setBehind(BEHIND_MS)
  await store.after(believeMs - HOUR_MS)
  assert.ok((await store.put("before")) <= HOUR_MS)
  await store.after(2 * HOUR_MS)
  assert.ok((await store.put("after")) >= BEHIND_MS)
  await store.stop()
  await store.start()
  assert.ok((await store.put("again")) >= BEHIND_MS, "it is remembered")
  await store.stop()
})

test("a clock that was ahead for less than that leaves no date in the future", async () => {
  const store = await storeThatRan(HOUR_MS)
  await store.stop()
  store.setBehind(-BEHIND_MS)
  await store.start()
  await store.after(believeMs - HOUR_MS)
  await store.stop()
  store.setBehind(0)
  await store.start()
  assert.equal(await store.put("present"), 0)
  await store.stop()
})
