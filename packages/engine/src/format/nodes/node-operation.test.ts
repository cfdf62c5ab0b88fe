import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId, parseUploadId } from "@hayloft/base/ids.js"
import {
  decodeNodeOperation,
  decodeOperationResult,
  encodeNodeOperation,
  encodeOperationResult,
  type NodeOperation,
  type NodeOperationResult,
} from "./node-operation.js"

const UPLOAD = parseUploadId("0000000700000001aabbccddeeff0011")
const id = parseDeviceId("00000000000000a1")
const OPERATIONS: readonly NodeOperation[] = [
  { kind: "plan", change: { kind: "addDevice", path: "/mnt/é", weight: undefined } },
  { kind: "plan", change: { kind: "addDevice", path: "/mnt/b", weight: 2.5 } },
  {
    kind: "change",
    change: { kind: "replaceDevice", id, path: "/mnt/c", acceptLoss: true },
    confirm: "/mnt/c",
    lockedBuckets: [],
  },
  {
    kind: "change",
    change: { kind: "replaceDevice", id, path: "/mnt/c", acceptLoss: false },
    confirm: undefined,
    lockedBuckets: [],
  },
  { kind: "check", id },
  { kind: "scrub", id },
  { kind: "scrub", id: undefined },
  { kind: "throttle", job: "repair", throttle: 0.5 },
  { kind: "wake", job: "repair" },
  { kind: "orphans" },
  {
    kind: "change",
    change: { kind: "addDevice", path: "/mnt/d", weight: undefined },
    confirm: undefined,
    lockedBuckets: ["backups", "ledger"],
  },
  {
    kind: "change",
    change: { kind: "addDevice", path: "/mnt/e", weight: undefined },
    confirm: undefined,
    lockedBuckets: [],
    outlook: "disks=1 locked=0",
  },
  {
    kind: "change",
    change: { kind: "replaceDevice", id, path: "/mnt/f", acceptLoss: true },
    confirm: undefined,
    lockedBuckets: ["ledger"],
    outlook: "disks=-1 zones=0 locked=1 ec:2+1=65536",
  },
  { kind: "pending" },
  { kind: "trace", trace: "n1 7", filter: { errorsOnly: false } },
  {
    kind: "trace",
    trace: "n1 8",
    filter: { bucket: "photos", prefix: "é/", status: "4", minMs: 2.5, errorsOnly: true },
  },
  { kind: "traffic", window: "hour" },
  { kind: "disks" },
  { kind: "backup", isOrdered: true },
]
const COUNTS = { requests: 3, clientErrors: 1, serverErrors: 0, receivedBytes: 3_000_000_000, sentBytes: 7 }
const NO_COUNTS = { requests: 0, clientErrors: 0, serverErrors: 0, receivedBytes: 0, sentBytes: 0, bins: [] }
const REQUEST = {
  atMs: 1_700_000_000_000,
  server: "s3",
  requestId: "00000000000000AA",
  method: "GET",
  operation: "GetObject",
  path: "/photos/%C3%A9",
  status: 404,
  totalMs: 12.5,
  receivedBytes: 0,
  sentBytes: 7,
  remoteAddress: "::1",
}
const LOSSES = { before: 2, during: -1, after: 1 }
const PLAN = {
  summary: "as asked",
  policyBefore: "ec:4+2",
  policyAfter: "ec:4+2",
  movedBytes: 1,
  reencodedBytes: 2,
  devices: [
    { path: "/new", bytesIn: 1, bytesOut: 0 },
    { id, path: "/mnt", node: "n1", bytesIn: 0, bytesOut: 2 },
  ],
  hours: 0.25,
  survives: LOSSES,
  warnings: ["mind the gap"],
}
const RESULTS: readonly NodeOperationResult[] = [
  { kind: "planned", plan: PLAN },
  {
    kind: "changed",
    plan: {
      ...PLAN,
      survivesMachines: LOSSES,
      survivesZones: { before: 1, during: 1, after: 1 },
      usableBytesBefore: 10,
      usableBytesAfter: 20,
      confirmBy: "/new",
    },
    generation: 7,
  },
  { kind: "checked", id, state: "full", finding: "the device works but is full" },
  { kind: "job", job: { name: "repair", state: "failed", progress: "-", lastError: "why", throttle: 2 } },
  { kind: "job", job: { name: "repair", state: "idle", progress: "", throttle: 2 } },
  { kind: "done" },
  { kind: "planned", plan: PLAN, outlook: "disks=1 locked=0" },
  { kind: "planned", plan: { ...PLAN, lockedBuckets: ["backups"], moreLockedBuckets: 7 } },
  {
    kind: "pending",
    uploads: [
      { upload: UPLOAD, bucket: "photos", key: "é/1", blocks: 3, bytes: 3_000_000_000, removableMs: 1_700_000_000_000 },
      { upload: UPLOAD, key: "k", blocks: 1, bytes: 0 },
    ],
    more: 2,
  },
  {
    kind: "traced",
    requests: [
      REQUEST,
      {
        ...REQUEST,
        bucket: "photos",
        key: "é",
        code: "NoSuchKey",
        reason: "it is gone",
        authMs: 0.5,
        metaMs: 1,
        dataMs: 2,
        account: "team",
        accessKeyId: "AKIA1",
        userAgent: "curl/8",
        clientGone: true,
      },
    ],
    dropped: 9,
  },
  {
    kind: "traffic",
    atMs: 1_700_000_000_000,
    seconds: 57.5,
    total: { ...COUNTS, bins: [0, 0, 3] },
    buckets: [{ name: "photos", ...COUNTS, bins: [0, 0, 3] }],
    accounts: [{ name: "team", ...COUNTS, bins: [0, 0, 3] }],
    history: [
      { sinceMs: 1_699_999_940_000, ...NO_COUNTS },
      { sinceMs: 1_700_000_000_000, ...COUNTS, bins: [0, 0, 3] },
    ],
  },
  {
    kind: "traffic",
    atMs: 1_700_000_000_000,
    seconds: 57.5,
    total: { ...COUNTS, bins: [0, 0, 3] },
    buckets: [],
    accounts: [],
    history: [],
    operations: [{ name: "GetObject", ...COUNTS, bins: [0, 0, 3] }],
    codes: [{ name: "NoSuchKey", ...COUNTS, bins: [0, 0, 3] }],
  },
  {
    kind: "disks",
    disks: [
      { device: id, atMs: 5.5, failedCalls: 0 },
      {
        device: id,
        atMs: 6,
        failedCalls: 2,
        name: "sdb1",
        io: { reads: 1, readBytes: 3_000_000_000, readMs: 2, writes: 3, writtenBytes: 4, writeMs: 5, inFlight: 6 },
        health: { model: "WDC é", isHealthy: false, celsius: 61 },
      },
    ],
  },
  { kind: "backup", backup: { process: 7, isOrdered: true, isPaused: false, failures: 0 } },
  {
    kind: "backup",
    backup: {
      process: 7,
      isOrdered: true,
      isPaused: true,
      failures: 2,
      lastError: "EIO",
      waits: "the store is full",
      completedMs: 1_700_000_000_000,
      sizeBytes: 2_048,
    },
  },
]
const isCorrupt = (error: unknown): boolean => isFailure(error, "corruptRecord")
const GOLDEN = readFileSync(
  new URL("../../../../../../packages/engine/src/format/golden/node-operation-v1.txt", import.meta.url),
  "utf8",
)
const bytesFrom = (hex: string): Uint8Array => must(bytesOfHex(hex), "these are hex digits")

test("node operations v1 and their results are unchanged, byte for byte, and are read back", () => {
  const [operations, results] = [OPERATIONS.map(encodeNodeOperation), RESULTS.map(encodeOperationResult)]
  const lines = [...operations, ...results].map(hexOf)
  assert.deepEqual(lines, GOLDEN.trim().split("\n"))
  assert.deepEqual(
    lines.slice(0, OPERATIONS.length).map(line => decodeNodeOperation(bytesFrom(line))),
    OPERATIONS,
  )
  assert.deepEqual(
    lines.slice(OPERATIONS.length).map(line => decodeOperationResult(bytesFrom(line))),
    RESULTS,
  )
})

test("an operation or a result that was cut or changed is refused with its kind, or is another one", () => {
  const cases = [
    ...OPERATIONS.map(each => [encodeNodeOperation(each), decodeNodeOperation] as const),
    ...RESULTS.map(each => [encodeOperationResult(each), decodeOperationResult] as const),
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
