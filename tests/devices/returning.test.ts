/**
 * Disks that hang or fail for a while and return, and empty disks that replace lost ones: which devices rejoin,
 * what is copied to them, and from where. The disks are simulated; everything else is the code of a real process.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import type { DiskCall } from "@hayloft/base/seams/disk/index.js"
import { LOOK_MS, SimStore } from "./sim-store.js"

/** The longest time for which a device may stall a request. */
const STALL_MS_MAX = 5_000
/** An offline device is probed: first after 10 s, then at growing intervals. */
const ASKED_AGAIN_MS = 60_000
const BAY = "/d2"
const WRITE_MS = 2000
const BETWEEN_BACKUPS_MS = 20 * 60_000

/** Counts the bytes of needles that are moved from now on, by bay. */
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
  for (let i = 0; i < 10; i += 1) await store.put(`before ${i}`)
  await store.becomeWhole("the beginning")
  const drive = store.machine.bays.at(BAY) ?? assert.fail("a disk is in the bay")
  drive.faulty.become("hung")
  for (const work of [() => store.put("hung"), () => store.remove("before 0"), () => store.readAll("hung")]) {
    const tookMs = await store.timed(work)
    // Several requests are sent, because the first ones detect the fault.
    assert.ok(tookMs < STALL_MS_MAX, `${tookMs} ms`)
  }
  await store.machine.pass(LOOK_MS)
  assert.equal(store.deviceIn(BAY).state, "offline")
  // The disk answers again, but still fails: the store probes it, and it stays offline.
  for (const state of ["failing", "readOnly"] as const) {
    drive.faulty.become(state)
    await store.machine.pass(ASKED_AGAIN_MS)
    assert.equal(store.deviceIn(BAY).state, "offline", state)
  }
  await store.put("meanwhile")
  const moved = watchNeedles(store)
  drive.faulty.become("well")
  await store.until(
    () => (store.deviceIn(BAY).state === "offline" ? "still offline" : undefined),
    "after its disk is healthy",
  )
  await store.becomeWhole("its return")
  const broughtBytes = moved.written.get(BAY) ?? 0
  // The device lacks half of the two writes that it missed, in whole pages; it has the rest.
  assert.ok(broughtBytes > 0 && broughtBytes < 800_000, `${broughtBytes} bytes were copied to it`)
  await store.end()
})

test("an empty disk that replaces a lost one is rebuilt by all the others, and becomes a metadata replica again", async () => {
  const store = await SimStore.open(6)
  for (let i = 0; i < 8; i += 1) await store.put(`object ${i}`)
  await store.becomeWhole("the beginning")
  const holdsMetadata = (bay: string): boolean => {
    const { id } = store.deviceIn(bay)
    return store.now.engine.recordManager.record.tablets.every(({ replicas }) =>
      replicas.some(replica => replica.id === id),
    )
  }
  const bay =
    ["/d1", "/d2", "/d3", "/d4", "/d5", "/d6"].find(holdsMetadata) ?? assert.fail("no device is a metadata replica")
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
  assert.equal(read.length, 5, "all other devices take part")
  for (const bytes of read) assert.ok(bytes > mean / 2 && bytes < 2 * mean, `${read.join()} bytes were read`)
  await store.end()
})

test("while an empty disk is rebuilt, status predicts the end to within 30 %, from the first minute on", async () => {
  const store = await SimStore.open(4)
  for (let i = 0; i < 600; i += 1) await store.put(`object ${i}`, [30_000])
  const { clock } = store.machine
  // Backups of the metadata are made 2, 4, 8, 16 and 32 minutes after the beginning: none is during the rebuild.
  await store.machine.pass(BETWEEN_BACKUPS_MS)
  store.drop([BAY])
  await store.machine.pass(LOOK_MS)
  store.machine.bays.put(BAY, store.machine.newDrive())
  await store.replace(store.deviceIn(BAY).id, BAY)
  // Writes of needles are slow, so that the rebuild takes a while.
  store.machine.failDisk(({ kind, path }) =>
    kind === "write" && path.startsWith(`${BAY}/volumes`) ? store.machine.pause(WRITE_MS) : undefined,
  )
  const begunMs = clock.monotonicMs()
  const predictions: { readonly atMs: number; readonly inMs: number }[] = []
  while (store.deviceIn(BAY).state !== "active") {
    await store.machine.pass(LOOK_MS)
    const atMs = clock.monotonicMs()
    const end = store.now.status.report().repair?.progress.endsInSeconds
    if (end !== undefined && atMs - begunMs >= 60_000) predictions.push({ atMs, inMs: 1_000 * end })
    assert.ok(atMs - begunMs < 3_600_000, "the rebuild ends within an hour")
  }
  const endedMs = clock.monotonicMs()
  assert.ok(predictions.length >= 10, `only ${predictions.length} predictions`)
  for (const { atMs, inMs } of predictions) {
    const trueMs = endedMs - atMs
    // The last steps are too coarse for a prediction.
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
