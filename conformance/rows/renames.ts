/**
 * Line 101: RenameObject. Cited as "API": "RenameObject", Amazon S3 API Reference. Amazon has it for directory buckets only,
 * which have neither versions nor tags: what it says holds here for all buckets.
 */
import { check, expectBody, expectError, expectHeader, expectStatus, present, same } from "../expect.js"
import { row } from "../row.js"
import type { Row } from "../row.js"
import { PART } from "../scene.js"
import type { Scene } from "../scene.js"
import { encodeText } from "../sign-v4.js"
import { elements, text } from "../xml.js"

const PAST = "Thu, 01 Jan 2015 00:00:00 GMT"
const FUTURE = "Fri, 01 Jan 2100 00:00:00 GMT"
const WRONG = '"00000000000000000000000000000000"'
const FULL = {
  "Content-Type": "text/x-source",
  "Cache-Control": "no-store",
  "x-amz-meta-note": "source",
  "x-amz-tagging": "a=1&b=2",
  "x-amz-website-redirect-location": "/elsewhere",
  "x-amz-checksum-algorithm": "CRC32",
}

const rename = (scene: Scene, from: string, to: string, headers: Record<string, string> = {}) =>
  scene.call("PUT", {
    key: to,
    query: "renameObject",
    headers: { "x-amz-rename-source": `/${scene.bucket}/${encodeText(from, true)}`, ...headers },
  })

const etagOf = async (scene: Scene, key: string): Promise<string> =>
  present((await scene.head(key)).header("etag"), "ETag")

const KEPT = [
  "etag",
  "content-type",
  "content-length",
  "cache-control",
  "x-amz-meta-note",
  "x-amz-tagging-count",
  "x-amz-website-redirect-location",
  "x-amz-checksum-crc32",
  "x-amz-storage-class",
  "x-amz-server-side-encryption",
]

async function keepsAll(scene: Scene): Promise<void> {
  for (const [key, body] of [
    ["small", "body"],
    ["large", PART],
  ] as const) {
    await scene.stored(key, body, {
      ...FULL,
      "x-amz-storage-class": "STANDARD_IA",
      "x-amz-server-side-encryption": "AES256",
    })
    const before = await scene.head(key, { "x-amz-checksum-mode": "ENABLED" })
    expectBody(expectStatus(await rename(scene, key, `new ${key}`), 200), "")
    const after = expectStatus(await scene.head(`new ${key}`, { "x-amz-checksum-mode": "ENABLED" }), 200)
    for (const name of KEPT) expectHeader(after, name, before.header(name))
    const read = expectStatus(await scene.get(`new ${key}`), 200)
    check(Buffer.compare(read.body, Buffer.from(body)) === 0, "the bytes stay")
    expectStatus(await scene.get(key), 404)
    const tags = expectStatus(await scene.get(`new ${key}`, {}, "tagging"), 200)
    same(elements(tags.text, "Tag").length, 2, "tags")
  }
  same(await scene.keys(), ["new large", "new small"], "keys")
}

/** Headers with which a rename of "k", with this ETag, to "there", with that ETag, is refused. */
const refusing = (etag: string, there: string): readonly Record<string, string>[] => [
  { "If-Match": WRONG },
  { "If-None-Match": "*" },
  { "If-None-Match": there },
  { "If-Modified-Since": FUTURE },
  { "If-Unmodified-Since": PAST },
  { "x-amz-rename-source-if-match": WRONG },
  { "x-amz-rename-source-if-none-match": etag },
  { "x-amz-rename-source-if-none-match": "*" },
  { "x-amz-rename-source-if-modified-since": FUTURE },
  { "x-amz-rename-source-if-unmodified-since": PAST },
]

const holding = (etag: string, there: string): readonly Record<string, string>[] => [
  { "If-Match": there, "x-amz-rename-source-if-match": etag },
  { "If-None-Match": WRONG, "x-amz-rename-source-if-none-match": WRONG },
  { "If-Modified-Since": PAST, "x-amz-rename-source-if-modified-since": PAST },
  { "If-Unmodified-Since": FUTURE, "x-amz-rename-source-if-unmodified-since": FUTURE },
]

async function conditionsHoldOrNot(scene: Scene): Promise<void> {
  await scene.stored("k", "body")
  await scene.stored("there", "other")
  const [etag, there] = [await etagOf(scene, "k"), await etagOf(scene, "there")]
  for (const headers of refusing(etag, there)) {
    expectError(await rename(scene, "k", "there", headers), 412, "PreconditionFailed")
    same(await etagOf(scene, "there"), there, JSON.stringify(headers))
    same(await etagOf(scene, "k"), etag, JSON.stringify(headers))
  }
  for (const headers of holding(etag, there)) {
    expectStatus(await rename(scene, "k", "there", headers), 200)
    expectStatus(await scene.head("k"), 404)
    expectBody(await scene.get("there"), "body")
    await scene.stored("k", "body")
    await scene.stored("there", "other")
  }
}

async function versionsStay(scene: Scene): Promise<void> {
  await scene.setVersioning("Enabled")
  const first = present((await scene.stored("k", "one")).header("x-amz-version-id"), "version")
  await scene.stored("k", "two")
  await scene.stored("to", "replaced")
  const renamed = expectStatus(await rename(scene, "k", "to"), 200)
  const version = present(renamed.header("x-amz-version-id"), "version")
  const read = await scene.get("to")
  expectBody(read, "two")
  expectHeader(read, "x-amz-version-id", version)
  expectHeader(expectError(await scene.get("k"), 404, "NoSuchKey"), "x-amz-delete-marker", "true")
  expectBody(await scene.get("k", {}, `versionId=${first}`), "one")
  const listed = expectStatus(await scene.list("versions"), 200)
  same(elements(listed.text, "Version").length, 4, "versions")
  same(elements(listed.text, "DeleteMarker").length, 1, "markers")
}

async function partsStay(scene: Scene): Promise<void> {
  await scene.multipart("parts", [PART, "end"], { "x-amz-checksum-algorithm": "CRC32" })
  const attributes = { "x-amz-object-attributes": "ETag,ObjectParts,Checksum,ObjectSize" }
  const of = async (key: string) => expectStatus(await scene.get(key, attributes, "attributes"), 200).text
  const before = await of("parts")
  expectStatus(await rename(scene, "parts", "renamed"), 200)
  same(await of("renamed"), before, "attributes")
  expectBody(await scene.get("renamed", {}, "partNumber=2"), "end")
  const uploads = expectStatus(await scene.list("uploads"), 200)
  same(elements(uploads.text, "Upload").length, 0, "uploads")
}

export const renameRows: readonly Row[] = [
  // (API) "Renames an existing object in a directory bucket"; "by specifying the existing object's name as the source and the
  // new name of the object as the destination".
  row("101.1", "everything but the key and the time stays with a renamed object", keepsAll),
  // (API) "If the request is successful, the service sends back an HTTP 200 response with an empty HTTP body" as its syntax
  // shows; the source "must be URL encoded".
  row("101.2", "the source is a key, or bucket and key, URL encoded", async scene => {
    const keys = ["a b", "a%b", "a+b", "é 😀", "a//b/", "a?b"]
    for (const key of keys) {
      await scene.stored(key, `body of ${key}`)
      const source = { "x-amz-rename-source": encodeText(key, key.length % 2 === 0) }
      expectStatus(await rename(scene, key, "renamed", source), 200)
      expectBody(await scene.get("renamed"), `body of ${key}`)
      expectStatus(await rename(scene, "renamed", key), 200)
    }
    expectError(await scene.call("PUT", { key: "to", query: "renameObject" }), 400, "InvalidArgument")
    for (const source of [`/${scene.bucket}/`, "//k", "%zz", `/${scene.bucket}/k?versionId=null`])
      expectError(await rename(scene, "k", "to", { "x-amz-rename-source": source }), 400, "InvalidArgument")
  }),
  // (API) "Renames the object only if the ETag (entity tag) value provided during the operation matches the ETag of the object
  // in S3"; "Renames the object only if the destination does not already exist"; "Renames the object if it hasn't been
  // modified since the specified time"; of the source: "Renames the object if the source exists and if its entity tag (ETag)
  // is different than the specified ETag. If an asterisk (*) character is provided, the operation will fail".
  row(
    "101.3",
    "conditions on source and destination hold, or the answer is 412 and nothing has changed",
    conditionsHoldOrNot,
  ),
  // (API) "Renames the object if the destination exists and if it has been modified since the specified time."
  row(
    "101.4",
    "a missing destination fails If-Modified-Since and If-Match, and a missing source is 404",
    async scene => {
      await scene.stored("k", "body")
      expectError(await rename(scene, "k", "to", { "If-Modified-Since": PAST }), 412, "PreconditionFailed")
      const target = expectError(await rename(scene, "k", "to", { "If-Match": "*" }), 404, "NoSuchKey")
      same(text(target.text, "Key"), "to", "the missing destination is named")
      const missing = expectError(await rename(scene, "none", "to"), 404, "NoSuchKey")
      same(text(missing.text, "Key"), "none", "the missing source is named")
      expectError(await rename(scene, "k", "to", { "If-Modified-Since": "yesterday" }), 400, "InvalidArgument")
      expectStatus(await rename(scene, "k", "to", { "If-None-Match": "*" }), 200)
    },
  ),
  // (API) "If you retry a request that completed successfully using the same client token and the same parameters, the retry
  // succeeds without performing any further actions. If you retry a successful request using the same client token, but one or
  // more of the parameters are different, the retry fails"; IdempotencyParameterMismatch: "Parameters on this idempotent
  // request are inconsistent with parameters used in previous request(s)", 400; "a max of 64 ASCII characters in the ASCII
  // range of 33 - 126".
  row(
    "101.5",
    "a repeated rename with its client token succeeds, and with other parameters it is refused",
    async scene => {
      await scene.stored("k", "body")
      await scene.stored("other", "other")
      const token = { "x-amz-client-token": "0123-token" }
      expectStatus(await rename(scene, "k", "to", token), 200)
      expectStatus(await rename(scene, "k", "to", token), 200)
      await scene.stored("k", "new")
      expectStatus(await rename(scene, "k", "to", token), 200)
      expectBody(await scene.get("k"), "new")
      expectBody(await scene.get("to"), "body")
      expectError(await rename(scene, "other", "to", token), 400, "IdempotencyParameterMismatch")
      for (const bad of ["a b", "x".repeat(65)])
        expectError(await rename(scene, "k", "to", { "x-amz-client-token": bad }), 400, "InvalidArgument")
    },
  ),
  row("101.6", "a rename onto itself is refused", async scene => {
    await scene.stored("k", "body")
    expectError(await rename(scene, "k", "k"), 400, "InvalidRequest")
    expectBody(await scene.get("k"), "body")
  }),
  row("101.7", "with versions the source gets a delete marker, and the other versions keep their key", versionsStay),
  row("101.8", "a multipart object keeps its ETag, its parts and their checksums", partsStay),
  row("101.9", "headers that would change the encryption or the list are refused", async scene => {
    await scene.stored("k", "body")
    expectError(await rename(scene, "k", "to", { "x-amz-server-side-encryption": "AES256" }), 400, "InvalidArgument")
    expectError(await rename(scene, "k", "to", { "x-amz-acl": "public-read" }), [400, 501])
    same(text((await scene.list()).text, "KeyCount"), "1", "keys")
  }),
  // Amazon renames within a bucket only.
  row("101.10", "an object is renamed from another bucket, if its source names that", async scene => {
    const to = await scene.newBucket()
    for (const [key, body] of [
      ["small", "body"],
      ["large", PART],
    ] as const) {
      await scene.stored(key, body, FULL)
      const before = await scene.head(key)
      const source = { "x-amz-rename-source": `/${scene.bucket}/${key}` }
      const renamed = await scene.call("PUT", { bucket: to, key: "new", query: "renameObject", headers: source })
      expectBody(expectStatus(renamed, 200), "")
      const read = expectStatus(await scene.call("GET", { bucket: to, key: "new" }), 200)
      check(Buffer.compare(read.body, Buffer.from(body)) === 0, "the bytes stay")
      for (const name of ["etag", "content-type", "x-amz-meta-note", "x-amz-tagging-count"])
        expectHeader(read, name, before.header(name))
      expectStatus(await scene.head(key), 404)
    }
    const source = { "x-amz-rename-source": `/no-${scene.bucket}/k` }
    expectError(await rename(scene, "k", "to", source), 404, "NoSuchBucket")
  }),
]
