/**
 * Encryption by the server: SSE-S3, SSE-KMS with the account's own key, and SSE-C with keys of clients (line 12 as far as
 * it concerns encryption).
 *
 * (API) stands for the Amazon S3 API Reference, (UG) for the Amazon S3 User Guide. Where they give no code, the code and
 * message are those that Amazon is known to answer with. SSE-C needs TLS, or a server that accepts it without.
 */
import { createHash } from "node:crypto"
import { md5Base64, md5Hex } from "../checksums.js"
import { check, expectBody, expectError, expectHeader, expectStatus, present, same } from "../expect.js"
import { FORM_BOUNDARY, formBody, signForm } from "../forms.js"
import type { Fields } from "../forms.js"
import type { RawResponse } from "../raw-client.js"
import { row } from "../row.js"
import type { Row } from "../row.js"
import { PART, type Scene } from "../scene.js"
import { elements, text, texts } from "../xml.js"

const SSE = "x-amz-server-side-encryption"
const SOURCE = "x-amz-copy-source-server-side-encryption"
type Headers = Record<string, string>

const S3: Headers = { [SSE]: "AES256" }
const KMS: Headers = { [SSE]: "aws:kms" }
const KEY_ID = `${SSE}-aws-kms-key-id`
const keyNamed = (name: string): Buffer => createHash("sha256").update(name).digest()

/** The headers of a client's key, for the object or, with another prefix, for the source of a copy. */
const clientKey = (name: string, prefix = SSE): Headers => ({
  [`${prefix}-customer-algorithm`]: "AES256",
  [`${prefix}-customer-key`]: keyNamed(name).toString("base64"),
  [`${prefix}-customer-key-MD5`]: md5Base64(keyNamed(name)),
})
const KEY = clientKey("one")
const OTHER = clientKey("two")

const NEEDS_KEY =
  "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object."
const WRONG_KEY =
  "Requests specifying Server Side Encryption with Customer provided keys must provide the correct secret key."
const NO_KEY_NEEDED = "The encryption parameters are not applicable to this object."

function expectMessage(response: RawResponse, status: number, code: string, message: string): void {
  same(text(expectError(response, status, code).text, "Message"), message, "Message")
}

/** The headers about encryption of an answer. */
function expectShown(response: RawResponse, mode: Mode): void {
  expectHeader(response, SSE, METHODS[mode])
  expectHeader(response, KEY_ID, mode === "kms" ? /^arn:aws:kms:/ : undefined)
  expectHeader(response, `${SSE}-customer-algorithm`, mode === "client" ? "AES256" : undefined)
  if (mode !== "client") expectHeader(response, `${SSE}-customer-key-md5`, undefined)
}

const BODY = Buffer.from("a body of a few bytes")
/** More than one segment of 64 KiB, and not a whole number of them. */
const LONG = Buffer.alloc(200_001, "Hayloft, sealed. ")

const RANGES = [
  ["bytes=0-0", 0, 1],
  ["bytes=65535-65536", 65_535, 65_537],
  ["bytes=100-150000", 100, 150_001],
  ["bytes=-5", LONG.length - 5, LONG.length],
] as const

const MODES = ["none", "s3", "client", "kms"] as const
type Mode = (typeof MODES)[number]
/** The values of x-amz-server-side-encryption in answers. */
const METHODS: Readonly<Record<Mode, string | undefined>> = {
  none: undefined,
  client: undefined,
  s3: "AES256",
  kms: "aws:kms",
}
const WRITE: Readonly<Record<Mode, Headers>> = { none: {}, s3: S3, client: KEY, kms: KMS }
const READ: Readonly<Record<Mode, Headers>> = { none: {}, s3: {}, client: KEY, kms: {} }
const COPY_FROM: Readonly<Record<Mode, Headers>> = { none: {}, s3: {}, client: clientKey("one", SOURCE), kms: {} }

async function expectReadable(scene: Scene, key: string, mode: Mode, body: Buffer, read = READ[mode]): Promise<void> {
  const got = expectStatus(await scene.get(key, read), 200)
  expectBody(got, body)
  expectShown(got, mode)
  const head = expectStatus(await scene.head(key, read), 200)
  expectHeader(head, "content-length", String(body.length))
  expectShown(head, mode)
}

/** (API) Objects "encrypted by SSE-C or SSE-KMS, have ETags that are not an MD5 digest of their object data". */
function expectEtag(response: RawResponse, mode: Mode, body: Buffer): void {
  const etag = present(response.header("etag"), "ETag")
  check(/^"[0-9a-f]{32}"$/.test(etag), `the ETag has its form: ${etag}`)
  check((etag === `"${md5Hex(body)}"`) === (mode === "none" || mode === "s3"), `the ETag of ${mode}`)
}

const objectRows: readonly Row[] = [
  ...MODES.map((mode, index) =>
    row(`12.${150 + index}`, `what is put with encryption ${mode} is read, whole and in ranges`, async scene => {
      for (const [key, body] of [
        ["empty", Buffer.alloc(0)],
        ["short", BODY],
        ["long", LONG],
      ] as const) {
        const put = await scene.stored(key, body, WRITE[mode])
        expectShown(put, mode)
        expectEtag(put, mode, body)
        await expectReadable(scene, key, mode, body)
      }
      for (const [range, from, to] of RANGES) {
        const part = expectStatus(await scene.get("long", { ...READ[mode], Range: range }), 206)
        expectBody(part, LONG.subarray(from, to))
        expectShown(part, mode)
      }
      same((await scene.keys()).length, 3, "listed keys")
      const sizes = texts((await scene.list()).text, "Size").map(Number)
      same(sizes, [0, LONG.length, BODY.length], "listed sizes")
    }),
  ),
  row("12.103", "checksums are those of the plaintext in every mode", async scene => {
    for (const mode of MODES) {
      const checksum = { "x-amz-checksum-sha256": createHash("sha256").update(BODY).digest("base64") }
      expectStatus(await scene.put(mode, BODY, { ...WRITE[mode], ...checksum, "Content-MD5": md5Base64(BODY) }), 200)
      const head = await scene.head(mode, { ...READ[mode], "x-amz-checksum-mode": "ENABLED" })
      expectHeader(expectStatus(head, 200), "x-amz-checksum-sha256", checksum["x-amz-checksum-sha256"])
      const wrong = { "Content-MD5": md5Base64(LONG) }
      expectError(await scene.put(mode, BODY, { ...WRITE[mode], ...wrong }), 400, "BadDigest")
    }
  }),
  // (UG) "Amazon S3 first verifies that the encryption key that you provided matches".
  row("12.104", "SSE-C needs its key, and no other mode takes one", async scene => {
    await scene.stored("client", BODY, KEY)
    await scene.stored("s3", BODY, S3)
    await scene.stored("none", BODY)
    expectMessage(await scene.get("client"), 400, "InvalidRequest", NEEDS_KEY)
    expectMessage(await scene.get("client", OTHER), 403, "AccessDenied", WRONG_KEY)
    expectStatus(await scene.head("client"), 400)
    expectStatus(await scene.head("client", OTHER), 403)
    await scene.stored("kms", BODY, KMS)
    for (const key of ["s3", "none", "kms"]) {
      expectMessage(await scene.get(key, KEY), 400, "InvalidRequest", NO_KEY_NEEDED)
      expectStatus(await scene.head(key, KEY), 400)
    }
    const attributes = { "x-amz-object-attributes": "ETag,ObjectSize" }
    expectMessage(await scene.get("client", attributes, "attributes"), 400, "InvalidRequest", NEEDS_KEY)
    const shown = expectStatus(await scene.get("client", { ...attributes, ...KEY }, "attributes"), 200)
    same(text(shown.text, "ObjectSize"), String(BODY.length), "ObjectSize")
    expectStatus(await scene.remove("client"), 204)
  }),
  // (API, GetObject) "Encryption request headers … should not be sent for GetObject requests … you'll get an HTTP 400 Bad
  // Request error."
  row("12.105", "a read that states a method is refused", async scene => {
    await scene.stored("k", BODY, S3)
    expectError(await scene.get("k", S3), 400, "InvalidArgument")
    expectStatus(await scene.head("k", S3), 400)
    expectError(await scene.get("k", { [SSE]: "aws:kms" }), 400, "InvalidArgument")
  }),
  row("12.106", "a wrong, incomplete or contradictory request for encryption stores nothing", async scene => {
    const { [`${SSE}-customer-key-MD5`]: md5 = "", ...noMd5 } = KEY
    const refused: readonly (readonly [headers: Headers, code: string])[] = [
      [{ [SSE]: "AES512" }, "InvalidArgument"],
      [{ ...S3, [`${SSE}-aws-kms-key-id`]: "k" }, "InvalidArgument"],
      [{ ...KEY, ...S3 }, "InvalidArgument"],
      [noMd5, "InvalidArgument"],
      [{ [`${SSE}-customer-key-MD5`]: md5 }, "InvalidArgument"],
      [{ ...KEY, [`${SSE}-customer-key-MD5`]: md5Base64(BODY) }, "InvalidArgument"],
      [{ ...KEY, [`${SSE}-customer-algorithm`]: "AES128" }, "InvalidEncryptionAlgorithmError"],
    ]
    for (const [headers, code] of refused) {
      expectError(await scene.put("k", BODY, headers), 400, code)
      expectError(await scene.call("POST", { key: "k", query: "uploads", headers }), 400, code)
      expectStatus(await scene.head("k"), 404)
    }
    expectError(await scene.put("k", BODY, { [SSE]: "aws:kms:dsse" }), 501, "NotImplemented")
  }),
  // (UG) "If your bucket is versioning-enabled, each object version that you upload can have its own encryption key."
  row("12.107", "each version has its own key", async scene => {
    await scene.setVersioning("Enabled")
    const versions: string[] = []
    for (const headers of [KEY, OTHER, S3]) {
      const stored = await scene.stored("k", BODY, headers)
      versions.push(present(stored.header("x-amz-version-id"), "x-amz-version-id"))
    }
    const [one, two, three] = versions.map(version => `versionId=${version}`)
    expectBody(expectStatus(await scene.get("k", KEY, one), 200), BODY)
    expectError(await scene.get("k", KEY, two), 403, "AccessDenied")
    expectBody(expectStatus(await scene.get("k", OTHER, two), 200), BODY)
    expectBody(expectStatus(await scene.get("k", {}, three), 200), BODY)
    expectStatus(await scene.remove("k", {}, one), 204)
  }),
  row("12.108", "tags, lists and locks of an object of SSE-C need no key", async scene => {
    await scene.stored("k", BODY, KEY)
    const tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>"
    expectStatus(await scene.document("PUT", "tagging", tags, { key: "k" }), 200)
    expectStatus(await scene.get("k", {}, "tagging"), 200)
    expectStatus(await scene.get("k", {}, "acl"), 200)
    expectHeader(await scene.head("k", KEY), "x-amz-tagging-count", "1")
  }),
]

const NEEDS_PART_KEY =
  "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters."

async function uploadIn(scene: Scene, mode: Mode): Promise<void> {
  const created = expectStatus(await scene.call("POST", { key: mode, query: "uploads", headers: WRITE[mode] }), 200)
  expectShown(created, mode)
  const id = present(text(created.text, "UploadId"), "UploadId")
  const tail = Buffer.from("the last part")
  const parts: [number, string][] = []
  for (const [index, body] of [PART, tail].entries()) {
    const put = expectStatus(await scene.part(mode, id, index + 1, body, READ[mode]), 200)
    expectShown(put, mode)
    expectEtag(put, mode, body)
    parts.push([index + 1, present(put.header("etag"), "ETag")])
  }
  const done = expectStatus(await scene.complete(mode, id, parts), 200)
  expectHeader(done, SSE, METHODS[mode])
  const digests = parts.map(([, etag]) => Buffer.from(etag.slice(1, -1), "hex"))
  same(text(done.text, "ETag")?.replaceAll("&quot;", '"'), `"${md5Hex(Buffer.concat(digests))}-2"`, "ETag")
  await expectReadable(scene, mode, mode, Buffer.concat([PART, tail]))
  const last = expectStatus(await scene.get(mode, READ[mode], "partNumber=2"), 206)
  expectBody(last, tail)
  const across = `bytes=${PART.length - 2}-${PART.length + 1}`
  const middle = expectStatus(await scene.get(mode, { ...READ[mode], Range: across }), 206)
  expectBody(middle, Buffer.concat([PART.subarray(-2), tail.subarray(0, 2)]))
}

const multipartRows: readonly Row[] = [
  ...MODES.map((mode, index) =>
    row(`12.${155 + index}`, `a multipart upload with encryption ${mode}`, scene => uploadIn(scene, mode)),
  ),
  // (API, UploadPart) "you must provide identical encryption information in each part upload".
  row("12.113", "parts of an upload with SSE-C need its key, and its completion does not", async scene => {
    const id = await scene.createUpload("k", KEY)
    expectMessage(await scene.part("k", id, 1, BODY), 400, "InvalidRequest", NEEDS_PART_KEY)
    const different = "The provided encryption parameters did not match the ones used originally."
    expectMessage(await scene.part("k", id, 1, BODY, OTHER), 400, "InvalidRequest", different)
    expectError(await scene.part("k", id, 1, BODY, S3), 400, "InvalidArgument")
    const etag = await scene.storedPart("k", id, 1, BODY, KEY)
    // (API, ListParts) The key "is needed only when the object was created using a checksum algorithm".
    const listed = (headers: Headers) => scene.call("GET", { key: "k", query: `uploadId=${id}`, headers })
    for (const headers of [{}, KEY]) expectStatus(await listed(headers), 200)
    expectMessage(await listed(OTHER), 400, "InvalidRequest", different)
    expectError(await listed(S3), 400, "InvalidArgument")
    expectError(await scene.complete("k", id, [[1, etag]], OTHER), 400, "InvalidRequest")
    expectStatus(await scene.complete("k", id, [[1, etag]], KEY), 200)
    await expectReadable(scene, "k", "client", BODY)
    const plain = await scene.createUpload("k", S3)
    expectError(await scene.part("k", plain, 1, BODY, KEY), 400, "InvalidRequest")
  }),
  row("12.114", "parts are copied between modes", async scene => {
    for (const from of MODES) {
      await scene.stored(from, LONG, WRITE[from])
      for (const to of MODES) {
        const id = await scene.createUpload("k", WRITE[to])
        const source = {
          "x-amz-copy-source": `/${scene.bucket}/${from}`,
          "x-amz-copy-source-range": "bytes=70000-150000",
        }
        const part = await scene.part("k", id, 1, "", { ...source, ...COPY_FROM[from], ...READ[to] })
        const etag = present(text(expectStatus(part, 200).text, "ETag"), "ETag").replaceAll("&quot;", '"')
        expectShown(part, to)
        expectStatus(await scene.complete("k", id, [[1, etag]]), 200)
        await expectReadable(scene, "k", to, LONG.subarray(70_000, 150_001))
      }
    }
  }),
]

const copyRows: readonly Row[] = [
  // (API, CopyObject) "if you don't specify encryption information in your copy request, the encryption setting of the
  // target object is set to the default encryption configuration of the destination bucket."
  row("12.120", "objects are copied between all modes", async scene => {
    for (const from of MODES) {
      await scene.stored(from, LONG, WRITE[from])
      for (const to of MODES) {
        const copied = expectStatus(await scene.copy(from, "copy", { ...COPY_FROM[from], ...WRITE[to] }), 200)
        expectShown(copied, to)
        await expectReadable(scene, "copy", to, LONG)
      }
    }
  }),
  row("12.121", "a copy of SSE-C needs the key of its source", async scene => {
    await scene.stored("client", BODY, KEY)
    await scene.stored("none", BODY)
    expectMessage(await scene.copy("client", "copy"), 400, "InvalidRequest", NEEDS_KEY)
    expectMessage(await scene.copy("client", "copy", clientKey("two", SOURCE)), 403, "AccessDenied", WRONG_KEY)
    expectMessage(await scene.copy("none", "copy", clientKey("one", SOURCE)), 400, "InvalidRequest", NO_KEY_NEEDED)
    expectStatus(await scene.head("copy"), 404)
  }),
  row("12.122", "a copy onto itself changes the mode and the key", async scene => {
    await scene.stored("k", LONG)
    expectError(await scene.copy("k", "k"), 400, "InvalidRequest")
    expectStatus(await scene.copy("k", "k", S3), 200)
    await expectReadable(scene, "k", "s3", LONG)
    expectStatus(await scene.copy("k", "k", KMS), 200)
    await expectReadable(scene, "k", "kms", LONG)
    expectStatus(await scene.copy("k", "k", KEY), 200)
    await expectReadable(scene, "k", "client", LONG)
    expectStatus(await scene.copy("k", "k", { ...clientKey("one", SOURCE), ...OTHER }), 200)
    await expectReadable(scene, "k", "client", LONG, OTHER)
    expectStatus(
      await scene.copy("k", "k", { ...clientKey("two", SOURCE), "x-amz-metadata-directive": "REPLACE" }),
      200,
    )
    await expectReadable(scene, "k", "none", LONG)
  }),
]

async function postForm(scene: Scene, fields: Fields): Promise<RawResponse> {
  const { client, bucket } = scene
  const conditions = fields.map(([name]) => ["starts-with", `$${name}`, ""])
  const signed = signForm(client.credentials, { bucket, region: client.region, conditions })
  return scene.call("POST", {
    body: formBody([...fields, ...signed], { name: "f", bytes: BODY }),
    headers: { "Content-Type": `multipart/form-data; boundary=${FORM_BOUNDARY}` },
    anonymous: true,
  })
}

const elsewhereRows: readonly Row[] = [
  // (API, POST Object) lists the fields x-amz-server-side-encryption and those of customer keys.
  row("12.130", "forms encrypt what they store", async scene => {
    for (const mode of MODES) {
      const posted = await postForm(scene, [["key", mode], ...Object.entries(WRITE[mode])])
      expectShown(expectStatus(posted, 204), mode)
      await expectReadable(scene, mode, mode, BODY)
    }
    expectError(
      await postForm(scene, [
        ["key", "k"],
        [SSE, "nothing"],
      ]),
      400,
      "InvalidArgument",
    )
  }),
  // (UG) "you must specify the algorithm by using the x-amz-server-side-encryption-customer-algorithm header in the signature
  // calculation … you must provide all the encryption headers in your client application's request."
  row("12.131", "presigned URLs encrypt and decrypt", async scene => {
    const { client, bucket } = scene
    for (const mode of MODES) {
      const put = client.presign("PUT", { bucket, key: mode, headers: WRITE[mode] })
      expectShown(expectStatus(await client.send("PUT", put, { headers: WRITE[mode], body: BODY }), 200), mode)
      const get = client.presign("GET", { bucket, key: mode, headers: READ[mode] })
      expectBody(expectStatus(await client.send("GET", get, { headers: READ[mode] }), 200), BODY)
    }
    const query = `${SSE}-customer-key=${encodeURIComponent(KEY[`${SSE}-customer-key`] ?? "")}`
    const inUrl = client.presign("GET", { bucket, key: "client", query })
    expectError(await client.send("GET", inUrl), 400, "InvalidRequest")
  }),
]

const configuration = (inside: string) =>
  `<ServerSideEncryptionConfiguration><Rule>${inside}</Rule></ServerSideEncryptionConfiguration>`
const applying = (algorithm: string) =>
  `<ApplyServerSideEncryptionByDefault><SSEAlgorithm>${algorithm}</SSEAlgorithm></ApplyServerSideEncryptionByDefault>`
const blocking = (type: string) =>
  `<BlockedEncryptionTypes><EncryptionType>${type}</EncryptionType></BlockedEncryptionTypes>`

const bucketRows: readonly Row[] = [
  // (API, PutBucketEncryption) "This operation configures default encryption … for an existing bucket."
  row("12.140", "the default of a bucket encrypts puts, uploads, copies and forms that state nothing", async scene => {
    await scene.stored("before", BODY)
    expectStatus(await scene.document("PUT", "encryption", configuration(applying("AES256"))), 200)
    const shown = expectStatus(await scene.list("encryption"), 200)
    same(texts(shown.text, "SSEAlgorithm"), ["AES256"], "SSEAlgorithm")
    same(texts(shown.text, "BucketKeyEnabled"), ["false"], "BucketKeyEnabled")
    await expectReadable(scene, "before", "none", BODY)
    expectShown(await scene.stored("put", BODY), "s3")
    expectShown(expectStatus(await scene.copy("before", "copy"), 200), "s3")
    expectShown(await scene.multipart("upload", [BODY]), "s3")
    expectShown(expectStatus(await postForm(scene, [["key", "form"]]), 204), "s3")
    for (const key of ["put", "copy", "upload", "form"]) await expectReadable(scene, key, "s3", BODY)
    expectShown(await scene.stored("client", BODY, KEY), "client")
    expectStatus(await scene.call("DELETE", { query: "encryption" }), 204)
    await expectReadable(scene, "put", "s3", BODY)
  }),
  // (API, BlockedEncryptionTypes) "blocking an encryption type will block PutObject, CopyObject, PostObject, multipart
  // upload … However, you can continue to read and list any pre-existing objects".
  row("12.141", "a bucket that blocks SSE-C refuses its keys, and still shows what has them", async scene => {
    await scene.stored("before", BODY, KEY)
    const id = await scene.createUpload("k", KEY)
    expectStatus(await scene.document("PUT", "encryption", configuration(blocking("SSE-C"))), 200)
    expectError(await scene.put("k", BODY, KEY), 403, "AccessDenied")
    expectError(await scene.copy("before", "k", { ...clientKey("one", SOURCE), ...KEY }), 403, "AccessDenied")
    expectError(await scene.call("POST", { key: "k", query: "uploads", headers: KEY }), 403, "AccessDenied")
    expectError(await scene.part("k", id, 1, BODY, KEY), 403, "AccessDenied")
    expectError(await postForm(scene, [["key", "k"], ...Object.entries(KEY)]), 403, "AccessDenied")
    await expectReadable(scene, "before", "client", BODY)
    // A document that does not mention it leaves it.
    expectStatus(await scene.document("PUT", "encryption", configuration(applying("AES256"))), 200)
    const shown = expectStatus(await scene.list("encryption"), 200)
    same(elements(shown.text, "EncryptionType"), ["SSE-C"], "EncryptionType")
    expectError(await scene.put("k", BODY, KEY), 403, "AccessDenied")
    expectStatus(await scene.document("PUT", "encryption", configuration(blocking("NONE"))), 200)
    await scene.stored("k", BODY, KEY)
    // Likewise the default encryption.
    expectShown(await scene.stored("put", BODY), "s3")
  }),
]

const context = (pairs: Readonly<Record<string, string>>): Headers => ({
  [`${SSE}-context`]: Buffer.from(JSON.stringify(pairs)).toString("base64"),
})

const kmsRows: readonly Row[] = [
  // (API, PutObject) "x-amz-server-side-encryption-context: … A Base64 encoded string of a UTF-8 encoded JSON".
  row("12.160", "a context is returned where it was given, and belongs to one object", async scene => {
    const given = { ...KMS, ...context({ b: "2", a: "é" }) }
    const put = await scene.stored("k", BODY, given)
    const shown = Buffer.from(present(put.header(`${SSE}-context`), "context"), "base64").toString()
    same(JSON.parse(shown), { a: "é", b: "2" }, "context")
    const got = expectStatus(await scene.get("k"), 200)
    expectBody(got, BODY)
    expectHeader(got, `${SSE}-context`, undefined)
    expectHeader(expectStatus(await scene.copy("k", "copy", KMS), 200), `${SSE}-context`, undefined)
    await expectReadable(scene, "copy", "kms", BODY)
    expectError(await scene.put("k", BODY, { ...KMS, [`${SSE}-context`]: "{}" }), 400, "InvalidArgument")
  }),
  // (UG) "if you … enable an S3 Bucket Key, the bucket ARN is used as the encryption context".
  row("12.161", "bucket keys are used as the request or the bucket states", async scene => {
    const bucketKey = `${SSE}-bucket-key-enabled`
    expectHeader(await scene.stored("asked", BODY, { ...KMS, [bucketKey]: "true" }), bucketKey, "true")
    expectHeader(await scene.head("asked"), bucketKey, "true")
    await expectReadable(scene, "asked", "kms", BODY)
    const xml = configuration(`${applying("aws:kms")}<BucketKeyEnabled>true</BucketKeyEnabled>`)
    expectStatus(await scene.document("PUT", "encryption", xml), 200)
    const byDefault = await scene.stored("default", BODY)
    expectShown(byDefault, "kms")
    expectHeader(byDefault, bucketKey, "true")
    expectHeader(await scene.stored("without", BODY, { ...KMS, [bucketKey]: "false" }), bucketKey, undefined)
    for (const key of ["default", "without"]) await expectReadable(scene, key, "kms", BODY)
    expectShown(await scene.multipart("upload", [BODY]), "kms")
    await expectReadable(scene, "upload", "kms", BODY)
  }),
  row("12.162", "a key that does not exist is named as KMS does", async scene => {
    const missing = { ...KMS, [KEY_ID]: "00000000-0000-4000-8000-000000000000" }
    expectError(await scene.put("k", BODY, missing), 400, "KMS.NotFoundException")
    expectError(
      await scene.call("POST", { key: "k", query: "uploads", headers: missing }),
      400,
      "KMS.NotFoundException",
    )
    expectStatus(await scene.head("k"), 404)
  }),
]

export const encryptionRows: readonly Row[] = [
  ...objectRows,
  ...multipartRows,
  ...copyRows,
  ...elsewhereRows,
  ...bucketRows,
  ...kmsRows,
]
