/** Calls about shards: golden bytes, both ways; cut and flipped ones. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import {
  objectKeyOfText,
  parseBucketId,
  parseDeviceId,
  parsePartitionId,
  parseUploadId,
  rowKeyOf,
} from "@hayloft/base/ids.js"
import { fc } from "@hayloft/base/testing-properties.js"
import { CALL_HEADER_BYTES_MAX } from "./frame.js"
import { needleKeyOf, type NeedleId, type ShardHeader } from "../needles/needle.js"
import { partitionOf } from "../needles/partition.js"
import {
  CALL_NEEDLES_MAX,
  CALL_NUMBERS,
  decodePage,
  encodePage,
  NODE_DEVICES_MAX,
  PartitionSet,
  rangeChecksum,
  SHARD_CALLS,
  type ListedNeedle,
} from "./shard-calls.js"

const deviceId = parseDeviceId("00112233445566aa")
const uploadId = parseUploadId("00112233445566778899aabbccddeeff")
const needle = (block: number, slot: number): NeedleId => ({
  partition: partitionOf(uploadId, 3, block),
  uploadId,
  part: 3,
  block,
  generation: 1,
  slot,
})
const id = needle(7, 5)
const policy = { kind: "ec", k: 4, m: 2, matrix: "cauchy" } as const
const header: ShardHeader = {
  kind: "shard",
  id,
  owner: { bucketId: parseBucketId(9), key: objectKeyOfText("käse") },
  policy,

  blockLengthBytes: 200,
  recoveryHeader: Uint8Array.of(1, 2),
  bodyBytes: 64,
  checksums: new Uint8Array(8).fill(7),
}
const range = { offsetBytes: 65_536, lengthBytes: 100 }
const [start, end] = [rowKeyOf("\x01\x02"), rowKeyOf("\xff".repeat(28))]
const partitions = PartitionSet.of([0, 9, 65_535].map(it => parsePartitionId(it)))
const listed: readonly ListedNeedle[] = [
  { key: needleKeyOf(needle(1, 0)), bodyBytes: 64, shape: undefined, isSuspect: true },
  { key: needleKeyOf(id), bodyBytes: 1 << 20, shape: { policy, blockLengthBytes: 1 << 22 }, isSuspect: false },
].sort((a, b) => (a.key < b.key ? -1 : 1))

interface Sample {
  readonly name: string
  readonly bytes: Uint8Array
  readonly decode: (bytes: Uint8Array) => unknown
  readonly value: unknown
}

interface Headers<T> {
  encode(value: T): Uint8Array
  decode(bytes: Uint8Array): T
}

function sample<T>(name: string, headers: Headers<T>, value: T): Sample {
  return { name, bytes: headers.encode(value), decode: bytes => headers.decode(bytes), value }
}

const { deviceStates, append, read, fetch, headerOf, has, remove, markSuspect, indexed } = SHARD_CALLS

const SAMPLES: readonly Sample[] = [
  sample("deviceStates-request", deviceStates.request, undefined),
  sample("deviceStates-response", deviceStates.response, [
    { id: deviceId, isWritable: true, isFull: false },
    { id: parseDeviceId("ffffffffffffffff"), isWritable: false, isFull: true },
  ]),
  sample("append-request", append.request, { deviceId, header, isUnhurried: true }),
  sample("append-request-ends", append.request, { deviceId, header, isUnhurried: false, endsAtMs: 1_800_000_000_123 }),
  sample("append-response", append.response, undefined),
  sample("read-request", read.request, { deviceId, id, ...range }),
  sample("read-response", read.response, 0xf0e1_d2c3_b4a5_9687n),
  sample("fetch-request", fetch.request, { deviceId, id, bodyBytes: 1 << 20, ...range }),
  sample("fetch-response", fetch.response, header),
  sample("headerOf-request", headerOf.request, { deviceId, id }),
  sample("headerOf-response", headerOf.response, header),
  sample("has-request", has.request, [
    { deviceId, id },
    { deviceId, id: needle(8, 0) },
  ]),
  sample("has-response", has.response, ["no", "yes", "corruptRow", "deviceFailed"]),
  sample("remove-request", remove.request, { deviceId, ids: [id, needle(8, 31)] }),
  sample("remove-response", remove.response, undefined),
  sample("markSuspect-request", markSuspect.request, { deviceId, ids: [] }),
  sample("markSuspect-response", markSuspect.response, undefined),
  sample("indexed-request", indexed.request, { deviceId, start, end, needlesMin: Infinity, partitions: undefined }),
  sample("indexed-set-request", indexed.request, { deviceId, start, end, needlesMin: 5, partitions }),
  sample("indexed-end-response", indexed.response, { kind: "end" }),
  sample("indexed-more-response", indexed.response, { kind: "more", next: needleKeyOf(id) }),
  sample("indexed-damaged-response", indexed.response, { kind: "damaged" }),
  { name: "indexed-body", bytes: encodePage(listed), decode: decodePage, value: listed },
]

/** Long runs of zeros (a set of partitions) are shortened. */
const textOf = (bytes: Uint8Array): string =>
  hexOf(bytes).replace(/(?:00){64,}/g, zeros => `(${zeros.length / 2} zeros)`)

const GOLDEN = readFileSync(
  new URL("../../../../../../packages/engine/src/format/golden/shard-calls-v1.txt", import.meta.url),
  "utf8",
)

test("calls about shards v1 are unchanged, byte for byte, both ways", () => {
  const numbers = Object.entries(CALL_NUMBERS).map(([name, number]) => `${number} ${name}\n`)
  const lines = SAMPLES.map(({ name, bytes }) => `${name} ${textOf(bytes)}\n`)
  assert.equal([...numbers, ...lines].join(""), GOLDEN)
  for (const { name, bytes, decode, value } of SAMPLES) assert.deepEqual(decode(bytes), value, name)
})

test("no two calls share a number", () => {
  const numbers = Object.values(CALL_NUMBERS)
  assert.equal(new Set<number>(numbers).size, numbers.length)
  assert.deepEqual(Object.keys(CALL_NUMBERS), Object.keys(SHARD_CALLS))
})

const isMalformed = (error: unknown): boolean => isFailure(error, "malformedFrame")

test("a message that is cut, or followed by another byte, is malformed", () => {
  for (const { name, bytes, decode } of SAMPLES) {
    const isList = name === "has-response" || name === "indexed-body"
    for (let length = 0; length < bytes.length; length += length < 300 ? 1 : 997) {
      // A shorter list is a list.
      if (isList && length % 40 <= 4) continue
      assert.throws(() => decode(bytes.subarray(0, length)), isMalformed, `${name}, ${length} bytes`)
    }
    if (!isList) assert.throws(() => decode(Uint8Array.of(...bytes, 0)), isMalformed, name)
  }
})

test("every flipped bit is another message or malformed, never an error of another kind", () => {
  for (const { name, bytes, decode } of SAMPLES) {
    let others = 0
    for (let bit = 0; bit < Math.min(bytes.length, 400) * 8; bit += 1) {
      const flipped = Uint8Array.from(bytes)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      try {
        decode(flipped)
        others += 1
      } catch (error) {
        assert.ok(isMalformed(error), `${name}: ${String(error)}`)
      }
    }
    assert.ok(others < bytes.length * 8, `${name} has a check`)
  }
})

test("random bytes and counts that are too large are refused without an allocation for them", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (garbage, isVersion1) => {
      const bytes = isVersion1 ? Uint8Array.of(1, ...garbage) : garbage
      for (const { name, decode } of SAMPLES) {
        try {
          decode(bytes)
        } catch (error) {
          assert.ok(isMalformed(error), `${name}: ${String(error)}`)
        }
      }
    }),
    { numRuns: 1_000 },
  )
  const counted = Uint8Array.of(1, 0xff, 0xff)
  for (const { decode } of [deviceStates.response, has.request]) assert.throws(() => decode(counted), isMalformed)
})

test("the largest messages fit into the header of a call", () => {
  const places = Array.from({ length: CALL_NEEDLES_MAX }, (_, block) => ({ deviceId, id: needle(block, 0) }))
  const states = Array.from({ length: NODE_DEVICES_MAX }, () => ({ id: deviceId, isWritable: true, isFull: true }))
  const largest = [
    has.request.encode(places),
    remove.request.encode({ deviceId, ids: places.map(place => place.id) }),
    deviceStates.response.encode(states),
  ]
  for (const { length } of largest) assert.ok(length <= CALL_HEADER_BYTES_MAX)
})

test("a page out of order, with an unknown flag or with a length beyond the limits is malformed", () => {
  const page = encodePage(listed)
  const changed = (at: number, value: number): Uint8Array => {
    const bytes = Uint8Array.from(page)
    bytes[at] = value
    return bytes
  }
  assert.throws(() => decodePage(Uint8Array.of(...page.subarray(40), ...page.subarray(0, 40))), isMalformed)
  assert.throws(() => decodePage(Uint8Array.of(...page.subarray(0, 40), ...page.subarray(0, 40))), isMalformed)
  for (const [at, value] of [
    [27, 4],
    [31, 255],
    [67, 7],
    [72, 9],
  ] as const) {
    assert.throws(() => decodePage(changed(at, value)), isMalformed, `byte ${at}`)
  }
})

test("the checksum of a range depends on the needle, the range and the bytes", () => {
  const bytes = new Uint8Array(64).fill(1)
  const sums = [
    rangeChecksum(id, 0, bytes),
    rangeChecksum(needle(7, 4), 0, bytes),
    rangeChecksum(id, 64, bytes),
    rangeChecksum(id, 0, bytes.fill(2)),
  ]
  assert.equal(new Set(sums).size, 4)
})
