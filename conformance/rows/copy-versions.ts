/** Lines 84 to 91: copies and versions. */
import { md5Hex } from "../checksums.js"
import { check, expectBody, expectError, expectHeader, expectStatus, present, same } from "../expect.js"
import { row } from "../row.js"
import type { Row } from "../row.js"
import { PART } from "../scene.js"
import type { Scene } from "../scene.js"
import { encodeText } from "../sign-v4.js"
import { elements, text, texts } from "../xml.js"

const versionOf = (response: { header(name: string): string | undefined }) =>
  present(response.header("x-amz-version-id"), "x-amz-version-id")

const FULL = {
  "Content-Type": "text/x-source",
  "Cache-Control": "no-store",
  "x-amz-meta-note": "source",
  "x-amz-tagging": "a=1",
}

async function copyKeepsOrReplaces(scene: Scene): Promise<void> {
  await scene.stored("source", "body", FULL)
  const sent = { "Content-Type": "text/x-sent", "x-amz-meta-note": "sent", "x-amz-meta-more": "sent" }
  expectStatus(await scene.copy("source", "kept", sent), 200)
  const kept = await scene.head("kept")
  expectHeader(kept, "content-type", "text/x-source")
  expectHeader(kept, "cache-control", "no-store")
  expectHeader(kept, "x-amz-meta-note", "source")
  expectHeader(kept, "x-amz-meta-more", undefined)
  expectHeader(kept, "x-amz-tagging-count", "1")
  expectStatus(await scene.copy("source", "replaced", { ...sent, "x-amz-metadata-directive": "REPLACE" }), 200)
  const replaced = await scene.head("replaced")
  expectHeader(replaced, "content-type", "text/x-sent")
  expectHeader(replaced, "cache-control", undefined)
  expectHeader(replaced, "x-amz-meta-note", "sent")
  expectHeader(replaced, "x-amz-tagging-count", "1")
  const tags = { "x-amz-tagging-directive": "REPLACE", "x-amz-tagging": "b=1&c=2" }
  expectStatus(await scene.copy("source", "tagged", tags), 200)
  expectHeader(await scene.head("tagged"), "x-amz-tagging-count", "2")
  expectBody(await scene.get("tagged"), "body")
}

const SOURCES = ["plain", "a?b", "a%b", "a%41b", "a+b", "a b", "é 😀", "a//b/", "../up", "a?versionId=null", "#&="]

const copyRows: readonly Row[] = [
  ...SOURCES.map((key, index) =>
    row(`84.${index + 1}`, `the copy source ${key}, with and without a leading slash`, async scene => {
      await scene.stored(key, `body of ${key}`)
      for (const start of ["/", ""]) {
        const headers = { "x-amz-copy-source": `${start}${scene.bucket}/${encodeText(key, true)}` }
        expectStatus(await scene.put("copied", "", headers), 200)
        expectBody(await scene.get("copied"), `body of ${key}`)
        expectStatus(await scene.remove("copied"), 204)
      }
    }),
  ),
  row("84.20", "slashes may be encoded in the copy source", async scene => {
    await scene.stored("a/b", "body")
    const headers = { "x-amz-copy-source": encodeText(`${scene.bucket}/a/b`) }
    expectStatus(await scene.put("copied", "", headers), 200)
    expectBody(await scene.get("copied"), "body")
  }),
  row("84.27", "a plus sign in the copy source is a space, as in a form", async scene => {
    await scene.stored("a b", "space")
    await scene.stored("a+b", "plus")
    for (const [written, body] of [
      ["a+b", "space"],
      ["a%2Bb", "plus"],
    ] as const) {
      expectStatus(await scene.put("copied", "", { "x-amz-copy-source": `${scene.bucket}%2F${written}` }), 200)
      expectBody(await scene.get("copied"), body)
    }
  }),
  row("84.21", "?versionId= after the key names the version", async scene => {
    await scene.setVersioning("Enabled")
    const first = versionOf(await scene.stored("a?b", "one"))
    await scene.stored("a?b", "two")
    const headers = { "x-amz-copy-source": `/${scene.bucket}/a%3Fb?versionId=${first}` }
    const response = expectStatus(await scene.put("copied", "", headers), 200)
    expectHeader(response, "x-amz-copy-source-version-id", first)
    expectBody(await scene.get("copied"), "one")
  }),
  ...["", "/", "nobucket", "/bucket-only/", "bucket/%zz"].map((value, index) =>
    row(`84.${22 + index}`, `the copy source "${value}" is refused`, async scene => {
      expectError(await scene.put("k", "", { "x-amz-copy-source": value }), [400, 404])
      expectError(await scene.get("k"), 404, "NoSuchKey")
    }),
  ),
  ...["s3://bucket/key", "my-buc@k/key", "a/key"].map((value, index) =>
    row(`84.${30 + index}`, `the copy source "${value}", in what can be no bucket, is refused`, async scene => {
      const headers = { "x-amz-copy-source": value }
      const response = expectError(await scene.put("k", "", headers), 400, "InvalidArgument")
      same(text(response.text, "Message"), "Invalid copy source bucket name", "Message")
    }),
  ),
  row("85.1", "a copy onto itself that changes nothing is refused", async scene => {
    await scene.stored("k", "body", { "x-amz-meta-note": "old" })
    expectError(await scene.copy("k", "k"), 400, "InvalidRequest")
    expectHeader(await scene.head("k"), "x-amz-meta-note", "old")
  }),
  row("85.2", "a copy onto itself with REPLACE changes the metadata", async scene => {
    await scene.stored("k", "body", { "x-amz-meta-note": "old" })
    const headers = { "x-amz-metadata-directive": "REPLACE", "x-amz-meta-note": "new" }
    expectStatus(await scene.copy("k", "k", headers), 200)
    const response = await scene.get("k")
    expectHeader(response, "x-amz-meta-note", "new")
    expectBody(response, "body")
  }),
  row("85.3", "a copy onto itself with REPLACE keeps the bytes of a large object", async scene => {
    await scene.stored("k", PART)
    const headers = { "x-amz-metadata-directive": "REPLACE", "x-amz-meta-note": "new" }
    for (let round = 0; round < 3; round += 1) expectStatus(await scene.copy("k", "k", headers), 200)
    expectBody(await scene.get("k"), PART)
  }),
  row("85.4", "an older version copied onto its key restores it", async scene => {
    await scene.setVersioning("Enabled")
    const first = versionOf(await scene.stored("k", "one"))
    await scene.stored("k", "two")
    const headers = { "x-amz-copy-source": `/${scene.bucket}/k?versionId=${first}` }
    expectStatus(await scene.put("k", "", headers), 200)
    expectBody(await scene.get("k"), "one")
    same(elements((await scene.list("versions")).text, "Version").length, 3, "versions")
  }),
  row("86.1", "COPY keeps metadata, headers and tags; REPLACE takes those sent", copyKeepsOrReplaces),
  row("86.2", "a missing source", async scene => {
    expectError(await scene.copy("missing", "k"), 404, "NoSuchKey")
    const headers = { "x-amz-copy-source": `/${scene.uniqueName()}/k` }
    expectError(await scene.put("k", "", headers), 404, "NoSuchBucket")
    expectError(await scene.get("k"), 404, "NoSuchKey")
  }),
  row("86.3", "a delete marker as the source", async scene => {
    await scene.setVersioning("Enabled")
    await scene.stored("source", "body")
    const marker = versionOf(await scene.remove("source"))
    const headers = { "x-amz-copy-source": `/${scene.bucket}/source?versionId=${marker}` }
    expectError(await scene.put("k", "", headers), 400, "InvalidRequest")
    expectError(await scene.copy("source", "k"), 404, "NoSuchKey")
  }),
  row("86.4", "another directive is refused", async scene => {
    await scene.stored("source", "body")
    expectError(await scene.copy("source", "k", { "x-amz-metadata-directive": "MERGE" }), 400, "InvalidArgument")
    expectError(await scene.copy("source", "k", { "x-amz-tagging-directive": "MERGE" }), 400, "InvalidArgument")
  }),
  row("87.1", "the result carries a quoted ETag and the time", async scene => {
    await scene.stored("source", "body")
    const { text: xml } = expectStatus(await scene.copy("source", "k"), 200)
    check(xml.includes("<CopyObjectResult"), "CopyObjectResult")
    same(text(xml, "ETag"), `"${md5Hex(Buffer.from("body"))}"`, "ETag")
    const modified = Date.parse(text(xml, "LastModified") ?? "")
    same(modified, Date.parse((await scene.head("k")).header("last-modified") ?? ""), "LastModified")
  }),
  ...["small", PART].map((body, index) =>
    row(`87.${2 + index}`, `a copy of ${body.length} bytes outlives its source`, async scene => {
      await scene.stored("source", body)
      const target = await scene.newBucket()
      const headers = { "x-amz-copy-source": `/${scene.bucket}/source` }
      expectStatus(await scene.client.call("PUT", { bucket: target, key: "k", headers }), 200)
      expectStatus(await scene.copy("source", "k"), 200)
      await scene.stored("source", "other")
      expectStatus(await scene.remove("source"), 204)
      expectBody(await scene.get("k"), body)
      expectBody(await scene.client.call("GET", { bucket: target, key: "k" }), body)
    }),
  ),
  row("87.4", "a copy of a multipart object has its bytes", async scene => {
    await scene.multipart("source", [PART, "tail"])
    expectStatus(await scene.copy("source", "k"), 200)
    expectBody(await scene.get("k"), Buffer.concat([PART, Buffer.from("tail")]))
  }),
]

async function suspendedReplacesNull(scene: Scene): Promise<void> {
  await scene.setVersioning("Enabled")
  const kept = versionOf(await scene.stored("k", "kept"))
  await scene.setVersioning("Suspended")
  expectHeader(await scene.stored("k", "null one"), "x-amz-version-id", undefined)
  expectHeader(await scene.stored("k", "null two"), "x-amz-version-id", undefined)
  expectHeader(await scene.get("k"), "x-amz-version-id", "null")
  same(texts((await scene.list("versions")).text, "VersionId"), ["null", kept], "versions")
  const removed = expectStatus(await scene.remove("k"), 204)
  expectHeader(removed, "x-amz-delete-marker", "true")
  expectHeader(removed, "x-amz-version-id", "null")
  const { text: xml } = await scene.list("versions")
  same([elements(xml, "Version").length, elements(xml, "DeleteMarker").length], [1, 1], "versions and markers")
  expectBody(expectStatus(await scene.get("k", {}, `versionId=${kept}`), 200), "kept")
  expectStatus(await scene.remove("k", {}, "versionId=null"), 204)
  expectBody(expectStatus(await scene.get("k"), 200), "kept")
}

const versionRows: readonly Row[] = [
  row("88.1", "enabled: each PUT has a new id, DELETE makes a marker", async scene => {
    await scene.setVersioning("Enabled")
    same(text((await scene.list("versioning")).text, "Status"), "Enabled", "Status")
    const ids = [versionOf(await scene.stored("k", "1")), versionOf(await scene.stored("k", "2"))]
    check(new Set(ids).size === 2 && !ids.includes("null"), "two ids")
    const removed = expectStatus(await scene.remove("k"), 204)
    expectHeader(removed, "x-amz-delete-marker", "true")
    check(!ids.includes(versionOf(removed)), "the marker has an id of its own")
    for (const [index, id] of ids.entries()) {
      const response = expectStatus(await scene.get("k", {}, `versionId=${id}`), 200)
      expectBody(response, String(index + 1))
      expectHeader(response, "x-amz-version-id", id)
    }
    same(await scene.keys(), [], "keys listed")
  }),
  row("88.2", "suspended: PUT and DELETE replace only the null version", suspendedReplacesNull),
  row("88.4", "suspended: Complete and CopyObject answer no version id, DeleteObjects the marker's", async scene => {
    await scene.setVersioning("Suspended")
    expectHeader(await scene.multipart("k", ["part"]), "x-amz-version-id", undefined)
    const copied = expectStatus(await scene.copy("k", "copied"), 200)
    expectHeader(copied, "x-amz-version-id", undefined)
    expectHeader(copied, "x-amz-copy-source-version-id", "null")
    const { text: xml } = expectStatus(await scene.deleteMany(["k"]), 200)
    same([text(xml, "DeleteMarker"), text(xml, "DeleteMarkerVersionId")], ["true", "null"], "marker")
  }),
  row("88.3", "Complete and CopyObject answer version ids", async scene => {
    await scene.setVersioning("Enabled")
    versionOf(await scene.multipart("k", ["part"]))
    const { header } = expectStatus(await scene.copy("k", "copied"), 200)
    check((header("x-amz-version-id") ?? "null") !== "null", "the copy has an id")
    check((header("x-amz-copy-source-version-id") ?? "null") !== "null", "the source has an id")
  }),
  row("89.1", "GET and HEAD of a key whose latest is a delete marker", async scene => {
    await scene.setVersioning("Enabled")
    await scene.stored("k", "body")
    const marker = versionOf(await scene.remove("k"))
    for (const method of ["GET", "HEAD"]) {
      const response = expectStatus(await scene.call(method, { key: "k" }), 404)
      expectHeader(response, "x-amz-delete-marker", "true")
      expectHeader(response, "x-amz-version-id", marker)
      if (method === "GET") expectError(response, 404, "NoSuchKey")
    }
  }),
  row("89.2", "GET and HEAD of a marker by its id", async scene => {
    await scene.setVersioning("Enabled")
    await scene.stored("k", "body")
    const marker = versionOf(await scene.remove("k"))
    for (const method of ["GET", "HEAD"]) {
      const response = expectStatus(await scene.call(method, { key: "k", query: `versionId=${marker}` }), 405)
      expectHeader(response, "allow", "DELETE")
      expectHeader(response, "x-amz-delete-marker", "true")
      expectHeader(response, "last-modified", / GMT$/)
    }
  }),
  ...["garbage!", "%00", "a".repeat(1100)].map((id, index) =>
    row(`90.${index + 1}`, `the malformed version id ${id.slice(0, 10)} is InvalidArgument`, async scene => {
      await scene.setVersioning("Enabled")
      await scene.stored("k", "body")
      expectError(await scene.get("k", {}, `versionId=${id}`), 400, "InvalidArgument")
    }),
  ),
  row("90.4", "a well-formed id that is not there is NoSuchVersion; deleting it is 204", async scene => {
    await scene.setVersioning("Enabled")
    const id = versionOf(await scene.stored("k", "body"))
    expectStatus(await scene.remove("k", {}, `versionId=${id}`), 204)
    expectError(await scene.get("k", {}, `versionId=${id}`), 404, "NoSuchVersion")
    expectStatus(await scene.remove("k", {}, `versionId=${id}`), 204)
    await scene.stored("k", "new")
    expectError(await scene.get("k", {}, "versionId=null"), 404, "NoSuchVersion")
  }),
  row("90.5", "an empty versionId on GET is refused", async scene => {
    await scene.stored("k", "body")
    expectError(await scene.get("k", {}, "versionId="), 400, "InvalidArgument")
  }),
  row("90.6", "deleting the marker brings the object back", async scene => {
    await scene.setVersioning("Enabled")
    await scene.stored("k", "body")
    const marker = versionOf(await scene.remove("k"))
    const removed = expectStatus(await scene.remove("k", {}, `versionId=${marker}`), 204)
    expectHeader(removed, "x-amz-delete-marker", "true")
    expectHeader(removed, "x-amz-version-id", marker)
    expectBody(expectStatus(await scene.get("k"), 200), "body")
  }),
  row("90.7", "deleting the latest version uncovers the one before", async scene => {
    await scene.setVersioning("Enabled")
    await scene.stored("k", "one")
    const second = versionOf(await scene.stored("k", "two"))
    const removed = expectStatus(await scene.remove("k", {}, `versionId=${second}`), 204)
    expectHeader(removed, "x-amz-version-id", second)
    expectBody(await scene.get("k"), "one")
    same(await scene.keys(), ["k"], "keys listed")
    same(texts((await scene.list("versions")).text, "IsLatest"), ["true"], "IsLatest")
  }),
  row("90.8", "DeleteObjects with versions and without", async scene => {
    await scene.setVersioning("Enabled")
    const id = versionOf(await scene.stored("a", "1"))
    await scene.stored("b", "1")
    const { text: xml } = expectStatus(await scene.deleteMany([{ key: "a", versionId: id }, "b"]), 200)
    const [a, b] = elements(xml, "Deleted")
    same([text(a ?? "", "Key"), text(a ?? "", "VersionId")], ["a", id], "version deleted")
    same(text(b ?? "", "DeleteMarker"), "true", "DeleteMarker")
    check((text(b ?? "", "DeleteMarkerVersionId") ?? "") !== "", "DeleteMarkerVersionId")
    same(texts((await scene.list("versions")).text, "Key"), ["b", "b"], "entries left")
  }),
  row("91.1", "an object from before versioning is the null version", async scene => {
    await scene.stored("k", "before")
    await scene.setVersioning("Enabled")
    const after = versionOf(await scene.stored("k", "after"))
    const response = expectStatus(await scene.get("k", {}, "versionId=null"), 200)
    expectBody(response, "before")
    expectHeader(response, "x-amz-version-id", "null")
    same(texts((await scene.list("versions")).text, "VersionId"), [after, "null"], "versions")
    expectStatus(await scene.remove("k", {}, "versionId=null"), 204)
    same(texts((await scene.list("versions")).text, "VersionId"), [after], "versions left")
  }),
  row("91.2", "versioning cannot go back to never", async scene => {
    await scene.setVersioning("Enabled")
    for (const xml of [
      "<VersioningConfiguration/>",
      "<VersioningConfiguration><Status>Never</Status></VersioningConfiguration>",
    ]) {
      const response = await scene.document("PUT", "versioning", xml)
      if (response.status !== 200) expectError(response, 400)
      same(text((await scene.list("versioning")).text, "Status"), "Enabled", "Status")
    }
  }),
  row(
    "91.5",
    "a list of deletions with an id that no version can have says that there is no such version",
    async scene => {
      await scene.stored("k", "body")
      const { text: xml } = expectStatus(await scene.deleteMany([{ key: "k", versionId: "abc" }]), 200)
      same([text(xml, "Code"), text(xml, "VersionId")], ["NoSuchVersion", "abc"], "error")
      expectBody(await scene.get("k"), "body")
    },
  ),
  row("91.6", "the versions of a key are no resource", async scene => {
    await scene.stored("k", "body")
    const refused = expectError(await scene.call("GET", { key: "k", query: "versions" }), 400, "InvalidRequest")
    const message = "There is no such thing as the ?versions sub-resource for a key"
    same(text(refused.text, "Message"), message, "Message")
  }),
  row("91.3", "MFA delete is refused", async scene => {
    const xml =
      "<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Enabled</MfaDelete></VersioningConfiguration>"
    expectError(await scene.document("PUT", "versioning", xml), [400, 501])
  }),
  row("91.4", "an element that S3 does not have in the versioning of a bucket is MalformedXML", async scene => {
    const xml =
      "<VersioningConfiguration><Status>Enabled</Status><ExcludeFolders>true</ExcludeFolders></VersioningConfiguration>"
    expectError(await scene.document("PUT", "versioning", xml), 400, "MalformedXML")
    same(text((await scene.list("versioning")).text, "Status"), undefined, "Status")
  }),
]

export const copyAndVersionRows: readonly Row[] = [...copyRows, ...versionRows]
