/** An operator's changes of a stopped store: their consequences while disks are missing, and the next start. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { failing, SimDisk } from "@hayloft/base/seams/disk/index.js"
import { SimLocks, type SimProcessLocks } from "@hayloft/base/seams/folder-lock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { OpenedStore } from "./contract.js"
import { openStore } from "./open-store.js"
import { fillPlace, giveUpDevices, type StoppedChange } from "./stopped-core.js"
import { StoppedStore } from "./stopped-store.js"
import { config } from "./testing-start.js"

const ALL = ["/a", "/b", "/c", "/d"]

class Machine {
  readonly disk = new SimDisk()
  private readonly locks = new SimLocks()
  private process: SimProcessLocks = this.locks.boot()
  private incarnations = 0

  private nextProcess(): SimRandom {
    this.disk.kill()
    this.process.kill()
    this.process = this.locks.boot()
    this.incarnations += 1
    return new SimRandom(this.incarnations)
  }

  start(...dataFolders: readonly string[]): Promise<OpenedStore> {
    const random = this.nextProcess()
    return openStore(
      { clock: new SimClock(), random, disk: this.disk.boot(), locks: this.process },
      { ...config, dataFolders },
      undefined,
    )
  }

  /** A command on the stopped store. */
  async say(folders: readonly string[], word: (store: StoppedStore) => Promise<void>): Promise<void> {
    const random = this.nextProcess()
    const store = await StoppedStore.open(new SimClock(), random, this.disk.boot(), this.process, folders)
    assert.ok(store)
    try {
      await word(store)
    } finally {
      await store.close()
    }
  }

  giveUp(folders: readonly string[], ids: readonly DeviceId[]): Promise<void> {
    return this.say(folders, async store => store.commit(giveUpDevices(store.record, ids, store.here, 1).record))
  }
}

async function store(count: number) {
  const machine = new Machine()
  const folders = ALL.slice(0, count)
  const { record } = await machine.start(...folders)
  const idAt = (path: string): DeviceId =>
    record.devices.find(({ pathHint }) => pathHint === path)?.id ?? assert.fail(`a device at ${path}`)
  return { machine, folders, record, idAt }
}

const statesOf = ({ record }: OpenedStore): string =>
  record.devices.map(({ pathHint, state }) => `${pathHint} ${state}`).join(", ")
const isRefusal = (error: unknown): boolean => isFailure(error, "devicesMissing")

test("one of two is gone: after giving it up the other opens, and the lost one is never part of the store again", async () => {
  const { machine, idAt } = await store(2)
  await machine.disk.boot().makeFolder("/b/log")
  await assert.rejects(machine.start("/a"), isRefusal)
  await machine.giveUp(["/a"], [idAt("/b")])
  const opened = await machine.start("/a")
  assert.equal(statesOf(opened), "/a active")
  assert.deepEqual(opened.record.layout.devices, [idAt("/a")])
  const both = await machine.start("/a", "/b")
  assert.equal(statesOf(both), "/a active")
  assert.match(both.notes.join(), /\/b is no longer part of this store and is left alone/)
  await assert.rejects(machine.start("/b"), isRefusal, "by itself it is half of what it knows of")
})

test("two of 2+2 are gone: one command gives up both, and the store opens with all metadata", async () => {
  const { machine, idAt } = await store(4)
  await assert.rejects(machine.start("/a", "/b"), isRefusal)
  await machine.giveUp(["/a", "/b"], [idAt("/c"), idAt("/d")])
  const opened = await machine.start("/a", "/b")
  assert.match(statesOf(opened), /^\/a active, \/b active(, \/d offline)?$/)
  assert.deepEqual(
    opened.record.tablets[0]?.replicas.map(({ id }) => id),
    [idAt("/a"), idAt("/b")],
  )
  await assert.rejects(machine.start("/c", "/d"), isRefusal)
  const late = await machine.start("/a", "/c", "/d").catch((error: unknown) => assert.ok(isRefusal(error)))
  assert.equal(late, undefined, "what was given up does not make up for what is missing")
})

test("an empty folder in the place of one of two is rebuilt", async () => {
  const { machine, idAt } = await store(2)
  await machine.disk.boot().makeFolder("/new")
  let change: StoppedChange | undefined
  await machine.say(["/a"], async stopped => {
    const device = await stopped.newDevice("/new")
    change = fillPlace(stopped.record, idAt("/b"), device, stopped.here, 1)
    await stopped.commit(change.record, device)
  })
  assert.equal(change?.loss, undefined)
  assert.match(change?.sentences.join(" ") ?? "", /\/new replaces device .*The store opens/)
  const opened = await machine.start("/a", "/new")
  assert.equal(statesOf(opened), "/a active, /new rebuilding")
  assert.equal(opened.record.layout.devices.includes(idAt("/b")), false)
  await assert.rejects(
    machine.say(["/a", "/new"], async stopped => void (await stopped.newDevice("/a"))),
    error => isFailure(error, "foreignFolder"),
  )
})

test("a change shows its consequences: the loss, and whether the store opens", async () => {
  const { record, idAt } = await store(4)
  const here = (...paths: string[]) => new Set(paths.map(idAt))
  const two = giveUpDevices(record, [idAt("/c"), idAt("/d")], here("/a", "/b"), 1)
  assert.equal(two.loss, undefined, "2 of 4 shards are enough")
  assert.match(
    two.sentences.join(" "),
    /last at \/c, is given up permanently.*metadata is on 2 devices.*The store opens/,
  )
  const three = giveUpDevices(record, [idAt("/b"), idAt("/c"), idAt("/d")], here("/a"), 1)
  assert.equal(three.loss, "all that is stored as ec:2+2 has too few shards left for a read")
  const tooFew = giveUpDevices(record, [idAt("/d")], here("/a"), 1)
  assert.match(tooFew.sentences.join(" "), /still does not open: devices of this store are missing/)
  assert.throws(
    () => giveUpDevices(record, [idAt("/a"), idAt("/b"), idAt("/c")], here("/d"), 1),
    /no metadata replica would be left/,
  )
  assert.throws(() => giveUpDevices(record, [idAt("/a")], here("/a", "/b"), 1), /is present: start the store/)
})

test("an interrupted or incomplete change can be repeated", async () => {
  for (let nth = 1; nth < 40; nth += 3) {
    const { machine, idAt } = await store(4)
    machine.disk.intercept(failing({ kind: ["write", "name", "sync"], code: "EIO", nth }))
    const word = machine.giveUp(["/a", "/b"], [idAt("/c"), idAt("/d")])
    const isDone = await word.then(
      () => true,
      (error: unknown) => !isFailure(error, "deviceFailed"),
    )
    machine.disk.intercept(() => undefined)
    if (!isDone) await machine.giveUp(["/a", "/b"], [idAt("/c"), idAt("/d")]).catch(() => undefined)
    assert.match(statesOf(await machine.start("/a", "/b")), /^\/a active, \/b active/, `failed at call ${nth}`)
  }
})

test("a running store is not changed like a stopped one", async () => {
  const clock = new SimClock()
  const disk = new SimDisk()
  const locks = new SimLocks()
  const running = locks.boot()
  await openStore(
    { clock, random: new SimRandom(1), disk: disk.boot(), locks: running },
    { ...config, dataFolders: ["/a", "/b"] },
    undefined,
  )
  await assert.rejects(StoppedStore.open(clock, new SimRandom(2), disk.boot(), locks.boot(), ["/a", "/b"]), error =>
    isFailure(error, "folderInUse"),
  )
  const one = openStore(
    { clock, random: new SimRandom(3), disk: disk.boot(), locks: locks.boot() },
    { ...config, dataFolders: ["/a"] },
    undefined,
  )
  await assert.rejects(one, error => isFailure(error, "folderInUse"), "and nobody is told to forget the other folder")
})
