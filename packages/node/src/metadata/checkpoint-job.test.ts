/** Checkpoint jobs on a disk that is slow once: later jobs complete, and the hanging call stays the only one. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId, parseEpoch, parseIncarnation, parsePosition, rowKeyOf } from "@hayloft/base/ids.js"
import { openLog, queuedDisk } from "@hayloft/engine/device/index.js"
import { encodeEntry } from "@hayloft/engine/format/device/testing-entry.js"
import { FIRST_EPOCH } from "@hayloft/engine/format/device/replica-incarnation.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import { CheckpointExecutor, type CheckpointDevice } from "./checkpoint-job.js"
import { FIRST_TABLET } from "./first-tablet.js"

const LIMITS = { callsMax: 1, queuedMax: 100, deviceTimeoutMs: 1_000 }
const DEVICE: CheckpointDevice = {
  id: parseDeviceId("00000000000000d1"),
  path: "/d1",
  incarnation: parseIncarnation(1),
}

/** A device with one entry in its log, and its executor; the first write to a payload volume hangs. */
async function scene({ isEmptied = false } = {}) {
  const [sim, clock] = [new SimDisk(), new SimClock()]
  const disk = sim.boot()
  if (!isEmptied) await disk.makeFolder("/d1/base")
  const log = await openLog(disk, "/d1/log", DEVICE.id)
  const writes = [
    { family: "current", key: rowKeyOf("k"), value: Uint8Array.of(1), payload: Buffer.alloc(100) },
  ] as const
  const entry = { tabletId: FIRST_TABLET, epoch: parseEpoch(1), position: parsePosition(1), writes }
  const { sequence: upTo } = await log.append([encodeEntry(entry).record])
  const calls: string[] = []
  let letGo: () => void = () => undefined
  const hung = new Promise<void>(resolve => (letGo = resolve))
  sim.intercept(call => {
    if (call.kind !== "write" || !call.path.startsWith("/d1/payloads/")) return undefined
    calls.push(call.path)
    return hung
  })
  const life = new AbortController()
  const executor = new CheckpointExecutor(
    () => queuedDisk(disk, clock, LIMITS, life.signal, () => undefined),
    new MemoryStores(),
    new SimRandom(1),
  )
  const replicaIncarnations = new Map([[FIRST_TABLET, FIRST_EPOCH]])
  const run = () =>
    executor.run({
      device: DEVICE,
      upTo,
      replicaIncarnations,
      emptied: [],
      volumes: { ordinary: undefined, expiring: [] },
      adopted: 0,
    })
  return { clock, disk, calls, letGo, run, end: () => life.abort() }
}

const isFailed = (error: unknown): boolean => isFailure(error, "deviceFailed")

test("a disk that was slow once is checkpointed again when it responds, and not called before", async () => {
  const { clock, calls, letGo, run, end } = await scene()
  const slow = assert.rejects(run(), isFailed)
  await clock.advance(2 * LIMITS.deviceTimeoutMs)
  await slow
  await assert.rejects(run(), isFailed, "what it was asked is still under way")
  assert.equal(calls.length, 1)
  letGo()
  await clock.advance(1)
  assert.equal((await run()).payloads, 1)
  end()
})

test("a folder that was emptied gets no new store", async () => {
  const { disk, run, end } = await scene({ isEmptied: true })
  await assert.rejects(run(), error => isFailed(error) && /\/d1\/base is gone/.test(String(error)))
  assert.equal(await disk.exists("/d1/base"), false)
  end()
})
