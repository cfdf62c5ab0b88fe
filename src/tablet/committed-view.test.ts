/** A scan goes on where a member's base gave up, from the next member, and gives each row once. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, isFailure } from "../base/failures.js"
import { parseDeviceId, parseEpoch, parseLogSequence, parseTabletId, rowKeyOf } from "../base/ids.js"
import type { DeviceRows } from "../device/index.js"
import { rangeThrough, MemoryLayer } from "../device/index.js"
import { visitRows } from "../base/row-scan.js"
import type { Family } from "../base/families.js"
import type { RowKey } from "../base/ids.js"
import type { TabletRow } from "./contract.js"
import { CommittedView } from "./committed-view.js"
import { Member } from "./member.js"
import { Seat } from "./seat.js"

const unused = () => assert.fail("not used")
const FAMILY = "current"
const ALL = { start: rowKeyOf("a"), end: rowKeyOf("z") }

/** A member whose base breaks after so many rows of a scan. */
function seatOf(number: number, breaksAfter: number): Seat {
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
    ...{ get: unused, range: unused, warm: unused },
    apply: writes => {
      for (const { family, key, value } of writes) rows.set(family, key, value && { value, payload: undefined })
    },
    scan: (family, range, visitor) => visitRows(scanned(family, range), visitor),
  }
  const log = {
    ...{ durable: parseLogSequence(0), lengthBytes: 0, stopped: undefined, cutUpTo: parseLogSequence(0) },
    ...{ append: unused, confirm: unused, read: unused, readNow: unused, cut: unused, close: unused, records: unused },
  }
  const device = {
    ...{ id: parseDeviceId(`00000000000000d${number}`), log, rows: deviceRows, contained: parseLogSequence(0) },
    ...{ containedPosition: unused, readPayload: unused, verifyBase: unused, roomForWrites: () => undefined },
  }
  const member = new Member(device, parseTabletId(1), parseEpoch(number))
  for (let i = 0; i < 10; i += 1) {
    deviceRows.apply([{ family: FAMILY, key: member.deviceKey(rowKeyOf(`k${i}`)), value: Uint8Array.of(i) }])
  }
  return new Seat(member)
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

test("a scan goes on with the next member where one breaks, and gives each row once", () => {
  const damaged: string[] = []
  const view = new CommittedView([seatOf(1, 3), seatOf(2, 7), seatOf(3, Infinity)], id => void damaged.push(id))
  assert.deepEqual(scan(view), TEN)
  assert.deepEqual(damaged, ["00000000000000d1", "00000000000000d2"])
  damaged.length = 0
  assert.deepEqual(scan(view, 3), TEN.slice(0, 3))
  assert.deepEqual(damaged, [], "what lies behind the last row that was asked for is not read")
})

test("a scan that no member can give fails, after the rows that some could", () => {
  const found: string[] = []
  const row = (bytes: Buffer, keyAt: number, valueAt: number): boolean =>
    found.push(bytes.toString("latin1", keyAt, valueAt)) > 0
  const view = new CommittedView([seatOf(1, 3), seatOf(2, 5)], () => undefined)
  assert.throws(
    () => view.scan(FAMILY, ALL, { row }),
    error => isFailure(error, "corruptRow"),
  )
  assert.deepEqual(found, ["k0", "k1", "k2", "k3", "k4"])
})
