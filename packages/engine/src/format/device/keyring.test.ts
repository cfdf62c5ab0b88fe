import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId, parseIncarnation, parseStoreId } from "@hayloft/base/ids.js"
import { encodeControlRecord, parseControlRecord, type ControlRecord } from "./control-record.js"
import { decodeKeyring, encodeKeyring, EPOCH_KEYS_MAX, KEY_MATERIALS_MAX, type KeyringRecord } from "./keyring.js"
import { packRecord } from "../encoding/pack.js"

const filled = (length: number, from: number) => Uint8Array.from({ length }, (_, i) => (from + i) & 0xff)
const isCorrupt = (error: unknown): boolean => isFailure(error, "corruptRecord")

const material = { keyId: filled(16, 5), version: 1, createdMs: 1_767_225_600_002, epoch: 2, sealed: filled(60, 6) }
const RING: KeyringRecord = {
  masterKeyNumber: 3,
  previous: { number: 2, sinceMs: 1_767_225_600_000, sealed: filled(60, 1) },
  epochs: [
    { number: 1, createdMs: 1_767_225_600_001, sealed: filled(60, 2) },
    { number: 2, createdMs: 1_767_225_600_003, sealed: filled(60, 3) },
  ],
  atRest: {
    startedMs: 1_767_225_600_004,
    epoch: 1,
    sealed: filled(60, 4),
    converting: [],
    firstIncarnation: undefined,
  },
  materials: [material, { ...material, version: 2 }],
}
const CONVERTING: KeyringRecord = {
  ...RING,
  atRest: {
    startedMs: 1_767_225_600_004,
    epoch: 1,
    sealed: filled(60, 4),
    converting: [
      { id: parseDeviceId("00000000000000a1"), emptyUpTo: undefined },
      { id: parseDeviceId("00000000000000a2"), emptyUpTo: { needles: 7, payloads: 0 } },
    ],
    firstIncarnation: parseIncarnation(9),
  },
}
const SMALL: KeyringRecord = {
  masterKeyNumber: 1,
  previous: undefined,
  atRest: undefined,
  materials: [],
  epochs: [{ number: 1, createdMs: 5, sealed: filled(60, 2) }],
}

const RECORD: ControlRecord = {
  storeId: parseStoreId("0123456789abcdef0123456789abcdef"),
  generation: 41,
  region: "us-east-1",
  more: [],
  devices: [
    {
      id: parseDeviceId("0000000000000001"),
      weight: 1,
      pathHint: "/mnt",
      isMountPoint: false,
      state: "active",
      stateSinceMs: 0,
      capacityBytes: 0,
      more: [],
    },
  ],
  policy: { kind: "replica", copies: 1 },
  isPolicyAutomatic: false,
  policyVersion: 1,
  blockBytes: 4_194_304,
  metaCopies: 1,
  tablets: [],
  previousLayout: undefined,
  pausedWork: [],
  secrets: Uint8Array.of(1, 2, 3),
  layout: { version: 1, table: Uint8Array.of(9), devices: [parseDeviceId("0000000000000001")] },
}

test("a control record with a key ring is unchanged, byte for byte, both ways", () => {
  const path = new URL(
    "../../../../../../packages/engine/src/format/golden/control-record-v2-keyring.hex",
    import.meta.url,
  )
  const golden = readFileSync(path, "utf8").trim()
  const record = { ...RECORD, keyring: RING }
  assert.equal(hexOf(encodeControlRecord(record)), golden)
  assert.deepEqual(parseControlRecord(bytesOfHex(golden) ?? new Uint8Array(0)), record)
})

test("a ring is kept beside other appended members, and takes no byte while there is none", () => {
  for (const record of [
    { ...RECORD, keyring: SMALL },
    { ...RECORD, keyring: SMALL, more: [7] },
    { ...RECORD, more: [7] },
  ])
    assert.deepEqual(parseControlRecord(encodeControlRecord(record)), record)
  assert.equal(parseControlRecord(encodeControlRecord(RECORD)).keyring, undefined)
})

test("every prefix of a key ring is refused, and a flipped bit gives a refusal or a ring", () => {
  const bytes = encodeKeyring(CONVERTING)
  assert.deepEqual(decodeKeyring(bytes), CONVERTING)
  assert.deepEqual(decodeKeyring(encodeKeyring(RING)), RING)
  for (let length = 0; length < bytes.length; length += 1)
    assert.throws(() => decodeKeyring(bytes.subarray(0, length)), isCorrupt)
  for (let bit = 0; bit < 8 * bytes.length; bit += 1) {
    const flipped = Uint8Array.from(bytes)
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    try {
      decodeKeyring(flipped)
    } catch (error) {
      assert.ok(isCorrupt(error), `bit ${bit}: ${String(error)}`)
    }
  }
})

test("a ring whose keys do not fit together is refused", () => {
  const atRest = must(CONVERTING.atRest, "the ring has it")
  const device = must(atRest.converting[0], "a device is converting")
  const wrong: readonly Partial<KeyringRecord>[] = [
    { masterKeyNumber: 0 },
    { masterKeyNumber: 1.5 },
    { masterKeyNumber: 4 },
    { previous: { number: 3, sinceMs: 0, sealed: filled(60, 1) } },
    { previous: { number: 2, sinceMs: -1, sealed: filled(60, 1) } },
    { previous: { number: 2, sinceMs: 0, sealed: filled(59, 1) } },
    { epochs: [] },
    { epochs: [...RING.epochs, ...RING.epochs] },
    { epochs: RING.epochs.map(epoch => ({ ...epoch, sealed: filled(61, 1) })) },
    { epochs: RING.epochs.slice(1) },
    { epochs: RING.epochs.slice(0, 1) },
    { atRest: { ...atRest, epoch: 3 } },
    { atRest: { ...atRest, converting: [...atRest.converting, ...atRest.converting] } },
    { atRest: { ...atRest, converting: [{ ...device, emptyUpTo: { needles: -1, payloads: 0 } }] } },
    { materials: [material, material] },
    { materials: [{ ...material, epoch: 3 }] },
    { materials: [{ ...material, keyId: filled(15, 1) }] },
    { materials: [{ ...material, version: 0 }] },
    { materials: Array.from({ length: KEY_MATERIALS_MAX + 1 }, (_, i) => ({ ...material, version: i + 1 })) },
    { epochs: Array.from({ length: EPOCH_KEYS_MAX + 1 }, (_, i) => epochOf(i + 1)) },
  ]
  for (const change of wrong)
    assert.throws(() => decodeKeyring(encodeKeyring({ ...RING, ...change })), isCorrupt, JSON.stringify(change))
  assert.throws(() => decodeKeyring(packRecord(2, [])), isCorrupt)
})

const epochOf = (number: number) => ({ number, createdMs: 0, sealed: filled(60, 1) })

test("a full ring makes the control record grow by about 100 KiB", () => {
  const materials = Array.from({ length: KEY_MATERIALS_MAX }, (_, i) => ({ ...material, version: i + 1 }))
  const full = encodeControlRecord({ ...RECORD, keyring: { ...RING, materials } })
  assert.ok(full.length - encodeControlRecord(RECORD).length < 110 * 1024)
})
