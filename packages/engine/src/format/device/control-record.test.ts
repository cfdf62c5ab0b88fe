import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import { Packr } from "msgpackr"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import {
  parseDeviceId,
  parseEpoch,
  parseIncarnation,
  parseNodeName,
  parseStoreId,
  parseTabletId,
  rowKeyOf,
} from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { xxh64 } from "@hayloft/base/simd/xxh64.js"
import { encodeControlRecord, parseControlRecord } from "./control-record.js"
import type { ControlDevice, ControlRecord, DeviceHome } from "./control-record.js"

const DEVICES = [1, 2, 3].map(n => parseDeviceId(`000000000000000${n}`))
const IN_USE = { state: "active", stateSinceMs: 0, capacityBytes: 0 } as const
const MEMBERS = DEVICES.map(id => ({ id, since: parseEpoch(1) }))
/** A record that version 1 can represent. */
const SAMPLE: ControlRecord = {
  storeId: parseStoreId("0123456789abcdef0123456789abcdef"),
  generation: 12,
  devices: DEVICES.map((id, n) => ({
    id,
    weight: 1.5,
    pathHint: `/mnt/${n}`,
    isMountPoint: n !== 0,
    ...IN_USE,
    more: [],
  })),
  policy: parsePolicy("ec:2+1"),
  blockBytes: 4 * MIB,
  metaCopies: 3,
  tablets: [
    {
      id: parseTabletId(1),
      epoch: parseEpoch(1),
      replicas: MEMBERS,
      learners: [],
      start: rowKeyOf(""),
      end: rowKeyOf("\xff\0m"),
      more: [],
    },
    {
      id: parseTabletId(2),
      epoch: parseEpoch(7),
      replicas: MEMBERS,
      learners: [],
      start: rowKeyOf("\xff\0m"),
      end: undefined,
      more: [],
    },
  ],
  isPolicyAutomatic: false,
  policyVersion: 1,
  layout: { version: 3, table: Uint8Array.of(9, 8, 7), devices: DEVICES },
  previousLayout: undefined,
  pausedWork: [],
  secrets: Uint8Array.of(1, 2, 3),
  region: "us-east-1",
  more: [],
}
const isCorrupt = (error: unknown): boolean => isFailure(error, "corruptRecord")

/** An intact envelope around any members. */
function sealed(replicas: unknown): Uint8Array {
  const payload = new Packr({ useRecords: false }).pack(replicas)
  const bytes = new Uint8Array(24 + payload.length)
  const view = new DataView(bytes.buffer)
  bytes.set(encodeControlRecord(SAMPLE).subarray(0, 8))
  view.setUint32(8, payload.length, true)
  view.setBigUint64(16, xxh64(payload, 2n), true)
  bytes.set(payload, 24)
  return bytes
}

/** A version 2 record of a store in the middle of a change. */
const CHANGING: ControlRecord = {
  ...SAMPLE,
  devices: SAMPLE.devices.map((device, n) => {
    const state = (["active", "rebuilding", "offline"] as const)[n] ?? "draining"
    return { ...device, state, stateSinceMs: 1_700_000_000_000 + n, capacityBytes: 4e12 }
  }),
  tablets: SAMPLE.tablets.map(tablet => ({
    ...tablet,
    replicas: MEMBERS.slice(0, 2).map(({ id }, n) => ({ id, since: parseEpoch(1 + n) })),
    learners: MEMBERS.slice(2).map(({ id }) => ({ id, since: parseEpoch(3) })),
  })),
  isPolicyAutomatic: true,
  policyVersion: 5,
  pausedWork: ["repair", "scrub"],
  previousLayout: { version: 2, table: Uint8Array.of(6, 5), devices: DEVICES.slice(1) },
}

const golden = (name: string): string =>
  readFileSync(
    new URL(`../../../../../../packages/engine/src/format/golden/${name}.hex`, import.meta.url),
    "utf8",
  ).trim()

test("control record v1 is still read, byte for byte", () => {
  assert.deepEqual(parseControlRecord(bytesOfHex(golden("control-record-v1")) ?? new Uint8Array(0)), SAMPLE)
})

test("control record v2 is unchanged, byte for byte", () => {
  assert.equal(hexOf(encodeControlRecord(CHANGING)), golden("control-record-v2"))
  assert.deepEqual(parseControlRecord(bytesOfHex(golden("control-record-v2")) ?? new Uint8Array(0)), CHANGING)
})

test("the fields appended to version 2 are unchanged, byte for byte", () => {
  const devices = CHANGING.devices.map((device): ControlDevice =>
    device.state === "offline" ? { ...device, wasDecommissioning: true } : device,
  )
  const left = { ...CHANGING, devices }
  assert.equal(hexOf(encodeControlRecord(left)), golden("control-record-v2-was-leaving"))
  assert.deepEqual(parseControlRecord(encodeControlRecord(left)), left)
})

/** A store of two nodes: the second device has moved, the third one's claim is released. */
const HOMES: readonly DeviceHome[] = [
  { node: parseNodeName("n1"), incarnation: parseIncarnation(7), zone: "east", machine: "n1", disk: "8:16" },
  { node: parseNodeName("Knoten zwei"), incarnation: parseIncarnation(0xffff_ffff), machine: "m 2" },
  { node: parseNodeName("n1"), incarnation: parseIncarnation(0), zone: "é".repeat(63), machine: "n1" },
]
const AT_HOME: ControlRecord = {
  ...CHANGING,
  tablets: [],
  devices: CHANGING.devices.map((device, n) => ({ ...device, home: HOMES[n] ?? assert.fail() })),
}

test("homes of devices are unchanged, byte for byte", () => {
  assert.equal(hexOf(encodeControlRecord(AT_HOME)), golden("control-record-v2-homes"))
  assert.deepEqual(parseControlRecord(bytesOfHex(golden("control-record-v2-homes")) ?? new Uint8Array(0)), AT_HOME)
  const later = { ...AT_HOME, devices: AT_HOME.devices.map(device => ({ ...device, more: [null, "x"] })) }
  assert.deepEqual(parseControlRecord(encodeControlRecord(later)), later)
})

test("a home with a wrong member is refused", () => {
  const good = ["n1", 7, "east", "m1", "d1"]
  const withHome = (home: unknown) => {
    const device = ["0000000000000001", 1, "/mnt", false, 0, 0, 0, false, home]
    const fields: unknown = new Packr().unpack(encodeControlRecord(SAMPLE).subarray(24))
    assert.ok(Array.isArray(fields))
    return parseControlRecord(sealed(fields.map((field: unknown, i) => (i === 2 ? [device] : field))))
  }
  assert.equal(withHome(good).devices[0]?.home?.machine, "m1")
  assert.equal(withHome(null).devices[0]?.home, undefined)
  const wrongName = ["", "a/b", "a\0", "a\nb", "\u200b", "\u2028", "x".repeat(64), 5, undefined]
  for (const value of [...wrongName, null]) {
    for (const index of [0, 2, 3, 4]) {
      // A zone and a disk may be absent.
      if (value === null && (index === 2 || index === 4)) continue
      const home = good.map((field, i) => (i === index ? value : field))
      assert.throws(() => withHome(home), isCorrupt, `${index}: ${JSON.stringify(value)}`)
    }
  }
  for (const incarnation of [-1, 2 ** 32, 1.5, "7", null]) {
    assert.throws(() => withHome(good.map((field, i) => (i === 1 ? incarnation : field))), isCorrupt)
  }
  for (const home of [5, "n1", {}, [], good.slice(1), [...good, 1]]) assert.throws(() => withHome(home), isCorrupt)
})

test("nodes that leave are kept, and take no byte while there are none", () => {
  const leaving = { ...AT_HOME, leavingNodes: [parseNodeName("n1")] }
  assert.deepEqual(parseControlRecord(encodeControlRecord(leaving)), leaving)
  assert.deepEqual(parseControlRecord(encodeControlRecord({ ...leaving, more: [1] })), { ...leaving, more: [1] })
  const grown = encodeControlRecord(leaving).length - encodeControlRecord(AT_HOME).length
  assert.equal(grown, 1 + 3)
})

test("policies of storage classes are unchanged, byte for byte", () => {
  const classes = [
    ["REDUCED_REDUNDANCY", parsePolicy("replica:2")],
    ["GLACIER", parsePolicy("ec:8+3")],
  ] as const
  const mapped = { ...AT_HOME, classes }
  assert.equal(hexOf(encodeControlRecord(mapped)), golden("control-record-v2-classes"))
  assert.deepEqual(parseControlRecord(bytesOfHex(golden("control-record-v2-classes")) ?? new Uint8Array(0)), mapped)
  const used = { ...SAMPLE, classes: [] }
  assert.deepEqual(parseControlRecord(encodeControlRecord(used)), used)
  const later = { ...mapped, more: ["x"] }
  assert.deepEqual(parseControlRecord(encodeControlRecord(later)), later)
})

test("a wrong policy of a storage class is refused", () => {
  const withClasses = (classes: unknown) => {
    const fields: unknown = new Packr().unpack(encodeControlRecord(SAMPLE).subarray(24))
    assert.ok(Array.isArray(fields))
    return parseControlRecord(sealed([...(fields as readonly unknown[]), [], null, classes]))
  }
  assert.deepEqual(withClasses([[2, "ec:4+2"]]).classes, [["STANDARD_IA", parsePolicy("ec:4+2")]])
  const good = [2, "ec:4+2"]
  for (const wrong of [5, [5], [[]], [[8, "ec:4+2"]], [["2", "ec:4+2"]], [[2, "ec"]], [[2]], [good, good]])
    assert.throws(() => withClasses(wrong), isCorrupt, JSON.stringify(wrong))
})

test("the starts are unchanged, byte for byte", () => {
  const starts = [
    { incarnation: parseIncarnation(7), id: 0, startedMs: 1_790_000_000_000, hasOpened: true },
    { incarnation: parseIncarnation(0xffff_ffff), id: 0xffff_ffff, startedMs: 0, hasOpened: false },
  ]
  const noted = { ...CHANGING, starts }
  assert.equal(hexOf(encodeControlRecord(noted)), golden("control-record-v2-starts"))
  assert.deepEqual(parseControlRecord(bytesOfHex(golden("control-record-v2-starts")) ?? new Uint8Array(0)), noted)
  const later = { ...noted, more: ["x"] }
  assert.deepEqual(parseControlRecord(encodeControlRecord(later)), later)
})

test("every prefix and every single flipped bit of a control record is refused", () => {
  const bytes = encodeControlRecord(SAMPLE)
  for (let length = 0; length < bytes.length; length += 1) {
    assert.throws(() => parseControlRecord(bytes.subarray(0, length)), isCorrupt)
  }
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const flipped = bytes.slice()
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    assert.throws(() => parseControlRecord(flipped), isCorrupt, `bit ${bit}`)
  }
})

test("fields that a later release appended survive a round trip", () => {
  const later: ControlRecord = {
    ...SAMPLE,
    devices: SAMPLE.devices.map(device => ({ ...device, more: ["zone-a", [1, 2]] })),
    tablets: SAMPLE.tablets.map(tablet => ({ ...tablet, more: [null, true] })),
    more: [{ webhooks: ["https://example.test"] }, 42],
  }
  const once = parseControlRecord(encodeControlRecord(later))
  assert.deepEqual(once, later)
  assert.deepEqual(parseControlRecord(encodeControlRecord(once)), later)
})

test("a record with a good checksum and a wrong member is refused", () => {
  const replicas: unknown = new Packr().unpack(encodeControlRecord(SAMPLE).subarray(24))
  assert.ok(Array.isArray(replicas))
  const good: readonly unknown[] = replicas
  assert.deepEqual(parseControlRecord(sealed(good)), SAMPLE)
  const device = ["0000000000000001", 1, "/mnt", false, 0, 0, 0]
  const tablet = [1, 1, ["0000000000000001"], new Uint8Array(0), null, [1], []]
  const wrong: readonly (readonly [number, unknown])[] = [
    [0, "0123"],
    [0, 5],
    [1, 0],
    [1, 1.5],
    [1, -1],
    [2, []],
    [2, "x"],
    [2, [device, device]],
    [2, [["xyz", 1, "/mnt", false, 0, 0, 0]]],
    [2, [["0000000000000001", 0, "/mnt", false, 0, 0, 0]]],
    [2, [["0000000000000001", 1, 3, false, 0, 0, 0]]],
    [2, [["0000000000000001", 1, "/mnt", 1, 0, 0, 0]]],
    [2, [["0000000000000001", 1, "/mnt", false, 5, 0, 0]]],
    [2, [["0000000000000001", 1, "/mnt", false, "offline", 0, 0]]],
    [2, [["0000000000000001", 1, "/mnt", false, 0, -1, 0]]],
    [2, [["0000000000000001"]]],
    [3, "ec:0+0"],
    [3, 7],
    [4, 0],
    [4, 1e12],
    [5, 0],
    [5, 9999],
    [6, null],
    [6, [tablet, tablet]],
    [6, [[0, 1, ["0000000000000001"], new Uint8Array(0), null, [1], []]]],
    [6, [[1, 1, [], new Uint8Array(0), null, [], []]]],
    [6, [[1, 1, ["0000000000000001"], "", null, [1], []]]],
    [6, [[1, 1, ["0000000000000001"], Uint8Array.of(2), Uint8Array.of(1), [1], []]]],
    [6, [[1, 1, ["0000000000000001"], new Uint8Array(0), null, [], []]]],
    [6, [[1, 1, ["0000000000000001"], new Uint8Array(0), null, [1], [["0000000000000001", 1]]]]],
    [7, []],
    [7, [1, "x", []]],
    [7, [-1, new Uint8Array(0), []]],
    [7, [1, new Uint8Array(0), ["x"]]],
    [8, "secret"],
    [9, undefined],
    [10, 1],
    [11, 0],
    [12, 5],
    [13, ["repair", 5]],
  ]
  for (const [index, value] of wrong) {
    const bytes = sealed(good.map((field, i) => (i === index ? value : field)))
    assert.throws(() => parseControlRecord(bytes), isCorrupt, `member ${index} as ${JSON.stringify(value)}`)
  }
  for (const value of [null, 5, "text", {}, good.slice(0, 13)])
    assert.throws(() => parseControlRecord(sealed(value)), isCorrupt)
})

test("noise in an intact envelope is refused", () => {
  fc.assert(
    fc.property(fc.anything({ withBigInt: false, maxDepth: 3 }), value => {
      try {
        parseControlRecord(sealed(value))
        return false
      } catch (error) {
        return isCorrupt(error)
      }
    }),
    { numRuns: 300 },
  )
})
