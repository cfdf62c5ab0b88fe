/** The policies of bytes that versions share: how often the versions of a key are read for them. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { objectKeyOfText, parseLogSequence } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { TestDevices } from "@hayloft/engine/block/testing-blocks.js"
import { Rows } from "@hayloft/engine/device/index.js"
import { makeCodec } from "@hayloft/engine/erasure/index.js"
import { ALL_OBJECT_ROWS } from "@hayloft/objects/queries/extent-rows.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import { sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"
import { StoreWorld } from "../testing-services.js"
import { PoliciesOfRows } from "./policies-of-rows.js"
import { encodedRows, REENCODE_LIMITS } from "./reencode.js"

const noSignal = new AbortController().signal
const makeRows = async () => new Rows(await new MemoryStores().openReader("base"), parseLogSequence(0))

test("the versions of a key are read some at a time, and once for all rows of the key", async () => {
  const world = await StoreWorld.open(new TestDevices(makeRows), makeCodec, parsePolicy("replica:2"), 2)
  const { buckets, objects } = world.services
  await buckets.setVersioning(world.home, "enabled")
  const target = { bucket: await buckets.open(world.home.name), key: objectKeyOfText("a"), conditions: {} }
  const copying = { ...target, source: target, replaceAttributes: undefined, checksumAlgorithm: undefined }
  for (let i = 0; i < 3; i += 1) {
    await world.put("a", world.random.bytes(20 * KIB))
    await world.clock.runUntil(objects.copy({ ...copying, replaceTags: [["copy", String(i)]], signal: noSignal }))
  }
  for (let i = 0; i < 2_000; i += 1) await world.clock.runUntil(objects.put(world.putting("a", sourceOf(Buffer.of(i)))))
  const asked: string[] = []
  const metadata: ConstructorParameters<typeof PoliciesOfRows>[0] = {
    ask: query => {
      asked.push(query.name)
      return world.tablet.ask(query)
    },
  }
  const policies = new PoliciesOfRows(metadata, { policyOf: () => undefined })
  const found: (string | undefined)[] = []
  const store = parsePolicy("replica:2")
  for (let start: typeof ALL_OBJECT_ROWS.start | undefined = ALL_OBJECT_ROWS.start; start !== undefined;) {
    const step: ReturnType<ReturnType<typeof encodedRows>["answer"]> = await world.tablet.ask(
      encodedRows("versions", start, { max: REENCODE_LIMITS.rowsPerStep, withClasses: true }),
    )
    policies.nextStep()
    for (const { ofClass } of step.rows) {
      if (typeof ofClass === "string") continue
      found.push((await policies.of(ofClass, store))?.kind)
    }
    start = step.next
  }
  assert.deepEqual(
    found,
    Array.from({ length: 6 }, () => "replica"),
  )
  assert.deepEqual(asked, ["ClassesOfVersions", "ClassesOfVersions", "ClassesOfVersions"], "2,006 versions, 1,000 each")
})
