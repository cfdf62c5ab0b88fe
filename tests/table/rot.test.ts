/** A table store with rotten, missing, exchanged or older files: see `rot.ts`. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId, rowKeyOf } from "@hayloft/base/ids.js"
import { failing, SimDisk } from "@hayloft/base/seams/disk/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { tableNumberOf } from "@hayloft/engine/table/manifest-files.js"
import { topRuns } from "@hayloft/engine/table/pick-core.js"
import { tablePath } from "@hayloft/engine/table/table.js"
import { TABLE_CHECKS } from "./checks.js"
import { assertRefused, closedStore, contentOf, loseParity, replace } from "./rot.js"
import { bytesOf, FOLDER, hostOf, levelsOf, mergeAll, mergingOf, openReader, openWriter, rowsOf } from "./world.js"
import { Model, same, SMALL_LIMITS, textOf } from "./world.js"

test("rot never makes a key look absent: reads return the written value, or an error", async () => {
  const { closed, refused, recorded, rebuilt, healed } = await TABLE_CHECKS.rot()
  const counts = `${closed} closed, ${refused} refused, ${recorded} recorded, ${rebuilt} rebuilt, ${healed} healed`
  assert.ok(refused > 50 && recorded > 5 && rebuilt > 40 && healed > 5, counts)
})

test("both copies of a manifest damaged, or both gone: refused", async () => {
  const { medium, names } = await closedStore(2)
  const manifests = names.filter(name => !name.endsWith(".table"))
  assert.equal(manifests.length, 2)
  const damaged = medium.copy()
  for (const name of manifests) damaged.flipBit(`${FOLDER}/${name}`, 200)
  await assertRefused(damaged, "damaged")
  const gone = new SimDisk(medium.copy())
  for (const name of manifests) await gone.boot().remove(`${FOLDER}/${name}`)
  await assertRefused(gone.medium, "gone")
})

test("an older manifest does not stand in for a newer one that is damaged", async () => {
  await TABLE_CHECKS["older manifest"]()
})

test("swapped blocks are rebuilt", async () => {
  await TABLE_CHECKS["exchanged blocks"]()
})

test("missing, exchanged and foreign tables are refused", async () => {
  const { medium, names } = await closedStore(4)
  const tables = names.filter(name => tableNumberOf(name) !== undefined)
  const [a, b] = [must(tables[0], "a table"), must(tables[1], "another")]
  const gone = new SimDisk(medium.copy())
  await gone.boot().remove(`${FOLDER}/${a}`)
  await assertRefused(gone.medium, "missing")
  const exchanged = medium.copy()
  replace(exchanged, a, contentOf(medium, b))
  await assertRefused(exchanged, "exchanged")
  const host = { disk: new SimDisk(medium.copy()).boot(), deviceId: parseDeviceId("fedcba9876543210") }
  await assert.rejects(openReader(host), error => isFailure(error, "corruptRow"))
})

test("a merge stops at damage and records it; other merges continue, and the damage stays detectable", async () => {
  const sim = new SimDisk()
  const host = hostOf(sim)
  const options = { limits: { ...SMALL_LIMITS, firstLevelBytesMax: 1e9 } }
  const writer = await openWriter(host, options)
  const put = (from: number, to: number, value: string) =>
    Array.from({ length: to - from }, (_, i) => {
      const key = rowKeyOf(`k${String(from + i).padStart(4, "0")}`)
      return { family: "current", key, value: bytesOf(value) } as const
    })
  await writer.commit(put(0, 400, "old".repeat(10)))
  for (let i = 0; i < 3; i += 1) await writer.commit(put(0, 1, "x"))
  await mergeAll(writer, "full")
  assert.deepEqual([...levelsOf(writer)], [6])
  const damaged = must(writer.manifest.tables[2], "a file in the middle")
  // Damages the first block of the file, and the parity that would rebuild it.
  const path = tablePath(FOLDER, damaged.number)
  loseParity(sim.medium, path.slice(FOLDER.length + 1))
  sim.medium.flipBit(path, 100)
  await writer.close()

  const again = await openWriter(host, options)
  for (let i = 0; i < 4; i += 1) await again.commit(put(0, 400, `new ${i}`))
  let stops = 0
  for (let steps = 0; steps < 100; steps += 1) {
    const rows = await again.merge(mergingOf("full")).catch((error: unknown) => {
      assert.ok(isFailure(error, "corruptRow"))
      stops += 1
      return 0
    })
    if (rows === undefined) break
  }
  assert.equal(stops, 1, "the damaged file is tried once")
  const [range, ...others] = again.manifest.damaged
  assert.deepEqual([range?.file, others.length], [damaged.number, 0])
  assert.ok(
    again.manifest.tables.some(({ number }) => number === damaged.number),
    "the file stays",
  )
  const value = again.get("current", must(put(150, 151, "")[0], "a row").key)
  assert.equal(value && textOf(value), "new 3", "the newer value is read")
  assert.throws(
    () => rowsOf(again),
    error => isFailure(error, "corruptRow"),
  )
  await again.close()
})

test("an unreadable file is named; commits continue, and merges without it; none of its rows is lost", async () => {
  const sim = new SimDisk()
  const host = hostOf(sim)
  const model = new Model(new SimRandom(5), false)
  // Nothing is cached, so each filter is read.
  const writer = await openWriter(host, { cacheBytes: 0 })
  for (let i = 0; i < 9; i += 1) {
    await writer.commit(model.batch(60))
    await mergeAll(writer, "due")
  }
  assert.ok(levelsOf(writer).size > 2)
  const deepest = writer.manifest.tables.reduce((a, b) => (b.level > a.level ? b : a))
  const path = tablePath(FOLDER, deepest.number)
  sim.intercept(failing({ kind: ["read", "readSync"], pathPart: path, nth: 1, forEver: true, code: "EIO" }))
  const unread: number[] = []
  let merges = 0
  for (let i = 0; i < 30; i += 1) {
    await writer.commit(model.batch(60))
    for (let steps = 0; ; steps += 1) {
      assert.ok(steps < 200, "merges do not end")
      const merging = { ...mergingOf("due"), unread }
      const rows = await writer.merge(merging).catch((error: unknown) => {
        assert.ok(isFailure(error, "deviceFailed") && error.details["path"] === path, String(error))
        unread.push(Number(error.details["file"]))
        return 0
      })
      if (rows === undefined) break
      merges += 1
    }
    assert.ok(topRuns(writer.manifest.tables).length < SMALL_LIMITS.topRunsMax)
  }
  assert.deepEqual(unread, [deepest.number], "the damaged file is tried once")
  assert.ok(merges > 20)
  assert.deepEqual(writer.manifest.damaged, [], "the file may become readable again")
  sim.intercept(() => undefined)
  same(rowsOf(writer), model.rows, "readable again")
  await mergeAll(writer, "full")
  same(rowsOf(writer), model.rows, "and merged")
  assert.ok(!writer.manifest.tables.some(({ number }) => number === deepest.number))
  await writer.close()
})

test("a merge above an unreadable run keeps the tombstones for its rows", async () => {
  const writer = await openWriter(hostOf(new SimDisk()))
  const keys = ["a", "b", "c", "d"].map(rowKeyOf)
  await writer.commit(keys.map(key => ({ family: "current", key, value: bytesOf("old") }) as const))
  const unread = writer.manifest.tables.map(({ number }) => number)
  for (const key of keys.slice(1)) await writer.commit([{ family: "current", key, value: undefined }])
  assert.equal(topRuns(writer.manifest.tables).length, 4)
  assert.notEqual(await writer.merge({ ...mergingOf("due"), unread }), undefined)
  assert.equal(topRuns(writer.manifest.tables).length, 2)
  assert.deepEqual([...rowsOf(writer).keys()], ["current a"])
  await writer.close()
})
