import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseBucketId, parseDeviceId, parsePartitionId, parseUploadId } from "@hayloft/base/ids.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { CALL_HEADER_BYTES_MAX } from "./frame.js"
import {
  decodeRepairOutcome,
  decodeRepairVisit,
  encodeRepairOutcome,
  encodeRepairVisit,
  VISIT_DEVICES_MAX,
  VISIT_UPLOADS_MAX,
  type RepairOutcome,
  type RepairVisit,
} from "./repair-calls.js"

const [first, second] = [parseDeviceId("00000000000000a1"), parseDeviceId("00000000000000b2")]
const [upload, other] = [parseUploadId("ab".repeat(16)), parseUploadId("01".repeat(16))]
const partition = parsePartitionId(40_000)
const owner = { bucketId: parseBucketId(7), key: objectKeyOfText("é/key") }
const VISITS: readonly RepairVisit[] = [
  { partition, generation: 5, layoutVersion: 3, offline: [], longPassedOver: [] },
  { partition, generation: 70_000, layoutVersion: 300, offline: [first, second], longPassedOver: [upload, other] },
]
const block = { partition, uploadId: upload, part: 3, block: 70_000, generation: 2 }
const OUTCOMES: readonly RepairOutcome[] = [
  {
    writtenShards: 0,
    writtenBytes: 0,
    isFull: false,
    isWaiting: false,
    left: undefined,
    passedOver: new Set(),
    unreadable: new Set(),
    unreadableUploads: [],
    unreferenced: [],
    abandoned: new Set(),
    count: {
      partition,
      bytesByPolicy: new Map(),
      misplaced: new Map(),
      lackingOn: new Set(),
      perhapsLackingOn: new Set(),
      unrebuildableOn: new Set(),
      singles: 0,
    },
  },
  {
    writtenShards: 9,
    writtenBytes: 5_000_000_000,
    isFull: true,
    isWaiting: true,
    left: { kind: "move", spareShards: -1, bytes: 77 },
    passedOver: new Set([upload, other]),
    abandoned: new Set(),
    unreadable: new Set([`${upload} 0 1 0`]),
    unreadableUploads: [{ ...owner, uploadId: other }],
    unreferenced: [
      {
        group: {
          ...block,
          shape: { policy: parsePolicy("ec:4+2/vandermonde"), blockLengthBytes: 4_000_000 },
          shards: [{ slot: 1, deviceId: first, bodyBytes: 1_000_000 }],
          damaged: [{ slot: 5, deviceId: second, bodyBytes: 1_000_000 }],
        },
        owner,
      },
      { group: { ...block, shape: undefined, shards: [], damaged: [] }, owner },
    ],
    count: {
      partition,
      bytesByPolicy: new Map([
        ["ec:4+2", 8_000_000],
        ["replica:1", 5],
      ]),
      misplaced: new Map([[`4 ${first} ${second}`, { partition, needed: 4, devices: [first, second], bytes: 12 }]]),

      lackingOn: new Set([first]),
      perhapsLackingOn: new Set([second]),
      unrebuildableOn: new Set([first, second]),
      singles: 3,
    },
  },
]
const [, rich] = OUTCOMES
const ALL_OUTCOMES = [...OUTCOMES, { ...must(rich, "an outcome"), abandoned: new Set([other]) }]
const decodeOutcome = (bytes: Uint8Array) => decodeRepairOutcome(bytes, partition)
const isCorrupt = (error: unknown): boolean => isFailure(error, "corruptRecord")
const GOLDEN = readFileSync(
  new URL("../../../../../../packages/engine/src/format/golden/repair-calls-v1.txt", import.meta.url),
  "utf8",
)
const bytesFrom = (hex: string): Uint8Array => must(bytesOfHex(hex), "these are hex digits")

test("repair visits v1 and their outcomes are unchanged, byte for byte, and are read back", () => {
  const lines = [...VISITS.map(encodeRepairVisit), ...ALL_OUTCOMES.map(encodeRepairOutcome)].map(hexOf)
  assert.deepEqual(lines, GOLDEN.trim().split("\n"))
  const [visits, outcomes] = [lines.slice(0, VISITS.length), lines.slice(VISITS.length)]
  assert.deepEqual(
    visits.map(line => decodeRepairVisit(bytesFrom(line))),
    VISITS,
  )
  assert.deepEqual(
    outcomes.map(line => decodeOutcome(bytesFrom(line))),
    ALL_OUTCOMES,
  )
})

test("the longest visit fits into the header of a call", () => {
  const visit = {
    partition: parsePartitionId(65_535),
    generation: Number.MAX_SAFE_INTEGER,
    layoutVersion: 2 ** 32,
    offline: Array.from({ length: VISIT_DEVICES_MAX }, () => first),
    longPassedOver: Array.from({ length: VISIT_UPLOADS_MAX }, () => upload),
  }
  assert.ok(encodeRepairVisit(visit).length <= CALL_HEADER_BYTES_MAX)
  assert.throws(() => encodeRepairVisit({ ...visit, offline: [...visit.offline, second] }))
})

test("an outcome with a block of another partition is refused", () => {
  const [, full] = ALL_OUTCOMES
  const bytes = encodeRepairOutcome(must(full, "the second one has blocks"))
  assert.throws(() => decodeRepairOutcome(bytes, parsePartitionId(1)), isCorrupt)
})

test("a visit or an outcome that was cut or changed is refused with its kind, or is another one", () => {
  const cases = [
    ...VISITS.map(each => [encodeRepairVisit(each), decodeRepairVisit] as const),
    ...ALL_OUTCOMES.map(each => [encodeRepairOutcome(each), decodeOutcome] as const),
  ]
  for (const [whole, decode] of cases) {
    for (let length = 0; length < whole.length; length += 1) {
      assert.throws(() => decode(whole.subarray(0, length)), isCorrupt)
    }
    for (let bit = 0; bit < whole.length * 8; bit += 1) {
      const changed = whole.slice()
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      try {
        decode(changed)
      } catch (error) {
        assert.ok(isCorrupt(error), String(error))
      }
    }
  }
})
