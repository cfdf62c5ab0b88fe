/** Materials of named keys in the record: on two nodes, after crashes, and once they are gone. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseKmsKeyId } from "@hayloft/base/ids.js"
import { asPromise } from "@hayloft/base/soon.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { KEY_MATERIALS_MAX, type KeyringRecord } from "@hayloft/engine/format/device/keyring.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { SharedRecordManager, writeFirstRecord } from "../cluster/shared-record.js"
import { SharedMemory } from "../cluster/testing-shared.js"
import { RecordEpochKeys } from "./epoch-keys.js"
import { RecordKeyMaterials } from "./key-materials.js"
import { recordOf } from "./testing-record.js"

const KEY_ID = parseKmsKeyId("01234567-89ab-4def-8123-456789abcdef")
const OTHER_ID = parseKmsKeyId("11234567-89ab-4def-8123-456789abcdef")
const isUnavailable = (error: unknown): boolean => isFailure(error, "keysUnavailable")

async function nodesOf(count: number) {
  const rows = new SharedMemory("n1")
  const first = recordOf(1, [1, 2])
  await writeFirstRecord(rows, first)
  const { log } = new SimTelemetry()
  return Array.from({ length: count }, (_, i) => {
    const clock = new SimClock()
    const records = new SharedRecordManager(rows, clock, log, first)
    const refresh = () => records.refresh()
    const keyed = { records, refresh, masterKey: new Uint8Array(32).fill(1), raiseFormatEpoch: async () => undefined }
    const epochs = new RecordEpochKeys({ clock, random: new SimRandom(i), log }, keyed)
    const materials = new RecordKeyMaterials({ records, refresh, epochs, clock, random: new SimRandom(i + 10) })
    return { materials, records }
  })
}

async function oneNode() {
  const [node] = await nodesOf(1)
  assert.ok(node)
  return node
}

test("versions of a key have different materials, and a material that exists is not replaced", async () => {
  const { materials } = await oneNode()
  await materials.add(KEY_ID, 1)
  const first = hexOf(await materials.get(KEY_ID, 1))
  await materials.add(KEY_ID, 2)
  await materials.add(KEY_ID, 1)
  assert.equal(hexOf(await materials.get(KEY_ID, 1)), first)
  assert.notEqual(hexOf(await materials.get(KEY_ID, 2)), first)
  assert.deepEqual(
    materials.all().map(({ keyId }) => keyId),
    [KEY_ID],
  )
})

test("two nodes that make the same version at once have the same material", async () => {
  const [one, other] = await nodesOf(2)
  assert.ok(one && other)
  await Promise.all([one.materials.add(KEY_ID, 1), other.materials.add(KEY_ID, 1)])
  assert.equal(hexOf(await one.materials.get(KEY_ID, 1)), hexOf(await other.materials.get(KEY_ID, 1)))
})

test("a node finds a material that another one has just made", async () => {
  const [one, other] = await nodesOf(2)
  assert.ok(one && other)
  await one.materials.add(KEY_ID, 1)
  assert.equal(other.records.record.keyring, undefined)
  assert.equal(hexOf(await other.materials.get(KEY_ID, 1)), hexOf(await one.materials.get(KEY_ID, 1)))
  await assert.rejects(
    asPromise(() => other.materials.get(KEY_ID, 2)),
    isUnavailable,
  )
})

test("a deleted key leaves no material: not in the record, and zeros in memory", async () => {
  const { materials, records } = await oneNode()
  for (const id of [KEY_ID, OTHER_ID]) await materials.add(id, 1)
  const held = await materials.get(KEY_ID, 1)
  await materials.remove(KEY_ID)
  assert.equal(hexOf(held), "00".repeat(32))
  assert.equal(records.record.keyring?.materials.length, 1)
  await assert.rejects(
    asPromise(() => materials.get(KEY_ID, 1)),
    isUnavailable,
  )
  await materials.get(OTHER_ID, 1)
})

test("a material that was moved to another key or version does not open", async () => {
  const { materials, records } = await oneNode()
  await materials.add(KEY_ID, 1)
  await records.change("tamper", record => withMaterials(record, all => all.map(each => ({ ...each, version: 2 }))))
  await assert.rejects(
    asPromise(() => materials.get(KEY_ID, 2)),
    isUnavailable,
  )
})

test("the record takes no more materials than its limit", async () => {
  const { materials, records } = await oneNode()
  await materials.add(KEY_ID, 1)
  await records.change("fill", record =>
    withMaterials(record, ([one]) =>
      one === undefined ? [] : Array.from({ length: KEY_MATERIALS_MAX }, (_, i) => ({ ...one, version: i + 1 })),
    ),
  )
  await assert.rejects(materials.add(OTHER_ID, 1), error => isFailure(error, "limitExceeded"))
  assert.equal(records.record.keyring?.materials.length, KEY_MATERIALS_MAX)
})

function withMaterials(
  record: ControlRecord,
  change: (materials: KeyringRecord["materials"]) => KeyringRecord["materials"],
): ControlRecord {
  const { keyring } = record
  return keyring === undefined ? record : { ...record, keyring: { ...keyring, materials: change(keyring.materials) } }
}
