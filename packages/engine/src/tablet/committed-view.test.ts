/** Reads after a replica fails: the rest of a scan, or a payload, from the next replica. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import {
  parseDeviceId,
  parseEpoch,
  parseIncarnation,
  parseLogSequence,
  parsePosition,
  parseTabletId,
  rowKeyOf,
} from "@hayloft/base/ids.js"
import { Lent } from "@hayloft/base/memory/lent.js"
import { xxh64 } from "@hayloft/base/simd/xxh64.js"
import type { CommitLog, DeviceRow, DeviceRows } from "../device/index.js"
import { PAYLOAD_CHECKSUM_BYTES } from "../format/device/entry.js"
import { storePrefixOf } from "../format/device/replica-incarnation.js"
import { rangeThrough, MemoryLayer } from "../device/index.js"
import { visitRows } from "@hayloft/base/rows/row-scan.js"
import type { Family } from "@hayloft/base/rows/families.js"
import type { RowKey } from "@hayloft/base/ids.js"
import { soleProcess } from "../metadata/index.js"
import { NO_POSITION } from "./replica.js"
import type { TabletRow } from "./contract.js"
import { CommittedView } from "./committed-view.js"
import { Replica } from "./replica.js"
import { ReplicaHandle } from "./replica-handle.js"

const PROCESS = soleProcess(parseIncarnation(1))
const unused = () => assert.fail("not used")
const FAMILY = "current"
const ALL = { start: rowKeyOf("a"), end: rowKeyOf("z") }

/** A replica whose metadata store breaks after so many rows of a scan, and brings rows into memory as `warm` says. */
function handleOf(number: number, breaksAfter: number, warm: DeviceRows["warm"] = unused): ReplicaHandle {
  const rows = new MemoryLayer<TabletRow>()
  const scanned = function* (family: Family, range: { start: RowKey; end: RowKey }) {
    let given = 0
    for (const pair of rangeThrough([rows], family, range)) {
      if (given >= breaksAfter) throw fail("corruptRow", { family })
      given += 1
      yield pair
    }
  }
  const deviceRows: DeviceRows = {
    get: unused,
    range: unused,
    warm,
    apply: writes => {
      for (const { family, key, value } of writes) rows.set(family, key, value && { value, payload: undefined })
    },
    scan: (family, range, visitor) => visitRows(scanned(family, range), visitor),
  }
  const log = {
    durable: parseLogSequence(0),
    lengthBytes: 0,
    stopped: undefined,
    cutUpTo: parseLogSequence(0),
    append: unused,
    confirm: unused,
    read: unused,
    cut: unused,
    close: unused,
    records: unused,
  }
  const device = {
    id: parseDeviceId(`00000000000000d${number}`),
    log,
    rows: deviceRows,
    contained: parseLogSequence(0),
    containedPosition: unused,
    readPayload: unused,
    verifyMetadataStore: unused,
    spaceForWrites: () => undefined,
  }
  const replica = new Replica(device, parseTabletId(1), parseEpoch(number))
  for (let i = 0; i < 10; i += 1) {
    deviceRows.apply([{ family: FAMILY, key: replica.deviceKey(rowKeyOf(`k${i}`)), value: Uint8Array.of(i) }])
  }
  return new ReplicaHandle(replica)
}

function scan(view: CommittedView, max = Infinity): string[] {
  const found: string[] = []
  const row = (bytes: Buffer, keyAt: number, valueAt: number, end: number): boolean => {
    found.push(`${bytes.toString("latin1", keyAt, valueAt)}=${[...bytes.subarray(valueAt, end)].join()}`)
    return found.length < max
  }
  view.scan(FAMILY, ALL, { row })
  return found
}

const TEN = Array.from({ length: 10 }, (_, i) => `k${i}=${i}`)

test("a row that a hanging disk does not return is brought into memory by the next replica, and the hanging one is read last", async () => {
  const warmed: number[] = []
  const hanging = handleOf(1, 0, () => new Promise(() => undefined))
  const healthy = [2, 3].map(number => handleOf(number, 0, async () => void warmed.push(number)))
  const view = new CommittedView([hanging, ...healthy], unused, () => NO_POSITION, PROCESS)
  const warming = view.warm(FAMILY, rowKeyOf("k1"))
  hanging.leave(fail("deviceFailed", { device: hanging.id }))
  await warming
  assert.deepEqual(warmed, [2])
  assert.equal(view.reader.id, healthy[0]?.id)
})

test("a scan continues with the next replica when one fails, and returns each row once", () => {
  const damaged: string[] = []
  const view = new CommittedView(
    [handleOf(1, 3), handleOf(2, 7), handleOf(3, Infinity)],
    id => void damaged.push(id),
    () => NO_POSITION,
    PROCESS,
  )
  assert.deepEqual(scan(view), TEN)
  assert.deepEqual(damaged, ["00000000000000d1", "00000000000000d2"])
  damaged.length = 0
  assert.deepEqual(scan(view, 3), TEN.slice(0, 3))
  assert.deepEqual(damaged, [], "rows behind the last requested one are not read")
})

test("a scan that no replica can finish fails, after the rows that some could return", () => {
  const found: string[] = []
  const row = (bytes: Buffer, keyAt: number, valueAt: number): boolean =>
    found.push(bytes.toString("latin1", keyAt, valueAt)) > 0
  const view = new CommittedView(
    [handleOf(1, 3), handleOf(2, 5)],
    () => undefined,
    () => NO_POSITION,
    PROCESS,
  )
  assert.throws(
    () => view.scan(FAMILY, ALL, { row }),
    error => isFailure(error, "corruptRow"),
  )
  assert.deepEqual(found, ["k0", "k1", "k2", "k3", "k4"])
})

/** A replica whose log contains these payloads, logged as positions 1, 2, …; it reads synchronously, if it may. */
function loggingHandle(
  number: number,
  payloads: readonly Uint8Array[],
  maySync: () => boolean,
  brokenKey?: string,
): ReplicaHandle {
  const rowOf = (i: number): DeviceRow => ({
    value: Uint8Array.of(i),
    payload: {
      in: "log",
      lengthBytes: must(payloads[i], "a payload").length,
      position: parsePosition(i + 1),
      place: { segment: 1, offsetBytes: i },
    },
  })
  const read: CommitLog["read"] = ({ offsetBytes: i }, memory, use) => {
    const payload = must(payloads[i], "a payload")
    new DataView(memory.buffer, memory.byteOffset).setBigUint64(0, xxh64(payload, BigInt(i + 1)), true)
    memory.set(payload, PAYLOAD_CHECKSUM_BYTES)
    return use === "resident" ? memory : Promise.resolve(memory)
  }
  const log = {
    durable: parseLogSequence(0),
    lengthBytes: 0,
    stopped: undefined,
    cutUpTo: parseLogSequence(0),
    append: unused,
    confirm: unused,
    read,
    cut: unused,
    close: unused,
    records: unused,
  }
  const get: DeviceRows["get"] = (family, key) => {
    if (brokenKey !== undefined && key.endsWith(brokenKey)) throw fail("corruptRow", { family })
    return rowOf(Number(key.at(-1)))
  }
  const range: DeviceRows["range"] = family => {
    if (brokenKey !== undefined) throw fail("corruptRow", { family })
    return payloads.map((_, i) => [rowKeyOf(`${storePrefixOf(parseEpoch(number))}k${i}`), rowOf(i)] as const)
  }
  const device = {
    id: parseDeviceId(`00000000000000d${number}`),
    log,
    contained: parseLogSequence(0),
    rows: { get, range, warm: unused, apply: unused, scan: unused },
    containedPosition: unused,
    readPayload: unused,
    verifyMetadataStore: unused,
    spaceForWrites: () => undefined,
    syncReads: { read: <T>(attempt: () => T): T | undefined => (maySync() ? attempt() : undefined) },
  }
  return new ReplicaHandle(new Replica(device, parseTabletId(1), parseEpoch(number)))
}

test("a payload in memory is lent; one that is awaited is the caller's own, wherever it was read", async () => {
  const payloads = [1, 2].map(fill => new Uint8Array(100).fill(fill))
  let maySync = true
  const first = loggingHandle(1, payloads, () => maySync)
  const view = new CommittedView([first, loggingHandle(2, payloads, () => maySync)], unused, () => NO_POSITION, PROCESS)
  const payloadOf = (i: number, row = must(view.get(FAMILY, rowKeyOf(`k${i}`)), "a row")) =>
    view.payload(FAMILY, rowKeyOf(`k${i}`), row)
  const [lent, other] = [payloadOf(0), payloadOf(1)]
  assert.ok(lent instanceof Lent && other instanceof Lent)
  assert.ok(Buffer.from(must(payloads[1], "a payload")).equals(other.borrow()))
  const rowOfFirst = must(view.get(FAMILY, rowKeyOf("k0")), "a row")
  maySync = false
  const slow = payloadOf(0)
  assert.ok(slow instanceof Promise)
  const own = await slow
  maySync = true
  first.leave(fail("deviceFailed"))
  const elsewhere = payloadOf(0, rowOfFirst)
  assert.ok(elsewhere instanceof Promise, "its replica left: the others are read")
  const ownToo = await elsewhere
  view.readFrom([loggingHandle(3, payloads, () => true)])
  assert.ok(payloadOf(1, rowOfFirst) instanceof Promise)
  await payloadOf(1)
  for (const bytes of [own, ownToo]) assert.ok(Buffer.from(must(payloads[0], "a payload")).equals(bytes ?? Buffer.of()))
})

test("a copy of a row that another replica returned is read at that replica's place", () => {
  const payloads = [1, 2].map(fill => new Uint8Array(100).fill(fill))
  const broken = loggingHandle(1, [], () => true, "k0")
  const view = new CommittedView(
    [broken, loggingHandle(2, payloads, () => true)],
    () => undefined,
    () => NO_POSITION,
    PROCESS,
  )
  const rows = [must(view.get(FAMILY, rowKeyOf("k0")), "a row"), ...[...view.range(FAMILY, ALL)].map(pair => pair[1])]
  for (const [i, row] of [0, 0, 1].entries()) {
    const lent = view.payload(FAMILY, rowKeyOf(`k${row}`), structuredClone(must(rows[i], "a row")))
    assert.ok(lent instanceof Lent)
    assert.ok(Buffer.from(must(payloads[row], "a payload")).equals(lent.borrow()))
  }
})
