/** Chunked bodies, valid and invalid, in pieces of any size. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { ChunkDecoder } from "./chunk-decoder.js"

interface Decoded {
  readonly data: string
  readonly end: "end" | "broken" | "incomplete"
  /** Bytes after the body, which belong to the next request. */
  readonly rest: string
}

function decode(text: string, pieceBytes = text.length): Decoded {
  const decoder = new ChunkDecoder()
  const bytes = Buffer.from(text, "latin1")
  let data = ""
  let at = 0
  while (at < bytes.length) {
    const piece = bytes.subarray(at, at + pieceBytes)
    const usedBytes = decoder.read(piece, part => (data += part.toString("latin1")))
    at += usedBytes
    if (usedBytes < piece.length) break
  }
  const end = decoder.isEnd ? "end" : decoder.isBroken ? "broken" : "incomplete"
  return { data, end, rest: bytes.toString("latin1", at) }
}

const GOOD: readonly (readonly [text: string, data: string])[] = [
  ["0\r\n\r\n", ""],
  ["3\r\nabc\r\n0\r\n\r\n", "abc"],
  ["003\r\nabc\r\n00\r\n\r\n", "abc"],
  ["a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789"],
  ["4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n"],
  ['1;name=value;other="x"\r\na\r\n0;x\r\n\r\n', "a"],
  ["1\r\na\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\n", "a"],
]

test("a chunked body is decoded however it is split, and ends at its last chunk", () => {
  for (const [text, data] of GOOD) {
    for (let pieceBytes = 1; pieceBytes <= text.length; pieceBytes += 1) {
      const decoded = decode(`${text}GET /next`, pieceBytes)
      assert.deepEqual([decoded.data, decoded.end], [data, "end"], JSON.stringify([text, pieceBytes]))
      assert.ok("GET /next".startsWith(decoded.rest) || decoded.rest === "GET /next")
    }
    assert.equal(decode(`${text}GET /next`).rest, "GET /next")
    for (let length = 0; length < text.length; length += 1) {
      assert.equal(decode(text.slice(0, length)).end, "incomplete", JSON.stringify(text.slice(0, length)))
    }
  }
})

test("a body with framing that another reader may interpret differently is broken", () => {
  const bad = [
    "\r\n",
    "zz\r\n",
    "-1\r\n",
    "+1\r\na",
    "0x1\r\na",
    " 1\r\na",
    "1 \r\na",
    "1 ;x\r\na",
    "1\ta\r\n",
    "1_0\r\n",

    "1\na\r\n0\r\n\r\n",
    "1\r\r\na",
    "1\r\na\n0\r\n\r\n",
    "1\r\na\r0\r\n\r\n",
    "1\r\nab\r\n0\r\n\r\n",
    "1\r\naX0\r\n\r\n",
    "fffffffffffffffff\r\n",
    "10000000000000000\r\n",
    "20000000000000\r\n",
    "1;\u0000\r\na",
    "1;x\ry\r\na",
    "0\r\n\n",
    "0\n\r\n",
    "0\r\nX\r\n\r\n",
    "0\r\n X: y\r\n\r\n",
    "0\r\nX : y\r\n\r\n",
    "0\r\nX: \u0000\r\n\r\n",
  ]
  for (const text of bad) {
    for (const pieceBytes of [1, 2, 3, text.length]) {
      assert.equal(decode(text, pieceBytes).end, "broken", JSON.stringify([text, pieceBytes]))
    }
  }
})

test("extensions and trailers are limited for the whole body, and so is a line without end", () => {
  const overlong = "x".repeat(20_000)
  assert.equal(decode(`1;${overlong}\r\na\r\n0\r\n\r\n`).end, "broken")
  assert.equal(decode(`1;${overlong}`, 10).end, "broken")
  assert.equal(decode("1;xxxxxxxxx\r\na\r\n".repeat(5_000)).end, "broken")
  assert.equal(decode(`0\r\n${"X: y\r\n".repeat(5_000)}`).end, "broken")
  assert.equal(decode(`${"1\r\na\r\n".repeat(50_000)}0\r\n\r\n`).end, "end")
})

test("no byte is read twice or skipped when a long body arrives in pieces of all sizes", () => {
  const random = new SimRandom(1)
  let [text, data] = ["", ""]
  for (let n = 0; n < 200; n += 1) {
    const part = String.fromCharCode(97 + (n % 26)).repeat(1 + random.below(300))
    text += `${part.length.toString(16)}\r\n${part}\r\n`
    data += part
  }
  for (const pieceBytes of [1, 2, 7, 100, 1_000, 60_000]) {
    assert.deepEqual(decode(`${text}0\r\n\r\n`, pieceBytes), { data, end: "end", rest: "" })
  }
})
