/** Segments against known answers, and that nothing but the sealed bytes in their place opens. */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { must } from "../../assert.js"
import { concatBytes } from "../../bytes.js"
import { isFailure } from "../../failures.js"
import { sealedBytesOf } from "../../encryption/segments.js"
import type { OpenRequest, SegmentAt } from "./contract.js"
import { openInPlace, openSegment, sealBlock, sealSegment } from "./sealing.js"

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")
const sha256 = (bytes: Uint8Array | string): Buffer => createHash("sha256").update(bytes).digest()
const isCorrupt = (error: unknown): boolean => isFailure(error, "corruptSeal")

/** Returns the plaintext that known-answers.txt describes. */
function plainOf(lengthBytes: number): Uint8Array {
  const pieces = Array.from({ length: Math.ceil(lengthBytes / 32) }, (_, i) => sha256(`plain ${i}`))
  return concatBytes(pieces).slice(0, lengthBytes)
}

function sealed(plain: Uint8Array, key: Uint8Array, block: number, isLast: boolean): Uint8Array {
  const bytes = new Uint8Array(sealedBytesOf(plain.length))
  bytes.set(plain)
  assert.equal(sealBlock(bytes, plain.length, { key, block, isLast }), bytes.length)
  return bytes
}

test("AES-256-GCM gives the answers of test cases 13 and 14 of its specification", () => {
  // McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B: key and nonce are zeros.
  const at: SegmentAt = { key: new Uint8Array(32), block: 0, segment: 0, isLast: false }
  assert.equal(hex(sealSegment(new Uint8Array(0), at)), "530f8afbc74536b9a963b4f1c4cb738b")
  const answer = "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"
  assert.equal(hex(sealSegment(new Uint8Array(16), at)), answer)
  assert.equal(hex(openSegment(Buffer.from(answer, "hex"), at)), "0".repeat(32))
})

test("whole blocks are sealed as an independent program seals them", () => {
  const text = readFileSync(
    new URL("../../../../../../packages/base/src/seams/compute/known-answers.txt", import.meta.url),
    "utf8",
  )
  const answers = text.split("\n").filter(line => /^\d/.test(line))
  assert.equal(answers.length, 8)
  for (const answer of answers) {
    const [length = "", block, isLast, storedBytes, digest, tag] = answer.split(" ")
    const at = { key: sha256(`key ${length}`), block: Number(block), isLast: isLast === "1" }
    const plain = plainOf(Number(length))
    const bytes =
      plain.length === 0 ? sealSegment(plain, { ...at, segment: 0 }) : sealed(plain, at.key, at.block, at.isLast)
    assert.equal(bytes.length, Number(storedBytes), answer)
    assert.equal(hex(sha256(bytes)), digest, answer)
    assert.equal(hex(bytes.subarray(-16)), tag, answer)
    if (plain.length === 0) continue
    assert.equal(openInPlace({ ...at, bytes, firstSegment: 0 }), plain.length)
    assert.equal(Buffer.compare(bytes.subarray(0, plain.length), plain), 0, answer)
  }
})

const KEY = sha256("a key")
const PLAIN = plainOf(200_000)
const FULL = 65_552

/** Opens a changed copy of the stored bytes; returns the plaintext. */
function open(change: Partial<OpenRequest>): Uint8Array {
  const stored = { key: KEY, block: 7, firstSegment: 0, isLast: true, bytes: sealed(PLAIN, KEY, 7, true), ...change }
  const bytes = Uint8Array.from(stored.bytes)
  return bytes.slice(0, openInPlace({ ...stored, bytes }))
}

test("each run of segments opens to its part of the plaintext", () => {
  const bytes = sealed(PLAIN, KEY, 7, true)
  for (let first = 0; first < 4; first += 1) {
    for (let end = first + 1; end <= 4; end += 1) {
      const run = bytes.subarray(first * FULL, end * FULL)
      const opened = open({ bytes: run, firstSegment: first, isLast: end === 4 })
      assert.equal(Buffer.compare(opened, PLAIN.subarray(first * 65_536, end * 65_536)), 0, `${first} to ${end}`)
    }
  }
})

test("flipped, truncated, extended, swapped and moved segments do not open", () => {
  const bytes = sealed(PLAIN, KEY, 7, true)
  assert.equal(Buffer.compare(open({}), PLAIN), 0)
  const segment = (n: number): Uint8Array => bytes.subarray(n * FULL, (n + 1) * FULL)
  const refused = (change: Partial<OpenRequest>, what: string): void => {
    assert.throws(() => open(change), isCorrupt, what)
  }
  for (const at of [0, 65_535, 65_536, FULL - 1, FULL, 2 * FULL + 5, bytes.length - 17, bytes.length - 1])
    refused({ bytes: bytes.with(at, must(bytes[at], "it has the byte") ^ 1) }, `flipped at ${at}`)
  for (const length of [1, 15, 16, FULL - 1, FULL, 3 * FULL, bytes.length - 16, bytes.length - 1])
    refused({ bytes: bytes.subarray(0, length) }, `the first ${length} bytes`)
  refused({ bytes: concatBytes([bytes, new Uint8Array(1)]) }, "one more byte")
  refused({ bytes: concatBytes([bytes, segment(3)]) }, "one more segment")
  refused({ bytes: concatBytes([segment(1), segment(0), segment(2), segment(3)]) }, "swapped segments")
  refused({ bytes: concatBytes([segment(0), segment(0), segment(2), segment(3)]) }, "a segment twice")
  refused({ bytes: bytes.subarray(FULL), firstSegment: 0 }, "without the first segment")
  refused({ bytes: segment(3), firstSegment: 0 }, "the last segment as the first")
  refused({ block: 8 }, "another block")
  refused({ isLast: false }, "the end of the extent in the middle")
  refused({ bytes: bytes.subarray(0, 3 * FULL), isLast: true }, "the middle of the extent as its end")
  refused({ key: sha256("another key") }, "another key")
})

test("an inline payload that was cut, or exchanged with one under another key, does not open", () => {
  const at = { key: KEY, block: 0, segment: 0, isLast: true }
  const bytes = sealSegment(PLAIN.subarray(0, 4096), at)
  assert.equal(bytes.length, 4112)
  assert.equal(Buffer.compare(openSegment(bytes, at), PLAIN.subarray(0, 4096)), 0)
  for (let length = 0; length < 20; length += 1)
    assert.throws(() => openSegment(bytes.subarray(0, length), at), isCorrupt, `${length}`)
  assert.throws(() => openSegment(bytes.subarray(0, -1), at), isCorrupt)
  assert.throws(() => openSegment(new Uint8Array(FULL + 1), at), isCorrupt)
  assert.throws(() => openSegment(bytes, { ...at, key: sha256("another key") }), isCorrupt)
  assert.equal(openSegment(sealSegment(new Uint8Array(0), at), at).length, 0)
})

test("a segment that does not open leaves its bytes as they were", () => {
  const bytes = sealed(PLAIN.subarray(0, 1000), KEY, 0, true)
  bytes[500] = must(bytes[500], "it has the byte") ^ 1
  const before = hex(bytes)
  assert.throws(() => openInPlace({ bytes, key: KEY, block: 0, firstSegment: 0, isLast: true }), isCorrupt)
  assert.equal(hex(bytes), before)
})
