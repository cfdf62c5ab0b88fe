/** Starts that are interrupted at any write, and the starts after them. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseAccessKeyId, parseUploadId, type DeviceId } from "@hayloft/base/ids.js"
import { BLOCK_BYTES_DEFAULT, MIB } from "@hayloft/base/limits.js"
import { parsePolicy, textOfPolicy } from "@hayloft/base/policy.js"
import { CALL_LIMITS, queuedDisk, readRecordFile, replaceRecordFile, Stalls } from "@hayloft/engine/device/index.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { failing, FaultyDevice, hangs, inTurn, nthOf, SimDisk, type Disk } from "@hayloft/base/seams/disk/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { ServeConfig } from "../config/index.js"
import { isSealedByOrigin } from "../control/at-rest.js"
import type { OpenedStore } from "./contract.js"
import { withReason } from "./folder-inspection.js"
import { config, FOLDERS, StartMachine } from "./testing-start.js"

const rootKey = { accessKeyId: parseAccessKeyId("CHANGED"), secret: "changed secret" }

test("an interrupted first start begins again, and every device has the record then", async () => {
  for (let nth = 1; ; nth += 1) {
    const machine = new StartMachine()
    const done = await machine.startUntil(nth, config)
    const { record } = await machine.start()
    await machine.assertEverywhere(record, `cut off at change ${nth}`)
    if (done) break
  }
})

test("an interrupted change of the root key is on every device or on none after the next start", async () => {
  const started = new StartMachine()
  await started.start()
  for (let nth = 1; ; nth += 1) {
    const machine = started.copy()
    const done = await machine.startUntil(nth, { ...config, rootKey })
    const { record } = await machine.start()
    await machine.assertEverywhere(record, `cut off at change ${nth}`)
    if (done) break
  }
})

const withFolders = (...dataFolders: string[]): ServeConfig => ({ ...config, dataFolders })
const THREE = withFolders("/a", "/b", "/c")

/** `/a active, /b offline` …, from the record. */
const statesOf = ({ record }: OpenedStore): string =>
  record.devices.map(({ pathHint, state }) => `${pathHint} ${state}`).join(", ")
const pathsOf = ({ devices }: OpenedStore): string => devices.map(({ identity }) => identity.path).join(" ")

test("a start has numbers of its own for the threads that it reserves, below that of its devices", async () => {
  const machine = new StartMachine()
  machine.reserved = 7
  const first = await machine.start()
  const second = await machine.start()
  machine.reserved = 0
  const third = await machine.start()
  assert.deepEqual([first.incarnation, second.incarnation, third.incarnation], [8, 16, 17])
  for (const { identity } of third.devices) assert.equal(identity.incarnation, 17)
})

test("uploads of all threads of the start that begins to encrypt count as encrypted", async () => {
  const machine = new StartMachine()
  const start = (encryptAtRest: boolean) =>
    machine.start({ ...config, encryptAtRest }, undefined, { current: new Uint8Array(32).fill(7) })
  const { incarnation: before } = await start(false)
  machine.reserved = 7
  const { record, incarnation } = await start(true)
  const idOf = (each: number) => parseUploadId(`${each.toString(16).padStart(8, "0")}${"0".repeat(24)}`)
  const areSealed = [before, before + 1, incarnation].map(each => isSealedByOrigin(record, idOf(each)))
  assert.deepEqual(areSealed, [false, true, true])
})

test("options of the first start that were overridden since are reported, and do not prevent a start", async () => {
  const machine = new StartMachine()
  const first = { ...config, policy: parsePolicy("replica:1"), metaCopies: 1 }
  assert.deepEqual((await machine.start(first)).notes, [])
  const { record, notes } = await machine.start({ ...config, policy: parsePolicy("replica:2"), metaCopies: 2 })
  assert.deepEqual([textOfPolicy(record.policy), record.metaCopies], ["replica:1", 1])
  assert.match(
    notes.join("\n"),
    /^--redundancy replica:2 is ignored: .* has replica:1\. .*redundancy set replica:2\n--meta-copies 2 is .* on 1 device\./,
  )
  await assert.rejects(machine.start({ ...config, blockBytes: 2 * record.blockBytes }), /cannot be changed/)
})

test("the profile may be another one at each start, and only a new store has its blocks", async () => {
  for (const [first, then, blockBytes] of [
    ["standard", "small", BLOCK_BYTES_DEFAULT],
    ["small", "standard", MIB],
  ] as const) {
    const machine = new StartMachine()
    for (const profile of [first, then])
      assert.equal((await machine.start({ ...config, profile })).record.blockBytes, blockBytes, `${first}, ${profile}`)
  }
  const { record } = await new StartMachine().start({ ...config, profile: "small", blockBytes: 2 * MIB })
  assert.equal(record.blockBytes, 2 * MIB)
})

test("a missing device is marked as offline, and may lack shards when it returns", async () => {
  const machine = new StartMachine()
  const first = await machine.start(THREE)
  const epoch = first.record.tablets[0]?.epoch ?? 0
  const without = await machine.start(withFolders("/a", "/c"))
  assert.equal(statesOf(without), "/a active, /b offline, /c active")
  assert.equal(pathsOf(without), "/a /c")
  const [tablet] = without.record.tablets
  assert.deepEqual([tablet?.replicas.length, tablet?.epoch], [2, epoch + 1])
  const back = await machine.start(THREE)
  assert.equal(statesOf(back), "/a active, /b rebuilding, /c active")
  assert.equal(pathsOf(back), "/a /b /c")
  assert.match(back.notes.join(), /at \/b has returned and will be brought up to date/)
  assert.equal(back.record.tablets[0]?.replicas.length, 2, "it holds no names")
  const incarnations = back.devices.map(({ identity }) => identity.incarnation)
  assert.deepEqual(
    incarnations,
    incarnations.map(() => back.incarnation),
    "one life, one number",
  )
})

test("an offline device that fails the probe stays offline", async () => {
  const machine = new StartMachine()
  await machine.start(THREE)
  await machine.start(withFolders("/a", "/c"))
  machine.disk.intercept(failing({ kind: "sync", pathPart: "/b/probe", code: "EIO", nth: 1 }))
  const store = await machine.start(THREE)
  assert.equal(statesOf(store), "/a active, /b offline, /c active")
  assert.match(store.notes.join(), /at \/b stays offline: .*EIO/)
})

test("a folder that the start leaves alone is not locked: the running store may take it", async () => {
  const machine = new StartMachine()
  await machine.start(THREE)
  await machine.start(withFolders("/a", "/c"))
  machine.disk.intercept(failing({ kind: "sync", pathPart: "/b/probe", code: "EIO", nth: 1 }))
  await machine.start(THREE)
  assert.deepEqual(await machine.ownersOf(["/a", "/b", "/c"]), [true, false, true], "a device that stays offline")
  machine.disk.intercept(() => undefined)
  // While the returned device is rebuilt no other one is replaced.
  await machine.start(THREE)
  for (const name of ["superblock", "control", "control.second"]) await machine.disk.boot().remove(`/c/${name}`)
  const store = await machine.start(THREE)
  assert.match(store.notes.join(), /\/c does not replace device/)
  assert.deepEqual(
    await machine.ownersOf(["/a", "/b", "/c"]),
    [true, true, false],
    "an empty folder that is not filled",
  )
})

test("an empty folder in a lost device's place becomes its replacement, even if the start is interrupted", async () => {
  const started = new StartMachine()
  const { record: before } = await started.start(THREE)
  for (let nth = 1; ; nth += 1) {
    const machine = started.copy()
    for (const name of ["superblock", "control", "control.second"]) await machine.disk.boot().remove(`/b/${name}`)
    const done = await machine.startUntil(nth, THREE)
    const store = await machine.start(THREE)
    assert.equal(statesOf(store), "/a active, /b rebuilding, /c active", `cut off at change ${nth}`)
    assert.equal(pathsOf(store), "/a /b /c")
    const [old, taking] = [before.devices[1]?.id, store.record.devices[1]?.id]
    assert.ok(old !== undefined && taking !== undefined && old !== taking)
    assert.ok(!store.record.layout.devices.includes(old) && store.record.layout.devices.includes(taking))
    if (done) break
  }
})

for (const [what, fault] of [
  ["fails", failing({ kind: "write", pathPart: "/b/", code: "EIO", nth: 1, forEver: true })],
  [
    "does not answer",
    nthOf({ kind: "write", pathPart: "/b/", nth: 1, forEver: true }, hangs(new Promise(() => undefined))),
  ],
] as const) {
  test(`a device that ${what} at the start is left out, and the others serve`, async () => {
    const machine = new StartMachine()
    await machine.start(THREE)
    machine.disk.intercept(fault)
    const clock = new SimClock()
    const store = await clock.runUntil(machine.start(THREE, clock), 60_000)
    assert.equal(statesOf(store), "/a active, /b offline, /c active")
    assert.match(store.notes.join(), /\/b cannot be used and is left alone/)
    machine.disk.intercept(() => undefined)
    assert.equal(pathsOf(await machine.start(THREE)), "/a /b /c")
  })
}

test("a device that fails at the first inspection and works at the next is used", async () => {
  const machine = new StartMachine()
  const three = { ...config, dataFolders: [...FOLDERS, "/c"] }
  await machine.start(three)
  machine.disk.intercept(failing({ kind: "read", nth: 1, pathPart: "/c/", code: "EIO" }))
  const { devices, record } = await machine.start(three)
  assert.deepEqual(devices.map(({ identity }) => identity.path).sort(), three.dataFolders)
  assert.ok(record.devices.every(({ state }) => state !== "offline"))
})

test("interrupted starts with different devices missing leave one record in effect", async () => {
  const outcomes = new Set<string>()
  const started = new StartMachine()
  await started.start(THREE)
  for (let nth = 1; nth < 60; nth += 3) {
    const machine = started.copy()
    await machine.startUntil(nth, { ...withFolders("/a", "/b"), rootKey })
    const second = await machine.start(withFolders("/b", "/c")).catch((error: unknown) => {
      assert.ok(isFailure(error, "devicesMissing"))
    })
    const all = await machine.start(THREE)
    if (second) {
      assert.match(statesOf(all), /^\/a rebuilding, \/b active, \/c (active|rebuilding)$/, `cut off at change ${nth}`)
      assert.equal(all.secrets.root.accessKeyId, second.secrets.root.accessKeyId, "the second start's word stands")
    } else {
      assert.match(statesOf(all), /^\/a active, \/b active, \/c (active|rebuilding)$/, `cut off at change ${nth}`)
    }
    outcomes.add(second ? "it had not happened" : "it may have happened")
  }
  assert.equal(outcomes.size, 2)
})

test("an old image of a device lacks later changes, and is no metadata replica until it is up to date", async () => {
  const machine = new StartMachine()
  await machine.start(THREE)
  const disk = machine.disk.boot()
  const image = new Map<string, Uint8Array>()
  for (const name of ["superblock", "control", "control.second"]) {
    image.set(name, (await readRecordFile(disk, `/b/${name}`)) ?? assert.fail(name))
  }
  assert.equal(statesOf(await machine.start(THREE)), "/a active, /b active, /c active")
  const later = machine.disk.boot()
  for (const [name, bytes] of image) await replaceRecordFile(later, `/b/${name}`, bytes)
  const store = await machine.start(THREE)
  assert.equal(statesOf(store), "/a active, /b rebuilding, /c active")
  assert.match(store.notes.join(), /lacks changes that the others have/)
  const b = store.record.devices[1]?.id
  assert.ok(store.record.tablets.every(({ replicas }) => replicas.every(({ id }) => id !== b)))
})

test("older images of all devices with metadata beside a newer device are refused: nothing goes back silently", async () => {
  const machine = new StartMachine()
  const four = withFolders("/a", "/b", "/c", "/d")
  await machine.start(four)
  const earlier = machine.copy()
  const { record } = await machine.start(four)
  const holders = record.tablets.flatMap(({ replicas }) => replicas.map(({ id }) => id))
  const folderOf = (id: DeviceId) => record.devices.find(device => device.id === id)?.pathHint ?? assert.fail(id)
  const older = holders.map(folderOf)
  const newer = record.devices.map(({ id }) => folderOf(id)).filter(folder => !older.includes(folder))
  assert.deepEqual([older, newer], [["/a", "/b", "/c"], ["/d"]])
  const [old, current] = [earlier.disk.boot(), machine.disk.boot()]
  const putBack = async (folder: string) => {
    for (const name of ["superblock", "control", "control.second"]) {
      const bytes = (await readRecordFile(old, `${folder}/${name}`)) ?? assert.fail(name)
      await replaceRecordFile(current, `${folder}/${name}`, bytes)
    }
  }
  await putBack("/a")
  await putBack("/b")
  assert.equal(statesOf(await machine.copy().start(four)), "/a rebuilding, /b rebuilding, /c active, /d active")
  await putBack("/c")
  const refused = (error: unknown): boolean =>
    isFailure(error, "foreignFolder") && /^\/a, \/b, \/c: older than \/d, .* start without \/d/.test(error.message)
  await assert.rejects(machine.copy().start(four), refused)
  await assert.rejects(machine.start(four), refused, "also again")
  assert.equal(
    statesOf(await machine.start(withFolders("/a", "/b", "/c"))),
    "/a active, /b active, /c active, /d offline",
    "the operator may go back",
  )
})

test("a device without space for the record is healthy, and gets it at the next start", async () => {
  const machine = new StartMachine()
  await machine.start(THREE)
  machine.disk.intercept(failing({ kind: "write", pathPart: "/b/control", code: "ENOSPC", nth: 1, forEver: true }))
  const store = await machine.start(THREE)
  assert.equal(statesOf(store), "/a active, /b active, /c active")
  machine.disk.intercept(() => undefined)
  await machine.start(THREE)
})

test("a full device does not prevent a start while the store is being encrypted, once it has the key", async () => {
  const machine = new StartMachine()
  const current = new Uint8Array(32).fill(7)
  const start = (requested = THREE) => machine.start(requested, undefined, { current })
  await start()
  const full = failing({ kind: "write", pathPart: "/b/control", code: "ENOSPC", nth: 1, forEver: true })
  machine.disk.intercept(full)
  const encrypting = { ...THREE, encryptAtRest: true }
  await assert.rejects(start(encrypting), error => isFailure(error, "deviceFailed"), "nothing else has the key yet")
  machine.disk.intercept(() => undefined)
  await start(encrypting)
  machine.disk.intercept(full)
  assert.equal(statesOf(await start()), "/a active, /b active, /c active")
})

const noSpaceAt = (folder: string) =>
  failing({ kind: "write", pathPart: `${folder}/superblock`, code: "ENOSPC", nth: 1, forEver: true })

test("a device without space for its next incarnation is left out, and never reported as missing", async () => {
  const machine = new StartMachine()
  await machine.start(THREE)
  machine.disk.intercept(noSpaceAt("/b"))
  const store = await machine.start(THREE)
  assert.equal(statesOf(store), "/a active, /b offline, /c active")
  assert.match(store.notes.join(), /\/b cannot be used and is left alone: the store is full/)
  machine.disk.intercept(() => undefined)
  assert.equal(pathsOf(await machine.start(THREE)), "/a /b /c")
  machine.disk.intercept(inTurn(noSpaceAt("/b"), noSpaceAt("/c")))
  await assert.rejects(machine.start(THREE), error => isFailure(error, "deviceFull"))
})

test("a store that has run and lost its control record is not created again", async () => {
  const machine = new StartMachine()
  await machine.start()
  const disk = machine.disk.boot()
  for (const folder of FOLDERS) {
    for (const name of ["control", "control.second"]) await disk.remove(`${folder}/${name}`)
    await disk.makeFolder(`${folder}/log`)
  }
  await assert.rejects(machine.start(), error => isFailure(error, "corruptRecord"))
})

test("a start while all disks stall waits for them, and opens the store with every device", async () => {
  const machine = new StartMachine()
  await machine.start(THREE)
  for (const isFrozen of [(kind: string) => kind !== "read", () => true]) {
    const clock = new SimClock()
    const device = new FaultyDevice(clock, new SimRandom(1))
    machine.disk.intercept(call => (isFrozen(call.kind) ? device.intercept(call) : undefined))
    device.become("hung")
    const starting = machine.start(THREE, clock)
    await clock.advance(120_000)
    device.become("well")
    const opened = await clock.runUntil(starting)
    assert.equal(statesOf(opened), "/a active, /b active, /c active")
    assert.deepEqual(opened.notes, [])
  }
})

test("a folder is not opened while a call on it that was given up may still write", async () => {
  const machine = new StartMachine()
  await machine.start(THREE)
  const [clock, stalls, watch] = [new SimClock(), new Stalls(), new AbortController()]
  const device = new FaultyDevice(clock, new SimRandom(1), { folder: "/b" })
  // The process goes on, unlike those that the machine kills.
  const disk = new SimDisk()
  disk.intercept(device.intercept)
  const queue = queuedDisk(disk.boot(), clock, CALL_LIMITS, watch.signal, () => undefined)
  stalls.watch("/b", queue, watch.signal)
  device.become("hung")
  const refused = assert.rejects(queue.exists("/b/superblock"), error => isFailure(error, "deviceFailed"))
  await clock.advance(10_000)
  await refused
  watch.abort()
  const without = await clock.runUntil(machine.start(THREE, clock, undefined, stalls))
  assert.equal(statesOf(without), "/a active, /b offline, /c active")
  device.become("well")
  await clock.advance(1)
  assert.equal(
    statesOf(await clock.runUntil(machine.start(THREE, clock, undefined, stalls))),
    "/a active, /b rebuilding, /c active",
  )
})

/** Appends a byte to the file, as an editor does that ends the last line. */
async function lengthen(disk: Disk, path: string): Promise<void> {
  const file = await disk.open(path, "write")
  await file.write([Uint8Array.of(10)], await file.sizeBytes())
  await file.sync()
  await file.close()
}

test("one byte too many at the end of each record file of the only folder is no damage", async () => {
  const machine = new StartMachine()
  const only = withFolders("/a")
  const { record } = await machine.start(only)
  const disk = machine.disk.boot()
  for (const name of ["superblock", "control", "control.second"]) await lengthen(disk, `/a/${name}`)
  const again = await machine.start(only)
  assert.equal(again.record.storeId, record.storeId)
  assert.equal((await readRecordFile(machine.disk.boot(), "/a/superblock"))?.length, 64, "it has been replaced")
})

test("a damaged record file of the only folder: the refusal names the file and the ways on", async () => {
  for (const names of [["superblock"], ["control", "control.second"]]) {
    const machine = new StartMachine()
    await machine.start(withFolders("/a"))
    const disk = machine.disk.boot()
    await disk.makeFolder("/a/log")
    for (const name of names) await replaceRecordFile(disk, `/a/${name}`, Uint8Array.of(1, 2, 3))
    await assert.rejects(machine.start(withFolders("/a")), error => {
      assert.ok(isFailure(error, "corruptRecord"))
      assert.match(error.message, new RegExp(`^/a/${names[0]} is damaged.* hayloft rescue --from /a --to NEW`))
      return true
    })
  }
})

test("a path at which no folder can be is no disk that does not respond", () => {
  const found = withReason("/file/sub", fail("deviceFailed", { path: "/file", code: "ENOTDIR" }))
  assert.match(found.message, /^the data folder \/file\/sub cannot be used: a part of its path is a file/)
  const broken = fail("deviceFailed", { path: "/a", code: "EIO" })
  assert.equal(withReason("/a", broken), broken)
})
