/** Frames: golden bytes, both ways; every way to cut the stream; malformed ones. */
import assert from "node:assert/strict"
import { TRACE_CONTEXT_BYTES } from "@hayloft/base/trace.js"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { concatBytes, hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseStoreId } from "@hayloft/base/ids.js"
import { fc } from "@hayloft/base/testing-properties.js"
import {
  BODY_PIECE_BYTES_MAX,
  CALL_HEADER_BYTES_MAX,
  encodeAnswer,
  encodeCall,
  encodeCancel,
  encodeClose,
  encodeFailure,
  encodeHello,
  encodePing,
  encodeWindow,
  FRAME_HEADER_BYTES,
  FrameDecoder,
  writeBodyHeader,
  type Frame,
} from "./frame.js"

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

function encodeBody(id: number, callClass: "client" | "background", piece: Uint8Array, isLast: boolean): Uint8Array {
  const header = Buffer.alloc(FRAME_HEADER_BYTES)
  writeBodyHeader(header, 0, { id, callClass, length: piece.length, isLast })
  return concatBytes([header, piece])
}

const HELLO = {
  versions: { lowest: 1, highest: 1 },
  storeId: parseStoreId("00112233445566778899aabbccddeeff"),
  incarnation: 77_000_000_001,
  node: "node-ä",
  callWindowBytes: 1 << 20,
  classWindowBytes: 1 << 25,
  callsMax: 256,
}
const CALL = {
  method: 7,
  callClass: "background",
  deadlineMs: 2_500,
  lengthBytes: 5_000_000_000,
  header: bytes(1, 2),
} as const
const TRACED_CALL = { ...CALL, trace: bytes(...Array.from({ length: TRACE_CONTEXT_BYTES }, (_, i) => i + 1)) }
const FAILURE = { kind: "noSuchNeedle", details: { needle: "ab", count: 3, isFull: true, left: undefined } }
const SENT_FAILURE = { kind: "noSuchNeedle", details: { needle: "ab", count: 3, isFull: true } }

/** Each frame with its bytes. */
const SAMPLES: readonly { readonly name: string; readonly frame: Frame; readonly encoded: Uint8Array }[] = [
  { name: "hello", frame: { type: "hello", hello: HELLO }, encoded: encodeHello(HELLO) },
  { name: "call", frame: { type: "call", id: 3, head: CALL }, encoded: encodeCall(3, CALL) },
  {
    name: "traced-call",
    frame: { type: "call", id: 4, head: TRACED_CALL },
    encoded: encodeCall(4, TRACED_CALL),
  },
  {
    name: "body",
    frame: { type: "body", id: 3, callClass: "background", bytes: bytes(9, 8, 7), isLast: false },
    encoded: encodeBody(3, "background", bytes(9, 8, 7), false),
  },
  {
    name: "last-body",
    frame: { type: "body", id: 4, callClass: "client", bytes: bytes(), isLast: true },
    encoded: encodeBody(4, "client", bytes(), true),
  },
  {
    name: "answer",
    frame: { type: "answer", id: 3, lengthBytes: undefined, header: bytes(5) },
    encoded: encodeAnswer(3, undefined, bytes(5)),
  },
  { name: "failure", frame: { type: "failure", id: 3, failure: SENT_FAILURE }, encoded: encodeFailure(3, FAILURE) },
  { name: "cancel", frame: { type: "cancel", id: 3 }, encoded: encodeCancel(3) },
  {
    name: "window",
    frame: { type: "window", id: 0, callClass: "background", bytes: 65_536 },
    encoded: encodeWindow(0, "background", 65_536),
  },
  { name: "ping", frame: { type: "ping", token: 12_345n, isEcho: true }, encoded: encodePing(12_345n, true) },
  { name: "close", frame: { type: "close", failure: SENT_FAILURE }, encoded: encodeClose(FAILURE) },
]

const GOLDEN = readFileSync(
  new URL("../../../../../../packages/engine/src/format/golden/frame-v1.txt", import.meta.url),
  "utf8",
)

/** Feeds the stream in these pieces; parts of one body frame are put together again. */
function decoded(chunks: readonly Uint8Array[]): Frame[] {
  const decoder = new FrameDecoder()
  const frames: Frame[] = []
  for (const chunk of chunks) {
    decoder.feed(new Uint8Array(chunk), frame =>
      frames.push(frame.type === "body" ? { ...frame, bytes: frame.bytes.slice() } : frame),
    )
  }
  return frames
}

const plain = (frame: Frame): unknown =>
  JSON.parse(
    JSON.stringify(frame, (_, value: unknown) =>
      typeof value === "bigint" ? String(value) : value instanceof Uint8Array ? hexOf(value) : value,
    ),
  )

test("frames v1 are unchanged, byte for byte, both ways", () => {
  const text = SAMPLES.map(({ name, encoded }) => `${name} ${hexOf(encoded)}\n`).join("")
  assert.equal(text, GOLDEN)
  for (const { name, frame, encoded } of SAMPLES) assert.deepEqual(decoded([encoded]).map(plain), [plain(frame)], name)
})

test("a stream decodes to the same frames however it is cut", () => {
  const stream = concatBytes(SAMPLES.map(({ encoded }) => encoded))
  const joined = (frames: readonly Frame[]): unknown[] => {
    const whole: Frame[] = []
    for (const frame of frames) {
      const before = whole.at(-1)
      if (frame.type === "body" && before?.type === "body" && before.id === frame.id && !before.isLast) {
        whole[whole.length - 1] = { ...frame, bytes: concatBytes([before.bytes, frame.bytes]) }
      } else whole.push(frame)
    }
    return whole.map(plain)
  }
  const expected = joined(SAMPLES.map(({ frame }) => frame))
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 200 }), lengths => {
      const chunks: Uint8Array[] = []
      let at = 0
      for (let i = 0; at < stream.length; i += 1) {
        const length = lengths[i % lengths.length] ?? 1
        chunks.push(stream.slice(at, at + length))
        at += length
      }
      assert.deepEqual(joined(decoded(chunks)), expected)
    }),
  )
})

test("every flipped bit of a frame is another frame or malformed, never an error of another kind", () => {
  for (const { encoded } of SAMPLES) {
    for (let bit = 0; bit < encoded.length * 8; bit += 1) {
      const flipped = encoded.slice()
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      try {
        decoded([flipped])
      } catch (error) {
        assert.ok(isFailure(error, "malformedFrame"), String(error))
      }
    }
  }
})

test("random bytes never decode into more than they are", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), garbage => {
      try {
        for (const frame of decoded([garbage]))
          if (frame.type === "body") assert.ok(frame.bytes.length <= garbage.length)
      } catch (error) {
        assert.ok(isFailure(error, "malformedFrame"), String(error))
      }
    }),
    { numRuns: 2_000 },
  )
})

const headerOf = (length: number, type: number, flags: number, id: number, reserved = 0): Uint8Array => {
  const header = Buffer.alloc(FRAME_HEADER_BYTES)
  header.writeUInt32LE(length, 0)
  header[4] = type
  header[5] = flags
  header.writeUInt16LE(reserved, 6)
  header.writeUInt32LE(id, 8)
  return header
}

test("a header outside of its limits is refused before its payload arrives", () => {
  const refused: readonly (readonly [string, Uint8Array])[] = [
    ["type of frame", headerOf(0, 0, 0, 1)],
    ["type of frame", headerOf(0, 10, 0, 1)],
    ["long call", headerOf(CALL_HEADER_BYTES_MAX + 17, 2, 0, 1)],
    ["short call", headerOf(15, 2, 0, 1)],
    ["long body", headerOf(BODY_PIECE_BYTES_MAX + 1, 3, 0, 1)],
    ["long failure", headerOf(0xffff_ffff, 5, 0, 1)],
    ["long cancel", headerOf(1, 6, 0, 1)],
    ["flags of answer", headerOf(8, 4, 1, 1)],
    ["reserved bytes of cancel", headerOf(0, 6, 0, 1, 1)],
    ["id of call", headerOf(16, 2, 0, 0)],
    ["id of ping", headerOf(8, 8, 0, 1)],
  ]
  for (const [reason, header] of refused) {
    const isNamed = (error: unknown): boolean =>
      isFailure(error, "malformedFrame") && error.details["reason"] === reason
    assert.throws(() => decoded([header]), isNamed, reason)
  }
})
