/** A superblock that is read damaged while the store runs: the disk is faulty; no other process has claimed it. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { putRequest, sourceOf } from "../../sim/world/bodies.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { rots } from "@hayloft/base/seams/disk/faults.js"
import { SimStore } from "./sim-store.js"

/** Long enough for the ownership check to run and the device to be recorded as offline. */
const NOTICED_MS = 2_000
const TRIED_AGAIN_MS = 30_000
const SUPERBLOCK_BYTES = 64

/** From now on, reads of the superblock in this bay return a flipped bit, in its checksum or elsewhere. */
function damageSuperblock({ machine }: SimStore, bay: string): void {
  let reads = 0
  machine.failDisk(call => {
    if (call.kind !== "read" || call.path !== `${bay}/superblock`) return
    reads += 1
    const at = (reads * 11) % SUPERBLOCK_BYTES
    return rots(bytes => void bytes.set([(bytes[at] ?? 0) ^ 4], at))(call)
  })
}

test("a superblock that reads damaged takes its device offline until a probe finds it intact, and costs nothing else", async () => {
  const store = await SimStore.open(4)
  await store.put("before")
  damageSuperblock(store, "/d2")
  await store.machine.pass(NOTICED_MS)
  assert.equal(store.deviceIn("/d2").state, "offline")
  assert.match(store.now.engine.control.offlineReason(store.deviceIn("/d2").id) ?? "", /^the superblock .* is damaged/)
  assert.equal(store.now.engine.devices.length, 3)
  await store.put("meanwhile")
  await store.readAll("while the device is offline")
  await store.machine.pass(TRIED_AGAIN_MS)
  assert.equal(store.deviceIn("/d2").state, "offline", "the disk still returns a damaged superblock")
  store.machine.failDisk()
  await store.becomeWhole("the superblock is intact again")
  await store.end()
})

test("the only device continues under a damaged superblock, and a restart is refused until it is intact", async () => {
  const store = await SimStore.open(1)
  await store.put("before")
  damageSuperblock(store, "/d1")
  await store.machine.pass(TRIED_AGAIN_MS)
  assert.equal(store.deviceIn("/d1").state, "active")
  await store.put("meanwhile")
  await store.readAll("while the superblock is unreadable")
  await store.machine.run(store.machine.stop(store.now))
  await assert.rejects(store.start(), error => isFailure(error, "corruptRecord"))
  store.machine.failDisk()
  await store.start()
  await store.readAll("after a start")
  await store.end()
})

test("a write during which a device goes offline is refused with a retryable error, whatever the reason", async () => {
  const store = await SimStore.open(3)
  await store.put("before")
  const { engine } = store.now
  const bucket = await store.bucket()
  // Its folder is opened again only once the calls on it have ended.
  const hung: (() => void)[] = []
  store.machine.failDisk(call =>
    call.kind === "write" && call.path.startsWith("/d2/volumes")
      ? new Promise<undefined>(resolve => hung.push(() => resolve(undefined)))
      : undefined,
  )
  const request = putRequest(bucket, objectKeyOfText("torn"), sourceOf(Buffer.alloc(30_000)))
  const refused = assert.rejects(engine.services.objects.put(request), error => isFailure(error, "deviceFailed"))
  await store.machine.pass(500)
  await store.machine.run(
    engine.control.takeOffline(store.deviceIn("/d2").id, fail("corruptRecord", { what: "anything" })),
  )
  await store.machine.run(refused)
  await store.readAll("without the device")
  store.machine.failDisk()
  for (const end of hung) end()
  await store.becomeWhole("the device is probed again")
  await store.end()
})
