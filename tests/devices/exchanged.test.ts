/** Parts of data folders that are exchanged, or restored from an older copy, while the store is stopped. */
import assert from "node:assert/strict"
import { cp, readdir, rename, rm } from "node:fs/promises"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { dataFolders, withFolder } from "../harness/folders.js"
import { withServer, type ServerProcess } from "../harness/server.js"
import { settled, SmallStore } from "./small-store.js"

const OLDER_STORE =
  /the metadata store in .*disk1\/base is older than the last one of this device.*remove the file .*position/
const MERGE_TIMEOUT_MS = 60_000

/** The copy that the test restores later. */
async function copyOf(folder: string, names = ["base", "log"]): Promise<() => Promise<void>> {
  for (const name of names) await cp(`${folder}/${name}`, `${folder}.copy/${name}`, { recursive: true })
  return async () => {
    for (const name of names) {
      await rm(`${folder}/${name}`, { recursive: true })
      await rename(`${folder}.copy/${name}`, `${folder}/${name}`)
    }
  }
}

test("volumes exchanged between two devices: the start is refused and names them; exchanged back, everything is there", () =>
  withFolder(folder => {
    const [first = "", second = "", third = ""] = dataFolders(folder, 3)
    const exchange = async () => {
      await rename(`${first}/volumes`, `${folder}/volumes`)
      await rename(`${second}/volumes`, `${first}/volumes`)
      await rename(`${folder}/volumes`, `${second}/volumes`)
    }
    return withServer({ folders: [first, second, third] }, async server => {
      const store = new SmallStore([100, 70_000, 5_000_001])
      await store.make(server)
      await server.stop()
      await exchange()
      await assert.rejects(server.launch(), /the volumes in .*disk[12]\/volumes are another device's/)
      await exchange()
      await server.launch()
      await store.check(server)
    })
  }))

test("log and metadata store of the only device from an older copy: refused until the operator confirms it", () =>
  withFolder(folder => {
    const [first = ""] = dataFolders(folder, 1)
    return withServer({ folders: [first] }, async server => {
      const store = new SmallStore([100, 70_000])
      await store.make(server)
      await server.stop()
      const putBack = await copyOf(first)
      await server.launch()
      await store.put(server, "second")
      await server.stop()
      await putBack()
      await assert.rejects(
        server.launch(),
        /log and metadata store are older than the last ones of this device.*remove the file .*position/,
      )
      await rm(`${first}/position`)
      await server.launch()
      await assert.rejects(store.check(server), "the store continues without the later writes")
    })
  }))

test("only the metadata store of the only device from before a checkpoint: refused by name", () =>
  withFolder(folder => {
    const [first = ""] = dataFolders(folder, 1)
    return withServer({ folders: [first] }, async server => {
      const store = new SmallStore([100, 70_000])
      await store.make(server)
      await server.stop()
      const putBack = await copyOf(first, ["base"])
      await server.launch()
      await store.put(server, "second")
      await server.stop()
      await putBack()
      await assert.rejects(server.launch(), OLDER_STORE)
      // The log no longer contains the writes that the older metadata store lacks.
      await rm(`${first}/position`)
      await assert.rejects(server.launch(), /disk1\/base is older than its log.*Restore the newer one/)
    })
  }))

/** The newest manifest of a metadata store. */
const newestOf = async (folder: string): Promise<string> =>
  (await readdir(`${folder}/base`))
    .filter(name => name.endsWith(".manifest"))
    .sort()
    .at(-1) ?? ""

/** Copies a metadata store that still has tables to merge; the next start merges them. */
async function olderThanMerges(server: ServerProcess, store: SmallStore, folder: string): Promise<() => Promise<void>> {
  await store.make(server)
  await server.stop()
  await server.launch()
  await store.remove(server, "first")
  await server.stop()
  const putBack = await copyOf(folder, ["base"])
  const older = await newestOf(folder)
  await server.launch()
  const untilMs = performance.now() + MERGE_TIMEOUT_MS
  while ((await newestOf(folder)) === older) {
    assert.ok(performance.now() < untilMs, "the tables were not merged")
    await later(100)
  }
  await server.stop()
  return putBack
}

test("only the metadata store of the only device from before merges: refused by name", () =>
  withFolder(folder => {
    const [first = ""] = dataFolders(folder, 1)
    return withServer({ folders: [first] }, async server => {
      const store = new SmallStore([100, 70_000])
      const putBack = await olderThanMerges(server, store, first)
      await putBack()
      await assert.rejects(server.launch(), OLDER_STORE)
    })
  }))

test("one of three devices has an older part", t =>
  withFolder(folder => {
    const folders = dataFolders(folder, 3)
    const [first = "", second = ""] = folders
    return withServer({ folders }, async server => {
      const store = new SmallStore([100, 70_000])

      await t.test(
        "only the metadata store of one of three devices from before merges: it is learned again",
        async () => {
          const putBack = await olderThanMerges(server, store, first)
          await putBack()
          await server.launch()
          await store.check(server)
          await settled(server)
          assert.match(server.log, /device_cannot_be_opened .*is older than the last ones? of this device/)
          await store.check(server)
        },
      )

      await t.test(
        "log and metadata store of one of three devices from an older copy: they are learned again, and nothing is lost",
        async () => {
          await store.put(server, "again")
          await server.stop()
          const putBack = await copyOf(second)
          await server.launch()
          await store.put(server, "second")
          await store.remove(server, "again")
          await server.stop()
          await putBack()
          await server.launch()
          await store.check(server)
          await settled(server)
          assert.match(
            server.log,
            /device_cannot_be_opened .*log and metadata store are older than the last ones of this device/,
          )
          await store.check(server)
        },
      )
    })
  }))
