/** Differences between replicas are found, and the wrong replica is identified if possible. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { parseEpoch, rowKeyOf } from "@hayloft/base/ids.js"
import { encodeStoredRow } from "@hayloft/engine/format/tables/stored-row.js"
import { storePrefixOf } from "@hayloft/engine/format/device/replica-incarnation.js"
import { idOf, Scene } from "./scene.js"

const keyOf = (i: number): string => `key ${String(i).padStart(4, "0")}`
const deviceKey = (key: string) => rowKeyOf(storePrefixOf(parseEpoch(1)) + key)

/** Devices whose metadata stores contain the same 600 rows, and that with the reserved timestamps. */
async function alike(devices: number): Promise<Scene> {
  const scene = new Scene({ devices, segmentBytes: 1024 * 1024 })
  await scene.open()
  await scene.write(...Array.from({ length: 600 }, (_, i) => ({ key: keyOf(i), value: `value ${i}`, payload: "p" })))
  for (const device of scene.devices) await device.checkpoint()
  return scene
}

/**
 * Changes the metadata store of a device without a checkpoint; undefined deletes, a Uint8Array is written unchanged.
 */
async function tamper(scene: Scene, number: number, key: string, value: string | Uint8Array | undefined) {
  const writer = await scene.device(number).stores.openWriter("/base")
  const at = deviceKey(key)
  const row = typeof value === "string" ? encodeStoredRow(Buffer.from(value), undefined) : value
  await writer.commit([{ family: "current", key: at, value: row }])
}

function compare(scene: Scene) {
  const comparison = scene.tablet.compareReplicas()
  let steps = 1
  while (comparison.step()) steps += 1
  return { comparison, steps }
}

test("replicas with the same rows have the same digest, in their metadata stores or in memory", async () => {
  const scene = await alike(3)
  await scene.device(2).checkpoint()
  await scene.write({ key: keyOf(5), value: undefined }, { key: "new", value: "value" })
  await scene.device(1).checkpoint()
  const { comparison, steps } = compare(scene)
  assert.ok(steps > 600 / 256, `${steps} steps`)
  assert.equal(comparison.rowsCompared, 601)
  assert.equal(comparison.wrong.size + comparison.undecided, 0)
  assert.equal(comparison.digestOf.size, 3)
  assert.equal(new Set(comparison.digestOf.values()).size, 1)
})

const DAMAGES = [
  ["missing", keyOf(300), undefined],
  ["missing", keyOf(599), undefined],
  ["extra", `${keyOf(256)} ghost`, "ghost"],
  ["extra", "zzz", "ghost"],
  ["different", keyOf(100), "another"],
  ["corrupt", keyOf(100), Buffer.from("rot")],
] as const

for (const [what, key, value] of DAMAGES) {
  test(`of three replicas, the one in which ${key} is ${what} is identified`, async () => {
    for (const number of [1, 2, 3]) {
      const scene = await alike(3)
      await tamper(scene, number, key, value)
      await scene.open()
      const { comparison } = compare(scene)
      assert.deepEqual([...comparison.wrong], [[idOf(number), 1]])
      assert.equal(comparison.undecided, 0)
      const [found] = comparison.differences
      assert.equal(found?.what, what)
      if (what !== "corrupt") assert.equal(found?.key, key)
    }
  })
}

test("of two differing replicas none is identified, unless a row fails its own checksum", async () => {
  const scene = await alike(2)
  await tamper(scene, 2, keyOf(7), undefined)
  await tamper(scene, 1, keyOf(500), Buffer.from("rot"))
  await scene.open()
  const { comparison } = compare(scene)
  assert.equal(comparison.undecided, 1)
  assert.equal(comparison.differences.find(({ id }) => id === undefined)?.key, keyOf(7))
  assert.deepEqual([...comparison.wrong], [[idOf(1), 1]])
})

test("a replica that has lost all its rows is reported by the rows that it should have had", async () => {
  const scene = await alike(3)
  for (let i = 0; i < 600; i += 1) await tamper(scene, 1, keyOf(i), undefined)
  await scene.open()
  const { comparison } = compare(scene)
  assert.deepEqual([...comparison.wrong], [[idOf(1), 600]])
  assert.equal(comparison.differences.length, 100)
})

test("a pass begins again if the set of replicas changes", async () => {
  const scene = await alike(3)
  const comparison = scene.tablet.compareReplicas()
  comparison.step()
  await scene.tablet.dropReplicas([idOf(1)], fail("deviceFailed"), () => scene.drop([idOf(1)]))
  while (comparison.step()) continue
  assert.equal(comparison.rowsCompared, 601)
  assert.deepEqual([...comparison.digestOf.keys()], [idOf(2), idOf(3)])
})
