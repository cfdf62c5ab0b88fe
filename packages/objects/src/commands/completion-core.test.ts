/** The result of a completed multipart upload: its identity, its ETag and the checksum of the whole. */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import { isFailure, type FailureKind } from "@hayloft/base/failures.js"
import type { UploadRecord } from "@hayloft/engine/format/records.js"
import type { CompleteRequest } from "../contract.js"
import { combineCrcs } from "./crc-combine-core.js"
import { completionToken, etagOfParts, wholeChecksum } from "./completion-core.js"
import { NO_CHECKSUM } from "./row-editor-core.js"
import { extentOf } from "./testing-bucket.js"

const sha256 = (bytes: Uint8Array): Uint8Array => createHash("sha256").update(bytes).digest()
const part = (partNumber: number, checksumValue: string | undefined, lengthBytes = 100) => ({
  partNumber,
  md5: new Uint8Array(16).fill(partNumber),
  modifiedMs: 0,
  checksumValue,
  extent: extentOf(partNumber, { lengthBytes }),
})
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64")
type Request = Pick<CompleteRequest, "checksum" | "checksumType">
const NOTHING_DECLARED: Request = { checksum: undefined, checksumType: undefined }
const declared = (
  algorithm: "SHA256" | "CRC32",
  type: "COMPOSITE" | "FULL_OBJECT",
): Pick<UploadRecord, "checksum"> => ({
  checksum: { algorithm, type },
})
const refuses = (run: () => unknown, kind: FailureKind) => assert.throws(run, error => isFailure(error, kind))

const [first, second] = [sha256(Buffer.from("first")), sha256(Buffer.from("second"))]
const PARTS = [part(1, base64(first)), part(2, base64(second))]
const COMPOSITE = `${base64(sha256(Buffer.concat([first, second])))}-2`

test("a completion is identified by its parts, in their order, with their ETags", () => {
  const token = (...parts: readonly (readonly [number, string])[]) =>
    Buffer.from(
      completionToken(parts.map(([partNumber, etag]) => ({ partNumber, etag, checksum: undefined }))),
    ).toString()
  assert.equal(token([1, "a"], [2, "b"]), token([1, "a"], [2, "b"]))
  const others = [token([1, "a"]), token([2, "b"], [1, "a"]), token([1, "a"], [2, "c"]), token([1, "a2"], [2, "b"])]
  assert.ok(!others.includes(token([1, "a"], [2, "b"])))
  assert.equal(new Set(others).size, others.length)
  assert.deepEqual(Buffer.from(etagOfParts(PARTS)), Buffer.concat(PARTS.map(({ md5 }) => md5)))
})

test("an upload without a checksum algorithm has no checksum, and none may be declared", () => {
  const none = { checksum: undefined }
  assert.deepEqual(wholeChecksum(NOTHING_DECLARED, none, [part(1, undefined)], sha256), NO_CHECKSUM)
  const request: Request = { checksum: { algorithm: "SHA256", value: "x" }, checksumType: undefined }
  refuses(() => wholeChecksum(request, none, PARTS, sha256), "invalidRequest")
})

test("an upload without a checksum algorithm whose parts have the default gets the CRC64NVME of all bytes", () => {
  const values = ["0000000a0000000b", "0000000c0000000d"].map(hex => Buffer.from(hex, "hex"))
  const parts = values.map((value, i) => part(i + 1, base64(value), 1000))
  const none = { checksum: undefined }
  const value = base64(
    combineCrcs(
      "CRC64NVME",
      values.map(bytes => ({ value: bytes, lengthBytes: 1000 })),
    ),
  )
  const expected = { checksumAlgorithm: "CRC64NVME", checksumType: "FULL_OBJECT", value } as const
  assert.deepEqual(wholeChecksum(NOTHING_DECLARED, none, parts, sha256), expected)
  const stated: Request = {
    checksum: { algorithm: "CRC64NVME", value: base64(Buffer.alloc(8)) },
    checksumType: undefined,
  }
  refuses(() => wholeChecksum(stated, none, parts, sha256), "badDigest")
  // A part of an earlier release has no checksum.
  assert.deepEqual(wholeChecksum(NOTHING_DECLARED, none, [...parts, part(3, undefined)], sha256), NO_CHECKSUM)
})

test("a composite checksum is the digest of the parts' digests with their number", () => {
  const whole = wholeChecksum(NOTHING_DECLARED, declared("SHA256", "COMPOSITE"), PARTS, sha256)
  assert.deepEqual(whole, { checksumAlgorithm: "SHA256", checksumType: "COMPOSITE", value: COMPOSITE })
})

test("a full-object CRC is that of all bytes", () => {
  const [a, b] = [Buffer.from("0000000a", "hex"), Buffer.from("0000000b", "hex")]
  const parts = [part(1, base64(a), 1000), part(2, base64(b), 7)]
  const whole = wholeChecksum(NOTHING_DECLARED, declared("CRC32", "FULL_OBJECT"), parts, () =>
    assert.fail("not hashed"),
  )
  const lengths = [
    { value: a, lengthBytes: 1000 },
    { value: b, lengthBytes: 7 },
  ]
  assert.equal(whole.value, base64(combineCrcs("CRC32", lengths)))
  const composite = wholeChecksum(NOTHING_DECLARED, declared("CRC32", "COMPOSITE"), parts, bytes => bytes)
  assert.equal(composite.value, `${base64(Buffer.concat([a, b]))}-2`)
})

test("a declared checksum must be the computed one, with or without the number of parts", () => {
  const upload = declared("SHA256", "COMPOSITE")
  const check = (value: string) =>
    wholeChecksum({ checksum: { algorithm: "SHA256", value }, checksumType: "COMPOSITE" }, upload, PARTS, sha256)
  assert.equal(check(COMPOSITE).value, COMPOSITE)
  assert.equal(check(COMPOSITE.slice(0, -2)).value, COMPOSITE)
  refuses(() => check(base64(first)), "badDigest")
  refuses(() => check(COMPOSITE.replace("-2", "-3")), "badDigest")
})

test("another algorithm or type than the upload was created with, and a part without a checksum, are refused", () => {
  const upload = declared("SHA256", "COMPOSITE")
  const type: Request = { checksum: undefined, checksumType: "FULL_OBJECT" }
  refuses(() => wholeChecksum(type, upload, PARTS, sha256), "invalidRequest")
  const algorithm: Request = { checksum: { algorithm: "SHA1", value: COMPOSITE }, checksumType: undefined }
  refuses(() => wholeChecksum(algorithm, upload, PARTS, sha256), "invalidRequest")
  assert.throws(
    () => wholeChecksum(NOTHING_DECLARED, upload, [...PARTS, part(3, undefined)], sha256),
    error => isFailure(error, "invalidPart") && error.details["partNumber"] === 3,
  )
})
