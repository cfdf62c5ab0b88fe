/** A data folder that is emptied, or unmounted and mounted again, while its store runs. */
import assert from "node:assert/strict"
import { cp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises"
import { test } from "node:test"
import { withNearStore, type NearStore } from "./near-store.js"

const untilState = (store: NearStore, folder: string, state: string): Promise<void> =>
  store.until(
    () => store.states.get(folder) === state,
    () => `${folder} is ${store.states.get(folder)}, not ${state}`,
  )

async function emptyFolder(folder: string): Promise<void> {
  for (const name of await readdir(folder))
    await rm(`${folder}/${name}`, { recursive: true, force: true, maxRetries: 20 })
}

test("a folder emptied while the store runs is rebuilt automatically; another disk may then be lost", () =>
  withNearStore(3, [100, 70_000, 300_001], async (store, folders) => {
    const [first = "", , third = ""] = folders
    await store.make(folders)
    await emptyFolder(third)
    await untilState(store, third, "offline")
    await store.check()
    await store.put("meanwhile")
    await store.whole()
    await store.stop()
    await rm(first, { recursive: true })
    await store.start(folders)
    await store.check()
  }))

test("a folder in which a checkpoint notes its position after it was emptied is rebuilt, too", () =>
  withNearStore(3, [100, 70_000], async (store, folders) => {
    const [, , third = ""] = folders
    await store.make(folders)
    await store.stop()
    await store.start(folders)
    const position = await readFile(`${third}/position`)
    await emptyFolder(third)
    await writeFile(`${third}/position`, position)
    await untilState(store, third, "offline")
    await store.whole()
    await store.check()
  }))

test("a folder with only its control record is the same device, damaged: the store starts and names the remedy", () =>
  withNearStore(3, [100, 70_000], async (store, folders) => {
    const [first = "", , third = ""] = folders
    await store.make(folders)
    await store.stop()
    await emptyFolder(third)
    for (const name of ["control", "control.second"]) await cp(`${first}/${name}`, `${third}/${name}`)
    const notes = await store.start(folders)
    assert.match(notes.join("\n"), /holds the remains of device [0-9a-f]{16}, .* hayloft device replace [0-9a-f]{16} /)
    await store.check()
    await store.whole()
  }))

test("a folder that was unmounted and is mounted again is the same device", () =>
  withNearStore(3, [100, 70_000], async (store, folders) => {
    const [, , third = ""] = folders
    await store.make(folders)
    await rename(third, `${third}.away`)
    await untilState(store, third, "offline")
    await store.put("meanwhile")
    await rename(`${third}.away`, third)
    await store.whole()
    await store.check()
  }))
