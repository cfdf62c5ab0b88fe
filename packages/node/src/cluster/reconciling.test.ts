/** An operator reconciles a store whose rows were put back to an earlier moment. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseIncarnation, parseLogSequence, type DeviceId } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { TestDevices } from "@hayloft/engine/block/testing-blocks.js"
import { clusterOf, deviceId } from "@hayloft/engine/cluster/testing-records.js"
import { Rows } from "@hayloft/engine/device/index.js"
import { makeCodec } from "@hayloft/engine/erasure/index.js"
import type { Halt } from "@hayloft/engine/metadata/index.js"
import { StoreWorld } from "@hayloft/upkeep/testing-services.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import { Reconciling } from "./reconciling.js"
import { readSharedRecord, SharedRecordManager, writeFirstRecord } from "./shared-record.js"
import { SharedMemory } from "./testing-shared.js"

const RECORD = clusterOf(["n1:1", "n2:1", "n3:1"], "ec:2+1")
const HALT: Halt = { number: 4, reason: "a test", highest: parseIncarnation(0), live: [] }
const makeRows = async () => new Rows(await new MemoryStores().openReader("base"), parseLogSequence(0))

/** Metadata in which a node's view of the halt may be older than the database's. */
class LaterMemory extends SharedMemory {
  inDatabase: Halt | undefined = HALT
  answers = true
  override halt: Halt | undefined = HALT

  override async learn(): Promise<boolean> {
    if (this.answers) this.halt = this.inDatabase
    return this.answers
  }
}

/** The rows of a key were lost, and the store is halted. */
async function world() {
  const store = await StoreWorld.open(new TestDevices(makeRows), makeCodec, parsePolicy("ec:2+1"))
  await writeFirstRecord(store.tablet, RECORD)
  const rows = store.tablet.copy()
  const body = store.random.bytes(40 * KIB)
  await store.put("since", body)
  store.tablet.become(rows)
  const metadata = new LaterMemory("n1")
  metadata.become(store.tablet)
  const { clock, telemetry } = store
  const record = must(await readSharedRecord(metadata), "the store has a record")
  const unreached = new Set<DeviceId>()
  const reconciling = new Reconciling({
    clock,
    log: telemetry.log,
    metadata,
    records: new SharedRecordManager(metadata, clock, telemetry.log, record),
    reconciliation: store.reconciliation(metadata),
    isReached: id => !unreached.has(id),
  })
  const stopping = new AbortController()
  const running = reconciling.run(stopping.signal)
  /** The report once nothing is under way. */
  const settled = async () => {
    for (let tries = 0; tries < 100; tries += 1) {
      await clock.advance(200)
      const report = reconciling.report()
      if (report.phase !== "comparing" && report.phase !== "applying") return report
    }
    return assert.fail(reconciling.report().progress)
  }
  const stop = async (): Promise<void> => {
    stopping.abort()
    await running
  }
  const isThere = () =>
    store.get("since").then(
      found => found.equals(body),
      (error: unknown) => {
        if (isFailure(error, "noSuchKey")) return false
        throw error
      },
    )
  return { metadata, reconciling, unreached, settled, isThere, stop }
}

const confirmOf = ({ confirmBy }: { readonly confirmBy?: string }) => must(confirmBy, "a plan waits for confirmation")

test("a plan that is confirmed puts back what was lost, and ends the halt", async () => {
  const { metadata, reconciling, settled, isThere, stop } = await world()
  reconciling.compare([])
  const plan = await settled()
  assert.deepEqual([plan.phase, plan.putBack, plan.halt, await isThere()], ["planned", 1, "a test", false])
  assert.throws(() => reconciling.apply("another"), /compare again/)
  reconciling.apply(confirmOf(plan))
  const { phase, putBack } = await settled()
  assert.deepEqual([phase, putBack, metadata.halt, await isThere()], ["done", 1, undefined, true])
  assert.throws(() => reconciling.compare([]), /not halted/)
  await stop()
})

test("a plan puts nothing back once another node has reconciled the store, or has halted it again", async () => {
  for (const inDatabase of [undefined, { ...HALT, number: 5 }]) {
    const { metadata, reconciling, settled, isThere, stop } = await world()
    reconciling.compare([])
    const plan = await settled()
    metadata.inDatabase = inDatabase
    reconciling.apply(confirmOf(plan))
    const { phase, error } = await settled()
    assert.equal(phase, "failed")
    assert.match(error ?? "", /reconciled, or halted again, since it was compared/)
    assert.deepEqual([await isThere(), metadata.halt], [false, inDatabase])
    await stop()
  }
})

test("a plan puts nothing back while the database does not answer; it is made again then", async () => {
  const { metadata, reconciling, settled, isThere, stop } = await world()
  reconciling.compare([])
  const plan = await settled()
  metadata.answers = false
  reconciling.apply(confirmOf(plan))
  const { phase, error } = await settled()
  assert.deepEqual([phase, await isThere()], ["failed", false])
  assert.match(error ?? "", /database does not respond/)
  metadata.answers = true
  reconciling.compare([])
  reconciling.apply(confirmOf(await settled()))
  assert.deepEqual([(await settled()).phase, await isThere()], ["done", true])
  await stop()
})

test("a device that is out of reach stops the comparison, unless it is named", async () => {
  const { reconciling, unreached, settled, stop } = await world()
  const [one, two] = [deviceId(1), deviceId(2)]
  unreached.add(one)
  unreached.add(two)
  assert.throws(() => reconciling.compare([one]), new RegExp(`out of reach: ${two} .*--without`))
  reconciling.compare([one, two])
  assert.equal((await settled()).phase, "planned")
  await stop()
})
