/** The buckets of a rescue whose snapshot was written while buckets were made and removed. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { command } from "@hayloft/engine/metadata/index.js"
import { settingRowKey } from "@hayloft/engine/format/row-key.js"
import type { BucketId } from "@hayloft/base/ids.js"
import type { BucketSettingName } from "@hayloft/engine/format/records.js"
import { DoomedStore } from "./testing-rescue.js"

const NAME = "again"
/** A snapshot of a store without many rows takes fewer steps. */
const STEPS_MAX = 100

/** The bucket is removed and made again, with a setting, after so many steps of a backup; undefined if that has ended by then. */
async function remadeAfter(steps: number): Promise<DoomedStore | undefined> {
  const store = await DoomedStore.open(4)
  const bucket = await store.bucket(NAME)
  await store.put(bucket, "old", store.bytes(100))
  await store.startBackUp()
  for (let step = 0; step < steps; step += 1) if ((await store.step("metadata-backup")) !== "busy") return undefined
  await store.remove(bucket, "old")
  await store.removeBucket(NAME)
  const made = await store.bucket(NAME)
  await store.set(made, "cors", "<CORSConfiguration/>")
  await store.put(made, "new", store.bytes(100))
  await store.settle("metadata-backup")
  return store
}

test("a bucket that is removed and made again during a backup is the later one, with its settings and without the former objects", async () => {
  let remade = 0
  for (let steps = 1; steps < STEPS_MAX; steps += 1) {
    const store = await remadeAfter(steps)
    if (store === undefined) break
    const { target, entries } = await store.rescue([1, 2, 3, 4])
    const plan = target.buckets.get(NAME)
    assert.ok(plan, `it is there after ${steps} steps`)
    const keys = [...target.keys.keys()].filter(key => key.startsWith(`${NAME}/`))
    if (!plan.settings.has("cors")) {
      assert.deepEqual(keys, [`${NAME}/old`], `the snapshot is from before step ${steps}`)
      continue
    }
    remade += 1
    assert.ok(
      keys.every(key => key === `${NAME}/new`),
      `${steps} steps: ${keys.join()}`,
    )
    const named = entries.filter(({ kind, name }) => kind === "bucket" && name === NAME)
    assert.deepEqual(
      named.map(({ list, notes }) => [list, notes]),
      [["certain", []]],
    )
  }
  assert.ok(remade > 5, `${remade} snapshots have the later bucket`)
})

const loseSetting = command<[id: BucketId, name: BucketSettingName], void>({
  name: "LoseSetting",
  decide(view, _time, id, name) {
    const key = settingRowKey(id, name)
    assert.ok(view.get("settings", key), "the bucket has it")
    return { writes: [{ family: "settings", key, value: undefined }], result: undefined }
  },
})

test("a setting that the bucket has, and the snapshot lacks, is named", async () => {
  const store = await DoomedStore.open(4)
  const bucket = await store.bucket(NAME)
  await store.set(bucket, "cors", "<CORSConfiguration/>")
  await store.set(bucket, "tagging", "<Tagging/>")
  await store.machine.clock.runUntil(store.services.core.metadata.run(loseSetting(bucket.id, "cors")))
  await store.backUp()
  const { target, entries } = await store.rescue([1, 2, 3, 4])
  assert.deepEqual([...(target.buckets.get(NAME)?.settings.keys() ?? [])], ["tagging"])
  const found = entries.find(({ kind, name }) => kind === "bucket" && name === NAME)
  assert.deepEqual(found?.notes, ["settings are lost: cors"])
})
