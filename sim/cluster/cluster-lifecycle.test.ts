/** Several nodes share a pass of lifecycle, and one of them is killed within it. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { objectKeyOfText, parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import { encodeLifecycleRules } from "@hayloft/engine/format/objects/lifecycle-rules.js"
import type { LifecyclePass } from "@hayloft/engine/format/objects/lifecycle-pass.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { Bucket } from "@hayloft/objects/index.js"
import { lifecyclePasses } from "@hayloft/features/lifecycle/pass-core.js"
import { listAllVersions } from "../world/audit.js"
import { bodyBytes, putRequest, sourceOf } from "../world/bodies.js"
import { AgingCluster } from "./aging-cluster.js"
import { Cluster } from "./cluster.js"

const DAY_MS = 60_000
/** Two slices. */
const KEYS = 600
const AT_ONCE = 60
const NAME = parseBucketName("shared")
const POLL_MS = 10
/** A killed process is over after some minutes. */
const LONG_POLL_MS = 1_000
const POLLS_MAX = 10_000

class SharedPass {
  private readonly cluster: Cluster

  constructor(seed: number) {
    this.cluster = new Cluster(seed)
    for (const zone of ["a", "b", "c"]) {
      this.cluster.addNode({ name: `n${zone}`, zone, devices: 1, latencyMsMax: 2, lifecycleDayMs: DAY_MS })
    }
  }

  run(): Promise<void> {
    return this.cluster.clock.runUntil(this.story())
  }

  private async story(): Promise<void> {
    const { cluster } = this
    // Versions of a node whose wall clock is ahead would be due later.
    for (const { clockErrors } of cluster.nodes) clockErrors.wallOffsetMs = 0
    await Promise.all(cluster.nodes.map(node => cluster.start(node)))
    const bucket = await this.fill()
    // Nothing is due on the day on which it was put.
    await cluster.sleep(DAY_MS)
    await this.until(bucket, POLL_MS, pass => pass.taken.length > 0)
    const taken = (await this.pass(bucket))?.taken ?? []
    const victim = cluster.serving.find(({ engine }) =>
      taken.some(({ incarnation }) => incarnation === engine.metadata.incarnations.own),
    )
    must(victim, "a node has taken a slice").node.kill()
    await this.until(bucket, LONG_POLL_MS, ({ taken: left, endedMs }) => endedMs !== undefined && left.length === 0)
    const { engine } = must(cluster.serving[0], "two nodes serve")
    const shown = new Map<string, string[]>()
    for (const entry of await listAllVersions(engine, bucket)) {
      if (entry.kind === "prefix") continue
      const key = entry.kind === "marker" ? entry.key : entry.object.key
      shown.set(key, [...(shown.get(key) ?? []), entry.kind])
    }
    assert.equal(shown.size, KEYS)
    for (const [key, kinds] of shown) assert.deepEqual(kinds, ["marker", "version"], key)
    assert.deepEqual(cluster.mistakes, [])
  }

  /** Everything is due the day after. */
  private async fill(): Promise<Bucket> {
    const engines = this.cluster.serving.map(({ engine }) => engine)
    const { buckets } = must(engines[0], "a node serves").services
    const bucket = await buckets.create({ name: NAME, owner: parseAccountId("root"), location: "" })
    await buckets.setVersioning(bucket, "enabled")
    await mapBounded(Array.from({ length: KEYS }).keys(), AT_ONCE, async number => {
      const { objects } = must(engines[number % engines.length], "all nodes serve").services
      await objects.put(putRequest(bucket, objectKeyOfText(`key ${number}`), sourceOf(bodyBytes("x", 40))))
    })
    const rule = { id: "all", isEnabled: true, filter: { form: "filter" }, expiration: { days: 1 } } as const
    const document = encodeLifecycleRules({ transitionMinimum: "all_storage_classes_128K", rules: [rule] })
    await buckets.setSetting(bucket, "lifecycle", document)
    return bucket
  }

  private async pass({ id }: Bucket): Promise<LifecyclePass | undefined> {
    const { engine } = must(this.cluster.serving[0], "a node serves")
    const passes = await engine.services.tablet.ask(lifecyclePasses())
    return passes.find(({ bucketId }) => bucketId === id)?.pass
  }

  private async until(bucket: Bucket, pollMs: number, holds: (pass: LifecyclePass) => boolean): Promise<void> {
    for (let polls = 0; polls < POLLS_MAX; polls += 1) {
      const pass = await this.pass(bucket)
      if (pass && holds(pass)) return
      await this.cluster.sleep(pollMs)
    }
    assert.fail("the pass does not get so far")
  }
}

test("nodes share a pass of lifecycle, and what a killed node had taken is done by others", () =>
  new SharedPass(1).run())

/** The scenario "aging cluster" has more of them, for `npm run planted`. */
const AGING_STEPS = 8

test("objects age on several nodes while clocks jump: nothing goes or moves early, or with a lock, and all that is due does", () =>
  new AgingCluster(2, AGING_STEPS).run())
