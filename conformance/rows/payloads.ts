/** Lines 35 to 43: streamed bodies, checksums and digests. */
import { ALGORITHMS, checksum, checksumBase64, checksumHeader, md5Base64, md5Hex, multipartEtag } from "../checksums.js"
import type { Algorithm } from "../checksums.js"
import { check, expectBody, expectError, expectHeader, expectStatus, present, same } from "../expect.js"
import { row } from "../row.js"
import type { Row } from "../row.js"
import { PART } from "../scene.js"
import type { Scene } from "../scene.js"
import { UNSIGNED_PAYLOAD } from "../sign-v4.js"
import { streamedPut } from "../streaming.js"
import type { Frames, Mode, StreamedPut } from "../streaming.js"
import { text } from "../xml.js"

const BODY = Buffer.from("The quick brown fox jumps over the lazy dog. ".repeat(4_000))
const MODES: readonly Mode[] = ["signed", "signed-trailer", "unsigned-trailer"]
const ENABLED = { "x-amz-checksum-mode": "ENABLED" }

type Detail = Partial<StreamedPut> & { readonly mode: Mode }

function stream(scene: Scene, detail: Detail) {
  const trailer = detail.mode === "signed" ? {} : { trailer: "CRC32" as const }
  return streamedPut(scene.client, { bucket: scene.bucket, key: "k", body: BODY, ...trailer, ...detail })
}

async function nothingStored(scene: Scene, key = "k"): Promise<void> {
  expectError(await scene.get(key), 404, "NoSuchKey")
}

const streamedRows = MODES.flatMap((mode, index): readonly Row[] => [
  row(`35.${index * 10 + 1}`, `${mode}: the decoded bytes are the object`, async scene => {
    const response = expectStatus(await stream(scene, { mode }), 200)
    expectHeader(response, "etag", `"${md5Hex(BODY)}"`)
    expectBody(expectStatus(await scene.get("k"), 200), BODY)
  }),
  row(`35.${index * 10 + 2}`, `${mode}: any split of the stream gives the same`, async scene => {
    const small = BODY.subarray(0, 700)
    for (const [chunkBytes, writeBytes] of [
      [64, 1],
      [8192, 7],
      [1, 13],
      [700, 699],
    ] as const) {
      expectStatus(await stream(scene, { mode, body: small, chunkBytes, writeBytes }), 200)
      expectBody(await scene.get("k"), small)
    }
  }),
  row(`35.${index * 10 + 3}`, `${mode}: without a decoded length it is 411`, async scene => {
    expectError(await stream(scene, { mode, decodedLength: undefined }), 411, "MissingContentLength")
    await nothingStored(scene)
  }),
  ...[-1, 1].map((more, place) =>
    row(`35.${index * 10 + 4 + place}`, `${mode}: a decoded length ${more} off is IncompleteBody`, async scene => {
      expectError(await stream(scene, { mode, decodedLength: BODY.length + more }), 400, "IncompleteBody")
      await nothingStored(scene)
    }),
  ),
  row(`35.${index * 10 + 6}`, `${mode}: an empty body`, async scene => {
    expectStatus(await stream(scene, { mode, body: Buffer.alloc(0) }), 200)
    expectHeader(expectStatus(await scene.head("k"), 200), "content-length", "0")
  }),
])

const trailerRows = ALGORITHMS.flatMap((algorithm, index): readonly Row[] => [
  row(`35.${40 + index}`, `${algorithm} as a trailer is checked and stored`, async scene => {
    for (const mode of ["signed-trailer", "unsigned-trailer"] as const) {
      expectStatus(await stream(scene, { mode, trailer: algorithm }), 200)
      expectHeader(await scene.head("k", ENABLED), checksumHeader(algorithm), checksumBase64(algorithm, BODY))
    }
  }),
  row(`39.${30 + index}`, `${algorithm} wrong in a trailer is BadDigest`, async scene => {
    const trailerValue = checksumBase64(algorithm, Buffer.from("other"))
    for (const mode of ["signed-trailer", "unsigned-trailer"] as const) {
      expectError(await stream(scene, { mode, trailer: algorithm, trailerValue }), 400, "BadDigest")
      await nothingStored(scene)
    }
  }),
])

const flipSignature = (frame: string): string =>
  frame.replace(/chunk-signature=(.)/, (_, first: string) => `chunk-signature=${first === "0" ? "1" : "0"}`)

const replaceChunk = (frames: Frames, at: number, change: (frame: string) => string): Frames => ({
  ...frames,
  chunks: frames.chunks.map((frame, index) => (index === at ? change(frame) : frame)),
})

const DAMAGES: readonly (readonly [title: string, mode: Mode, damage: (frames: Frames) => Frames, code: string])[] = [
  ["a wrong chunk signature", "signed", f => replaceChunk(f, 1, flipSignature), "SignatureDoesNotMatch"],
  ["a wrong signature of the last chunk", "signed", f => replaceChunk(f, 3, flipSignature), "SignatureDoesNotMatch"],
  [
    "changed bytes in a signed chunk",
    "signed",
    f => replaceChunk(f, 1, c => c.replace("fox", "cat")),
    "SignatureDoesNotMatch",
  ],
  [
    "swapped chunks",
    "signed",
    f => ({ ...f, chunks: [1, 0, 2, 3].map(i => f.chunks[i] ?? "") }),
    "SignatureDoesNotMatch",
  ],
  [
    "a wrong trailer signature",
    "signed-trailer",
    f => ({ ...f, trailer: f.trailer.replace(/signature:../, "signature:zz") }),
    "SignatureDoesNotMatch",
  ],
  [
    "a trailer signature missing",
    "signed-trailer",
    f => ({ ...f, trailer: f.trailer.replace(/x-amz-trailer-s.*\r\n/, "") }),
    "",
  ],
  ["a chunk size that is no number", "unsigned-trailer", f => replaceChunk(f, 1, c => `zz${c}`), ""],
  ["a negative chunk size", "unsigned-trailer", f => replaceChunk(f, 1, c => `-${c}`), ""],
  ["a chunk size beyond 2^64", "unsigned-trailer", f => replaceChunk(f, 1, c => `fffffffffffffffff${c}`), ""],
  ["no line end after a chunk", "unsigned-trailer", f => replaceChunk(f, 0, c => `${c.slice(0, -2)}xx`), ""],
  ["a missing chunk signature", "signed", f => replaceChunk(f, 1, c => c.replace(/;chunk-signature=\w+/, "")), ""],
  ["an endless chunk head", "unsigned-trailer", f => replaceChunk(f, 1, c => `${"0".repeat(20_000)}${c}`), ""],
  ["no last chunk", "signed", f => ({ ...f, chunks: f.chunks.slice(0, -1) }), ""],
  ["the promised trailer missing", "unsigned-trailer", f => ({ ...f, trailer: "\r\n" }), "MalformedTrailerError"],
  [
    "another trailer than promised",
    "unsigned-trailer",
    f => ({ ...f, trailer: f.trailer.replace("crc32", "crc32c") }),
    "MalformedTrailerError",
  ],
  [
    "a trailer without a colon",
    "unsigned-trailer",
    f => ({ ...f, trailer: "nonsense\r\n\r\n" }),
    "MalformedTrailerError",
  ],
  [
    "a trailer that is no base64",
    "unsigned-trailer",
    f => ({ ...f, trailer: "x-amz-checksum-crc32:####\r\n\r\n" }),
    "",
  ],
]

const damagedRows = DAMAGES.map(([title, mode, damage, code], index) =>
  row(`37.${index + 1}`, `${mode}: ${title} is refused and nothing stored`, async scene => {
    const response = await stream(scene, { mode, damage, chunkBytes: 65_536 })
    if (code === "SignatureDoesNotMatch") expectError(response, 403, code)
    else if (code === "") expectError(response, [400, 403])
    else expectError(response, 400, code)
    await nothingStored(scene)
  }),
)

const digestRows: readonly Row[] = [
  ...["", "abc", "####", Buffer.alloc(15).toString("base64"), md5Hex(BODY)].map((value, index) =>
    row(`38.${index + 1}`, `Content-MD5 "${value}" is InvalidDigest`, async scene => {
      expectError(await scene.put("k", BODY, { "Content-MD5": value }), 400, "InvalidDigest")
      await nothingStored(scene)
    }),
  ),
  row("38.6", "a wrong Content-MD5 is BadDigest, for small and large bodies", async scene => {
    const headers = { "Content-MD5": md5Base64(Buffer.from("other")) }
    const small = expectError(await scene.put("k", "small", headers), 400, "BadDigest")
    same(text(small.text, "Message"), "The Content-MD5 you specified did not match what we received.", "Message")
    same(text(small.text, "ExpectedDigest"), md5Hex(Buffer.from("other")), "ExpectedDigest")
    same(text(small.text, "CalculatedDigest"), md5Base64(Buffer.from("small")), "CalculatedDigest")
    expectError(await scene.put("k", PART, headers), 400, "BadDigest")
    await nothingStored(scene)
  }),
  row("38.7", "a right Content-MD5 is accepted", async scene => {
    await scene.stored("k", BODY, { "Content-MD5": md5Base64(BODY) })
  }),
]

const wrongValues = (algorithm: Algorithm): readonly string[] => [
  checksumBase64(algorithm, Buffer.from("other")),
  "",
  "not base64!",
  Buffer.concat([checksum(algorithm, BODY), Buffer.alloc(1)]).toString("base64"),
  checksum(algorithm, BODY).toString("hex"),
]

const checksumRows = ALGORITHMS.flatMap((algorithm, index): readonly Row[] => [
  row(`39.${index + 1}`, `${algorithm} wrong or malformed is refused, and nothing is stored`, async scene => {
    for (const [i, value] of wrongValues(algorithm).entries()) {
      const refused = await scene.put("k", BODY, { [checksumHeader(algorithm)]: value })
      expectError(refused, 400, i === 0 ? "BadDigest" : "InvalidRequest")
      await nothingStored(scene)
    }
  }),
  row(`40.${index + 1}`, `${algorithm} is returned by PUT, and by GET and HEAD when asked`, async scene => {
    const [name, value] = [checksumHeader(algorithm), checksumBase64(algorithm, BODY)]
    const put = await scene.stored("k", BODY, { [name]: value, "x-amz-sdk-checksum-algorithm": algorithm })
    expectHeader(put, name, value)
    expectHeader(put, "x-amz-checksum-type", "FULL_OBJECT")
    for (const response of [await scene.get("k", ENABLED), await scene.head("k", ENABLED)]) {
      expectHeader(expectStatus(response, 200), name, value)
      expectHeader(response, "x-amz-checksum-type", "FULL_OBJECT")
    }
    for (const response of [await scene.get("k"), await scene.head("k")]) expectHeader(response, name, undefined)
  }),
])

async function compositeKeepsItsCount(scene: Scene, algorithm: Algorithm = "CRC32"): Promise<void> {
  const headers = { "x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": "COMPOSITE" }
  const uploadId = await scene.createUpload("k", headers)
  const bodies = [PART, Buffer.from("tail")]
  const parts: (readonly [number, string, string])[] = []
  for (const [index, body] of bodies.entries()) {
    const value = checksumBase64(algorithm, body)
    const etag = await scene.storedPart("k", uploadId, index + 1, body, { [checksumHeader(algorithm)]: value })
    parts.push([index + 1, etag, `<Checksum${algorithm}>${value}</Checksum${algorithm}>`])
  }
  const done = expectStatus(await scene.complete("k", uploadId, parts), 200)
  const composite = `${checksumBase64(algorithm, Buffer.concat(bodies.map(body => checksum(algorithm, body))))}-2`
  same(text(done.text, `Checksum${algorithm}`), composite, `Checksum${algorithm} of Complete`)
  const head = await scene.head("k", ENABLED)
  expectHeader(head, checksumHeader(algorithm), composite)
  expectHeader(head, "x-amz-checksum-type", "COMPOSITE")
}

const DELETE_XML = "<Delete><Object><Key>k</Key></Object></Delete>"

/** In parts, in one body, and as a copy. */
async function defaultChecksum(scene: Scene): Promise<void> {
  const name = checksumHeader("CRC64NVME")
  const shows = async (bytes: Buffer, key = "k"): Promise<void> => {
    const head = await scene.head(key, ENABLED)
    expectHeader(head, name, checksumBase64("CRC64NVME", bytes))
    expectHeader(head, "x-amz-checksum-type", "FULL_OBJECT")
  }
  expectHeader(await scene.stored("k", BODY), name, checksumBase64("CRC64NVME", BODY))
  await shows(BODY)
  expectStatus(await scene.put("copy", "", { "x-amz-copy-source": `/${scene.bucket}/k` }), 200)
  await shows(BODY, "copy")
  const uploadId = await scene.createUpload("k")
  const bodies = [PART, Buffer.from("tail")]
  const parts: (readonly [number, string])[] = []
  for (const [i, body] of bodies.entries()) parts.push([i + 1, await scene.storedPart("k", uploadId, i + 1, body)])
  const done = expectStatus(await scene.complete("k", uploadId, parts), 200)
  same(text(done.text, "ChecksumCRC64NVME"), checksumBase64("CRC64NVME", Buffer.concat(bodies)), "that of Complete")
  await shows(Buffer.concat(bodies))
}

export const payloadRows: readonly Row[] = [
  row("40.20", "bytes without a checksum get a CRC64NVME: an object, a copy, parts", defaultChecksum),
  ...ALGORITHMS.filter(algorithm => !algorithm.startsWith("CRC")).map((algorithm, index) =>
    row(
      `79.${20 + index}`,
      `an upload with ${algorithm} is composite, and its parts need their checksum`,
      async scene => {
        const full = { "x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": "FULL_OBJECT" }
        expectError(await scene.call("POST", { key: "k", query: "uploads", headers: full }), 400, "InvalidRequest")
        await compositeKeepsItsCount(scene, algorithm)
        const uploadId = await scene.createUpload("k", { "x-amz-checksum-algorithm": algorithm })
        expectError(await scene.part("k", uploadId, 1, BODY), 400, "InvalidRequest")
      },
    ),
  ),
  ...streamedRows,
  ...trailerRows,
  row("36.1", "aws-chunked is removed from Content-Encoding", async scene => {
    const cases = [
      ["aws-chunked", undefined],
      ["aws-chunked,gzip", "gzip"],
      ["gzip, aws-chunked", "gzip"],
    ] as const
    for (const [given, kept] of cases) {
      expectStatus(await stream(scene, { mode: "signed", headers: { "Content-Encoding": given } }), 200)
      expectHeader(await scene.head("k"), "content-encoding", kept)
    }
  }),
  row("36.2", "streaming is understood without the word aws-chunked", async scene => {
    expectStatus(await stream(scene, { mode: "unsigned-trailer", headers: { "Content-Encoding": "gzip" } }), 200)
    const response = expectStatus(await scene.get("k"), 200)
    expectBody(response, BODY)
    expectHeader(response, "content-encoding", "gzip")
  }),
  ...damagedRows,
  row("37.30", "a part with a wrong trailer is refused and not kept", async scene => {
    const uploadId = await scene.createUpload("k")
    const query = `partNumber=1&uploadId=${uploadId}`
    expectError(await stream(scene, { mode: "unsigned-trailer", query, trailerValue: "AAAAAA==" }), 400, "BadDigest")
    const list = expectStatus(await scene.get("k", {}, `uploadId=${uploadId}`), 200)
    check(text(list.text, "PartNumber") === undefined, "no part is listed")
  }),
  ...digestRows,
  ...checksumRows,
  row("39.20", "two algorithms at once are refused", async scene => {
    const headers = {
      "x-amz-checksum-crc32": checksumBase64("CRC32", BODY),
      "x-amz-checksum-sha256": checksumBase64("SHA256", BODY),
    }
    expectError(await scene.put("k", BODY, headers), 400, "InvalidRequest")
    await nothingStored(scene)
  }),
  row("39.21", "a wrong checksum in a part is BadDigest", async scene => {
    const uploadId = await scene.createUpload("k")
    expectError(await scene.part("k", uploadId, 1, BODY, { "x-amz-checksum-crc32c": "AAAAAA==" }), 400, "BadDigest")
  }),
  row("39.22", "a wrong whole-object checksum in Complete is BadDigest", async scene => {
    const headers = { "x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "FULL_OBJECT" }
    const uploadId = await scene.createUpload("k", headers)
    const value = checksumBase64("CRC32", BODY)
    const etag = await scene.storedPart("k", uploadId, 1, BODY, { "x-amz-checksum-crc32": value })
    const type = { "x-amz-checksum-type": "FULL_OBJECT" }
    const wrong = { "x-amz-checksum-crc32": "AAAAAA==", ...type }
    expectError(await scene.complete("k", uploadId, [[1, etag]], wrong), 400, "BadDigest")
    await nothingStored(scene)
    expectStatus(await scene.complete("k", uploadId, [[1, etag]], { "x-amz-checksum-crc32": value, ...type }), 200)
  }),
  // (API, PutObject) "If the individual checksum value you provide through x-amz-checksum-algorithm doesn't match the checksum
  // algorithm you set through x-amz-sdk-checksum-algorithm, Amazon S3 fails the request with a BadDigest error."
  row("39.23", "a checksum of another algorithm than the named one is BadDigest, though it is right", async scene => {
    const crc = { "x-amz-checksum-crc32": checksumBase64("CRC32", BODY) }
    const named = (algorithm: string) => ({ "x-amz-sdk-checksum-algorithm": algorithm })
    expectError(await scene.put("k", BODY, { ...crc, ...named("SHA256") }), 400, "BadDigest")
    for (const mode of ["signed-trailer", "unsigned-trailer"] as const)
      expectError(await stream(scene, { mode, headers: named("SHA256") }), 400, "BadDigest")
    await nothingStored(scene)
    const uploadId = await scene.createUpload("k", { "x-amz-checksum-algorithm": "CRC32" })
    // (API, UploadPart) "If you provide an individual checksum, Amazon S3 ignores any provided ChecksumAlgorithm parameter."
    await scene.storedPart("k", uploadId, 1, BODY, { ...crc, ...named("CRC32C") })
    await scene.stored("k", BODY, { ...crc, ...named("CRC32") })
    for (const mode of ["signed-trailer", "unsigned-trailer"] as const)
      expectStatus(await stream(scene, { mode, headers: named("CRC32") }), 200)
  }),
  row("41.1", "a range answer carries no whole-object checksum", async scene => {
    await scene.stored("k", BODY, { "x-amz-checksum-crc32": checksumBase64("CRC32", BODY) })
    const response = expectStatus(await scene.get("k", { ...ENABLED, Range: "bytes=0-9" }), 206)
    const header = response.header("x-amz-checksum-crc32")
    check(
      header === undefined || header === checksumBase64("CRC32", BODY.subarray(0, 10)),
      `no checksum, not ${header}`,
    )
  }),
  row("41.2", "a composite checksum keeps its count", compositeKeepsItsCount),
  row("42.1", "the ETag of a single PUT is the MD5 of the bytes, whatever the framing", async scene => {
    const etag = `"${md5Hex(BODY)}"`
    expectHeader(await scene.stored("k", BODY), "etag", etag)
    for (const mode of MODES) expectHeader(expectStatus(await stream(scene, { mode }), 200), "etag", etag)
    expectHeader(await scene.head("k"), "etag", etag)
  }),
  row("42.2", "the ETag of an empty body", async scene => {
    expectHeader(await scene.stored("k"), "etag", '"d41d8cd98f00b204e9800998ecf8427e"')
  }),
  row("42.3", "the ETag of a multipart object", async scene => {
    const tail = Buffer.from("tail")
    const done = await scene.multipart("k", [PART, tail])
    const etag = `"${multipartEtag([PART, tail])}"`
    same(text(done.text, "ETag"), etag, "ETag of Complete")
    expectHeader(await scene.head("k"), "etag", etag)
  }),
  row("43.1", "DeleteObjects without a digest is refused, and a signed SHA-256 of the body is one", async scene => {
    await scene.stored("k")
    const sign = { payloadHash: UNSIGNED_PAYLOAD }
    expectError(await scene.call("POST", { query: "delete", body: DELETE_XML, sign }), 400, "InvalidRequest")
    expectStatus(await scene.head("k"), 200)
    expectStatus(await scene.call("POST", { query: "delete", body: DELETE_XML }), 200)
    expectStatus(await scene.head("k"), 404)
  }),
  ...ALGORITHMS.map((algorithm, index) =>
    row(`43.${2 + index}`, `DeleteObjects with ${algorithm} is accepted, with a wrong one refused`, async scene => {
      await scene.stored("k")
      const send = (value: string) =>
        scene.call("POST", { query: "delete", body: DELETE_XML, headers: { [checksumHeader(algorithm)]: value } })
      expectError(await send(checksumBase64(algorithm, Buffer.from("other"))), 400, "BadDigest")
      expectStatus(await scene.head("k"), 200)
      expectStatus(await send(checksumBase64(algorithm, Buffer.from(DELETE_XML))), 200)
      expectStatus(await scene.head("k"), 404)
    }),
  ),
  row("43.20", "DeleteObjects with a wrong Content-MD5 is BadDigest", async scene => {
    const headers = { "Content-MD5": md5Base64(Buffer.from("other")) }
    expectError(await scene.call("POST", { query: "delete", body: DELETE_XML, headers }), 400, "BadDigest")
  }),
  row("43.21", "PutObjectTagging without a digest is refused, PutBucketVersioning accepted", async scene => {
    await scene.stored("k")
    const sign = { payloadHash: UNSIGNED_PAYLOAD }
    const tagging = "<Tagging><TagSet/></Tagging>"
    expectError(await scene.call("PUT", { key: "k", query: "tagging", body: tagging, sign }), 400, "InvalidRequest")
    expectStatus(await scene.call("PUT", { key: "k", query: "tagging", body: tagging }), [200, 204])
    const body = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    expectStatus(await scene.call("PUT", { query: "versioning", body, sign }), 200)
    same(text((await scene.list("versioning")).text, "Status"), "Enabled", "Status")
  }),
  row("40.21", "Complete returns the checksum and its type", async scene => {
    const headers = { "x-amz-checksum-algorithm": "CRC64NVME" }
    const uploadId = await scene.createUpload("k", headers)
    const value = checksumBase64("CRC64NVME", BODY)
    const etag = await scene.storedPart("k", uploadId, 1, BODY, { "x-amz-checksum-crc64nvme": value })
    const done = expectStatus(await scene.complete("k", uploadId, [[1, etag]]), 200)
    same(present(text(done.text, "ChecksumCRC64NVME"), "ChecksumCRC64NVME"), value, "checksum")
    same(text(done.text, "ChecksumType"), "FULL_OBJECT", "ChecksumType")
  }),
]
