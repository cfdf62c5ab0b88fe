/** A tablet tells its watchers what was committed together in one call: the position is already that of the last change. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { rowKeyOf } from "@hayloft/base/ids.js"
import { groupOfRow, LastChanges } from "@hayloft/engine/thread/last-changes.js"
import { put, Scene } from "./scene.js"

test("another thread that has read a position finds every row changed that has changed up to it", async () => {
  const scene = new Scene({ devices: 2 })
  await scene.open()
  const { tablet } = scene
  const keys = Array.from({ length: 20 }, (_, at) => `key ${at}`)
  const before = tablet.position
  const looks: { readonly changed: number; readonly position: number }[] = []
  const look = (): void => {
    const changed = keys.filter(key => changes.haveChanged([groupOfRow(rowKeyOf(key))], before)).length
    looks.push({ changed, position: changes.position - before })
  }
  const changes = LastChanges.of({
    get position() {
      return tablet.position
    },
    get generation() {
      return tablet.generation
    },
    watch: watcher =>
      tablet.watch(writes => {
        watcher(writes)
        look()
      }),
  })
  await Promise.all(keys.map(key => tablet.run(put([{ key, value: "value" }]))))
  assert.ok(
    looks.some(({ position }) => position > 1),
    "some were committed together",
  )
  // Each command has changed one row.
  for (const { changed, position } of looks) assert.equal(changed, position)
  assert.equal(looks.at(-1)?.position, keys.length)
  await tablet.stop()
})
