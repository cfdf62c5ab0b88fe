/** The first key for objects: what crashes, several uses and several nodes leave, and what is refused. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { hexOf } from "@hayloft/base/bytes.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { asPromise } from "@hayloft/base/soon.js"
import { readSuperblock } from "@hayloft/engine/device/index.js"
import { formatEpochOf, type ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { EpochKey } from "@hayloft/access/keys/contract.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { SharedRecordManager, writeFirstRecord } from "../cluster/shared-record.js"
import { SharedMemory } from "../cluster/testing-shared.js"
import type { OpenedStore } from "../open/contract.js"
import { config, FOLDERS, StartMachine } from "../open/testing-start.js"
import { RecordEpochKeys } from "./epoch-keys.js"
import { ControlRecordManager } from "./record-manager.js"
import { recordOf } from "./testing-record.js"

const MASTER_KEY = new Uint8Array(32).fill(1)
const THREE = { ...config, dataFolders: ["/a", "/b", "/c"] }
const isUnavailable = (error: unknown): boolean => isFailure(error, "keysUnavailable")
const textOf = ({ number, key }: EpochKey): string => `${number} ${hexOf(key)}`

/** The keys of a store that was started on its devices. */
function keysOf(machine: StartMachine, { record, devices, incarnation, secrets }: OpenedStore) {
  const { log } = new SimTelemetry()
  const clock = new SimClock()
  const disk = machine.disk.boot()
  const kept = devices.map(device => ({ ...device.identity, disk, check: () => device.check() }))
  const records = new ControlRecordManager(
    clock,
    incarnation,
    record,
    () => kept,
    () => undefined,
  )
  const raiseFormatEpoch = async (formatEpoch: number): Promise<void> => {
    await Promise.all(devices.map(device => device.raiseFormatEpoch(formatEpoch)))
  }
  const random = new SimRandom(incarnation)
  const { masterKey } = secrets
  const epochs = new RecordEpochKeys(
    { clock, random, log },
    { records, refresh: undefined, raiseFormatEpoch, masterKey },
  )
  return { epochs, records }
}

async function formatEpochs(machine: StartMachine, folders: readonly string[] = FOLDERS): Promise<string> {
  const found: number[] = []
  for (const folder of folders) found.push((await readSuperblock(machine.disk.boot(), folder))?.formatEpoch ?? 0)
  return found.join(" ")
}

test("a store without keys keeps its format, and the first key raises that of every device", async () => {
  const machine = new StartMachine()
  const { epochs, records } = keysOf(machine, await machine.start())
  await epochs.start()
  assert.equal(await formatEpochs(machine), "1 1")
  const [one, two] = await Promise.all([epochs.current(), epochs.current()])
  assert.equal(textOf(one), textOf(two))
  assert.equal(one.number, 1)
  assert.equal(await formatEpochs(machine), "2 2")
  await machine.assertEverywhere(records.record, "after the first use")
  assert.ok(!(epochs.current() instanceof Promise), "later uses wait for nothing")
  const next = keysOf(machine, await machine.start())
  assert.equal(textOf(await next.epochs.current()), textOf(one))
  assert.equal(hexOf(await next.epochs.get(1)), hexOf(one.key))
})

test("a crash at any write leaves either no key or one that every later start has, on devices that earlier releases refuse", async () => {
  for (let nth = 1; ; nth += 1) {
    const machine = new StartMachine()
    const first = keysOf(machine, await machine.start())
    let used: EpochKey | undefined
    const done = await machine.runUntil(nth, async () => (used = await first.epochs.current()))
    const when = `cut off at change ${nth}`
    const store = await machine.start()
    if (store.record.keyring !== undefined) assert.equal(await formatEpochs(machine), "2 2", when)
    const again = await keysOf(machine, store).epochs.current()
    if (used !== undefined) assert.equal(textOf(again), textOf(used), when)
    assert.equal(await formatEpochs(machine), "2 2", when)
    const last = keysOf(machine, await machine.start())
    assert.equal(textOf(await last.epochs.current()), textOf(again), when)
    if (done) {
      assert.ok(nth > 3, "the superblocks and the record were written")
      break
    }
  }
})

test("a device that was away during the first use is brought up to it, and a new one begins with it", async () => {
  const machine = new StartMachine()
  await machine.start(THREE)
  const { epochs } = keysOf(machine, await machine.start({ ...config, dataFolders: ["/a", "/c"] }))
  await epochs.current()
  assert.equal(await formatEpochs(machine, ["/a", "/b", "/c"]), "2 1 2")
  const back = await machine.start(THREE)
  assert.equal(await formatEpochs(machine, ["/a", "/b", "/c"]), "2 2 2")
  assert.equal(formatEpochOf(back.record), 2)
})

test("no key is used while a device keeps the old format or too few devices have the record", async () => {
  const { log } = new SimTelemetry()
  const seams = { clock: new SimClock(), random: new SimRandom(1), log }
  let record: ControlRecord = recordOf(1, [1])
  let [isRaising, isChanging, isSpreading] = [false, false, false]
  const order: string[] = []
  const records = {
    get record() {
      return record
    },
    onChange: () => () => undefined,
    change: async (_: string, decide: (record: ControlRecord) => ControlRecord | undefined) => {
      order.push("record")
      if (!isChanging) throw fail("deviceFailed")
      return (record = decide(record) ?? record)
    },
    spread: async () => {
      order.push("everywhere")
      if (!isSpreading) throw fail("deviceFull")
      return record
    },
  }
  const raiseFormatEpoch = async (formatEpoch: number): Promise<void> => {
    order.push(`superblocks ${formatEpoch}`)
    if (!isRaising) throw fail("deviceFull")
  }
  const epochs = new RecordEpochKeys(seams, { records, refresh: undefined, raiseFormatEpoch, masterKey: MASTER_KEY })
  const refusedAs = (kind: "deviceFull" | "deviceFailed") =>
    assert.rejects(
      asPromise(() => epochs.current()),
      error => isFailure(error, kind),
    )
  await refusedAs("deviceFull")
  assert.deepEqual(order.splice(0), ["superblocks 2"])
  isRaising = true
  await refusedAs("deviceFailed")
  isChanging = true
  await refusedAs("deviceFull")
  assert.equal(record.keyring?.epochs.length, 1, "it is in effect, and on some devices only")
  await refusedAs("deviceFull")
  isSpreading = true
  assert.equal((await epochs.current()).number, 1)
  const last = ["superblocks 2", "record", "superblocks 2", "everywhere"]
  assert.deepEqual(order, ["superblocks 2", "record", ...last, ...last, ...last])
  assert.ok(!(epochs.current() instanceof Promise))
  isSpreading = false
  await assert.rejects(epochs.renew(1), error => isFailure(error, "deviceFull"), "a later key waits likewise")
  await refusedAs("deviceFull")
  isSpreading = true
  assert.equal((await epochs.current()).number, 2)
})

test("keys under another master key, and keys that the record lacks, are refused", async () => {
  const machine = new StartMachine()
  const store = await machine.start()
  const { epochs, records } = keysOf(machine, store)
  await epochs.current()
  assert.throws(() => epochs.get(2), isUnavailable)
  const foreign = { ...store, record: records.record, secrets: { ...store.secrets, masterKey: MASTER_KEY } }
  const others = keysOf(machine, foreign).epochs
  assert.throws(() => others.get(1), isUnavailable)
  await assert.rejects(
    asPromise(() => others.current()),
    isUnavailable,
  )
})

/** Nodes of a store in a database, each with a device of its own. */
async function nodesOf(count: number) {
  const rows = new SharedMemory("n1")
  const first = recordOf(1, [1, 2])
  await writeFirstRecord(rows, first)
  const { log } = new SimTelemetry()
  return Array.from({ length: count }, (_, i) => {
    const clock = new SimClock()
    const records = new SharedRecordManager(rows, clock, log, first)
    const raised: number[] = []
    const store = {
      records,
      masterKey: MASTER_KEY,
      refresh: () => records.refresh(),
      raiseFormatEpoch: async (formatEpoch: number) => void raised.push(formatEpoch),
    }
    const epochs = new RecordEpochKeys({ clock, random: new SimRandom(i), log }, store)
    return { epochs, records, raised }
  })
}

test("of two nodes that use the first key at once one makes it, and both have the same", async () => {
  const nodes = await nodesOf(2)
  const keys = await Promise.all(nodes.map(({ epochs }) => asPromise(() => epochs.current())))
  assert.equal(textOf(must(keys[0], "a key")), textOf(must(keys[1], "a key")))
})

test("a node finds a key that another one has just made, and follows with its devices", async () => {
  const [one, other] = await nodesOf(2)
  assert.ok(one && other)
  const { number, key } = await one.epochs.current()
  assert.equal(other.records.record.keyring, undefined)
  assert.equal(hexOf(await other.epochs.get(number)), hexOf(key))
  await other.epochs.start()
  assert.deepEqual(new Set(other.raised), new Set([2]))
  await assert.rejects(
    asPromise(() => other.epochs.get(7)),
    isUnavailable,
  )
})

test("a key that was erased from the record is gone from memory", async () => {
  const [node] = await nodesOf(1)
  assert.ok(node)
  const { key } = await node.epochs.current()
  await node.records.change("erase", record => {
    const keyring = must(record.keyring, "a ring")
    const sealed = must(keyring.epochs[0], "an epoch").sealed
    return { ...record, keyring: { ...keyring, epochs: [{ number: 2, createdMs: 0, sealed }] } }
  })
  assert.equal(hexOf(key), "00".repeat(32))
  await assert.rejects(
    asPromise(() => node.epochs.get(1)),
    isUnavailable,
  )
})
