/** Lines 74 to 83: multipart uploads. */
import { ALGORITHMS, checksumBase64, checksumHeader, md5Hex, multipartEtag } from "../checksums.js"
import { check, expectBody, expectError, expectHeader, expectStatus, present, same } from "../expect.js"
import { row } from "../row.js"
import type { Row } from "../row.js"
import { PART } from "../scene.js"
import type { Scene } from "../scene.js"
import { UNSIGNED_PAYLOAD, encodeText } from "../sign-v4.js"
import { elements, text, texts, topText } from "../xml.js"

const TAIL = Buffer.from("the tail of the object")

async function begun(scene: Scene, bodies: readonly (Buffer | string)[], key = "k") {
  const uploadId = await scene.createUpload(key)
  const parts: [number, string][] = []
  for (const [index, body] of bodies.entries()) {
    parts.push([index + 1, await scene.storedPart(key, uploadId, index + 1, body)])
  }
  return { uploadId, parts }
}

const listParts = (scene: Scene, uploadId: string, more = "") =>
  scene.get("k", {}, `uploadId=${encodeText(uploadId)}${more}`)

/** Part sizes and ETags as listed. */
async function partsOf(scene: Scene, uploadId: string): Promise<string[]> {
  const { text: xml } = expectStatus(await listParts(scene, uploadId), 200)
  return elements(xml, "Part").map(part => `${text(part, "PartNumber")} ${text(part, "Size")}`)
}

const completeRows: readonly Row[] = [
  row("75.1", "no parts is MalformedXML", async scene => {
    const { uploadId } = await begun(scene, ["x"])
    expectError(await scene.complete("k", uploadId, []), 400, "MalformedXML")
    const query = `uploadId=${encodeText(uploadId)}`
    expectError(await scene.call("POST", { key: "k", query, body: "" }), 400, "MalformedXML", "InvalidRequest")
  }),
  row("75.2", "out of order or repeated is InvalidPartOrder", async scene => {
    const { uploadId, parts } = await begun(scene, [PART, TAIL])
    const [first, second] = [present(parts[0], "part"), present(parts[1], "part")]
    expectError(await scene.complete("k", uploadId, [second, first]), 400, "InvalidPartOrder")
    expectError(await scene.complete("k", uploadId, [first, first]), 400, "InvalidPartOrder")
    expectStatus(await scene.complete("k", uploadId, [first, second]), 200)
  }),
  row("75.3", "a missing part or another ETag is InvalidPart", async scene => {
    const { uploadId, parts } = await begun(scene, [TAIL])
    const [, etag] = present(parts[0], "part")
    expectError(await scene.complete("k", uploadId, [[2, etag]]), 400, "InvalidPart")
    expectError(await scene.complete("k", uploadId, [[1, `"${md5Hex(PART)}"`]]), 400, "InvalidPart")
    expectStatus(await scene.complete("k", uploadId, [[1, etag]]), 200)
  }),
  row("75.4", "a part but the last under 5 MiB is EntityTooSmall", async scene => {
    const { uploadId, parts } = await begun(scene, [TAIL, TAIL])
    expectError(await scene.complete("k", uploadId, parts), 400, "EntityTooSmall")
    expectError(await scene.get("k"), 404, "NoSuchKey")
  }),
  row("75.5", "ETags with quotes, without, or with &quot;", async scene => {
    for (const form of [(etag: string) => etag, (etag: string) => etag.replace(/"/g, "")]) {
      const { uploadId, parts } = await begun(scene, [TAIL])
      const [, etag] = present(parts[0], "part")
      expectStatus(await scene.complete("k", uploadId, [[1, form(etag)]]), 200)
    }
    const { uploadId, parts } = await begun(scene, [TAIL])
    const [, etag] = present(parts[0], "part")
    const xml = `<CompleteMultipartUpload><Part><ETag>${etag}</ETag><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>`
    expectStatus(await scene.call("POST", { key: "k", query: `uploadId=${encodeText(uploadId)}`, body: xml }), 200)
  }),
  row("75.6", "a subset of the parts, with gaps", async scene => {
    const uploadId = await scene.createUpload("k")
    const etags = new Map<number, string>()
    for (const number of [3, 7, 10_000]) {
      etags.set(number, await scene.storedPart("k", uploadId, number, number === 3 ? PART : `part ${number}`))
    }
    const parts = [3, 10_000].map(number => [number, etags.get(number) ?? ""] as const)
    expectStatus(await scene.complete("k", uploadId, parts), 200)
    expectBody(await scene.get("k"), Buffer.concat([PART, Buffer.from("part 10000")]))
    expectError(await listParts(scene, uploadId), 404, "NoSuchUpload")
  }),
  row(
    "75.7",
    "an unknown element is MalformedXML: a part or a checksum that is left out would not be missed",
    async scene => {
      const { uploadId, parts } = await begun(scene, [PART, TAIL])
      const [first, second] = [present(parts[0], "part"), present(parts[1], "part")]
      for (const name of ["ChecksumSHA265", "Checksum", "Etag", "Size"]) {
        const more = `<${name}>x</${name}>`
        expectError(await scene.complete("k", uploadId, [first, [...second, more]]), 400, "MalformedXML")
      }
      const [part, misspelt] = [first, second].map(([number, etag], index) => {
        const name = index === 0 ? "Part" : "Prat"
        return `<${name}><PartNumber>${number}</PartNumber><ETag>${etag}</ETag></${name}>`
      })
      const body = `<CompleteMultipartUpload>${part ?? ""}${misspelt ?? ""}</CompleteMultipartUpload>`
      const query = `uploadId=${encodeText(uploadId)}`
      expectError(await scene.call("POST", { key: "k", query, body }), 400, "MalformedXML")
      expectError(await scene.get("k"), 404, "NoSuchKey")
      expectStatus(await scene.complete("k", uploadId, parts), 200)
    },
  ),
  row("75.8", "a part has the checksum of any algorithm that SDKs know, and it is compared", async scene => {
    for (const algorithm of ALGORITHMS) {
      const of = (bytes: Buffer) => checksumBase64(algorithm, bytes)
      const element = (value: string) => `<Checksum${algorithm}>${value}</Checksum${algorithm}>`
      const uploadId = await scene.createUpload("k", { "x-amz-checksum-algorithm": algorithm })
      const etag = await scene.storedPart("k", uploadId, 1, TAIL, { [checksumHeader(algorithm)]: of(TAIL) })
      const wrong = await scene.complete("k", uploadId, [[1, etag, element(of(PART))]])
      expectError(wrong, 400, "InvalidPart", "BadDigest")
      expectStatus(await scene.complete("k", uploadId, [[1, etag, element(of(TAIL))]]), 200)
    }
  }),
  row("75.9", "a list with a part that is not there, or of number 0, is refused with what was sent", async scene => {
    const { uploadId, parts } = await begun(scene, [TAIL])
    const absent = expectError(await scene.complete("k", uploadId, [[7, '"0123"']]), 400, "InvalidPart")
    for (const [name, value] of [
      ["UploadId", uploadId],
      ["PartNumber", "7"],
      ["ETag", "0123"],
    ] as const)
      same(text(absent.text, name), value, name)
    const zero = expectError(await scene.complete("k", uploadId, [[0, '"0123"']]), 400, "InvalidArgument")
    same(text(zero.text, "Message")?.replace("&gt;", ">"), "PartNumber must be >= 1", "Message")
    expectStatus(await scene.complete("k", uploadId, parts), 200)
  }),
  row("76.1", "Complete repeated with the same parts gives the same answer", async scene => {
    const { uploadId, parts } = await begun(scene, [PART, TAIL])
    const first = expectStatus(await scene.complete("k", uploadId, parts), 200)
    const again = expectStatus(await scene.complete("k", uploadId, parts), 200)
    same(text(again.text, "ETag"), text(first.text, "ETag"), "ETag")
    await scene.stored("k", "later")
    expectError(await scene.complete("k", uploadId, parts), 404, "NoSuchUpload")
    expectBody(await scene.get("k"), "later")
  }),
  row("76.2", "racing completes make one version", async scene => {
    await scene.setVersioning("Enabled")
    const { uploadId, parts } = await begun(scene, [PART, TAIL])
    const answers = await Promise.all([1, 2, 3, 4].map(() => scene.complete("k", uploadId, parts)))
    check(
      answers.some(answer => answer.status === 200),
      "one succeeds",
    )
    const ids = new Set(answers.flatMap(answer => (answer.status === 200 ? [answer.header("x-amz-version-id")] : [])))
    same(ids.size, 1, "versions answered")
    same(elements((await scene.list("versions")).text, "Version").length, 1, "versions listed")
  }),
  row("77.1", "Complete returns Location, Bucket, Key and a quoted ETag", async scene => {
    const { uploadId, parts } = await begun(scene, [PART, TAIL])
    const { text: xml } = expectStatus(await scene.complete("k", uploadId, parts), 200)
    same([text(xml, "Bucket"), text(xml, "Key")], [scene.bucket, "k"], "names")
    same(text(xml, "ETag"), `"${multipartEtag([PART, TAIL])}"`, "ETag")
    check(/^https?:\/\/.*\/k$/.test(text(xml, "Location") ?? ""), `Location is a URL, not ${text(xml, "Location")}`)
  }),
  row("77.2", "x-amz-mp-object-size that differs is refused", async scene => {
    const { uploadId, parts } = await begun(scene, [TAIL])
    const size = (bytes: number) => ({ "x-amz-mp-object-size": String(bytes) })
    expectError(await scene.complete("k", uploadId, parts, size(TAIL.length + 1)), 400, "InvalidRequest")
    expectError(await scene.get("k"), 404, "NoSuchKey")
    expectStatus(await scene.complete("k", uploadId, parts, size(TAIL.length)), 200)
  }),
  row("77.3", "a FULL_OBJECT CRC covers the whole", async scene => {
    const headers = { "x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "FULL_OBJECT" }
    const uploadId = await scene.createUpload("k", headers)
    const parts: [number, string][] = []
    for (const [index, body] of [PART, TAIL].entries()) {
      const checksum = { "x-amz-checksum-crc32": checksumBase64("CRC32", body) }
      parts.push([index + 1, await scene.storedPart("k", uploadId, index + 1, body, checksum)])
    }
    const whole = checksumBase64("CRC32", Buffer.concat([PART, TAIL]))
    same(text(expectStatus(await scene.complete("k", uploadId, parts), 200).text, "ChecksumCRC32"), whole, "checksum")
    const head = await scene.head("k", { "x-amz-checksum-mode": "ENABLED" })
    expectHeader(head, "x-amz-checksum-crc32", whole)
    expectHeader(head, "x-amz-checksum-type", "FULL_OBJECT")
  }),
  row("77.5", "a part has the checksum of one algorithm", async scene => {
    const uploadId = await scene.createUpload("k", { "x-amz-checksum-algorithm": "CRC32" })
    const crc = checksumBase64("CRC32", TAIL)
    const etag = await scene.storedPart("k", uploadId, 1, TAIL, { "x-amz-checksum-crc32": crc })
    const two = `<ChecksumCRC32>${crc}</ChecksumCRC32><ChecksumSHA1>${checksumBase64("SHA1", TAIL)}</ChecksumSHA1>`
    expectError(await scene.complete("k", uploadId, [[1, etag, two]]), 400, "InvalidArgument")
    expectError(await scene.get("k"), 404, "NoSuchKey")
    expectStatus(await scene.complete("k", uploadId, [[1, etag, `<ChecksumCRC32>${crc}</ChecksumCRC32>`]]), 200)
  }),
  row("77.4", "an object is visible only after Complete", async scene => {
    const { uploadId, parts } = await begun(scene, [TAIL])
    expectError(await scene.get("k"), 404, "NoSuchKey")
    same(await scene.keys(), [], "keys before")
    expectStatus(await scene.complete("k", uploadId, parts), 200)
    same(await scene.keys(), ["k"], "keys after")
    expectBody(await scene.get("k"), TAIL)
  }),
  row("78.1", "a quick failure has the true status", async scene => {
    expectError(await scene.complete("k", "no-such-upload", [[1, '"x"']]), 404, "NoSuchUpload")
  }),
]

const listRows: readonly Row[] = [
  row("82.1", "ListParts: order, sizes, quoted ETags, paging", async scene => {
    const uploadId = await scene.createUpload("k")
    for (const number of [5, 1, 30, 2]) await scene.storedPart("k", uploadId, number, `part ${number}`)
    const { text: xml } = expectStatus(await listParts(scene, uploadId), 200)
    same(texts(xml, "PartNumber"), ["1", "2", "5", "30"], "numbers")
    same(texts(xml, "ETag")[0], `"${md5Hex(Buffer.from("part 1"))}"`, "ETag")
    same([topText(xml, "Key"), topText(xml, "UploadId"), topText(xml, "IsTruncated")], ["k", uploadId, "false"], "top")
    const page = expectStatus(await listParts(scene, uploadId, "&max-parts=2"), 200).text
    same([topText(page, "NextPartNumberMarker"), topText(page, "IsTruncated")], ["2", "true"], "first page")
    const rest = expectStatus(await listParts(scene, uploadId, "&part-number-marker=2"), 200).text
    same(texts(rest, "PartNumber"), ["5", "30"], "second page")
  }),
  row("82.2", "ListMultipartUploads: by key, then start; both markers", async scene => {
    const made: string[] = []
    for (const key of ["b", "a", "b", "c/1", "c/2"]) made.push(`${key} ${await scene.createUpload(key)}`)
    const right = [made[1], made[0], made[2], made[3], made[4]]
    const uploads = (xml: string) => elements(xml, "Upload").map(e => `${text(e, "Key")} ${text(e, "UploadId")}`)
    same(uploads(expectStatus(await scene.list("uploads"), 200).text), right, "uploads")
    const seen: string[] = []
    let next = ""
    for (let page = 0; page < 6; page += 1) {
      const { text: xml } = expectStatus(await scene.list(`uploads&max-uploads=1${next}`), 200)
      seen.push(...uploads(xml))
      if (topText(xml, "IsTruncated") !== "true") break
      const [key, id] = [topText(xml, "NextKeyMarker") ?? "", topText(xml, "NextUploadIdMarker") ?? ""]
      next = `&key-marker=${encodeText(key)}&upload-id-marker=${encodeText(id)}`
    }
    same(seen, right, "uploads in pages of one")
    const grouped = expectStatus(await scene.list("uploads&delimiter=%2F&prefix=c"), 200).text
    same(
      elements(grouped, "CommonPrefixes").map(entry => text(entry, "Prefix")),
      ["c/"],
      "prefixes",
    )
    same(uploads(grouped), [], "uploads beside the prefix")
  }),
  row("82.3", "an upload carries key, initiator, owner, class and start", async scene => {
    await scene.createUpload("k")
    const upload = present(elements((await scene.list("uploads")).text, "Upload")[0], "Upload")
    for (const name of ["Key", "UploadId", "Initiator", "Owner", "StorageClass", "Initiated"]) {
      check((elements(upload, name)[0] ?? "") !== "", `<${name}> is filled`)
    }
  }),
]

async function source(scene: Scene): Promise<Buffer> {
  const body = Buffer.concat([PART, TAIL])
  const sign = { payloadHash: UNSIGNED_PAYLOAD }
  expectStatus(await scene.call("PUT", { key: "source", body, sign }), 200)
  return body
}

const copyPart = (scene: Scene, uploadId: string, number: number, range?: string) =>
  scene.part("k", uploadId, number, "", {
    "x-amz-copy-source": `/${scene.bucket}/source`,
    ...(range === undefined ? {} : { "x-amz-copy-source-range": range }),
  })

const copyRows: readonly Row[] = [
  row("83.1", "UploadPartCopy of ranges, put together", async scene => {
    const body = await source(scene)
    const uploadId = await scene.createUpload("k")
    const last = body.length - 1
    const parts: [number, string][] = []
    for (const [index, range] of [`bytes=0-${PART.length - 1}`, `bytes=${PART.length}-${last}`].entries()) {
      const { text: xml } = expectStatus(await copyPart(scene, uploadId, index + 1, range), 200)
      check(/^\d{4}-\d\d-\d\dT/.test(text(xml, "LastModified") ?? ""), "LastModified")
      parts.push([index + 1, present(text(xml, "ETag"), "ETag")])
    }
    same(parts[0]?.[1], `"${md5Hex(PART)}"`, "ETag of the first part")
    expectStatus(await scene.complete("k", uploadId, parts), 200)
    expectBody(await scene.get("k"), body)
  }),
  row("83.2", "UploadPartCopy of the whole, which outlives its source", async scene => {
    const body = await source(scene)
    const uploadId = await scene.createUpload("k")
    const { text: xml } = expectStatus(await copyPart(scene, uploadId, 1), 200)
    expectStatus(await scene.remove("source"), 204)
    expectStatus(await scene.complete("k", uploadId, [[1, text(xml, "ETag") ?? ""]]), 200)
    expectBody(await scene.get("k"), body)
  }),
  ...["bytes=0-", "bytes=-5", "0-5", "bytes=5-3", "bytes=a-b", "bytes=0-1,3-4", ""].map((range, index) =>
    row(`83.${3 + index}`, `the copy range "${range}" is refused`, async scene => {
      await scene.stored("source", "0123456789")
      const uploadId = await scene.createUpload("k")
      expectError(await copyPart(scene, uploadId, 1, range), 400, "InvalidArgument")
    }),
  ),
  row("83.10", "a copy range past the source is refused", async scene => {
    await scene.stored("source", "0123456789")
    const uploadId = await scene.createUpload("k")
    for (const range of ["bytes=0-10", "bytes=10-11"]) {
      expectError(await copyPart(scene, uploadId, 1, range), 400, "InvalidArgument")
    }
    expectStatus(await copyPart(scene, uploadId, 1, "bytes=0-9"), 200)
  }),
  row("83.11", "a missing source is NoSuchKey, a missing upload NoSuchUpload", async scene => {
    const uploadId = await scene.createUpload("k")
    expectError(await copyPart(scene, uploadId, 1), 404, "NoSuchKey")
    await scene.stored("source", "x")
    expectError(await copyPart(scene, "unknown", 1), 404, "NoSuchUpload")
  }),
]

export const multipartRows: readonly Row[] = [
  // (S3) "Anonymous users cannot initiate multipart uploads.  Please authenticate."
  row("74.9", "an anonymous caller cannot upload parts, even if the policy lets everyone write", async scene => {
    const statement = {
      Effect: "Allow",
      Principal: "*",
      Action: ["s3:PutObject", "s3:ListBucketMultipartUploads"],
      Resource: [`arn:aws:s3:::${scene.bucket}`, `arn:aws:s3:::${scene.bucket}/*`],
    }
    expectStatus(await scene.call("DELETE", { query: "publicAccessBlock" }), 204)
    const policy = JSON.stringify({ Version: "2012-10-17", Statement: statement })
    expectStatus(await scene.call("PUT", { query: "policy", body: policy }), 204)
    expectStatus(await scene.call("PUT", { key: "whole", body: "w", anonymous: true }), 200)
    expectError(await scene.call("POST", { key: "k", query: "uploads", anonymous: true }), 403, "AccessDenied")
    const uploadId = await scene.createUpload("k")
    const etag = await scene.storedPart("k", uploadId, 1, "own")
    const query = `uploadId=${encodeText(uploadId)}`
    const part = { key: "k", query: `partNumber=1&${query}`, anonymous: true }
    expectError(await scene.call("PUT", { ...part, body: "other" }), 403, "AccessDenied")
    const headers = { "x-amz-copy-source": `/${scene.bucket}/whole` }
    expectError(await scene.call("PUT", { ...part, headers }), 403, "AccessDenied")
    const body = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part></CompleteMultipartUpload>`
    expectError(await scene.call("POST", { key: "k", query, body, anonymous: true }), 403, "AccessDenied")
    expectStatus(await scene.complete("k", uploadId, [[1, etag]]), 200)
    expectBody(await scene.get("k"), "own")
  }),
  ...["0", "10001", "-1", "x", ""].map((number, index) =>
    row(`74.${index + 1}`, `the part number "${number}" is refused`, async scene => {
      const uploadId = await scene.createUpload("k")
      expectError(await scene.part("k", uploadId, number, "x"), 400, "InvalidArgument")
    }),
  ),
  row("74.6", "part 10,000 is good", async scene => {
    const uploadId = await scene.createUpload("k")
    const etag = await scene.storedPart("k", uploadId, 10_000, "x")
    expectStatus(await scene.complete("k", uploadId, [[10_000, etag]]), 200)
  }),
  row("74.7", "an unknown, aborted or foreign upload id is NoSuchUpload", async scene => {
    const uploadId = await scene.createUpload("k")
    expectError(await scene.part("other", uploadId, 1, "x"), 404, "NoSuchUpload")
    for (const unknown of ["unknown", "..", "0".repeat(200), "a/b"]) {
      expectError(await scene.part("k", unknown, 1, "x"), 404, "NoSuchUpload")
      expectError(await listParts(scene, unknown), 404, "NoSuchUpload")
    }
    const other = await scene.newBucket()
    const query = `partNumber=1&uploadId=${encodeText(uploadId)}`
    expectError(await scene.client.call("PUT", { bucket: other, key: "k", query, body: "x" }), 404, "NoSuchUpload")
    expectStatus(await scene.remove("k", {}, `uploadId=${encodeText(uploadId)}`), 204)
    expectError(await scene.part("k", uploadId, 1, "x"), 404, "NoSuchUpload")
  }),
  row("74.8", "the same part again replaces it", async scene => {
    const { uploadId } = await begun(scene, ["first"])
    const etag = await scene.storedPart("k", uploadId, 1, "second!")
    same(await partsOf(scene, uploadId), ["1 7"], "parts")
    const old = `"${md5Hex(Buffer.from("first"))}"`
    expectError(await scene.complete("k", uploadId, [[1, old]]), 400, "InvalidPart")
    expectStatus(await scene.complete("k", uploadId, [[1, etag]]), 200)
    expectBody(await scene.get("k"), "second!")
  }),
  ...completeRows,
  row("76.20", "an upload-id-marker that is no upload id is refused", async scene => {
    await scene.createUpload("k")
    expectError(await scene.list("uploads&key-marker=k&upload-id-marker=x"), 400, "InvalidArgument")
  }),
  row("79.1", "a part of another algorithm than declared is refused", async scene => {
    const uploadId = await scene.createUpload("k", { "x-amz-checksum-algorithm": "CRC32C" })
    const headers = { "x-amz-checksum-sha256": checksumBase64("SHA256", TAIL) }
    expectError(await scene.part("k", uploadId, 1, TAIL, headers), 400, "InvalidRequest")
  }),
  row("80.1", "metadata, tags and headers come from the create call", async scene => {
    const headers = { "Content-Type": "text/x-part", "x-amz-meta-note": "kept", "x-amz-tagging": "a=1&b=2" }
    const uploadId = await scene.createUpload("k", headers)
    const etag = await scene.storedPart("k", uploadId, 1, TAIL, { "Content-Type": "text/other" })
    expectStatus(await scene.complete("k", uploadId, [[1, etag]], { "x-amz-meta-note": "other" }), 200)
    const head = await scene.head("k")
    expectHeader(head, "content-type", "text/x-part")
    expectHeader(head, "x-amz-meta-note", "kept")
    expectHeader(head, "x-amz-tagging-count", "2")
  }),
  row("80.2", "a part over 5 GiB is refused before its body", async scene => {
    const uploadId = await scene.createUpload("k")
    const headers = { "Content-Length": String(5 * 1024 ** 3 + 1), Expect: "100-continue" }
    const query = `partNumber=1&uploadId=${encodeText(uploadId)}`
    const call = { key: "k", query, headers, awaitContinue: true, sign: { payloadHash: UNSIGNED_PAYLOAD } }
    expectError(await scene.call("PUT", call), 400, "EntityTooLarge")
  }),
  row("81.1", "abort releases the parts; a second abort is NoSuchUpload", async scene => {
    const { uploadId } = await begun(scene, [PART])
    const query = `uploadId=${encodeText(uploadId)}`
    expectStatus(await scene.remove("k", {}, query), 204)
    expectError(await scene.remove("k", {}, query), 404, "NoSuchUpload")
    expectError(await listParts(scene, uploadId), 404, "NoSuchUpload")
    same(elements((await scene.list("uploads")).text, "Upload").length, 0, "uploads")
  }),
  row("81.2", "a part that arrives beside an abort leaves nothing", async scene => {
    const uploadId = await scene.createUpload("k")
    const query = `uploadId=${encodeText(uploadId)}`
    const [part, abort] = await Promise.all([scene.part("k", uploadId, 1, PART), scene.remove("k", {}, query)])
    expectStatus(abort, 204)
    expectStatus(part, [200, 404, 503])
    expectError(await listParts(scene, uploadId), 404, "NoSuchUpload")
  }),
  ...listRows,
  ...copyRows,
]
