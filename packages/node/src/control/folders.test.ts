import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { parseEpoch, parseIncarnation, parseStoreId, parseTabletId, rowKeyOf } from "@hayloft/base/ids.js"
import {
  createSuperblock,
  readSuperblock,
  Stalls,
  withOpened,
  withStart,
  writeControlRecord,
} from "@hayloft/engine/device/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { failing, rots, SimDisk } from "@hayloft/base/seams/disk/index.js"
import { SimLocks } from "@hayloft/base/seams/folder-lock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { StoreFolders } from "./folder-taker.js"
import { probeDevice, takeFolder, type FolderOwner, type TakenFolder } from "./folders.js"
import { idOf, recordOf, STORE } from "./testing-record.js"

const LIFE = parseIncarnation(7)
const shared = recordOf(1, [1, 2])
const record: ControlRecord = {
  ...shared,
  tablets: [
    {
      id: parseTabletId(1),
      epoch: parseEpoch(1),
      replicas: [],
      learners: [],
      start: rowKeyOf(""),
      end: undefined,
      more: [],
    },
  ],
}

class Machine {
  readonly sim = new SimDisk()
  readonly disk = this.sim.boot()
  private readonly locks = new SimLocks().boot()
  private draws = 0

  async takeNew(path: string, of: ControlRecord = record): Promise<TakenFolder> {
    await this.disk.makeFolder(path)
    return this.take(path, of)
  }

  take(path: string, of: ControlRecord = record): Promise<TakenFolder> {
    return takeFolder(this.owner(), path, of)
  }

  private owner(): FolderOwner {
    this.draws += 1
    const [clock, random] = [new SimClock(), new SimRandom(this.draws)]
    return { clock, random, disk: this.disk, locks: this.locks, incarnation: LIFE, stalls: new Stalls() }
  }

  folders(of: ControlRecord): StoreFolders {
    return new StoreFolders(
      this.owner(),
      () => of,
      () => assert.fail("no folder is taken"),
    )
  }

  async device(path: string, n: number, storeId = STORE): Promise<void> {
    await this.disk.makeFolder(path)
    await createSuperblock(this.disk, path, { storeId, deviceId: idOf(n), createdMs: 0, formatEpoch: 1 })
  }

  /** Asserts that the folder is refused and unchanged, without an owner. */
  async assertRefused(path: string, kind: FailureKind, message: RegExp): Promise<void> {
    const before = this.sim.medium.namesIn(path)
    for (let i = 0; i < 2; i += 1) {
      await assert.rejects(this.take(path), error => isFailure(error, kind) && message.test(error.message))
    }
    assert.deepEqual(this.sim.medium.namesIn(path), before)
  }
}

test("a folder that is not there is not made: it may be below the mount point of a disk", async () => {
  const machine = new Machine()
  await assert.rejects(
    machine.take("/d1"),
    error => isFailure(error, "deviceFailed") && /is not there/.test(error.message),
  )
  assert.equal(await machine.disk.exists("/d1"), false)
})

test("an empty folder becomes a new device of the store, in this incarnation", async () => {
  const machine = new Machine()
  const taken = await machine.takeNew("/new")
  const { identity, superblock } = taken.ownership
  assert.deepEqual([taken.isNew, taken.capacityBytes], [true, machine.sim.capacityBytes])
  assert.deepEqual([superblock.storeId, identity.incarnation, identity.path], [STORE, LIFE, "/new"])
  await assert.rejects(machine.take("/new"), error => isFailure(error, "folderInUse"))
  await taken.ownership.check()
  await taken.ownership.release()
})

test("a device that was begun and never became part of the store is taken as new; one that was used is not", async () => {
  const machine = new Machine()
  const first = await machine.takeNew("/new")
  await first.ownership.release()
  const again = await machine.take("/new")
  assert.equal(again.ownership.identity.id, first.ownership.identity.id)
  assert.equal(again.isNew, true)
  await again.ownership.release()
  await machine.disk.makeFolder("/new/log")
  await machine.assertRefused("/new", "foreignFolder", /was removed from it; empty the folder/)
})

test("the plan for a new folder refuses what its change would refuse", async () => {
  const machine = new Machine()
  await machine.device("/own", 1)
  await machine.device("/other", 3, parseStoreId("cd".repeat(16)))
  await machine.device("/removed", 4)
  await machine.disk.makeFolder("/removed/log")
  const offline = { ...record, devices: record.devices.map(device => ({ ...device, state: "offline" as const })) }
  const refusals = [
    ["/own", record, /\/own is device \S+ of this store already$/],
    ["/own", offline, /of this store: to bring it back: hayloft device check /],
    ["/other", record, /belongs to another store/],
    ["/removed", record, /was removed from it; empty the folder/],
  ] as const
  for (const [path, of, message] of refusals) await assert.rejects(machine.folders(of).inspect(path), message)
  for (const path of ["/own", "/removed"])
    assert.equal((await machine.folders(record).factsOf(path)).isMountPoint, false)
})

test("a device that waited to join a store in a database is taken as new; one that was part of it is not", async () => {
  const machine = new Machine()
  await machine.device("/waited", 3)
  for (const name of ["base", "log", "volumes"]) await machine.disk.makeFolder(`/waited/${name}`)
  await writeControlRecord(machine.disk, "/waited", shared)
  const waited = await machine.take("/waited", shared)
  assert.deepEqual([waited.isNew, waited.ownership.identity.id], [true, idOf(3)])
  await waited.ownership.release()
  const isRefused = (path: string) =>
    assert.rejects(machine.take(path, shared), error => isFailure(error, "foreignFolder"))
  await machine.disk.makeFolder("/waited/volumes/1")
  await isRefused("/waited")
  await machine.device("/removed", 4)
  await machine.disk.makeFolder("/removed/log")
  await writeControlRecord(machine.disk, "/removed", recordOf(1, [1, 2, 4]))
  await isRefused("/removed")
})

test("a device of the store is taken back, in an incarnation above all that it has recorded", async () => {
  const machine = new Machine()
  await machine.device("/back", 2)
  const taken = await machine.take("/back")
  assert.deepEqual([taken.isNew, taken.ownership.identity.id], [false, idOf(2)])
  assert.equal((await readSuperblock(machine.disk, "/back"))?.incarnation, LIFE)
  await taken.ownership.release()
  assert.equal((await machine.take("/back")).ownership.identity.incarnation, LIFE + 1)
})

test("a folder of another store, or one that was changed without this store, is refused and stays as it was", async () => {
  const machine = new Machine()
  await machine.device("/other", 1, parseStoreId("f".repeat(32)))
  await machine.assertRefused("/other", "foreignFolder", /another store/)
  await machine.disk.makeFolder("/photos")
  await (await machine.disk.open("/photos/cat.jpg", "create")).close()
  await machine.assertRefused("/photos", "folderNotEmpty", /cat\.jpg/)
  await machine.device("/ahead", 2)
  await writeControlRecord(machine.disk, "/ahead", recordOf(2, [1, 2]))
  await machine.assertRefused("/ahead", "foreignFolder", /has been changed without this store/)
  // A copy of the store has started on it, and has changed its record less often than this store.
  await machine.device("/copied", 2)
  await writeControlRecord(
    machine.disk,
    "/copied",
    withOpened(withStart(recordOf(1, [1, 2]), { incarnation: LIFE, id: 5, startedMs: 0 })),
  )
  await machine.assertRefused("/copied", "foreignFolder", /has been changed without this store/)
})

test("a probe finds a device that fails, is full, or returns other bytes; its leftover file is not content", async () => {
  const machine = new Machine()
  await machine.disk.makeFolder("/d")
  const probe = (): Promise<void> => probeDevice(new SimRandom(1), machine.disk, "/d")
  await probe()
  assert.deepEqual(machine.sim.medium.namesIn("/d"), [])
  for (const [code, kind] of [
    ["EIO", "deviceFailed"],
    ["ENOSPC", "deviceFull"],
  ] as const) {
    for (const call of ["create", "write", "sync", "syncFolder"] as const) {
      if (code === "ENOSPC" && call !== "create" && call !== "write") continue
      machine.sim.intercept(failing({ kind: call, code, nth: 1 }))
      await assert.rejects(probe(), error => isFailure(error, kind), `${call} ${code}`)
    }
  }
  machine.sim.intercept(rots(bytes => void (bytes[9] = (bytes[9] ?? 0) ^ 1)))
  await assert.rejects(probe(), error => isFailure(error, "deviceFailed"))
  machine.sim.intercept(() => undefined)
  assert.deepEqual(machine.sim.medium.namesIn("/d"), ["probe"])
  await (await machine.take("/d")).ownership.release()
})
