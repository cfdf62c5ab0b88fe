/** Parts of data folders that are exchanged, or restored from an older copy, while the store is stopped. */
import assert from "node:assert/strict"
import { cp, readdir, readFile, rename, rm } from "node:fs/promises"
import { dirname } from "node:path"
import { test } from "node:test"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { NearStore, withNearStore } from "./near-store.js"

const SIZES = [100, 70_000]
const OLDER_STORE =
  /the metadata store in .*disk1\/base is older than the last one of this device.*remove the file .*position/

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
  withNearStore(3, [100, 70_000, 300_001], async (store, folders) => {
    const [first = "", second = ""] = folders
    const exchange = async () => {
      const aside = `${dirname(first)}/volumes`
      await rename(`${first}/volumes`, aside)
      await rename(`${second}/volumes`, `${first}/volumes`)
      await rename(aside, `${second}/volumes`)
    }
    await store.make(folders)
    await store.stop()
    await exchange()
    assert.match(await store.refused(folders), /the volumes in .*disk[12]\/volumes are another device's/)
    await exchange()
    await store.start(folders)
    await store.check()
  }))

test("log and metadata store of the only device from an older copy: refused until the operator confirms it", () =>
  withNearStore(1, SIZES, async (store, folders) => {
    const [first = ""] = folders
    await store.make(folders)
    await store.stop()
    const putBack = await copyOf(first)
    await store.start(folders)
    await store.put("second")
    await store.stop()
    await putBack()
    assert.match(
      await store.refused(folders),
      /log and metadata store are older than the last ones of this device.*remove the file .*position/,
    )
    await rm(`${first}/position`)
    await store.start(folders)
    await assert.rejects(store.check(), "the store continues without the later writes")
  }))

test("a device of a copy of the store that ran by itself: refused, and without it everything is there", () =>
  withNearStore(3, SIZES, async (store, folders) => {
    const [first = "", ...others] = folders
    const copies = folders.map(folder => `${folder}.copy`)
    await store.make(folders)
    await store.stop()
    for (const [i, folder] of folders.entries()) await cp(folder, copies[i] ?? "", { recursive: true })
    const copy = new NearStore(SIZES)
    await copy.start(copies)
    // Its history is the longer one.
    for (const name of ["one", "two", "three"]) await copy.put(name)
    await copy.stop()
    await store.start(folders)
    await store.put("second")
    await store.stop()
    await rm(first, { recursive: true })
    await rename(copies[0] ?? "", first)
    assert.match(
      await store.refused(folders),
      /disk2 .*, .*disk3 .* and .*disk1 .* were written apart from each other: .*copies/,
    )
    await store.start(others)
    await store.check()
  }))

/** The files that a start writes before it opens the store. */
async function identityOf(folders: readonly string[]): Promise<readonly Buffer[]> {
  const files = await Promise.all(
    folders.map(async folder => {
      const names = (await readdir(folder, { withFileTypes: true })).filter(entry => entry.isFile())
      return names.map(({ name }) => `${folder}/${name}`).sort()
    }),
  )
  return Promise.all(files.flat().map(path => readFile(path)))
}

/** The copy starts twice, so that its control record is the newest one. */
const refusedBesideOriginals = (count: number, exchanged: number): Promise<void> =>
  withNearStore(count, SIZES, async (store, folders) => {
    const copies = folders.map(folder => `${folder}.copy`)
    const [path, copied] = [folders[exchanged] ?? "", copies[exchanged] ?? ""]
    const others = folders.filter(folder => folder !== path)
    await store.make(folders)
    await store.stop()
    for (const [i, folder] of folders.entries()) await cp(folder, copies[i] ?? "", { recursive: true })
    const copy = new NearStore(SIZES)
    await copy.start(copies)
    await copy.startAgain(copies)
    await copy.put("other")
    await copy.stop()
    await store.start(folders)
    await store.put("second")
    await store.stop()
    await rename(path, `${path}.original`)
    await rename(copied, path)
    const before = await identityOf(folders)
    assert.match(await store.refused(folders), /last started at 20.*were written apart from each other: .*copies/)
    assert.deepEqual(await identityOf(folders), before)
    await store.start(others)
    await store.check()
    await store.stop()
    await rm(path, { recursive: true })
    await rename(`${path}.original`, path)
    await store.start(folders)
    await store.check()
  })

test("a device of a copy that started more often: refused before anything is written", () =>
  refusedBesideOriginals(3, 0))

test("a device without metadata, of a copy that started more often: refused before anything is written", () =>
  refusedBesideOriginals(5, 4))

/** A store whose only device has the metadata store from before its second objects, which were stored in so many lives. */
const withOlderStore = (lives: number, work: (store: NearStore, folders: readonly string[]) => Promise<void>) =>
  withNearStore(1, SIZES, async (store, folders) => {
    await store.make(folders)
    await store.stop()
    const putBack = await copyOf(folders[0] ?? "", ["base"])
    await store.start(folders)
    await store.put("second")
    for (let life = 1; life < lives; life += 1) await store.startAgain(folders)
    await store.stop()
    await putBack()
    await work(store, folders)
  })

test("only the metadata store of the only device from before a checkpoint: refused, and the log stays complete", () =>
  withOlderStore(1, async (store, folders) => {
    for (let start = 1; start <= 3; start += 1) assert.match(await store.refused(folders), OLDER_STORE)
    await rm(`${folders[0]}/position`)
    await store.start(folders)
    await store.check()
  }))

test("only the metadata store of the only device from before what its log has cut: refused by name", () =>
  // The log cuts whole files: those of the lives before.
  withOlderStore(2, async (store, folders) => {
    const older = /disk1\/base is older than its log.*Restore the newer one/
    assert.match(await store.refused(folders), older)
    await rm(`${folders[0]}/position`)
    assert.match(await store.refused(folders), older)
  }))

/** The newest manifest of a metadata store. */
const newestOf = async (folder: string): Promise<string> =>
  (await readdir(`${folder}/base`))
    .filter(name => name.endsWith(".manifest"))
    .sort()
    .at(-1) ?? ""

/** Copies a metadata store that still has tables to merge; the next start merges them. */
async function olderThanMerges(
  store: NearStore,
  folders: readonly string[],
  folder: string,
): Promise<() => Promise<void>> {
  await store.make(folders)
  await store.startAgain(folders)
  await store.remove("first")
  await store.stop()
  const putBack = await copyOf(folder, ["base"])
  const older = await newestOf(folder)
  await store.start(folders)
  await until("the tables are merged", async () => (await newestOf(folder)) !== older)
  await store.stop()
  return putBack
}

test("only the metadata store of the only device from before merges: refused by name", () =>
  withNearStore(1, SIZES, async (store, folders) => {
    const putBack = await olderThanMerges(store, folders, folders[0] ?? "")
    await putBack()
    assert.match(await store.refused(folders), OLDER_STORE)
  }))

test("one of three devices has an older part", t =>
  withNearStore(3, SIZES, async (store, folders) => {
    const [first = "", second = ""] = folders

    await t.test(
      "only the metadata store of one of three devices from before merges: it is learned again",
      async () => {
        const putBack = await olderThanMerges(store, folders, first)
        await putBack()
        await store.start(folders)
        await store.check()
        await store.whole()
        assert.match(store.logged("device_cannot_be_opened"), /is older than the last ones? of this device/)
        await store.check()
      },
    )

    await t.test(
      "log and metadata store of one of three devices from an older copy: they are learned again, and nothing is lost",
      async () => {
        await store.put("again")
        await store.stop()
        const putBack = await copyOf(second)
        await store.start(folders)
        await store.put("second")
        await store.remove("again")
        await store.stop()
        await putBack()
        await store.start(folders)
        await store.check()
        await store.whole()
        assert.match(
          store.logged("device_cannot_be_opened"),
          /log and metadata store are older than the last ones of this device/,
        )
        await store.check()
      },
    )
  }))
