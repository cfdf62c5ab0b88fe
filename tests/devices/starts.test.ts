/**
 * Starts with disks that are lost, empty, swapped, left behind or not mounted, with real processes and folders:
 * which stores open, which starts are refused, and what the operator's commands do.
 */
import assert from "node:assert/strict"
import { cp, mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { run } from "../harness/commands.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { HAYLOFT, ServerProcess } from "../harness/server.js"
import { settled, SmallStore, statesOf } from "./small-store.js"

const SIZES = [1, 4097, 300_001]

/** Starts servers on these folders one after the other; the last one ends with the test. */
class Machine {
  private server: ServerProcess | undefined

  async start(folders: readonly string[]): Promise<ServerProcess> {
    await this.stop()
    this.server = await ServerProcess.start({ folders })
    return this.server
  }

  async stop(): Promise<void> {
    await this.server?.stop()
    this.server = undefined
  }

  async kill(): Promise<void> {
    await this.server?.kill()
    this.server = undefined
  }

  async refused(folders: readonly string[]): Promise<string> {
    await this.stop()
    try {
      await this.start(folders)
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
    return assert.fail("the start was not refused")
  }

  /** Runs the command that resolves a refusal. */
  async obey(refusal: string, ...more: readonly string[]): Promise<string> {
    const words = /: hayloft (device [^\n]+)/.exec(refusal)?.[1]?.split(" ") ?? assert.fail(refusal)
    const { code, stdout, stderr } = await run(process.execPath, [HAYLOFT, ...words, ...more])
    assert.equal(code, 0, stderr)
    return stdout
  }
}

/** The messages of a start follow its banner, shortly after the server is ready. */
async function said(server: ServerProcess, pattern: RegExp): Promise<void> {
  for (let look = 0; look < 600 && !pattern.test(server.log); look += 1) await later(50)
  assert.match(server.log, pattern)
}

async function withMachine(count: number, work: (machine: Machine, folders: string[]) => Promise<void>): Promise<void> {
  await withFolder(async folder => {
    const machine = new Machine()
    try {
      await work(machine, dataFolders(folder, count))
    } finally {
      await machine.kill()
    }
  })
}

test("two of four disks gone while stopped: refused with the command, and after it everything is there", async () => {
  await withMachine(4, async (machine, folders) => {
    const store = new SmallStore(SIZES)
    const first = await machine.start(folders)
    await store.make(first)
    await machine.stop()
    const left = folders.slice(0, 2)
    for (const path of folders) if (!left.includes(path)) await rename(path, `${path}.lost`)
    const refusal = await machine.refused(folders)
    assert.match(refusal, /devices of this store are missing: .*give them up: hayloft device forget/)
    const dry = await machine.obey(refusal, "--dry-run")
    assert.match(dry, /is given up permanently\.\n[^]*The store opens with the devices that are present\.\n/)
    assert.match(await machine.refused(left), /devices of this store are missing/, "nothing was changed")
    await machine.obey(refusal, "--yes")
    const server = await machine.start(left)
    await store.check(server)
    await store.put(server, "after")
    await machine.kill()
    await store.check(await machine.start(left))
    // The lost disks return: they are no longer part of the store, and their data is ignored.
    for (const path of folders) if (!left.includes(path)) await rename(`${path}.lost`, path)
    await store.check(await machine.start(folders))
    await machine.stop()
    const alone = folders.filter(path => !left.includes(path))
    assert.match(await machine.refused(alone), /devices of this store are missing/)
  })
})

test("a running store cannot be given up from another process, and neither can a device that is present", async () => {
  await withMachine(2, async (machine, folders) => {
    const store = new SmallStore([10])
    const server = await machine.start(folders)
    await store.make(server)
    const [id] = (await server.hayloft(["device", "list", "--json"])).stdout.match(/[0-9a-f]{16}/) ?? []
    assert.ok(id)
    const running = await server.hayloft(["device", "forget", id, "--yes"])
    assert.notEqual(running.code, 0)
    assert.match(running.stderr, /is in use: remove it/)
    await machine.stop()
    const stopped = await server.hayloft(["device", "forget", id, "--yes"])
    assert.match(stopped.stderr, /is present: start the store, and remove it/)
    const list = await server.hayloft(["device", "list"])
    assert.equal(list.code, 0, list.stderr)
    assert.match(list.stdout, new RegExp(`${id} +active .*${folders[0] ?? ""}`))
    await store.check(await machine.start(folders))
  })
})

test("a stopped store gives up disks that buckets with object lock count on only by the buckets' names", async () => {
  await withMachine(4, async (machine, folders) => {
    const server = await machine.start(folders)
    const headers = { "x-amz-bucket-object-lock-enabled": "true" }
    const made = await server.client().call("PUT", { bucket: "ledger", headers })
    assert.equal(made.status, 200, made.text)
    await machine.stop()
    const left = folders.slice(0, 2)
    for (const path of folders.slice(2)) await rename(path, `${path}.lost`)
    const refusal = await machine.refused(folders)
    assert.match(await machine.obey(refusal, "--dry-run"), /Buckets with object lock would be less safe .*: ledger\./)
    await assert.rejects(machine.obey(refusal, "--yes"), /add --locked-buckets ledger/)
    await assert.rejects(
      machine.obey(refusal, "--yes", "--locked-buckets", "other"),
      /requires --locked-buckets ledger/,
    )
    assert.match(await machine.refused(left), /devices of this store are missing/, "nothing was changed")
    await machine.obey(refusal, "--yes", "--locked-buckets", "ledger")
    await machine.start(left)
  })
})

test("an empty folder in a lost disk's place is rebuilt, and then another disk may be lost", async () => {
  await withMachine(4, async (machine, folders) => {
    const store = new SmallStore(SIZES)
    const [a = "", b = "", c = ""] = folders
    await store.make(await machine.start(folders))
    await machine.stop()
    await rm(b, { recursive: true })
    await mkdir(b)
    const server = await machine.start(folders)
    await store.check(server)
    await settled(server)
    await machine.stop()
    for (const path of [a, c]) await rename(path, `${path}.lost`)
    const refusal = await machine.refused(folders)
    await machine.obey(refusal, "--yes")
    await store.check(await machine.start(folders.filter(path => path !== a && path !== c)))
  })
})

test("of two disks one is replaced by an empty folder on the operator's command, and then holds everything", async () => {
  await withMachine(2, async (machine, folders) => {
    const store = new SmallStore(SIZES)
    const [a = "", b = ""] = folders
    await store.make(await machine.start(folders))
    await machine.stop()
    await rm(a, { recursive: true })
    await mkdir(a)
    const refusal = await machine.refused(folders)
    assert.match(refusal, /rebuild it in the empty folder: hayloft device replace/)
    await machine.obey(refusal, "--yes")
    const server = await machine.start(folders)
    await store.check(server)
    await settled(server)
    await machine.stop()
    await rename(b, `${b}.lost`)
    await machine.obey(await machine.refused(folders), "--yes")
    await store.check(await machine.start([a]))
  })
})

test("stores of three disks that were moved, away or restored", t =>
  withMachine(3, async (machine, folders) => {
    const store = new SmallStore(SIZES)
    const [a = "", b = "", c = ""] = folders
    await store.make(await machine.start(folders))
    await machine.stop()

    await t.test("swapped folders are the same disks", async () => {
      await rename(a, `${a}.aside`)
      await rename(b, a)
      await rename(`${a}.aside`, b)
      const server = await machine.start(folders)
      await store.check(server)
      assert.deepEqual([...(await statesOf(server)).values()], ["active", "active", "active"])
      await machine.stop()
    })

    await t.test(
      "a disk that was away serves no stale data: deleted objects stay deleted, and new ones are readable",
      async () => {
        await rename(c, `${c}.away`)
        const without = await machine.start([a, b])
        await store.put(without, "meanwhile")
        await store.remove(without, "first")
        await machine.kill()
        await rename(`${c}.away`, c)
        const back = await machine.start(folders)
        await store.check(back)
        await settled(back)
        await store.check(back)
        await machine.stop()
        // The disk alone, with its old state, must not open as the store.
        assert.match(await machine.refused([c]), /devices of this store are missing/)
      },
    )

    await t.test(
      "an old image of a disk is restored beside the others: no old data is served, and it is brought up to date",
      async () => {
        await cp(a, `${a}.image`, { recursive: true })
        const server = await machine.start(folders)
        await store.put(server, "later")
        await store.remove(server, "meanwhile")
        await machine.stop()
        await rm(a, { recursive: true })
        await rename(`${a}.image`, a)
        const back = await machine.start(folders)
        await store.check(back)
        await settled(back)
        await machine.stop()
        await rename(b, `${b}.lost`)
        await store.check(await machine.start([a, c]))
      },
    )
  }))

test("an unmounted mount point is left alone; an empty disk mounted on it is rebuilt", async () => {
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
  const machine = new Machine()
  try {
    for (const path of folders) {
      if (await mount(path)) continue
      console.log("SKIPPED: file systems cannot be mounted here, so unmounted mount points were not tried")
      return
    }
    const store = new SmallStore(SIZES)
    const [, b = ""] = folders
    await store.make(await machine.start(folders))
    await machine.stop()
    await unmount(b)
    const without = await machine.start(folders)
    await said(without, /is empty and not a mount point, but device [0-9a-f]{16}.*the folder is left alone/)
    await store.check(without)
    await store.put(without, "meanwhile")
    assert.deepEqual(await readdir(b), [], "nothing was written below the mount point")
    await machine.stop()
    assert.ok(await mount(b))
    const server = await machine.start(folders)
    await said(server, /replaces device/)
    await settled(server)
    await store.check(server)
  } finally {
    await machine.kill()
    for (const path of [...mounted]) await unmount(path)
    await rm(folder, { recursive: true, force: true })
  }
})
