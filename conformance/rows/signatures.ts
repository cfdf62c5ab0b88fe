/** Lines 27 to 34: Signature V4 in headers and in the query, presigned requests, response overrides. */
import { checksumBase64 } from "../checksums.js"
import { utf8 } from "../client.js"
import type { Call } from "../client.js"
import { check, expectBody, expectError, expectHeader, expectStatus, present, same } from "../expect.js"
import { exchange } from "../raw-client.js"
import type { Header } from "../raw-client.js"
import { row } from "../row.js"
import type { Row } from "../row.js"
import type { Scene } from "../scene.js"
import { UNSIGNED_PAYLOAD, amzDate, encodeText } from "../sign-v4.js"
import { text, texts } from "../xml.js"

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS

/** A GET of `k` whose Authorization header is replaced (undefined: removed). */
async function withAuthorization(scene: Scene, change: (value: string) => string | undefined) {
  const { request } = scene.client.prepare("GET", { bucket: scene.bucket, key: "k" })
  const headers = request.headers.flatMap(([name, value]): Header[] => {
    const changed = name === "Authorization" ? change(value) : value
    return changed === undefined ? [] : [[name, changed]]
  })
  return exchange(scene.client.endpoint, { ...request, headers })
}

const list = (scene: Scene, call: Call) => scene.call("GET", { query: "list-type=2", ...call })

const MALFORMED: readonly (readonly [title: string, value: string])[] = [
  ["nothing behind the scheme", "AWS4-HMAC-SHA256"],
  ["no signature", "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, SignedHeaders=host"],
  ["a short scope", "AWS4-HMAC-SHA256 Credential=a/20260101, SignedHeaders=host, Signature=0"],
  ["another terminator", "AWS4-HMAC-SHA256 Credential=a/20260101/r/s3/aws5, SignedHeaders=host, Signature=0"],
]

/** Other schemes, with Amazon's message. */
const FOREIGN: readonly (readonly [title: string, value: string, message: string])[] = [
  ["an unknown scheme", "Bearer token", "Unsupported Authorization Type"],
  ["an older name of the algorithm", "AWS2-HMAC-SHA1 Credential=a", "Unsupported Authorization Type"],
  ["a single word", "token", "Authorization header is invalid -- one and only one ' ' (space) required"],
]

const EXPIRES_REFUSED = ["0", "-1", "604801", "abc"]

const OVERRIDES: readonly (readonly [parameter: string, header: string, value: string])[] = [
  ["response-content-type", "content-type", "text/x-other"],
  ["response-content-disposition", "content-disposition", 'attachment; filename="a b.txt"'],
  ["response-content-encoding", "content-encoding", "x-own"],
  ["response-content-language", "content-language", "de-AT"],
  ["response-cache-control", "cache-control", "max-age=1, private"],
  ["response-expires", "expires", "Thu, 01 Dec 2033 16:00:00 GMT"],
]

export const signatureRows: readonly Row[] = [
  row("27.1", "the query is sorted by encoded name, then value", async scene => {
    await scene.stored("p/x", "1")
    const query = "prefix=p%2F&list-type=2&z=2&z=1&Z=1&a-b=1&a%2Eb=1&a=%7e"
    same(texts(expectStatus(await scene.list(query), 200).text, "Key"), ["p/x"], "keys")
  }),
  row("27.2", "a plus in the raw query is a plus sign", async scene => {
    await scene.stored("a+b", "plus")
    await scene.stored("a b", "space")
    same(texts((await scene.list("list-type=2&prefix=a+b")).text, "Key"), ["a+b"], "keys by plus")
    same(texts((await scene.list("list-type=2&prefix=a%20b")).text, "Key"), ["a b"], "keys by %20")
  }),
  row("27.3", "spaces in header values are trimmed and folded for the signature only", async scene => {
    await scene.stored("k", "body", { "x-amz-meta-note": "  two   inner spaces  " })
    expectHeader(await scene.head("k"), "x-amz-meta-note", "two   inner spaces")
  }),
  row("27.4", "a repeated header is joined by a comma", async scene => {
    const headers: Header[] = [
      ["x-amz-meta-note", "one"],
      ["x-amz-meta-note", "two"],
    ]
    await scene.stored("k", "body", headers)
    expectHeader(await scene.head("k"), "x-amz-meta-note", /^one, ?two$/)
  }),
  row("27.5", "header values are signed as bytes", async scene => {
    await scene.stored("k", "body", { "x-amz-meta-note": utf8("žluťoučký 😀") })
    const shown = "=?UTF-8?Q?=C5=BElu=C5=A5ou=C4=8Dk=C3=BD_=F0=9F=98=80?="
    expectHeader(await scene.head("k"), "x-amz-meta-note", shown)
  }),
  row("27.6", "the path is signed encoded once, however it was sent", async scene => {
    for (const raw of ["a!b", "a%21b", "(x)", "%28x%29", "t~e", "t%7Ee", "%61bc", "abc"]) {
      expectStatus(await scene.call("PUT", { path: `/${scene.bucket}/${raw}`, body: "x" }), 200)
    }
    same(await scene.keys(), ["(x)", "a!b", "abc", "t~e"], "keys")
  }),
  row("27.7", "a parameter without = is one with an empty value", async scene => {
    same(expectStatus(await scene.list("versioning="), 200).text, (await scene.list("versioning")).text, "documents")
  }),
  row("27.8", "a plus in the path is the character that its signature says, a plus sign or a space", async scene => {
    const path = `/${scene.bucket}/a+b%2Bc`
    const readings = [`/${scene.bucket}/a%2Bb%2Bc`, `/${scene.bucket}/a%20b%2Bc`] as const
    const keys = ["a+b+c", "a b+c"] as const
    for (const [index, signedPath] of readings.entries()) {
      expectStatus(await scene.call("PUT", { path, sign: { signedPath }, body: keys[index] ?? "" }), 200)
      expectBody(await scene.get(keys[index] ?? ""), keys[index] ?? "")
    }
    same(await scene.keys(), ["a b+c", "a+b+c"], "keys")
    for (const [index, signedPath] of readings.entries()) {
      const presigned = scene.client.presign("GET", { path, sign: { signedPath } })
      expectBody(await scene.client.send("GET", presigned), keys[index] ?? "")
    }
    const signedPath = `/${scene.bucket}/a%20b%20c`
    expectError(await scene.call("GET", { path, sign: { signedPath } }), 403, "SignatureDoesNotMatch")
  }),
  row("27.9", "a plus in the query is the character that its signature says, a plus sign or a space", async scene => {
    for (const key of ["a b/1", "a+b/2"]) expectStatus(await scene.put(key, key), 200)
    const query = "list-type=2&prefix=a+b%2F"
    for (const [signedQuery, key] of [
      ["list-type=2&prefix=a%20b%2F", "a b/1"],
      ["list-type=2&prefix=a%2Bb%2F", "a+b/2"],
    ] as const) {
      const listed = expectStatus(await scene.call("GET", { query, sign: { signedQuery } }), 200)
      same(texts(listed.text, "Key"), [key], signedQuery)
    }
    const signedQuery = "list-type=2&prefix=a%20b%2Bc"
    expectError(await scene.call("GET", { query, sign: { signedQuery } }), 403, "SignatureDoesNotMatch")
  }),
  row("28.1", "any region is accepted, the empty one too", async scene => {
    for (const region of ["us-east-1", "eu-west-3", "garage", ""]) {
      expectStatus(await list(scene, { sign: { region } }), 200)
    }
  }),
  row("28.2", "us-east-1 is reported", async scene => {
    expectHeader(await scene.call("HEAD"), "x-amz-bucket-region", "us-east-1")
  }),
  row("29.1", "an unknown access key", async scene => {
    const credentials = { accessKey: "AKIAUNKNOWNUNKNOWN00", secretKey: "s" }
    expectError(await list(scene, { credentials }), 403, "InvalidAccessKeyId")
  }),
  row("29.2", "a wrong secret", async scene => {
    const credentials = { ...scene.client.credentials, secretKey: "wrong" }
    expectError(await list(scene, { credentials }), 403, "SignatureDoesNotMatch")
  }),
  row("29.3", "no credentials", async scene => {
    expectError(await list(scene, { anonymous: true }), 403, "AccessDenied")
  }),
  row("29.4", "an empty Authorization header", async scene => {
    expectError(await withAuthorization(scene, () => ""), 403, "AccessDenied")
  }),
  ...MALFORMED.map(([title, value], index) =>
    row(`29.${5 + index}`, `a malformed header: ${title}`, async scene => {
      const codes = ["AuthorizationHeaderMalformed", "InvalidArgument", "InvalidRequest"]
      expectError(await withAuthorization(scene, () => value), 400, ...codes)
    }),
  ),
  ...FOREIGN.map(([title, value, message], index) =>
    row(`29.${20 + index}`, `an Authorization header of ${title}`, async scene => {
      const response = expectError(await withAuthorization(scene, () => value), 400, "InvalidArgument")
      same(text(response.text, "Message"), message, "Message")
      same(text(response.text, "ArgumentName"), "Authorization", "ArgumentName")
    }),
  ),
  row("29.12", "the older scheme: an unknown key, and no key", async scene => {
    expectError(await withAuthorization(scene, () => "AWS key:c2lnbmF0dXJl"), 403, "InvalidAccessKeyId")
    for (const value of ["AWS", "AWS key", "AWS :c2lnbmF0dXJl", "AWS key:"]) {
      expectError(await withAuthorization(scene, () => value), 400, "InvalidArgument")
    }
  }),
  row("29.13", "an unknown session token", async scene => {
    const credentials = { ...scene.client.credentials, sessionToken: "no-such-token" }
    expectError(await list(scene, { credentials }), 400, "InvalidToken")
  }),
  row("29.14", "header and query authentication together", async scene => {
    const target = scene.client.presign("GET", { bucket: scene.bucket, key: "k" })
    const { request } = scene.client.prepare("GET", { bucket: scene.bucket, key: "k" })
    expectError(await exchange(scene.client.endpoint, { ...request, target }), 400, "InvalidArgument")
  }),
  row("29.15", "the signature in upper case is another one", async scene => {
    const response = await withAuthorization(scene, value => {
      const [head = "", signature = ""] = value.split("Signature=")
      return `${head}Signature=${signature.toUpperCase()}`
    })
    expectStatus(response, [400, 403])
  }),
  row("29.16", "lists without spaces and in any order are understood", async scene => {
    await scene.stored("k", "body")
    const squeezed = await withAuthorization(scene, value => value.replace(/, /g, ","))
    expectStatus(squeezed, 200)
  }),
  row("30.1", "an x-amz header that is not signed is refused", async scene => {
    const call = { headers: { "x-amz-meta-note": "sneaked in" }, sign: { unsignedHeaders: ["x-amz-meta-note"] } }
    expectError(await scene.call("PUT", { key: "k", body: "x", ...call }), 403, "AccessDenied")
    expectError(await scene.get("k"), 404, "NoSuchKey")
  }),
  row("30.2", "host that is not signed is refused", async scene => {
    expectError(await list(scene, { sign: { unsignedHeaders: ["host"] } }), 403, "AccessDenied")
  }),
  row("30.3", "other headers need not be signed", async scene => {
    const sign = { unsignedHeaders: ["content-type", "content-length", "cache-control"] }
    const headers = { "Content-Type": "text/plain", "Cache-Control": "no-store" }
    expectStatus(await scene.call("PUT", { key: "k", body: "x", headers, sign }), 200)
    expectHeader(await scene.head("k"), "content-type", "text/plain")
  }),
  ...[-16, 16].map((minutes, index) =>
    row(`31.${1 + index}`, `a clock ${minutes} minutes off is refused`, async scene => {
      const response = await list(scene, { sign: { timeMs: Date.now() + minutes * MINUTE_MS } })
      expectError(response, 403, "RequestTimeTooSkewed")
      const serverTime = Date.parse(text(response.text, "ServerTime") ?? "")
      check(Math.abs(serverTime - Date.now()) < 2 * MINUTE_MS, "ServerTime is the server's time")
    }),
  ),
  ...[-14, 14].map((minutes, index) =>
    row(`31.${3 + index}`, `a clock ${minutes} minutes off is accepted`, async scene => {
      expectStatus(await list(scene, { sign: { timeMs: Date.now() + minutes * MINUTE_MS } }), 200)
    }),
  ),
  row("31.5", "Date stands in for x-amz-date", async scene => {
    const timeMs = Math.floor(Date.now() / 1000) * 1000
    const headers = { Date: new Date(timeMs).toUTCString() }
    expectStatus(await list(scene, { headers, sign: { timeMs } }), 200)
  }),
  row("31.6", "a scope of another day is refused", async scene => {
    const scopeDay = amzDate(Date.now() - 3 * DAY_MS).slice(0, 8)
    expectError(await list(scene, { sign: { scopeDay } }), 400, "AuthorizationHeaderMalformed")
    const target = scene.client.presign("GET", { bucket: scene.bucket, key: "k", sign: { scopeDay } })
    expectError(await scene.client.send("GET", target), 400, "AuthorizationQueryParametersError")
  }),
  ...["yesterday", "20261301T000000Z", ""].map((value, index) =>
    row(`31.${7 + index}`, `the date "${value}" is refused`, async scene => {
      expectError(await list(scene, { headers: { "x-amz-date": value } }), 403)
    }),
  ),
  row("31.10", "a missing date is refused", async scene => {
    const { request } = scene.client.prepare("GET", { bucket: scene.bucket, query: "list-type=2" })
    const headers = request.headers.filter(([name]) => name !== "x-amz-date")
    expectError(await exchange(scene.client.endpoint, { ...request, headers }), 403)
  }),
  row("32.1", "x-amz-content-sha256 missing is refused", async scene => {
    const { request } = scene.client.prepare("GET", { bucket: scene.bucket, query: "list-type=2" })
    const headers = request.headers.filter(([name]) => name !== "x-amz-content-sha256")
    expectError(await exchange(scene.client.endpoint, { ...request, headers }), 400, "InvalidRequest")
  }),
  row("32.2", "a body that differs from its hash is refused, and nothing is stored", async scene => {
    const sign = { payloadHash: "0".repeat(64) }
    for (const body of ["small", Buffer.alloc(100_000)]) {
      expectError(await scene.call("PUT", { key: "k", body, sign }), 400, "XAmzContentSHA256Mismatch")
      expectError(await scene.get("k"), 404, "NoSuchKey")
    }
  }),
  row("32.3", "UNSIGNED-PAYLOAD is accepted", async scene => {
    expectStatus(await scene.call("PUT", { key: "k", body: "free", sign: { payloadHash: UNSIGNED_PAYLOAD } }), 200)
    expectBody(await scene.get("k"), "free")
  }),
  row("32.4", "a malformed hash is refused", async scene => {
    const response = await scene.call("PUT", { key: "k", body: "x", sign: { payloadHash: "not-a-hash" } })
    expectError(response, 400)
    expectError(await scene.get("k"), 404, "NoSuchKey")
  }),
  ...presignedRows(),
  row("34.1", "response parameters override headers on GET and HEAD", async scene => {
    await scene.stored("k", "body", { "Content-Type": "text/plain", "Cache-Control": "no-store" })
    const query = OVERRIDES.map(([parameter, , value]) => `${parameter}=${encodeText(value)}`).join("&")
    for (const response of [await scene.get("k", {}, query), await scene.head("k", {}, query)]) {
      expectStatus(response, 200)
      for (const [, header, value] of OVERRIDES) expectHeader(response, header, value)
    }
  }),
  row("34.2", "they work in presigned requests", async scene => {
    await scene.stored("k", "body")
    const query = "response-content-disposition=attachment%3B%20filename%3D%22a%22"
    const target = scene.client.presign("GET", { bucket: scene.bucket, key: "k", query })
    const response = expectStatus(await scene.client.send("GET", target), 200)
    expectHeader(response, "content-disposition", 'attachment; filename="a"')
  }),
  row("34.3", "anonymous callers may not override", async scene => {
    await scene.stored("k", "body")
    const call = { key: "k", query: "response-content-type=text%2Fhtml", anonymous: true }
    expectError(await scene.call("GET", call), 400, "InvalidRequest")
  }),
  ...["%0D%0AX-Evil:1", "a%0Ab", "a%00b"].map((value, index) =>
    row(`34.${4 + index}`, `a control character in an override (${value}) is refused`, async scene => {
      await scene.stored("k", "body")
      const response = await scene.get("k", {}, `response-content-type=${value}`)
      expectError(response, 400)
      expectHeader(response, "x-evil", undefined)
    }),
  ),
  row("34.7", "a value of ISO 8859-1 beyond ASCII is sent as its bytes", async scene => {
    await scene.stored("k", "body")
    for (const [parameter, header] of OVERRIDES) {
      const response = await scene.get("k", {}, `${parameter}=${encodeText("für")}`)
      expectHeader(expectStatus(response, 200), header, "für")
    }
  }),
  row("34.8", "a value beyond ISO 8859-1 is refused, and the parameter is named", async scene => {
    await scene.stored("k", "body")
    for (const [parameter] of OVERRIDES) {
      const query = `${parameter}=${encodeText('attachment; filename="ü€.txt"')}`
      const response = expectError(await scene.get("k", {}, query), 400, "InvalidArgument")
      same(text(response.text, "Message"), "Header value cannot be represented using ISO-8859-1.", "message")
      same(text(response.text, "ArgumentName"), parameter, "argument")
      expectStatus(await scene.call("HEAD", { key: "k", query }), 400)
    }
  }),
]

function presignedRows(): readonly Row[] {
  const expired = { expires: 60, sign: { timeMs: Date.now() - 10 * MINUTE_MS } }
  return [
    row("33.1", "presigned GET, PUT, HEAD and DELETE work without a body hash", async scene => {
      const call = { bucket: scene.bucket, key: "a key+é" }
      const { client } = scene
      expectStatus(await client.send("PUT", client.presign("PUT", call), { body: "presigned" }), 200)
      expectBody(expectStatus(await client.send("GET", client.presign("GET", call)), 200), "presigned")
      expectStatus(await client.send("HEAD", client.presign("HEAD", call)), 200)
      expectStatus(await client.send("DELETE", client.presign("DELETE", call)), 204)
      expectError(await scene.get("a key+é"), 404, "NoSuchKey")
    }),
    row(
      "33.20",
      "a checksum in a presigned query is verified and stored, unless it is that of no bytes",
      async scene => {
        const put = (value: string) => {
          const query = `x-amz-checksum-crc32=${encodeURIComponent(value)}&x-amz-sdk-checksum-algorithm=CRC32`
          const target = scene.client.presign("PUT", { bucket: scene.bucket, key: "k", query })
          return scene.client.send("PUT", target, { body: "presigned" })
        }
        const right = checksumBase64("CRC32", Buffer.from("presigned"))
        expectStatus(await put(right), 200)
        expectHeader(await scene.head("k", { "x-amz-checksum-mode": "ENABLED" }), "x-amz-checksum-crc32", right)
        expectError(await put(checksumBase64("CRC32", Buffer.from("other"))), 400, "BadDigest")
        // SDKs presign before they have a body.
        expectStatus(await put(checksumBase64("CRC32", Buffer.alloc(0))), 200)
      },
    ),
    row("33.2", "presigned UploadPart works", async scene => {
      const uploadId = await scene.createUpload("k")
      const call = { bucket: scene.bucket, key: "k", query: `partNumber=1&uploadId=${encodeText(uploadId)}` }
      const response = await scene.client.send("PUT", scene.client.presign("PUT", call), { body: "part" })
      const etag = present(expectStatus(response, 200).header("etag"), "ETag")
      expectStatus(await scene.complete("k", uploadId, [[1, etag]]), 200)
      expectBody(await scene.get("k"), "part")
    }),
    row("33.3", "an expired one is refused with its times", async scene => {
      const target = scene.client.presign("GET", { bucket: scene.bucket, key: "k", ...expired })
      const response = expectError(await scene.client.send("GET", target), 403, "AccessDenied")
      same(text(response.text, "Message"), "Request has expired", "Message")
      check(!Number.isNaN(Date.parse(text(response.text, "Expires") ?? "")), "Expires")
      check(!Number.isNaN(Date.parse(text(response.text, "ServerTime") ?? "")), "ServerTime")
    }),
    ...EXPIRES_REFUSED.map((expires, index) =>
      row(`33.${4 + index}`, `X-Amz-Expires=${expires} is refused`, async scene => {
        await scene.stored("k", "body")
        const target = scene.client.presign("GET", { bucket: scene.bucket, key: "k", expires })
        const codes = ["AccessDenied", "AuthorizationQueryParametersError"]
        expectError(await scene.client.send("GET", target), 403, ...codes)
      }),
    ),
    row("33.10", "one that is not yet valid is refused", async scene => {
      const sign = { timeMs: Date.now() + 20 * MINUTE_MS }
      const target = scene.client.presign("GET", { bucket: scene.bucket, key: "k", sign })
      expectError(await scene.client.send("GET", target), 403, "AccessDenied")
    }),
    row("33.11", "one is good for seven days", async scene => {
      await scene.stored("k", "body")
      const sign = { timeMs: Date.now() - 6 * DAY_MS }
      const target = scene.client.presign("GET", { bucket: scene.bucket, key: "k", expires: 604_800, sign })
      expectBody(expectStatus(await scene.client.send("GET", target), 200), "body")
    }),
    row("33.12", "the method is bound", async scene => {
      await scene.stored("k", "body")
      const target = scene.client.presign("GET", { bucket: scene.bucket, key: "k" })
      expectError(await scene.client.send("DELETE", target), 403, "SignatureDoesNotMatch")
      expectError(await scene.client.send("PUT", target, { body: "x" }), 403, "SignatureDoesNotMatch")
      expectBody(await scene.get("k"), "body")
    }),
    row("33.13", "every query parameter and the path are bound", async scene => {
      await scene.stored("k", "body")
      await scene.stored("l", "other")
      const target = scene.client.presign("GET", { bucket: scene.bucket, key: "k" })
      const changed = [
        `${target}&response-content-type=text%2Fhtml`,
        target.replace("/k?", "/l?"),
        `${target}&versionId=null`,
      ]
      for (const tampered of changed)
        expectError(await scene.client.send("GET", tampered), 403, "SignatureDoesNotMatch")
    }),
    row("33.14", "signed headers are bound", async scene => {
      const headers = { "x-amz-meta-note": "agreed", "content-type": "text/plain" }
      const target = scene.client.presign("PUT", { bucket: scene.bucket, key: "k", headers })
      const send = (input: Record<string, string>) => scene.client.send("PUT", target, { body: "x", headers: input })
      expectError(await send({ ...headers, "x-amz-meta-note": "other" }), 403, "SignatureDoesNotMatch")
      expectError(await send({ "content-type": "text/plain" }), 403)
      expectError(await send({ ...headers, "x-amz-meta-more": "sneaked in" }), 403, "AccessDenied")
      expectStatus(await send(headers), 200)
      expectHeader(await scene.head("k"), "x-amz-meta-note", "agreed")
    }),
    row("33.15", "a wrong secret and an unknown key are told apart", async scene => {
      const call = { bucket: scene.bucket, key: "k" }
      const wrong = { ...scene.client.credentials, secretKey: "wrong" }
      const unknown = { accessKey: "AKIAUNKNOWNUNKNOWN00", secretKey: "s" }
      const send = (credentials: typeof wrong) =>
        scene.client.send("GET", scene.client.presign("GET", { ...call, credentials }))
      expectError(await send(wrong), 403, "SignatureDoesNotMatch")
      expectError(await send(unknown), 403, "InvalidAccessKeyId")
    }),
    row("33.16", "they work by virtual host", async scene => {
      await scene.stored("k", "body")
      const host = `${scene.bucket}.${scene.surroundings.domain}:${scene.client.endpoint.port}`
      const target = scene.client.presign("GET", { path: "/k", host })
      expectBody(expectStatus(await scene.client.send("GET", target, { host }), 200), "body")
    }),
  ]
}
