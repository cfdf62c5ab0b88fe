/** Status of a store's contents between the scans of repair. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { needleIdOfKey } from "@hayloft/engine/format/needles/needle.js"
import { ALL_NEEDLES } from "@hayloft/engine/block/index.js"
import { makeCodec } from "@hayloft/engine/erasure/index.js"
import { InlineCompute } from "@hayloft/base/seams/compute/index.js"
import { createBucket, Machine, noSignal, sourceOf } from "../testing-engine.js"
import { sourcesOfEngine } from "./status-of-engine.js"

test("the contents of a new store are known immediately; those of another one after repair's scan", async () => {
  for (const isNew of [true, false]) {
    const machine = new Machine({ devices: 3 })
    const { clock } = machine
    const engine = await machine.open()
    const { services } = engine
    const sources = sourcesOfEngine(clock, {
      ...services,
      isNew,
      record: () => engine.recordManager.record,
      devices: () => engine.devices,
      offlineReason: () => undefined,
      metadata: engine.metadata,
      tablet: engine.tablet,
      reach: engine,
      compute: new InlineCompute(makeCodec, { slabBytes: 256 * KIB, poolBytes: 1 * MIB }),
      jobs: () => [],
      failingJobs: () => [],
      bucketPolicies: () => [],
    })
    assert.equal(sources.contents()?.isKnown, isNew)
    while ((await clock.runUntil(services.repair.step(noSignal))) !== "idle") await clock.advance(1_000)
    assert.equal(sources.contents()?.isKnown, true)
    await clock.runUntil(engine.stop())
  }
})

test("bytes that repair finds after its scan are counted once", async () => {
  const machine = new Machine({ devices: 3 })
  const { clock } = machine
  const engine = await machine.open()
  const bucket = await createBucket(engine)
  const { services } = engine
  const sources = sourcesOfEngine(clock, {
    ...services,
    isNew: false,
    record: () => engine.recordManager.record,
    devices: () => engine.devices,
    offlineReason: () => undefined,
    metadata: engine.metadata,
    tablet: engine.tablet,
    reach: engine,
    compute: new InlineCompute(makeCodec, { slabBytes: 256 * KIB, poolBytes: 1 * MIB }),
    jobs: () => [],
    failingJobs: () => [],
    bucketPolicies: () => [],
  })
  const put = (name: string, lengthBytes: number) => {
    const rest = { attributes: { headers: {}, userMetadata: [] }, tags: [], conditions: {}, signal: noSignal }
    const body = sourceOf(Buffer.alloc(lengthBytes, "x"))
    return clock.runUntil(services.objects.put({ ...rest, bucket, key: objectKeyOfText(name), body }))
  }
  const repair = async () => {
    while ((await clock.runUntil(services.repair.step(noSignal))) !== "idle") await clock.advance(1_000)
    await clock.advance(1_000)
  }
  const reportedBytes = () => must(sources.contents(), "looked at").policies.reduce((sum, { bytes }) => sum + bytes, 0)
  await put("old", 100_000)
  await repair()
  assert.equal(reportedBytes(), 100_000)
  const had = new Set(Array.from(must(engine.devices[0], "three").volumes.indexed(ALL_NEEDLES), ({ key }) => key))
  await put("young", 50_000)
  await clock.advance(1_000)
  assert.equal(reportedBytes(), 150_000)
  const { place, volumes } = must(engine.devices[0], "three")
  const young = Array.from(volumes.indexed(ALL_NEEDLES), ({ key }) => key).find(key => !had.has(key))
  services.repair.noteDamage({ deviceId: place.id, id: needleIdOfKey(must(young, "it has a shard")) })
  await repair()
  assert.equal(reportedBytes(), 150_000)
  await clock.runUntil(engine.stop())
})
