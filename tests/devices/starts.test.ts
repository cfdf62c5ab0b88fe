/**
 * Starts with disks that are lost, empty, swapped, left behind or not mounted, with real folders: which stores open,
 * which starts are refused, and what the operator's commands do.
 */
import assert from "node:assert/strict"
import { cp, mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import { runHere } from "@hayloft/cli/testing-here.js"
import { run } from "../harness/commands.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { HAYLOFT, ServerProcess } from "../harness/server.js"
import { NearStore, obey, withNearStore } from "./near-store.js"
import { SmallStore } from "./small-store.js"

const SIZES = [1, 4097, 300_001]
const MISSING = /devices of this store are missing/

test("two of four disks gone while stopped: refused with the command, and after it everything is there", () =>
  withFolder(async folder => {
    const folders = dataFolders(folder, 4)
    const left = folders.slice(0, 2)
    const store = new SmallStore(SIZES)
    const server = await ServerProcess.start({ folders })
    const hayloft = (...words: readonly string[]) => runHere(words, { environment: { HAYLOFT_DATA: folders.join() } })
    const forget = (id: string) => hayloft("device", "forget", id, "--yes")
    let after: ServerProcess | undefined
    try {
      await store.make(server)
      const [id = ""] = /[0-9a-f]{16}/.exec(String((await hayloft("device", "list", "--json")).out)) ?? []
      const running = await forget(id)
      assert.deepEqual([running.code === 0, /is in use: remove it/.test(running.error)], [false, true], running.error)
      await server.stop()
      assert.match((await forget(id)).error, /is present: start the store, and remove it/)
      const stopped = await hayloft("device", "list")
      assert.match(String(stopped.out), new RegExp(`${id} +active .*${folder}`))
      for (const path of folders.slice(2)) await rename(path, `${path}.lost`)
      const refusal = await server.launch().then(
        () => assert.fail("the start was not refused"),
        (error: unknown) => String(error),
      )
      const words = /are missing: .*give them up: hayloft (device forget [^\n]+)/.exec(refusal)?.[1]?.split(" ")
      const { code, stderr } = await run(process.execPath, [HAYLOFT, ...(words ?? assert.fail(refusal)), "--yes"])
      assert.equal(code, 0, stderr)
      after = await ServerProcess.start({ folders: left })
      await store.check(after)
      await store.put(after, "after")
      await after.kill()
      await after.launch()
      await store.check(after)
    } finally {
      await server.kill()
      await after?.kill()
    }
  }))

test("disks that were given up and return are no longer part of the store, and do not open without it", () =>
  withNearStore(4, SIZES, async (store, folders) => {
    await store.make(folders)
    await store.stop()
    const left = folders.slice(0, 2)
    const lost = folders.slice(2)
    for (const path of lost) await rename(path, `${path}.lost`)
    const refusal = await store.refused(folders)
    const dry = await obey(refusal, "--dry-run")
    assert.match(dry, /is given up permanently\.\n[^]*The store opens with the devices that are present\.\n/)
    assert.match(await store.refused(left), MISSING, "nothing was changed")
    await obey(refusal, "--yes")
    await store.start(left)
    await store.check()
    await store.put("after")
    await store.stop()
    for (const path of lost) await rename(`${path}.lost`, path)
    await store.start(folders)
    await store.check()
    assert.match(await store.refused(lost), MISSING)
  }))

test("a stopped store gives up disks that buckets with object lock count on only by the buckets' names", () =>
  withNearStore(4, [], async (store, folders) => {
    await store.start(folders)
    const ledger = { name: parseBucketName("ledger"), owner: parseAccountId("root"), location: "", hasLock: true }
    await store.now.engine.services.buckets.create(ledger)
    await store.stop()
    const left = folders.slice(0, 2)
    for (const path of folders.slice(2)) await rename(path, `${path}.lost`)
    const refusal = await store.refused(folders)
    assert.match(await obey(refusal, "--dry-run"), /Buckets with object lock would be less safe .*: ledger\./)
    await assert.rejects(obey(refusal, "--yes"), /add --locked-buckets ledger/)
    await assert.rejects(obey(refusal, "--yes", "--locked-buckets", "other"), /requires --locked-buckets ledger/)
    assert.match(await store.refused(left), MISSING, "nothing was changed")
    await obey(refusal, "--yes", "--locked-buckets", "ledger")
    await store.start(left)
  }))

test("an empty folder in a lost disk's place is rebuilt, and then another disk may be lost", () =>
  withNearStore(4, SIZES, async (store, folders) => {
    const [a = "", b = "", c = ""] = folders
    await store.make(folders)
    await store.stop()
    await rm(b, { recursive: true })
    await mkdir(b)
    await store.start(folders)
    await store.check()
    await store.whole()
    await store.stop()
    for (const path of [a, c]) await rename(path, `${path}.lost`)
    await obey(await store.refused(folders), "--yes")
    await store.start(folders.filter(path => path !== a && path !== c))
    await store.check()
  }))

test("of two disks one is replaced by an empty folder on the operator's command, and then holds everything", () =>
  withNearStore(2, SIZES, async (store, folders) => {
    const [a = "", b = ""] = folders
    await store.make(folders)
    await store.stop()
    await rm(a, { recursive: true })
    await mkdir(a)
    const refusal = await store.refused(folders)
    assert.match(refusal, /rebuild it in the empty folder: hayloft device replace/)
    await obey(refusal, "--yes")
    await store.start(folders)
    await store.check()
    await store.whole()
    await store.stop()
    await rename(b, `${b}.lost`)
    await obey(await store.refused(folders), "--yes")
    await store.start([a])
    await store.check()
  }))

test("stores of three disks that were moved, away or restored", t =>
  withNearStore(3, SIZES, async (store, folders) => {
    const [a = "", b = "", c = ""] = folders
    await store.make(folders)
    await store.stop()

    await t.test("swapped folders are the same disks", async () => {
      await rename(a, `${a}.aside`)
      await rename(b, a)
      await rename(`${a}.aside`, b)
      await store.start(folders)
      await store.check()
      assert.deepEqual([...store.states.values()], ["active", "active", "active"])
      await store.stop()
    })

    await t.test(
      "a disk that was away serves no stale data: deleted objects stay deleted, and new ones are readable",
      async () => {
        await rename(c, `${c}.away`)
        await store.start([a, b])
        await store.put("meanwhile")
        await store.remove("first")
        await store.stop()
        await rename(`${c}.away`, c)
        await store.start(folders)
        await store.check()
        await store.whole()
        await store.check()
        // The disk alone, with its old state, must not open as the store.
        assert.match(await store.refused([c]), MISSING)
      },
    )

    await t.test(
      "an old image of a disk is restored beside the others: no old data is served, and it is brought up to date",
      async () => {
        await cp(a, `${a}.image`, { recursive: true })
        await store.start(folders)
        await store.put("later")
        await store.remove("meanwhile")
        await store.stop()
        await rm(a, { recursive: true })
        await rename(`${a}.image`, a)
        await store.start(folders)
        await store.check()
        await store.whole()
        await store.stop()
        await rename(b, `${b}.lost`)
        await store.start([a, c])
        await store.check()
      },
    )
  }))

test("an unmounted mount point is left alone; an empty disk mounted on it is rebuilt", async t => {
  const folder = await mkdtemp(join(tmpdir(), "hayloft-mounts-"))
  const folders = dataFolders(folder, 3)
  const mounted = new Set<string>()
  const mount = async (path: string): Promise<boolean> => {
    await mkdir(path, { recursive: true })
    const size = "size=300m"
    const { code } = await run("mount", ["-t", "tmpfs", "-o", size, "hayloft-test", path]).catch(() => ({ code: 1 }))
    if (code === 0) mounted.add(path)
    return code === 0
  }
  const unmount = async (path: string): Promise<void> => {
    const { code, stderr } = await run("umount", [path])
    assert.equal(code, 0, stderr)
    mounted.delete(path)
  }
  const store = new NearStore(SIZES)
  try {
    for (const path of folders) {
      if (await mount(path)) continue
      t.skip("THIS TEST NEEDS THE RIGHT TO mount A SMALL tmpfs")
      return
    }
    const [, b = ""] = folders
    await store.make(folders)
    await store.stop()
    await unmount(b)
    const notes = await store.start(folders)
    assert.match(notes.join("\n"), /is empty and not a mount point, but device [0-9a-f]{16}.*the folder is left alone/)
    await store.check()
    await store.put("meanwhile")
    assert.deepEqual(await readdir(b), [], "nothing was written below the mount point")
    await store.stop()
    assert.ok(await mount(b))
    assert.match((await store.start(folders)).join("\n"), /replaces device/)
    await store.whole()
    await store.check()
  } finally {
    await store.stop()
    for (const path of mounted) await run("umount", ["-l", path])
    await rm(folder, { recursive: true, force: true })
  }
})
