/**
 * Decisions based on absent rows: every replica of the configuration answers, from metadata that a walk has verified.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseEpoch, rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import { storePrefixOf } from "@hayloft/engine/format/device/replica-incarnation.js"
import { query } from "@hayloft/engine/metadata/index.js"
import { idOf, Scene } from "./scene.js"

const KEY = rowKeyOf("key 7")
const { signal } = new AbortController()

/** Three replicas whose metadata stores hold the same rows. */
async function alike(): Promise<Scene> {
  const scene = new Scene({ devices: 3, segmentBytes: 1024 * 1024 })
  await scene.open()
  await scene.write(...Array.from({ length: 20 }, (_, i) => ({ key: `key ${i}`, value: `value ${i}` })))
  for (const device of scene.devices) await device.checkpoint()
  return scene
}

/** The row vanishes, as after a misdirected write of its page. */
function lose(scene: Scene, number: number): void {
  const key = rowKeyOf(storePrefixOf(parseEpoch(1)) + KEY)
  scene.device(number).stores.damage("/base", [{ family: "current", key, value: undefined }])
}

async function verifyAll(scene: Scene): Promise<void> {
  while (await scene.tablet.verifyReplicas(signal));
}

const hasRow = query("HasRow", (view, key: RowKey) => view.get("current", key) !== undefined)

const ask = (scene: Scene, sinceMs = -Infinity) => scene.tablet.askEveryReplica(sinceMs, hasRow(KEY))

test("replicas are queried once all of them are verified, each by its own rows", async () => {
  const scene = await alike()
  assert.equal(await ask(scene), undefined, "nothing is verified")
  await scene.tablet.verifyReplicas(signal)
  assert.equal(await ask(scene), undefined, "one of three is")
  await verifyAll(scene)
  assert.deepEqual(await ask(scene), [true, true, true])
  await scene.write({ key: KEY, value: undefined })
  assert.deepEqual(await ask(scene), [false, false, false], "rows that are only in memory are found")
})

test("a query waits for a replica that is offline", async () => {
  const scene = await alike()
  await verifyAll(scene)
  scene.replicasWanted = 4
  assert.equal(await ask(scene), undefined)
})

test("a later decision waits for a walk that begins after it", async () => {
  const scene = await alike()
  await verifyAll(scene)
  await scene.clock.advance(3_600_000)
  const sinceMs = scene.clock.monotonicMs()
  assert.equal(await ask(scene, sinceMs), undefined)
  lose(scene, 1)
  await verifyAll(scene)
  assert.equal(await ask(scene, sinceMs), undefined, "one replica was damaged since the first walk")
  assert.deepEqual(
    scene.damages.map(({ id }) => id),
    [idOf(1)],
  )
})

test("a damaged replica is reported, and the intact ones are not", async () => {
  const scene = await alike()
  lose(scene, 2)
  await verifyAll(scene)
  assert.deepEqual(
    scene.damages.map(({ id, failure }) => [id, failure.details["family"]]),
    [[idOf(2), "current"]],
  )
  assert.match(scene.tablet.metadataDamages.join(), /family "current" is damaged: 19 rows, 20 were written/)
  assert.equal(await ask(scene), undefined)
})

test("if all replicas are damaged none is discarded", async () => {
  const scene = await alike()
  for (const number of [1, 2, 3]) lose(scene, number)
  await verifyAll(scene)
  assert.deepEqual(scene.damages, [])
  assert.equal(scene.tablet.metadataDamages.length, 3)
  assert.equal(await ask(scene), undefined)
})
