/**
 * Disks that hang or fail for a while and return, and empty ones that replace a disk: which devices rejoin, what
 * is copied to them, and from where. The disks are simulated; everything else is what a real process runs.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "../../src/base/assert.js"
import type { DiskCall } from "../../src/seams/disk/index.js"
import { LOOK_MS, SimStore } from "./sim-store.js"

/** The longest that a device may stall a request. */
const STALL_MS_MAX = 5_000
/** An offline device is probed: first after 10 s, then at growing intervals. */
const ASKED_AGAIN_MS = 60_000
const BAY = "/d2"
const WRITE_MS = 2000

/** Bytes of needles moved from now on, by bay. */
function watchNeedles(store: SimStore) {
  const moved = { read: new Map<string, number>(), written: new Map<string, number>() }
  store.machine.failDisk((call: DiskCall) => {
    const [, bay = "", folder] = call.path.split("/")
    if (folder !== "volumes") return
    const add = (sums: Map<string, number>, bytes: number) => sums.set(`/${bay}`, (sums.get(`/${bay}`) ?? 0) + bytes)
    if (call.kind === "read") add(moved.read, call.lengthBytes)
    if (call.kind === "write" && call.change.kind === "write") add(moved.written, call.change.bytes.length)
  })
  return moved
}

test("a disk that hangs stalls requests only briefly; it returns once it works again, and receives only what it missed", async () => {
  const store = await SimStore.open(4)
  for (let i = 0; i < 20; i += 1) await store.put(`before ${i}`)
  await store.becomeWhole("the beginning")
  const drive = store.machine.bays.at(BAY) ?? assert.fail("there is a disk")
  drive.faulty.become("hung")
  for (const work of [() => store.put("hung"), () => store.remove("before 0"), () => store.readAll("hung")]) {
    const tookMs = await store.timed(work)
    // Several requests, because the first ones detect the fault.
    assert.ok(tookMs < STALL_MS_MAX, `${tookMs} ms`)
  }
  await store.machine.pass(LOOK_MS)
  assert.equal(store.deviceIn(BAY).state, "offline")
  // It answers again, but still fails: it is probed, and stays offline.
  for (const state of ["failing", "readOnly"] as const) {
    drive.faulty.become(state)
    await store.machine.pass(ASKED_AGAIN_MS)
    assert.equal(store.deviceIn(BAY).state, "offline", state)
  }
  await store.put("meanwhile")
  const moved = watchNeedles(store)
  drive.faulty.become("well")
  await store.until(() => (store.deviceIn(BAY).state === "offline" ? "still out" : undefined), "once it is well")
  await store.becomeWhole("its return")
  const broughtBytes = moved.written.get(BAY) ?? 0
  // Half of two times what was written without it, in whole pages: it has the rest.
  assert.ok(broughtBytes > 0 && broughtBytes < 800_000, `${broughtBytes} bytes were brought to it`)
  await store.end()
})

test("an empty disk in a lost one's place is rebuilt by all the others, and is a metadata replica again", async () => {
  const store = await SimStore.open(6)
  for (let i = 0; i < 30; i += 1) await store.put(`object ${i}`)
  await store.becomeWhole("the beginning")
  const holdsMetadata = (bay: string): boolean => {
    const { id } = store.deviceIn(bay)
    return store.now.engine.recordManager.record.tablets.every(({ replicas }) =>
      replicas.some(replica => replica.id === id),
    )
  }
  const bay = ["/d1", "/d2", "/d3", "/d4", "/d5", "/d6"].find(holdsMetadata) ?? assert.fail("somebody holds names")
  store.drop([bay])
  await store.machine.pass(LOOK_MS)
  const copies = store.now.engine.recordManager.record.metaCopies
  const moved = watchNeedles(store)
  store.machine.bays.put(bay, store.machine.newDrive())
  await store.replace(store.deviceIn(bay).id, bay)
  await store.becomeWhole(`the loss of ${bay}`)
  const { tablets } = store.now.engine.recordManager.record
  assert.deepEqual(
    tablets.map(({ replicas }) => replicas.length),
    [copies],
  )
  const read = [...moved.read].filter(([from]) => from !== bay).map(([, bytes]) => bytes)
  const mean = read.reduce((sum, bytes) => sum + bytes, 0) / 5
  assert.equal(read.length, 5, "all others take part")
  for (const bytes of read) assert.ok(bytes > mean / 2 && bytes < 2 * mean, `${read.join()} bytes were read`)
  await store.end()
})

test("while an empty disk is rebuilt, status predicts the end to within 30 %, from the first minute on", async () => {
  const store = await SimStore.open(4)
  for (let i = 0; i < 1_200; i += 1) await store.put(`object ${i}`, [30_000])
  const { clock } = store.machine
  store.drop([BAY])
  await store.machine.pass(LOOK_MS)
  store.machine.bays.put(BAY, store.machine.newDrive())
  await store.replace(store.deviceIn(BAY).id, BAY)
  // Its needles are slow to write, so that there is something to wait for.
  store.machine.failDisk(({ kind, path }) =>
    kind === "write" && path.startsWith(`${BAY}/volumes`) ? store.machine.pause(WRITE_MS) : undefined,
  )
  const begunMs = clock.monotonicMs()
  const told: { readonly atMs: number; readonly inMs: number }[] = []
  while (store.deviceIn(BAY).state !== "active") {
    await store.machine.pass(LOOK_MS)
    const atMs = clock.monotonicMs()
    const end = store.now.status.report().repair?.progress.endsInSeconds
    if (end !== undefined && atMs - begunMs >= 60_000) told.push({ atMs, inMs: 1_000 * end })
    assert.ok(atMs - begunMs < 3_600_000, "it is filled within an hour")
  }
  const endedMs = clock.monotonicMs()
  assert.ok(told.length >= 10, `it was told ${told.length} times`)
  for (const { atMs, inMs } of told) {
    const trueMs = endedMs - atMs
    // The last steps are too few to be told apart.
    const isNear = Math.abs(inMs - trueMs) <= 4 * LOOK_MS
    assert.ok(isNear || (inMs > 0.7 * trueMs && inMs < 1.3 * trueMs), `${inMs} ms instead of ${trueMs} ms`)
  }
  store.machine.failDisk()
  await store.end()
})

test("the only disk of a store is busy for ten seconds: the waiting requests complete, and no restart is needed", async () => {
  const store = await SimStore.open(1)
  const { machine } = store
  await store.put("before")
  const disk = must(machine.bays.at("/d1"), "a disk is in the bay")
  disk.faulty.become("hung")
  await machine.pass(10_000)
  disk.faulty.become("well")
  await store.put("after")
  await store.readAll("after the disk was busy")
  await store.end()
})
