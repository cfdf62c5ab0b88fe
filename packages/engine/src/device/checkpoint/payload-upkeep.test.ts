/** Payload volumes that are mostly dead: live payloads move, and nothing that a row points at is ever removed. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import { decodeStoredRow, encodeStoredRow } from "../../format/tables/stored-row.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import { PayloadUsage } from "./payload-usage.js"
import { runMerge } from "./checkpoint.js"
import { emptyVolumes, volumeToMove, type CountedVolume } from "./payload-upkeep-core.js"
import { PayloadUpkeep } from "./payload-upkeep.js"
import { MemoryShelf } from "./testing-shelf.js"

const LIMITS = { deadShareMax: 0.2, deadShareMaxWhenShort: 0.06, deadBytesMin: 1, movedBytesMax: 10_000 }
const volume = (id: number, writtenBytes: number, liveBytes: number, isOpen = false): CountedVolume => ({
  volume: id,
  writtenBytes,
  liveBytes,
  isOpen,
})
const chosen = (volumes: readonly CountedVolume[], passed: readonly number[] = []) =>
  volumeToMove(volumes, new Set(passed), LIMITS)?.volume

test("the volume with the largest dead share is moved while too much of all is dead, and none otherwise", () => {
  assert.equal(chosen([]), undefined)
  assert.equal(chosen([volume(1, 100, 90), volume(2, 100, 75)]), undefined)
  assert.equal(chosen([volume(1, 100, 90), volume(2, 100, 50)]), 2)
  assert.equal(chosen([volume(1, 100, 10, true), volume(2, 100, 50)]), 1, "also the open one")
  assert.equal(chosen([volume(1, 100, 90), volume(2, 900, 0)]), undefined, "an empty one is only removed")
  assert.equal(
    chosen([volume(1, 100, 90), volume(2, 100, 50)], [2]),
    undefined,
    "one that cannot be moved is no reason",
  )
})

test("a volume is moved from the limits on: enough dead bytes, and a large enough share", () => {
  const limits = { ...LIMITS, deadBytesMin: 40 }
  const chosenWith = (writtenBytes: number, liveBytes: number) =>
    volumeToMove([volume(1, writtenBytes, liveBytes)], new Set(), limits)?.volume
  assert.equal(chosenWith(200, 160), 1)
  assert.equal(chosenWith(200, 161), undefined, "less than 40 bytes are dead")
  assert.equal(chosenWith(205, 164), 1)
  assert.equal(chosenWith(210, 170), undefined, "less than a fifth is dead")
})

test("while space is short, a much smaller share is enough", () => {
  const volumes = [volume(1, 100, 97), volume(2, 100, 90)]
  const movedWhen = (isShort: boolean) => volumeToMove(volumes, new Set(), LIMITS, { isShort })?.volume
  assert.deepEqual([movedWhen(false), movedWhen(true)], [undefined, 2])
  assert.equal(volumeToMove([volume(1, 100, 95)], new Set(), LIMITS, { isShort: true }), undefined)
  const tooLarge = [volume(1, 100, 90), volume(2, 50, 50, true)]
  assert.equal(volumeToMove(tooLarge, new Set(), LIMITS, { isShort: true, bytesMax: 60 }), undefined)
})

test("of equally dead volumes the first is moved, and only one whose live payloads fit", () => {
  assert.equal(chosen([volume(1, 100, 50), volume(2, 100, 50)]), 1)
  const fitting = (bytesMax: number) =>
    volumeToMove([volume(1, 1_000, 500), volume(2, 100, 60), volume(3, 100, 70)], new Set(), LIMITS, { bytesMax })
      ?.volume
  assert.equal(fitting(500), 1)
  assert.equal(fitting(499), 2)
  assert.equal(fitting(60), 2)
  assert.equal(fitting(59), undefined)
})

test("volumes that are to be emptied come first, from the lowest on, however little of them is dead", () => {
  const volumes = [volume(1, 100, 100), volume(2, 100, 90), volume(3, 100, 10), volume(4, 100, 100, true)]
  const emptied = (emptyUpTo: number, passed: readonly number[] = [], bytesMax = 1_000) =>
    volumeToMove(volumes, new Set(passed), LIMITS, { emptyUpTo, bytesMax })?.volume
  assert.equal(emptied(0), 3)
  assert.equal(emptied(2), 1)
  assert.equal(emptied(2, [1]), 2)
  assert.equal(emptied(2, [1, 2]), 3, "one that is passed waits for the next start")
  assert.equal(emptied(4, [1, 2, 3]), 4, "also the open one")
  assert.equal(emptied(2, [], 95), 2, "only one that fits")
})

test("only volumes without a live byte that nothing writes to are removed", () => {
  const volumes = [volume(1, 100, 0), volume(2, 100, 0, true), volume(3, 100, 1), volume(4, 0, 0)]
  assert.deepEqual(emptyVolumes(volumes), [1, 4])
})

/** A metadata store whose rows "0", "1" … have payloads of 100 bytes, in volumes of ten. */
async function scene(rows: number) {
  const shelf = new MemoryShelf(1_000)
  const upkeep = new PayloadUpkeep(shelf, LIMITS)
  const stores = new MemoryStores()
  const store = await stores.openWriter("/base")
  const bytesOf = (key: RowKey, lengthBytes: number) => shelf.bytesOf(key, lengthBytes)
  const keyOf = (i: number) => rowKeyOf(String(i).padStart(4, "0"))
  const open = () => PayloadUsage.open(store, bytesOf)
  const write = async (keys: readonly number[]) => {
    const usage = open()
    const writes = keys.map(i => {
      const place = shelf.append({ family: "current", key: keyOf(i), payload: Buffer.alloc(96, i) })
      usage.placed(keyOf(i), place)
      return {
        family: "current",
        key: keyOf(i),
        value: encodeStoredRow(Buffer.from("v"), place),
      } as const
    })
    await store.commit([...writes, ...usage.writes()])
    shelf.keep()
  }
  const merge = () => runMerge(store, upkeep, { urgency: "quiet", spaceBytes: Infinity, unread: [] })
  const put = async (keys: readonly number[]) => {
    await write(keys)
    await merge()
  }
  const move = async () => {
    const usage = open()
    const { writes, done } = await upkeep.move(store, usage, () => false)
    await store.commit([...writes, ...usage.writes()])
    done()
    return writes.length
  }
  const remove = async (volumes: readonly number[]) => {
    const usage = open()
    const removed = await upkeep.remove(store, usage, volumes)
    await store.commit(usage.writes())
    return removed
  }
  const readAll = async (count: number) => {
    for (let i = 0; i < count; i += 1) {
      const { place } = decodeStoredRow("current", keyOf(i), must(store.get("current", keyOf(i)), "a row"))
      assert.equal((await shelf.read("current", keyOf(i), must(place, "a place")))[0], i)
    }
  }
  await put(Array.from({ length: rows }, (_, i) => i))
  return { shelf, upkeep, store, open, write, merge, put, move, remove, readAll, keyOf }
}

test("a payload counts as live until a merge drops its row", async () => {
  const { open, merge, write } = await scene(20)
  assert.deepEqual([open().liveBytes(1), open().liveBytes(2)], [1_000, 1_000])
  await write([0, 1, 2])
  assert.deepEqual([open().liveBytes(1), open().liveBytes(3)], [1_000, 300])
  await merge()
  assert.deepEqual([open().liveBytes(1), open().liveBytes(3)], [700, 300])
  await merge()
  assert.equal(open().liveBytes(1), 700, "and is taken off once")
})

test("moving continues where it stopped, and an empty volume is removed when it is named", async () => {
  const { shelf, upkeep, put, move, remove, open, readAll } = await scene(40)
  await put([0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 20, 21, 22, 30, 31])
  while ((await move()) > 0) await readAll(40)
  const emptied = upkeep.emptied(open())
  assert.ok(emptied.includes(1))
  assert.ok(shelf.volumes.has(1), "until it is named")
  assert.deepEqual(await remove([...emptied, 99, 4]), emptied)
  await readAll(40)
  const written = shelf.list().reduce((sum, { writtenBytes }) => sum + writtenBytes, 0)
  assert.ok(written < 4_000 / 0.75, `${written} bytes for 4,000`)
})

test("a volume whose usage is too low is not removed while a row points into it", async () => {
  const { store, remove, open, readAll } = await scene(20)
  const usage = open()
  usage.correct(1, 0)
  await store.commit(usage.writes())
  assert.deepEqual(await remove([1]), [])
  await readAll(20)
  assert.equal(open().liveBytes(1), 1_000, "the usage is right again")
})

test("an unreadable payload stays, its volume is skipped, and other volumes are still moved", async () => {
  const { shelf, put, move, remove, open, upkeep, readAll } = await scene(30)
  shelf.damaged.add("1/900")
  await put([0, 1, 2, 3, 4, 5, 6, 10, 11, 12, 13, 14, 15, 16, 17])
  let moved = 0
  for (let count = await move(); count > 0; count = await move()) moved += count
  assert.ok(moved > 0)
  await remove(upkeep.emptied(open()))
  assert.ok(shelf.volumes.has(1))
  assert.ok(!shelf.volumes.has(2))
  shelf.damaged.clear()
  await readAll(30)
})

test("on a full disk nothing is moved, and everything stays where it is", async () => {
  const { shelf, put, move, readAll } = await scene(20)
  await put([0, 1, 2, 3, 4, 5, 6, 7])
  shelf.fullFlushes = 1
  assert.equal(await move(), 0)
  await readAll(20)
  assert.ok((await move()) > 0)
  await readAll(20)
})
