/**
 * Requests in which other stores differ from Amazon, as their users have reported with Amazon's answers: most are requests
 * that a store would otherwise half understand.
 */
import { check, expectBody, expectError, expectHeader, expectStatus, same } from "../expect.js"
import { md5Base64 } from "../checksums.js"
import { row } from "../row.js"
import type { Row } from "../row.js"
import type { Scene } from "../scene.js"
import type { RawResponse } from "../raw-client.js"
import { encodeText, UNSIGNED_PAYLOAD } from "../sign-v4.js"
import { elements, text } from "../xml.js"

/** A refusal with an argument: its name and what was sent. */
function expectArgument(response: RawResponse, message: RegExp, name: string): void {
  const { text: xml } = expectError(response, 400, "InvalidArgument")
  check(message.test(text(xml, "Message") ?? ""), `a message like ${message.source}, not ${text(xml, "Message")}`)
  same(text(xml, "ArgumentName"), name, "ArgumentName")
}

function expectMessage(response: RawResponse, code: string, message: RegExp): void {
  const { text: xml } = expectError(response, 400, code)
  check(message.test(text(xml, "Message") ?? ""), `a message like ${message.source}, not ${text(xml, "Message")}`)
}

const withTags = (scene: Scene, tags: string): Promise<RawResponse> =>
  scene.document("PUT", "tagging", `<Tagging><TagSet>${tags}</TagSet></Tagging>`, { key: "k" })

const tag = (key: string, value: string): string => `<Tag><Key>${key}</Key><Value>${value}</Value></Tag>`

const listingRows: readonly Row[] = [
  row("67.40", "start-after without list-type=2 is refused: pages of version 1 begin at a marker", async scene => {
    expectArgument(
      await scene.list("start-after=a"),
      /^startAfter only supported in .* with list-type=2$/,
      "start-after",
    )
    expectStatus(await scene.list("marker=a"), 200)
    expectStatus(await scene.list("start-after="), 200)
  }),
  row("65.40", "a number out of the range of integers is told apart from one below 0", async scene => {
    for (const [query, name] of [
      ["max-keys=49832749832798423", "max-keys"],
      ["max-keys=ten", "max-keys"],
      ["uploads&max-uploads=2157483647", "max-uploads"],
      ["versions&max-keys=1.5", "max-keys"],
    ] as const)
      expectArgument(await scene.list(query), /^Provided .* not an integer or within integer range$/, name)
    expectArgument(await scene.list("max-keys=-12"), /must be an integer between 0 and 2147483647$/, "max-keys")
  }),
  row("66.40", "a delimiter that is encoded itself is echoed encoded, and so are its prefixes", async scene => {
    for (const key of ["b%ar", "b%az", "foo"]) await scene.stored(key)
    const { text: xml } = expectStatus(await scene.list("delimiter=%25&encoding-type=url"), 200)
    same(text(xml, "Delimiter"), "%25", "Delimiter")
    same(
      elements(xml, "CommonPrefixes").map(each => text(each, "Prefix")),
      ["b%25"],
      "prefixes",
    )
  }),
  row("70.40", "a prefix of a line feed is echoed, and fits nothing", async scene => {
    await scene.stored("k")
    const { text: xml } = expectStatus(await scene.list("prefix=%0A"), 200)
    check(/<Prefix>&#10;<\/Prefix>|<Prefix>&#xA;<\/Prefix>/i.test(xml), "the prefix as a reference")
    same(elements(xml, "Contents"), [], "keys")
  }),
  row("82.40", "a key marker of uploads need not be the key of one", async scene => {
    for (const key of ["aaa", "ccc", "ddd"]) await scene.createUpload(key)
    const { text: xml } = expectStatus(await scene.list("uploads&key-marker=bbb"), 200)
    same(
      elements(xml, "Upload").map(each => text(each, "Key")),
      ["ccc", "ddd"],
      "uploads",
    )
  }),
]

const copyRows: readonly Row[] = [
  row(
    "84.40",
    "a source that names no bucket, or no key, is refused as such, by copies of parts as well",
    async scene => {
      const uploadId = await scene.createUpload("mp")
      const part = `partNumber=1&uploadId=${encodeText(uploadId)}`
      for (const query of [undefined, part]) {
        const copied = (source: string) =>
          scene.call("PUT", {
            key: "mp",
            body: "",
            headers: { "x-amz-copy-source": source },
            ...(query !== undefined && { query }),
          })
        expectArgument(await copied(""), /^Invalid copy source bucket name$/, "x-amz-copy-source")
        expectArgument(await copied("No_Such_Name!/a"), /^Invalid copy source bucket name$/, "x-amz-copy-source")
        expectArgument(await copied(scene.bucket), /^Invalid copy source object key$/, "x-amz-copy-source")
        expectArgument(await copied(`${scene.bucket}/`), /^Invalid copy source object key$/, "x-amz-copy-source")
      }
    },
  ),
  row("86.40", "a missing source is named, and not the target", async scene => {
    const { text: key } = expectError(await scene.copy("source/that is gone", "target"), 404, "NoSuchKey")
    same(text(key, "Key"), "source/that is gone", "Key")
    const headers = { "x-amz-copy-source": "no-such-bucket-as-this/k" }
    const { text: bucket } = expectError(await scene.put("target", "", headers), 404, "NoSuchBucket")
    same(text(bucket, "BucketName"), "no-such-bucket-as-this", "BucketName")
    await scene.stored("target")
    const own = expectError(await scene.get("another"), 404, "NoSuchKey")
    same(text(own.text, "Key"), "another", "Key of a read")
  }),
  row(
    "86.42",
    "a missing version of a source is named, and not the target, by copies of parts as well",
    async scene => {
      await scene.setVersioning("Enabled")
      await scene.stored("source", "first")
      const gone = (await scene.stored("source", "second")).header("x-amz-version-id") ?? ""
      expectStatus(await scene.remove("source", {}, `versionId=${gone}`), 204)
      const headers = { "x-amz-copy-source": `/${scene.bucket}/source?versionId=${gone}` }
      const uploadId = await scene.createUpload("target")
      for (const copied of [
        await scene.put("target", "", headers),
        await scene.part("target", uploadId, 1, "", headers),
        await scene.put("target", "", { ...headers, "x-amz-tagging-directive": "REPLACE" }),
      ]) {
        const { text: version } = expectError(copied, 404, "NoSuchVersion")
        same(text(version, "Key"), "source", "Key")
      }
    },
  ),
  row("86.41", "a copy with a body is refused, and changes nothing", async scene => {
    await scene.stored("source", "of the source")
    await scene.stored("target", "before")
    const headers = { "x-amz-copy-source": `/${scene.bucket}/source` }
    expectMessage(await scene.put("target", "a body", headers), "InvalidRequest", /included a body/)
    expectBody(await scene.get("target"), "before")
    const uploadId = await scene.createUpload("mp")
    expectMessage(await scene.part("mp", uploadId, 1, "a body", headers), "InvalidRequest", /included a body/)
  }),
  row("86.43", "a copy has a body if a byte is left of it without its frames", async scene => {
    await scene.stored("source", "of the source")
    await scene.stored("target", "before")
    const source = { "x-amz-copy-source": `/${scene.bucket}/source` }
    const payloadHash = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    const framed = (body: string, lengthBytes: number) =>
      scene.call("PUT", {
        key: "target",
        body,
        sign: { payloadHash },
        headers: { ...source, "x-amz-decoded-content-length": String(lengthBytes) },
      })
    const chunked = (body: string) =>
      scene.call("PUT", {
        key: "target",
        body,
        sign: { payloadHash: UNSIGNED_PAYLOAD },
        headers: { ...source, "transfer-encoding": "chunked" },
        noLength: true,
      })
    expectMessage(await framed("3\r\nabc\r\n0\r\n\r\n", 3), "InvalidRequest", /included a body/)
    expectMessage(await chunked("3\r\nabc\r\n0\r\n\r\n"), "InvalidRequest", /included a body/)
    expectBody(await scene.get("target"), "before")
    expectStatus(await framed("0\r\n\r\n", 0), 200)
    expectBody(await scene.get("target"), "of the source")
    await scene.stored("target", "before")
    expectStatus(await chunked("0\r\n\r\n"), 200)
    expectBody(await scene.get("target"), "of the source")
  }),
  row("84.41", "the source of a copy in a request that makes none is refused", async scene => {
    await scene.stored("k", "kept")
    const headers = { "x-amz-copy-source": `/${scene.bucket}/k` }
    expectArgument(await scene.get("k", headers), /copy requests\.$/, "x-amz-copy-source")
    expectStatus(await scene.head("k", headers), 400)
    expectArgument(await scene.remove("k", headers), /copy requests\.$/, "x-amz-copy-source")
    expectArgument(await scene.call("GET", { headers }), /copy requests\.$/, "x-amz-copy-source")
    expectBody(await scene.get("k"), "kept")
  }),
  row("85.40", "a copy onto itself that replaces headers only", async scene => {
    await scene.stored("k", "body", { "content-type": "text/plain" })
    const headers = { "x-amz-metadata-directive": "REPLACE", "content-disposition": "attachment" }
    expectStatus(await scene.copy("k", "k", headers), 200)
    const read = expectStatus(await scene.get("k"), 200)
    expectHeader(read, "content-disposition", "attachment")
    expectHeader(read, "content-type", "binary/octet-stream")
    expectBody(read, "body")
  }),
  row("90.40", "a write that names a version is refused", async scene => {
    await scene.stored("k", "before")
    const put = await scene.call("PUT", { key: "k", query: "versionId=null", body: "after" })
    expectArgument(put, /does not accept a version-id\.$/, "versionId")
    const headers = { "x-amz-copy-source": `/${scene.bucket}/k` }
    const copy = await scene.call("PUT", { key: "other", query: "versionId=null", body: "", headers })
    expectArgument(copy, /does not accept a version-id\.$/, "versionId")
    expectBody(await scene.get("k"), "before")
    expectStatus(await scene.get("other"), 404)
    const uploadId = await scene.createUpload("k")
    const query = `partNumber=1&uploadId=${encodeText(uploadId)}&versionId=null`
    expectArgument(
      await scene.call("PUT", { key: "k", query, body: "part" }),
      /does not accept a version-id\.$/,
      "versionId",
    )
  }),
]

const multipartRows: readonly Row[] = [
  row("74.40", "a part without its number, or without its upload, is no object", async scene => {
    await scene.stored("k", "before")
    const noNumber = expectError(
      await scene.call("PUT", { key: "k", query: "uploadId=abc", body: "part" }),
      405,
      "MethodNotAllowed",
    )
    same(text(noNumber.text, "ResourceType"), "UPLOAD", "ResourceType")
    expectHeader(noNumber, "allow", "DELETE, POST, GET")
    const noUpload = await scene.call("PUT", { key: "k", query: "partNumber=1", body: "part" })
    expectArgument(noUpload, /^This operation does not accept partNumber without uploadId$/, "partNumber")
    const headers = { "x-amz-copy-source": `/${scene.bucket}/k` }
    const copied = await scene.call("PUT", { key: "k", query: "partNumber=1", body: "", headers })
    expectArgument(copied, /partNumber without uploadId$/, "partNumber")
    expectBody(await scene.get("k"), "before")
  }),
  row("74.41", "a number that no part can have is refused with the range", async scene => {
    const uploadId = await scene.createUpload("k")
    for (const number of ["0", "10001", "x", ""])
      expectArgument(await scene.part("k", uploadId, number, "p"), /between 1 and 10000, inclusive$/, "partNumber")
  }),
  row("77.40", "x-amz-mp-object-size that is no size is refused with what was sent", async scene => {
    const uploadId = await scene.createUpload("k")
    const etag = await scene.storedPart("k", uploadId, 1, "part")
    const completed = await scene.complete("k", uploadId, [[1, etag]], { "x-amz-mp-object-size": "size" })
    expectMessage(completed, "InvalidRequest", /^Value for x-amz-mp-object-size header is invalid: 'size'$/)
    expectStatus(await scene.complete("k", uploadId, [[1, etag]], { "x-amz-mp-object-size": "4" }), 200)
  }),
  row("75.40", "the list of parts under the names that Amazon's SDKs have given it", async scene => {
    for (const root of ["CompletedMultipartUpload", "MultipartUpload"]) {
      const uploadId = await scene.createUpload("k")
      const etag = await scene.storedPart("k", uploadId, 1, root)
      const list = `<Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part>`
      const body = `<${root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${list}</${root}>`
      expectStatus(await scene.call("POST", { key: "k", query: `uploadId=${encodeText(uploadId)}`, body }), 200)
      expectBody(await scene.get("k"), root)
    }
    const uploadId = await scene.createUpload("k")
    const other = await scene.call("POST", { key: "k", query: `uploadId=${encodeText(uploadId)}`, body: "<Parts/>" })
    expectError(other, 400, "MalformedXML")
  }),
]

const tagRows: readonly Row[] = [
  row("97.40", "InvalidTag names the key, and the value that is wrong", async scene => {
    await scene.stored("k")
    const key = expectError(await withTags(scene, tag("ke&amp;y", "v")), 400, "InvalidTag")
    same(text(key.text, "TagKey"), "ke&y", "TagKey")
    const value = expectError(await withTags(scene, tag("key", "inv&amp;alid")), 400, "InvalidTag")
    same([text(value.text, "TagKey"), text(value.text, "TagValue")], ["key", "inv&alid"], "key and value")
    const twice = expectError(await withTags(scene, tag("key", "1") + tag("key", "2")), 400, "InvalidTag")
    same(text(twice.text, "TagKey"), "key", "TagKey of a repeated key")
  }),
  row("97.41", "x-amz-tagging without values, or empty between ampersands", async scene => {
    for (const [header, expected] of [
      ["key", ["key="]],
      ["&", []],
      ["key=&&", ["key="]],
      ["key1&key2", ["key1=", "key2="]],
      ["a+b=c+d", ["a b=c d"]],
    ] as const) {
      await scene.stored("k", "", { "x-amz-tagging": header })
      const { text: xml } = expectStatus(await scene.get("k", {}, "tagging"), 200)
      const tags = elements(xml, "Tag").map(each => `${text(each, "Key")}=${text(each, "Value") ?? ""}`)
      same(tags, expected, header)
    }
    for (const header of ["=", "=v", "a=1&a=2", "a=%zz"]) {
      const refused = await scene.put("k", "", { "x-amz-tagging": header })
      expectArgument(refused, /shall be encoded as UTF-8 then URLEncoded/, "x-amz-tagging")
    }
  }),
]

const requestRows: readonly Row[] = [
  row("34.40", "an override of a header that has none is refused", async scene => {
    await scene.stored("k", "body")
    expectArgument(await scene.get("k", {}, "response-foo=x"), /^response-foo is not in the set of/, "response-foo")
    expectStatus(await scene.head("k", {}, "response-content-lenght=3"), 400)
    const read = expectStatus(await scene.get("k", {}, "response-content-type=text%2Fplain"), 200)
    expectHeader(read, "content-type", "text/plain")
  }),
  row("15.40", "Expect may be signed", async scene => {
    const body = "x".repeat(100)
    const sign = { payloadHash: UNSIGNED_PAYLOAD }
    expectStatus(await scene.call("PUT", { key: "k", body, sign, headers: { expect: "100-continue" } }), 200)
    expectBody(await scene.get("k"), body)
  }),
  row("12.340", "documents under the names that Amazon's SDK for JavaScript has given them", async scene => {
    const rule = "<Rule><ID>a</ID><Filter/><Status>Disabled</Status><Expiration><Days>1</Days></Expiration></Rule>"
    const rules = `<BucketLifecycleConfiguration>${rule}</BucketLifecycleConfiguration>`
    expectStatus(await scene.document("PUT", "lifecycle", rules), 200)
    const shown = expectStatus(await scene.call("GET", { query: "lifecycle" }), 200)
    check(shown.text.includes("<LifecycleConfiguration"), "shown under its own name")
    const bucket = await scene.newBucket({ headers: { "x-amz-bucket-object-lock-enabled": "true" } })
    const body = "locked"
    const headers = { "Content-MD5": md5Base64(Buffer.from(body)) }
    expectStatus(await scene.call("PUT", { bucket, key: "k", body, headers }), 200)
    const until = new Date(Date.now() + 3_600_000).toISOString()
    const terms = `<Mode>GOVERNANCE</Mode><RetainUntilDate>${until}</RetainUntilDate>`
    const at = { bucket, key: "k" }
    const retention = `<ObjectLockRetention>${terms}</ObjectLockRetention>`
    expectStatus(await scene.document("PUT", "retention", retention, at), 200)
    const hold = "<ObjectLockLegalHold><Status>OFF</Status></ObjectLockLegalHold>"
    expectStatus(await scene.document("PUT", "legal-hold", hold, at), 200)
    const kept = expectStatus(await scene.call("GET", { ...at, query: "retention" }), 200)
    same(text(kept.text, "Mode"), "GOVERNANCE", "mode")
    expectError(await scene.document("PUT", "retention", `<Other>${terms}</Other>`, at), 400, "MalformedXML")
  }),
]

/** Valid requests that other stores have refused or misread. */
const acceptedRows: readonly Row[] = [
  row("54.40", "forms of a range: the unit in capitals, ends past any number, lists and halves", async scene => {
    await scene.stored("k", "hello a")
    for (const [range, status, body] of [
      ["Bytes=0-1", 206, "he"],
      ["bytes=0-99999999999999999999", 206, "hello a"],
      ["bytes=-99999999999999999999", 206, "hello a"],
      ["bytes=0-1,", 200, "hello a"],
      ["bytes=0-1,3-4", 200, "hello a"],
      ["bytes=-", 200, "hello a"],
      ["bytes=2-1", 200, "hello a"],
      ["bytes = 0-1", 200, "hello a"],
    ] as const)
      expectBody(expectStatus(await scene.get("k", { range }), status), body)
    const past = await scene.get("k", { range: "bytes=99999999999999999999-" })
    expectHeader(expectError(past, 416, "InvalidRange"), "content-range", "bytes */7")
  }),
  row("3.40", "a bucket with a slash after its name", async scene => {
    const name = scene.adopt(scene.uniqueName())
    const path = `/${name}/`
    expectStatus(await scene.client.call("PUT", { path }), 200)
    expectHeader(expectStatus(await scene.client.call("HEAD", { path }), 200), "x-amz-bucket-region", /./)
    expectStatus(await scene.client.call("DELETE", { path }), 204)
  }),
  row("5.40", "the first of a repeated parameter counts", async scene => {
    for (const key of ["a", "b"]) await scene.stored(key)
    same(await scene.keys("prefix=a&prefix=b"), ["a"], "keys")
  }),
  row("20.40", "a body of a request that needs none is no part of anything", async scene => {
    await scene.stored("k", "body")
    expectBody(expectStatus(await scene.call("GET", { key: "k", body: "ignored" }), 200), "body")
    expectStatus(await scene.call("DELETE", { key: "k", body: "ignored" }), 204)
    expectStatus(await scene.get("k"), 404)
  }),
  row("35.340", "aws-chunked within the chunks of HTTP, and without a trailer", async scene => {
    const headers = { "content-encoding": "gzip, aws-chunked", "x-amz-decoded-content-length": "3" }
    const sign = { payloadHash: "STREAMING-UNSIGNED-PAYLOAD-TRAILER" }
    const inner = "3\r\nabc\r\n0\r\n\r\n"
    expectStatus(await scene.call("PUT", { key: "plain", body: inner, sign, headers }), 200)
    const outer = `${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`
    const framed = { ...headers, "transfer-encoding": "chunked" }
    expectStatus(await scene.call("PUT", { key: "framed", body: outer, sign, headers: framed, noLength: true }), 200)
    for (const key of ["plain", "framed"]) {
      const read = expectStatus(await scene.get(key), 200)
      expectBody(read, "abc")
      expectHeader(read, "content-encoding", "gzip")
    }
  }),
  row("58.40", "conditions of any object, on reads and on writes", async scene => {
    await scene.stored("k", "body")
    expectStatus(await scene.get("k", { "if-none-match": "*" }), 304)
    expectStatus(await scene.get("k", { "if-match": "*" }), 200)
    expectError(await scene.get("none", { "if-match": "*" }), 404, "NoSuchKey")
    expectStatus(await scene.put("k", "again", { "if-match": "*" }), 200)
    expectError(await scene.put("none", "x", { "if-match": "*" }), 404, "NoSuchKey")
  }),
  row("98.40", "attributes with spaces between them, and twice", async scene => {
    await scene.stored("k", "body")
    const headers = { "x-amz-object-attributes": "ETag, ObjectSize,ETag" }
    const { text: xml } = expectStatus(await scene.get("k", headers, "attributes"), 200)
    same([elements(xml, "ETag").length, text(xml, "ObjectSize")], [1, "4"], "attributes")
  }),
  row("9.340", "a date of a lifecycle rule is midnight in any zone of time", async scene => {
    const rules = (date: string) =>
      `<LifecycleConfiguration><Rule><ID>a</ID><Filter/><Status>Disabled</Status><Expiration><Date>${date}</Date></Expiration></Rule></LifecycleConfiguration>`
    expectStatus(await scene.document("PUT", "lifecycle", rules("2130-01-01T02:00:00+02:00")), 200)
    const shown = expectStatus(await scene.call("GET", { query: "lifecycle" }), 200)
    check(/<Date>2130-01-01T00:00:00(\.000)?Z<\/Date>/.test(shown.text), "the date in UTC")
    expectArgument(await scene.document("PUT", "lifecycle", rules("2130-01-01T12:00:00Z")), /midnight GMT/, "Date")
  }),
  row("96.40", "an origin has one wildcard, and names of allowed headers have no case", async scene => {
    const rules = (origin: string) =>
      `<CORSConfiguration><CORSRule><AllowedOrigin>${origin}</AllowedOrigin><AllowedMethod>GET</AllowedMethod><AllowedHeader>Content-Type</AllowedHeader><AllowedHeader>x-amz-*</AllowedHeader></CORSRule></CORSConfiguration>`
    expectMessage(
      await scene.document("PUT", "cors", rules("*example*.com")),
      "InvalidRequest",
      /more than one wildcard/,
    )
    expectStatus(await scene.document("PUT", "cors", rules("https://*.example.com")), 200)
    const asked = (origin: string) =>
      scene.call("OPTIONS", {
        key: "k",
        anonymous: true,
        headers: {
          origin,
          "access-control-request-method": "GET",
          "access-control-request-headers": "content-type, X-Amz-Date",
        },
      })
    expectHeader(
      expectStatus(await asked("https://a.example.com"), 200),
      "access-control-allow-headers",
      /content-type/i,
    )
    expectStatus(await asked("https://example.com"), 403)
  }),
]

export const reportedRows: readonly Row[] = [
  ...acceptedRows,
  ...listingRows,
  ...copyRows,
  ...multipartRows,
  ...tagRows,
  ...requestRows,
]
