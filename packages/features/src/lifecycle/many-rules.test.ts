/** Passes over buckets with many rules, tags and uploads: none holds up the requests between its slices. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import { decodeVersionHead, NO_DETAILS } from "@hayloft/engine/format/objects/version-record.js"
import type { RowView } from "@hayloft/engine/metadata/index.js"
import { createBucket } from "@hayloft/objects/commands/bucket-commands-core.js"
import { versionFactsOf } from "./walk-core.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"
import { keyOf, World } from "./testing-lifecycle.js"

test("many rules make slices shorter, so that requests between them are answered", async () => {
  const rules = Array.from({ length: 1_000 }, (_, at) => ({
    filter: { form: "filter", prefix: at === 999 ? "" : `of ${at}/` } as const,
    expiration: { days: 1 },
    abortDays: 1,
  }))
  const world = await World.open(rules)
  for (let key = 0; key < 250; key += 1) world.put(`key ${key}`)
  for (let key = 0; key < 250; key += 1) world.upload(`key ${key}`)
  world.days(2)
  let slices = 0
  world.scene.metadata.before = name => {
    if (name === "TakeSlice") slices += 1
  }
  await world.pass()
  assert.ok(slices >= 6, `${slices} slices`)
  assert.deepEqual([world.shown(), world.uploads], [[], 0])
})

test("the tags of a version are read once, however many rules ask for them", async () => {
  const world = await World.open([])
  const tags = Array.from({ length: 10 }, (_, at): readonly [string, string] => [`key ${at}`, "value".repeat(50)])
  world.put("a", { details: { ...NO_DETAILS, tags } })
  const { committed } = world.scene.metadata
  const [objectRow, row] = must([...committed.range("current", ALL_ROWS)][0], "the object is there")
  const read: string[] = []
  const view: RowView = {
    range: (family, range) => committed.range(family, range),
    get(family, key) {
      read.push(family)
      return committed.get(family, key)
    },
  }
  const version = { objectRow, row, head: decodeVersionHead(row.value) }
  const facts = versionFactsOf(view, keyOf("a"), version, { kind: "current", isOnly: true })
  assert.deepEqual([facts.tags(), facts.tags()], [tags, tags])
  assert.deepEqual(read, ["details"])
})

test("uploads of more buckets than a slice reads are all removed", async () => {
  const world = await World.open([])
  for (let number = 0; number < 150; number += 1) {
    const name = parseBucketName(`many-${number}`)
    const { id } = world.decide(createBucket({ name, owner: parseAccountId("root"), location: "" }))
    world.upload("a", id)
    world.upload("b", id)
  }
  world.days(30)
  const { removed } = (await world.pass()).report()
  assert.deepEqual([world.uploads, removed.uploads], [0, 300])
})
