/** Lines 92 to 95, 97 and 98: buckets, tags, attributes. */
import { checksumBase64, md5Hex, multipartEtag } from "../checksums.js"
import { expectBody, expectError, expectHeader, expectStatus, present, same } from "../expect.js"
import { row, rowWithOther } from "../row.js"
import type { Row } from "../row.js"
import { PART } from "../scene.js"
import type { Scene } from "../scene.js"
import { elements, escapeXml, text, texts } from "../xml.js"

const location = (region: string) =>
  `<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>${region}</LocationConstraint></CreateBucketConfiguration>`

const locationOf = async (scene: Scene, bucket: string) => {
  const { text: xml } = expectStatus(await scene.client.call("GET", { bucket, query: "location" }), 200)
  return elements(xml, "LocationConstraint")[0]
}

const bucketRows: readonly Row[] = [
  row("92.1", "making one's own bucket again changes nothing", async scene => {
    await scene.setVersioning("Enabled")
    await scene.stored("k", "body")
    expectStatus(await scene.call("PUT"), 200)
    expectBody(await scene.get("k"), "body")
    same(text((await scene.list("versioning")).text, "Status"), "Enabled", "versioning")
  }),
  rowWithOther("92.2", "a bucket of another account is BucketAlreadyExists", async scene => {
    expectError(await scene.other.call("PUT", { bucket: scene.bucket }), 409, "BucketAlreadyExists")
  }),
  rowWithOther("92.3", "another account reaches nothing of it", async scene => {
    await scene.stored("k", "body")
    const bucket = scene.bucket
    expectError(await scene.other.call("GET", { bucket, query: "list-type=2" }), 403, "AccessDenied")
    expectError(await scene.other.call("GET", { bucket, key: "k" }), 403, "AccessDenied")
    expectError(await scene.other.call("PUT", { bucket, key: "k", body: "x" }), 403, "AccessDenied")
    expectError(await scene.other.call("DELETE", { bucket, key: "k" }), 403, "AccessDenied")
    expectError(await scene.other.call("DELETE", { bucket }), 403, "AccessDenied")
    expectStatus(await scene.other.call("HEAD", { bucket }), 403)
    const own = scene.uniqueName()
    expectStatus(await scene.other.call("PUT", { bucket: own }), 200)
    const headers = { "x-amz-copy-source": `/${bucket}/k` }
    expectError(await scene.other.call("PUT", { bucket: own, key: "stolen", headers }), 403, "AccessDenied")
    expectStatus(await scene.other.call("DELETE", { bucket: own }), 204)
    expectBody(await scene.get("k"), "body")
  }),
  row("92.4", "again with another location changes nothing", async scene => {
    const bucket = await scene.newBucket({ body: location("eu-west-1") })
    const again = await scene.client.call("PUT", { bucket, body: location("eu-west-3") })
    if (again.status !== 200) expectError(again, 409, "BucketAlreadyOwnedByYou")
    same(await locationOf(scene, bucket), "eu-west-1", "LocationConstraint")
  }),
  rowWithOther("92.5", "a missing key is 404 for who may list with the key as prefix, else 403", async scene => {
    const { bucket, other } = scene
    const list = expectStatus(await other.call("GET", {}), 200).text
    const Principal = { CanonicalUser: text(present(elements(list, "Owner")[0], "Owner"), "ID") }
    const statements = [
      { Effect: "Allow", Principal, Action: "s3:GetObject*", Resource: `arn:aws:s3:::${bucket}/*` },
      {
        Effect: "Allow",
        Principal,
        Action: "s3:ListBucket",
        Resource: `arn:aws:s3:::${bucket}`,
        Condition: { StringLike: { "s3:prefix": ["home/*", "é"] } },
      },
    ]
    const body = JSON.stringify({ Version: "2012-10-17", Statement: statements })
    expectStatus(await scene.call("PUT", { query: "policy", body }), 204)
    for (const key of ["home/missing", "é"]) {
      expectError(await other.call("GET", { bucket, key }), 404, "NoSuchKey")
      expectStatus(await other.call("HEAD", { bucket, key }), 404)
    }
    for (const key of ["house", "hom"]) {
      expectError(await other.call("GET", { bucket, key }), 403, "AccessDenied")
      expectStatus(await other.call("HEAD", { bucket, key }), 403)
    }
    const own = await other.call("GET", { bucket, query: "list-type=2" })
    expectError(own, 403, "AccessDenied")
  }),
  row("93.1", "any LocationConstraint is kept and returned", async scene => {
    for (const region of ["eu-west-1", "garage"]) {
      same(await locationOf(scene, await scene.newBucket({ body: location(region) })), region, "LocationConstraint")
    }
  }),
  row("93.2", "us-east-1 and none give an empty element", async scene => {
    same(await locationOf(scene, scene.bucket), "", "none given")
    same(await locationOf(scene, await scene.newBucket({ body: location("us-east-1") })), "", "us-east-1")
  }),
  row("93.3", "a malformed configuration is refused, and no bucket made", async scene => {
    const bucket = scene.adopt(scene.uniqueName())
    expectError(await scene.client.call("PUT", { bucket, body: "<CreateBucketConfiguration>" }), 400, "MalformedXML")
    expectStatus(await scene.client.call("HEAD", { bucket }), 404)
  }),
  row("94.1", "HEAD bucket carries the region", async scene => {
    expectHeader(expectStatus(await scene.call("HEAD"), 200), "x-amz-bucket-region", /./)
    const missing = expectStatus(await scene.client.call("HEAD", { bucket: scene.uniqueName() }), 404)
    expectBody(missing, "")
    const denied = expectStatus(await scene.call("HEAD", { anonymous: true }), 403)
    expectHeader(denied, "x-amz-bucket-region", /./)
  }),
  row("95.1", "a bucket with an object, an old version or a marker is BucketNotEmpty", async scene => {
    await scene.stored("k", "body")
    expectError(await scene.call("DELETE"), 409, "BucketNotEmpty")
    await scene.setVersioning("Enabled")
    const marker = (await scene.remove("k")).header("x-amz-version-id")
    expectError(await scene.call("DELETE"), 409, "BucketNotEmpty")
    expectStatus(await scene.remove("k", {}, "versionId=null"), 204)
    expectError(await scene.call("DELETE"), 409, "BucketNotEmpty")
    expectStatus(await scene.remove("k", {}, `versionId=${marker}`), 204)
    expectStatus(await scene.call("DELETE"), 204)
    expectStatus(await scene.call("HEAD"), 404)
  }),
  row("95.2", "unfinished uploads do not hold a bucket; they are aborted", async scene => {
    const uploadId = await scene.createUpload("k")
    await scene.storedPart("k", uploadId, 1, "part")
    expectStatus(await scene.call("DELETE"), 204)
    expectStatus(await scene.call("PUT"), 200)
    same(elements((await scene.list("uploads")).text, "Upload").length, 0, "uploads in the new bucket")
    expectError(await scene.part("k", uploadId, 1, "x"), 404, "NoSuchUpload")
  }),
  row("95.3", "a bucket made again begins empty and never versioned", async scene => {
    await scene.setVersioning("Enabled")
    const id = (await scene.stored("k", "body")).header("x-amz-version-id")
    expectStatus(await scene.remove("k", {}, `versionId=${id}`), 204)
    expectStatus(await scene.call("DELETE"), 204)
    expectError(await scene.list(), 404, "NoSuchBucket")
    expectStatus(await scene.call("PUT"), 200)
    same(text((await scene.list("versioning")).text, "Status"), undefined, "Status")
    same(await scene.keys(), [], "keys")
  }),
  row("95.4", "a PUT that races the deletion ends in an existing bucket or an error", async scene => {
    for (let round = 0; round < 8; round += 1) {
      const [put, removed] = await Promise.all([scene.put("k", "body"), scene.call("DELETE")])
      if (put.status === 200) {
        expectError(removed, 409)
        expectBody(expectStatus(await scene.get("k"), 200), "body")
        expectStatus(await scene.remove("k"), 204)
      } else {
        expectError(put, [404, 409, 503])
        if (removed.status === 204) expectStatus(await scene.call("PUT"), 200)
      }
    }
  }),
  row("95.5", "deleting a missing bucket is NoSuchBucket", async scene => {
    expectError(await scene.client.call("DELETE", { bucket: scene.uniqueName() }), 404, "NoSuchBucket")
  }),
]

type Tag = readonly [key: string, value: string]
const tagging = (tags: readonly Tag[]) => {
  const set = tags.map(([key, value]) => `<Tag><Key>${escapeXml(key)}</Key><Value>${escapeXml(value)}</Value></Tag>`)
  return `<Tagging><TagSet>${set.join("")}</TagSet></Tagging>`
}
const setTags = (scene: Scene, tags: readonly Tag[]) => scene.document("PUT", "tagging", tagging(tags), { key: "k" })
const tagsOf = async (scene: Scene) => {
  const { text: xml } = expectStatus(await scene.get("k", {}, "tagging"), 200)
  return elements(xml, "Tag").map(tag => [text(tag, "Key"), text(tag, "Value")])
}
const BAD_TAGS: readonly (readonly [title: string, tags: readonly Tag[]])[] = [
  ["11 tags", Array.from({ length: 11 }, (_, index) => [`k${index}`, "v"] as const)],
  ["a key of 129 characters", [["k".repeat(129), "v"]]],
  ["a value of 257 characters", [["k", "v".repeat(257)]]],
  [
    "a repeated key",
    [
      ["k", "1"],
      ["k", "2"],
    ],
  ],
  ["an empty key", [["", "v"]]],
]

const tagRows: readonly Row[] = [
  row("97.1", "tags are set, read, counted, replaced and deleted", async scene => {
    await scene.stored("k", "body")
    const tags: readonly Tag[] = [
      ["a", "1"],
      ["é +/=.:@-_", "ü 1.5 @home"],
      ["empty", ""],
    ]
    expectStatus(await setTags(scene, tags), 200)
    same([...(await tagsOf(scene))].sort(), [...tags].sort(), "tags")
    for (const response of [await scene.get("k"), await scene.head("k")]) {
      expectHeader(response, "x-amz-tagging-count", "3")
    }
    expectStatus(await setTags(scene, [["b", "2"]]), 200)
    same(await tagsOf(scene), [["b", "2"]], "tags replaced")
    expectStatus(await scene.remove("k", {}, "tagging"), 204)
    same(await tagsOf(scene), [], "tags deleted")
    expectHeader(await scene.head("k"), "x-amz-tagging-count", undefined)
  }),
  ...BAD_TAGS.map(([title, tags], index) =>
    row(`97.${2 + index}`, `${title} is InvalidTag`, async scene => {
      await scene.stored("k", "body")
      expectError(await setTags(scene, tags), 400, "InvalidTag", "BadRequest")
      same(await tagsOf(scene), [], "tags")
    }),
  ),
  row("97.8", "limits are good: 10 tags, 128 and 256 characters", async scene => {
    await scene.stored("k", "body")
    const tags = Array.from({ length: 10 }, (_, index) => [`${index}`.padEnd(128, "é"), "ü".repeat(256)] as const)
    expectStatus(await setTags(scene, tags), 200)
    same((await tagsOf(scene)).length, 10, "tags")
  }),
  row("97.9", "x-amz-tagging on PUT", async scene => {
    await scene.stored("k", "body", { "x-amz-tagging": "a=1&b%20c=d%2Fe&f=" })
    same(
      [...(await tagsOf(scene))].sort(),
      [
        ["a", "1"],
        ["b c", "d/e"],
        ["f", ""],
      ],
      "tags",
    )
    for (const malformed of ["a=1&a=2", "a=%FF", "=1"]) {
      expectError(await scene.put("n", "body", { "x-amz-tagging": malformed }), 400, "InvalidArgument")
    }
    expectError(await scene.put("n", "body", { "x-amz-tagging": "aws:a=1" }), 400, "InvalidTag")
    expectError(await scene.get("n"), 404, "NoSuchKey")
  }),
  row("97.11", "tags come back sorted by key", async scene => {
    await scene.stored("k", "body", { "x-amz-tagging": "foo=bar&bar&B=b&a=1" })
    same(
      (await tagsOf(scene)).map(([key]) => key),
      ["B", "a", "bar", "foo"],
      "from the header",
    )
    const tags = ["z", "m", "a"].map(key => [key, "v"] as const)
    expectStatus(await setTags(scene, tags), 200)
    same(
      (await tagsOf(scene)).map(([key]) => key),
      ["a", "m", "z"],
      "from a document",
    )
    const set = tags.map(([key]) => `<Tag><Key>${key}</Key><Value>v</Value></Tag>`).join("")
    expectStatus(await scene.document("PUT", "tagging", `<Tagging><TagSet>${set}</TagSet></Tagging>`), 204)
    same(texts(expectStatus(await scene.list("tagging"), 200).text, "Key"), ["a", "m", "z"], "of the bucket")
  }),
  row("97.10", "tags of a missing key and of a version", async scene => {
    expectError(await scene.get("missing", {}, "tagging"), 404, "NoSuchKey")
    await scene.setVersioning("Enabled")
    const id = (await scene.stored("k", "one", { "x-amz-tagging": "v=1" })).header("x-amz-version-id")
    await scene.stored("k", "two", { "x-amz-tagging": "v=2" })
    const { text: xml } = expectStatus(await scene.get("k", {}, `tagging&versionId=${id}`), 200)
    same(text(xml, "Value"), "1", "tag of the older version")
    same(await tagsOf(scene), [["v", "2"]], "tags of the latest")
  }),
]

const ATTRIBUTES = "ETag,Checksum,ObjectParts,StorageClass,ObjectSize"
const attributes = (scene: Scene, asked: string, more: Record<string, string> = {}) =>
  scene.get("k", { "x-amz-object-attributes": asked, ...more }, "attributes")

const attributeRows: readonly Row[] = [
  row("98.1", "the ETag has no quotes; only what was asked is answered", async scene => {
    const crc = checksumBase64("CRC32", Buffer.from("body"))
    await scene.stored("k", "body", { "x-amz-checksum-crc32": crc })
    const { text: xml } = expectStatus(await attributes(scene, ATTRIBUTES), 200)
    same(text(xml, "ETag"), md5Hex(Buffer.from("body")), "ETag")
    same([text(xml, "ObjectSize"), text(xml, "StorageClass")], ["4", "STANDARD"], "size and class")
    same(text(xml, "ChecksumCRC32"), crc, "checksum")
    same(elements(xml, "ObjectParts").length, 0, "ObjectParts of a single object")
    const one = expectStatus(await attributes(scene, "ObjectSize"), 200).text
    same([text(one, "ObjectSize"), text(one, "ETag")], ["4", undefined], "ObjectSize only")
  }),
  row("98.2", "x-amz-object-attributes missing or unknown is refused", async scene => {
    await scene.stored("k", "body")
    expectError(await scene.get("k", {}, "attributes"), 400, "InvalidRequest")
    expectError(await attributes(scene, " , "), 400, "InvalidRequest")
    expectError(await attributes(scene, "ETag,Colour"), 400, "InvalidArgument")
    expectError(await scene.get("missing", { "x-amz-object-attributes": "ETag" }, "attributes"), 404, "NoSuchKey")
  }),
  row("98.3", "parts of a multipart object with part checksums, in pages", async scene => {
    const uploadId = await scene.createUpload("k", { "x-amz-checksum-algorithm": "SHA256" })
    const tail = Buffer.from("tail")
    const parts: (readonly [number, string, string])[] = []
    for (const [index, body] of [PART, tail].entries()) {
      const value = checksumBase64("SHA256", body)
      const etag = await scene.storedPart("k", uploadId, index + 1, body, { "x-amz-checksum-sha256": value })
      parts.push([index + 1, etag, `<ChecksumSHA256>${value}</ChecksumSHA256>`])
    }
    expectStatus(await scene.complete("k", uploadId, parts), 200)
    const { text: xml } = expectStatus(await attributes(scene, ATTRIBUTES), 200)
    same(text(xml, "ETag"), multipartEtag([PART, tail]), "ETag")
    const digests = Buffer.concat([PART, tail].map(body => Buffer.from(checksumBase64("SHA256", body), "base64")))
    const whole = present(elements(xml, "Checksum")[0], "Checksum")
    same(text(whole, "ChecksumSHA256"), checksumBase64("SHA256", digests), "composite checksum, without -2")
    const inside = present(elements(xml, "ObjectParts")[0], "ObjectParts")
    same(texts(inside, "Size"), [String(PART.length), "4"], "sizes")
    same(texts(inside, "ChecksumSHA256")[1], checksumBase64("SHA256", tail), "checksum of the tail")
    same(text(inside, "PartsCount") ?? text(inside, "TotalPartsCount"), "2", "count")
    const page = expectStatus(await attributes(scene, "ObjectParts", { "x-amz-max-parts": "1" }), 200).text
    same([texts(page, "PartNumber"), text(page, "IsTruncated")], [["1"], "true"], "first page")
    const rest = await attributes(scene, "ObjectParts", { "x-amz-part-number-marker": "1" })
    same(texts(rest.text, "PartNumber"), ["2"], "second page")
    // A client that goes on after the last part finds the end of the list.
    const end = await attributes(scene, "ObjectParts", { "x-amz-part-number-marker": "2" })
    const { text: last } = expectStatus(end, 200)
    same([texts(last, "PartNumber"), text(last, "IsTruncated")], [[], "false"], "after the last part")
    same([text(last, "PartNumberMarker"), text(last, "MaxParts")], ["2", "1000"], "marker and maximum")
  }),
  // "if an additional checksum … isn't applied to the object specified in the request, the response doesn't return the
  // Part element." (GetObjectAttributesParts). An upload without an algorithm has no checksum if a part names another than the
  // default.
  row("98.4", "parts without checksums are counted, not listed", async scene => {
    const uploadId = await scene.createUpload("k")
    const bytes = Buffer.from("part")
    const crc = checksumBase64("CRC32", bytes)
    const etag = await scene.storedPart("k", uploadId, 1, bytes, { "x-amz-checksum-crc32": crc })
    expectStatus(await scene.complete("k", uploadId, [[1, etag]]), 200)
    const { text: xml } = expectStatus(await attributes(scene, "ObjectParts"), 200)
    same([text(xml, "PartsCount"), elements(xml, "Part").length], ["1", 0], "count and parts")
  }),
  row("98.5", "a delete marker has no attributes, and says what it is", async scene => {
    await scene.setVersioning("Enabled")
    await scene.stored("k", "body")
    const marker = (await scene.remove("k")).header("x-amz-version-id")
    const latest = await attributes(scene, "ETag")
    expectError(latest, 404, "NoSuchKey")
    same(latest.header("x-amz-delete-marker"), "true", "x-amz-delete-marker")
    const asked = { "x-amz-object-attributes": "ETag" }
    const named = await scene.get("k", asked, `attributes&versionId=${marker ?? ""}`)
    expectError(named, 405, "MethodNotAllowed")
    same([named.header("x-amz-delete-marker"), named.header("allow")], ["true", "DELETE"], "headers")
  }),
  row(
    "98.6",
    "a page without parts says where it is, also of an object whose checksum is of all bytes",
    async scene => {
      await scene.multipart("k", [PART, "tail"])
      const { text: whole } = expectStatus(await attributes(scene, "ObjectParts"), 200)
      same(texts(whole, "PartNumber"), ["1", "2"], "parts")
      const end = await attributes(scene, "ObjectParts", { "x-amz-part-number-marker": "2" })
      const { text: last } = expectStatus(end, 200)
      same([texts(last, "PartNumber"), text(last, "IsTruncated")], [[], "false"], "after the last part")
      same([text(last, "PartNumberMarker"), text(last, "NextPartNumberMarker")], ["2", "2"], "markers")
      const none = await attributes(scene, "ObjectParts", { "x-amz-max-parts": "0" })
      same([text(none.text, "MaxParts"), text(none.text, "PartsCount")], ["0", "2"], "a page of no parts")
    },
  ),
]

export const bucketAndRestRows: readonly Row[] = [...bucketRows, ...tagRows, ...attributeRows]
