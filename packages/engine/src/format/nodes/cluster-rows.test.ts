import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseIncarnation, parseNodeFingerprint, parseNodeName, parsePosition } from "@hayloft/base/ids.js"
import {
  decodeControlRow,
  decodeConversionRow,
  decodeEpochRow,
  decodeEpochsRow,
  decodeLayoutRow,
  decodeLeaseRow,
  decodeNodeRow,
  encodeControlRow,
  encodeConversionRow,
  encodeEpochRow,
  encodeEpochsRow,
  encodeLayoutRow,
  encodeLeaseRow,
  encodeNodeRow,
  epochRowKey,
  layoutRowKey,
  LEASE_ROWS,
  leaseRowKey,
  NODE_ROWS,
  nodeRowKey,
  type NodeRow,
} from "./cluster-rows.js"

const bytes = (...values: number[]) => Buffer.from(values)

const NODE: NodeRow = {
  name: parseNodeName("héron"),
  incarnation: parseIncarnation(7),
  address: "10.0.0.7:7010",
  fingerprint: parseNodeFingerprint("0f".repeat(32)),
  proof: bytes(1, 2, 3),
  zone: "a",
  machine: "m1",

  program: "1.2.0",
  beat: 12,
  position: parsePosition(7 * 2 ** 34 + 5),
  layoutVersion: 3,
  unreachable: [parseNodeName("b")],
}

interface Sample {
  readonly value: unknown
  readonly encoded: Uint8Array
  decode(bytes: Uint8Array): unknown
}

const SAMPLES: Readonly<Record<string, Sample>> = {
  control: {
    value: { generation: 9, record: bytes(0xca, 0xfe) },
    encoded: encodeControlRow({ generation: 9, record: bytes(0xca, 0xfe) }),
    decode: decodeControlRow,
  },
  conversion: {
    value: { state: "leaving", generation: 7 },
    encoded: encodeConversionRow({ state: "leaving", generation: 7 }),
    decode: decodeConversionRow,
  },
  "conversion of a node": {
    value: { state: "left", generation: 7, node: parseNodeName("a") },
    encoded: encodeConversionRow({ state: "left", generation: 7, node: parseNodeName("a") }),
    decode: decodeConversionRow,
  },
  layout: { value: bytes(1, 0, 255), encoded: encodeLayoutRow(bytes(1, 0, 255)), decode: decodeLayoutRow },
  node: { value: NODE, encoded: encodeNodeRow(NODE), decode: decodeNodeRow },
  lease: {
    value: { name: "steward", incarnation: 7, beat: 3 },
    encoded: encodeLeaseRow({ name: "steward", incarnation: parseIncarnation(7), beat: 3 }),
    decode: decodeLeaseRow,
  },
  "released lease": {
    value: { name: "steward", incarnation: undefined, beat: 4 },
    encoded: encodeLeaseRow({ name: "steward", incarnation: undefined, beat: 4 }),
    decode: decodeLeaseRow,
  },
  epochs: {
    value: { newest: 200, oldest: 56 },
    encoded: encodeEpochsRow({ newest: 200, oldest: 56 }),
    decode: decodeEpochsRow,
  },
  epoch: {
    value: { number: 200, highest: 8, positions: [[7, 7 * 2 ** 34 + 5]] },
    encoded: encodeEpochRow({
      number: 200,
      highest: parseIncarnation(8),
      positions: [[parseIncarnation(7), parsePosition(7 * 2 ** 34 + 5)]],
    }),
    decode: decodeEpochRow,
  },
}

/** Bytes of any kind compare as equal. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return hexOf(value)
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, plain(field)]))
}

const GOLDEN = new Map(
  readFileSync(
    new URL("../../../../../../packages/engine/src/format/golden/cluster-rows-v1.txt", import.meta.url),
    "utf8",
  )
    .trim()
    .split("\n")
    .map(line => [line.slice(0, line.lastIndexOf(" ")), line.slice(line.lastIndexOf(" ") + 1)]),
)

test("every golden line has a sample", () => assert.deepEqual([...GOLDEN.keys()].sort(), Object.keys(SAMPLES).sort()))

for (const [name, { value, encoded, decode }] of Object.entries(SAMPLES)) {
  test(`${name} row v1 is unchanged, byte for byte, both ways`, () => {
    const golden = GOLDEN.get(name) ?? ""
    assert.equal(hexOf(encoded), golden, `${name} ${hexOf(encoded)}`)
    assert.deepEqual(plain(decode(bytesOfHex(golden) ?? new Uint8Array(0))), plain(value))
  })

  test(`${name} row: every prefix is refused, and a flipped bit gives a refusal or a value`, () => {
    for (let length = 0; length < encoded.length; length += 1)
      assert.throws(() => decode(encoded.subarray(0, length)), isFailure, `${length} bytes`)
    for (let bit = 0; bit < 8 * encoded.length; bit += 1) {
      const flipped = Uint8Array.from(encoded)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      try {
        decode(flipped)
      } catch (error) {
        assert.ok(isFailure(error), `bit ${bit}: ${String(error)}`)
      }
    }
  })
}

test("numbers that no row has are refused", () => {
  for (const beat of [0, -1, 1.5]) assert.throws(() => decodeNodeRow(encodeNodeRow({ ...NODE, beat })), isFailure)
  const negative = encodeEpochsRow({ newest: -1, oldest: 1 })
  assert.throws(() => decodeEpochsRow(negative), isFailure)
})

test("keys are in the order of numbers and apart from those of other kinds", () => {
  assert.ok(layoutRowKey(9) < layoutRowKey(10) && epochRowKey(99) < epochRowKey(100))
  for (const key of [nodeRowKey(parseNodeName("\u{10fffd}")), nodeRowKey(parseNodeName(" "))])
    assert.ok(key >= NODE_ROWS.start && key < NODE_ROWS.end)
  assert.ok(leaseRowKey("node a") >= LEASE_ROWS.end || leaseRowKey("node a") < NODE_ROWS.start)
  for (const name of ["", "x".repeat(256)]) assert.throws(() => leaseRowKey(name), isFailure)
})
