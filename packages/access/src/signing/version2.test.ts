import { test } from "node:test"
import { runsOf } from "@hayloft/base/testing-seed.js"
import assert from "node:assert/strict"
import { createHmac } from "node:crypto"
import { fc } from "@hayloft/base/testing-properties.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { Failure, FailureKind } from "@hayloft/base/failures.js"
import { parseQuery, percentEncode, splitTarget } from "@hayloft/base/http/uri.js"
import { HeaderShapes } from "@hayloft/base/http/request-headers.js"
import { claimedKey, receivedRequest, SignatureVerifier } from "../sigv4.js"
import type { SignableRequest, Version2Rules } from "../sigv4.js"

const SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
const KEY = "AKIAIOSFODNN7EXAMPLE"
const NOW_MS = Date.UTC(2007, 2, 27, 0, 0, 0)
const NOW_SECONDS = NOW_MS / 1000
const PARAMETERS: ReadonlySet<string> = new Set(["attributes"])

interface Terms {
  readonly nowMs?: number
  readonly version2?: Version2Rules | undefined
  readonly region?: string
}

const rulesOf = (request: SignableRequest): Version2Rules => ({
  resources: [splitTarget(request.rawTarget).rawPath],
  isOfObject: true,
  signedParameters: PARAMETERS,
})

function verify(request: SignableRequest, terms: Terms = {}) {
  const { nowMs = NOW_MS, region } = terms
  const version2 = "version2" in terms ? terms.version2 : rulesOf(request)
  const { method, rawTarget, rawHeaders } = request
  const received = receivedRequest({ method, rawTarget, headers: new HeaderShapes().ofFlat(rawHeaders) })
  const verifier = new SignatureVerifier()
  const claim = verifier.read(received, { service: "s3", region, version2 }, nowMs)
  if (claim.kind === "anonymous") return claim
  if (claim.accessKeyId !== KEY) throw fail("invalidAccessKey")
  const verified = verifier.verify(claim, SECRET)
  return { ...verified, token: claim.token }
}

function refusal(request: SignableRequest, terms: Terms = {}): Failure {
  try {
    verify(request, terms)
  } catch (error) {
    assert.ok(isFailure(error), String(error))
    return error
  }
  throw new Error(`accepted: ${JSON.stringify(request)}`)
}

/** A second implementation of the text to sign, as plain as possible, after botocore. */
function naiveText({ method, rawTarget, rawHeaders }: SignableRequest, dateLine: string, resource?: string): string {
  const [path = "", query = ""] = rawTarget.split(/\?(.*)/s)
  const bytes = (text: string) =>
    text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
  const strip = (text: string) => text.replace(/^[ \t]+|[ \t]+$/g, "")
  const pairs: [string, string][] = []
  for (let i = 0; i < rawHeaders.length; i += 2) {
    pairs.push([(rawHeaders[i] ?? "").toLowerCase(), strip(rawHeaders[i + 1] ?? "")])
  }
  const sentNames = pairs.map(([name]) => name)
  const pieces = query
    .split("&")
    .filter(piece => piece !== "")
    .map(piece => piece.split(/=(.*)/s).slice(0, 2).map(bytes))
  for (const [name = "", value = ""] of pieces) {
    const lower = name.toLowerCase()
    if (lower.startsWith("x-amz-") && !sentNames.includes(lower)) pairs.push([lower, strip(value)])
  }
  const valueOf = (name: string) =>
    pairs
      .filter(pair => pair[0] === name)
      .map(pair => pair[1])
      .join(",")
  const amz = [...new Set(pairs.map(([name]) => name))].filter(name => name.startsWith("x-amz-")).sort()
  const listed = pieces.filter(([name = ""]) =>
    /^(acl|attributes|partNumber|tagging|uploadId|uploads|versionId|response-content-(type|disposition|language|encoding)|response-expires|response-cache-control)$/.test(
      name,
    ),
  )
  listed.sort(([a = ""], [b = ""]) => (a < b ? -1 : a > b ? 1 : 0))
  const subresource = listed.length === 0 ? "" : "?" + listed.map(parts => parts.join("=")).join("&")
  const lines = [method, valueOf("content-md5"), valueOf("content-type"), dateLine]
  return [...lines, ...amz.map(name => `${name}:${valueOf(name)}`), (resource ?? path) + subresource].join("\n")
}

interface Presigning {
  readonly expires?: string
  readonly secret?: string
  readonly resource?: string
}

function presigned(request: SignableRequest, { expires, secret = SECRET, resource }: Presigning = {}): SignableRequest {
  const until = expires ?? String(NOW_SECONDS + 60)
  const signature = createHmac("sha1", secret)
    .update(Buffer.from(naiveText(request, until, resource), "latin1"))
    .digest("base64")
  const parameters = `AWSAccessKeyId=${KEY}&Signature=${percentEncode(signature)}&Expires=${until}`
  return { ...request, rawTarget: `${request.rawTarget}${request.rawTarget.includes("?") ? "&" : "?"}${parameters}` }
}

const PLAIN: SignableRequest = { method: "GET", rawTarget: "/bucket/key", rawHeaders: ["Host", "localhost"] }

/** Amazon S3 Developer Guide, "Query string request authentication alternative". */
test("Amazon's published example verifies", () => {
  const request = {
    method: "GET",
    rawTarget:
      "/photos/puppy.jpg?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620",
    rawHeaders: ["Host", "johnsmith.s3.amazonaws.com"],
  }
  const version2 = { resources: ["/johnsmith/photos/puppy.jpg"], isOfObject: true, signedParameters: PARAMETERS }
  const verified = verify(request, { version2 })
  assert.equal(verified.kind === "verified" && `${verified.form} ${verified.version}`, "query AWS")
  assert.equal(verified.kind === "verified" && verified.signedMs, undefined)
  assert.equal(refusal(request, { version2: rulesOf(request) }).kind, "signatureMismatch", "the bucket is signed")
  assert.equal(verify(request, { version2, nowMs: 1175139620_000 }).kind, "verified")
  assert.equal(refusal(request, { version2, nowMs: 1175139620_001 }).kind, "requestExpired")
})

/**
 * Amazon S3 Developer Guide, "Signing and authenticating REST requests". The example "Delete" is that of the guide's
 * older editions, where, as in all clients, the line of the date is empty if `x-amz-date` is sent.
 */
const EXAMPLES: readonly {
  readonly name: string
  readonly method: string
  readonly rawTarget: string
  readonly headers: readonly string[]
  readonly date: string
  readonly resource: string
  readonly signature: string
}[] = [
  {
    name: "Object GET",
    method: "GET",
    rawTarget: "/photos/puppy.jpg",
    headers: [],
    date: "Tue, 27 Mar 2007 19:36:42 +0000",
    resource: "/johnsmith/photos/puppy.jpg",
    signature: "bWq2s1WEIj+Ydj0vQ697zp+IXMU=",
  },
  {
    name: "Object PUT",
    method: "PUT",
    rawTarget: "/photos/puppy.jpg",
    headers: ["Content-Type", "image/jpeg", "Content-Length", "94328"],
    date: "Tue, 27 Mar 2007 21:15:45 +0000",
    resource: "/johnsmith/photos/puppy.jpg",
    signature: "MyyxeRY7whkBe+bq8fHCL/2kKUg=",
  },
  {
    name: "List",
    method: "GET",
    rawTarget: "/?prefix=photos&max-keys=50&marker=puppy",
    headers: ["User-Agent", "Mozilla/5.0"],
    date: "Tue, 27 Mar 2007 19:42:41 +0000",
    resource: "/johnsmith/",
    signature: "htDYFYduRNen8P9ZfE/s9SuKy0U=",
  },
  {
    name: "Fetch",
    method: "GET",
    rawTarget: "/?acl",
    headers: [],
    date: "Tue, 27 Mar 2007 19:44:46 +0000",
    resource: "/johnsmith/",
    signature: "c2WLPFtWHVgbEmeEG93a4cG37dM=",
  },
  {
    name: "Delete",
    method: "DELETE",
    rawTarget: "/johnsmith/photos/puppy.jpg",
    headers: ["x-amz-date", "Tue, 27 Mar 2007 21:20:26 +0000"],
    date: "Tue, 27 Mar 2007 21:20:27 +0000",
    resource: "/johnsmith/photos/puppy.jpg",
    signature: "R4dJ53KECjStyBO5iTBJZ4XVOaI=",
  },
  {
    name: "Upload",
    method: "PUT",
    rawTarget: "/db-backup.dat.gz",
    headers: [
      "x-amz-acl",
      "public-read",
      "content-type",
      "application/x-download",
      "Content-MD5",
      "4gJE4saaMU4BqNR0kLY+lw==",
      "X-Amz-Meta-ReviewedBy",
      "joe@johnsmith.net",
      "X-Amz-Meta-ReviewedBy",
      "jane@johnsmith.net",
      "X-Amz-Meta-FileChecksum",
      "0x02661779",
      "X-Amz-Meta-ChecksumAlgorithm",
      "crc32",
      "Content-Disposition",
      "attachment; filename=database.dat",
      "Content-Encoding",
      "gzip",
      "Content-Length",
      "5913339",
    ],
    date: "Tue, 27 Mar 2007 21:06:08 +0000",
    resource: "/static.johnsmith.net/db-backup.dat.gz",
    signature: "ilyl83RwaSoYIEdixDQcA4OnAnc=",
  },
  {
    name: "List all my buckets",
    method: "GET",
    rawTarget: "/",
    headers: [],
    date: "Wed, 28 Mar 2007 01:29:59 +0000",
    resource: "/",
    signature: "qGdzdERIC03wnaRNKh6OqZehG9s=",
  },
  {
    name: "Unicode keys",
    method: "GET",
    rawTarget: "/dictionary/fran%C3%A7ais/pr%c3%a9f%c3%a8re",
    headers: [],
    date: "Wed, 28 Mar 2007 01:49:49 +0000",
    resource: "/dictionary/fran%C3%A7ais/pr%c3%a9f%c3%a8re",
    signature: "DNEZGsoieTZ92F3bUfSPQcbGmlM=",
  },
]

for (const { name, method, rawTarget, headers, date, resource, signature } of EXAMPLES) {
  test(`Amazon's published example "${name}" verifies in the header`, () => {
    const rawHeaders = ["Host", "h", "Date", date, ...headers, "Authorization", `AWS ${KEY}:${signature}`]
    const request = { method, rawTarget, rawHeaders }
    const timeMs = Date.parse(headers[headers.indexOf("x-amz-date") + 1] ?? date) || Date.parse(date)
    const version2 = { resources: [resource], isOfObject: false, signedParameters: PARAMETERS }
    const verified = verify(request, { version2, nowMs: timeMs })
    assert.equal(verified.kind === "verified" && `${verified.form} ${verified.version}`, "header AWS")
    assert.equal(verified.kind === "verified" && verified.signedMs, timeMs)
    for (const offsetMs of [-900_000, 900_000]) {
      assert.equal(verify(request, { version2, nowMs: timeMs + offsetMs }).kind, "verified")
      const failure = refusal(request, { version2, nowMs: timeMs + offsetMs * 1.01 })
      assert.equal(failure.kind, "requestSkewed")
      assert.ok(failure.details["serverTime"])
    }
    const spelled = { ...version2, resources: ["/spelled/otherwise", resource] }
    assert.equal(verify(request, { version2: spelled, nowMs: timeMs }).kind, "verified")
    const elsewhere = { ...version2, resources: [`/other${resource}`] }
    assert.equal(refusal(request, { version2: elsewhere, nowMs: timeMs }).kind, "signatureMismatch")
    assert.equal(refusal(request, { version2: undefined, nowMs: timeMs }).kind, "invalidRequest")
  })
}

test("a parameter with an empty value may be signed with its = or without", () => {
  for (const sent of ["?policy=", "?policy", "?acl=&versionId=3", "?uploads=&prefix="]) {
    const request = { method: "PUT", rawTarget: `/bucket/key${sent}`, rawHeaders: ["Host", "h", "Date", DATE] }
    const version2 = { ...rulesOf(request), isOfObject: false }
    const subresource = sent.replace(/&prefix=$/, "")
    for (const signed of [subresource, subresource.replace(/=(?=&|$)/g, "")]) {
      const text = ["PUT", "", "", DATE, `/bucket/key${signed}`].join("\n")
      const signature = createHmac("sha1", SECRET).update(text).digest("base64")
      const rawHeaders = [...request.rawHeaders, "Authorization", `AWS ${KEY}:${signature}`]
      assert.equal(verify({ ...request, rawHeaders }, { version2 }).kind, "verified", `${sent} as ${signed}`)
      const other = { ...request, rawTarget: `${request.rawTarget.replace(/=(?=&|$)/, "=1")}&acl`, rawHeaders }
      assert.equal(refusal(other, { version2 }).kind, "signatureMismatch")
    }
  }
})

test("a URL of version 2 is refused if version 2 is disabled, and for requests without an object", () => {
  const request = presigned(PLAIN)
  assert.equal(refusal(request, { version2: undefined }).kind, "invalidRequest")
  const failure = refusal(request, { version2: { ...rulesOf(request), isOfObject: false } })
  assert.equal(failure.kind, "invalidRequest")
  assert.match(String(failure.details["message"]), /objects only/)
})

const DATE = new Date(NOW_MS).toUTCString()

/** With an `Authorization` header, as clients without a clock of their own send it: `Date`, or `x-amz-date`. */
function signedInHeader(request: SignableRequest, { secret = SECRET, inDate = true } = {}): SignableRequest {
  const rawHeaders = [...request.rawHeaders, inDate ? "Date" : "x-amz-date", DATE]
  const text = naiveText({ ...request, rawHeaders }, inDate ? DATE : "")
  const signature = createHmac("sha1", secret).update(Buffer.from(text, "latin1")).digest("base64")
  return { ...request, rawHeaders: [...rawHeaders, "Authorization", `AWS ${KEY}:${signature}`] }
}

const percentCoded = (text: string): string => percentEncode(text)
const latin1 = fc
  .array(
    fc.integer({ min: 0x20, max: 255 }).filter(code => code !== 127),
    { maxLength: 12 },
  )
  .map(codes => String.fromCharCode(...codes))

/** `npm run signatures` runs 100,000. */
const RANDOM_REQUESTS = runsOf(200)

test("signatures equal those of a second, naive implementation, and no part of a request can be changed", () => {
  const name = fc.constantFrom("acl", "versionId", "uploadId", "response-content-type", "attributes", "prefix", "x-id")
  const header = fc.constantFrom("x-amz-meta-a", "X-Amz-Meta-A", "x-amz-acl", "Content-Type", "Content-MD5", "Range")
  fc.assert(
    fc.property(
      fc.constantFrom("GET", "PUT", "HEAD", "DELETE"),
      latin1.map(percentCoded),
      fc.array(fc.tuple(name, fc.option(latin1)), { maxLength: 4 }),
      fc.option(latin1),
      fc.array(fc.tuple(header, latin1), { maxLength: 4 }),
      fc.nat(),
      (method, key, parameters, carried, headers, at) => {
        const pieces = parameters.map(([n, v]) => (v === null ? n : `${n}=${percentEncode(v)}`))
        if (carried !== null) pieces.push(`x-amz-meta-a=${percentEncode(carried)}`)
        const rawHeaders = ["Host", "h", ...headers.flat()]
        const plain = {
          method,
          rawTarget: `/bucket/${key}${pieces.length > 0 ? `?${pieces.join("&")}` : ""}`,
          rawHeaders,
        }
        if (carried === null) {
          const inHeader = signedInHeader(plain, { inDate: at % 2 === 0 })
          assert.equal(verify(inHeader).kind, "verified")
          assert.equal(refusal(signedInHeader(plain, { secret: "other" })).kind, "signatureMismatch")
          const more = { ...inHeader, rawHeaders: [...inHeader.rawHeaders, "x-amz-meta-zz", "1"] }
          assert.equal(refusal(more).kind, "signatureMismatch")
        }
        const request = presigned(plain)
        assert.equal(verify(request).kind, "verified")
        assert.equal(refusal(presigned(plain, { secret: "other" })).kind, "signatureMismatch")
        assert.equal(refusal({ ...request, method: method === "GET" ? "PUT" : "GET" }).kind, "signatureMismatch")
        assert.equal(
          refusal({ ...request, rawTarget: request.rawTarget.replace("/bucket/", "/bucket/x") }).kind,
          "signatureMismatch",
        )
        const shifted = {
          ...request,
          rawTarget: request.rawTarget.replace(/Expires=(\d+)/, (_, s) => `Expires=${Number(s) + 1}`),
        }
        assert.equal(refusal(shifted).kind, "signatureMismatch")
        const added = ["x-amz-meta-zz=1", "versionId=9", "attributes", "response-expires=1"][at % 4] ?? ""
        assert.equal(
          refusal({ ...request, rawTarget: `${request.rawTarget}&${added}` }).kind,
          "signatureMismatch",
          added,
        )
        const sent = ["x-amz-meta-zz", "1"]
        assert.equal(refusal({ ...request, rawHeaders: [...rawHeaders, ...sent] }).kind, "signatureMismatch")
      },
    ),
    { numRuns: RANDOM_REQUESTS },
  )
})

test("every changed character of a presigned URL is refused", () => {
  const request = presigned({
    method: "PUT",
    rawTarget: "/bucket/a%20b?partNumber=2&uploadId=u&x-amz-meta-a=1",
    rawHeaders: ["Host", "h", "Content-Type", "text/plain"],
  })
  assert.equal(verify(request).kind, "verified")
  const { rawTarget } = request
  for (let at = 1; at < rawTarget.length; at += 1) {
    const other = rawTarget[at] === "0" ? "1" : "0"
    const changed = { ...request, rawTarget: rawTarget.slice(0, at) + other + rawTarget.slice(at + 1) }
    try {
      const result = verify(changed)
      assert.notEqual(result.kind, "verified", changed.rawTarget)
    } catch (error) {
      assert.ok(isFailure(error), String(error))
    }
  }
})

test("an expiry is at most seven days ahead, in whole seconds", () => {
  const until = (expires: string) => presigned(PLAIN, { expires })
  assert.equal(verify(until(String(NOW_SECONDS + 604_800))).kind, "verified")
  assert.equal(refusal(until(String(NOW_SECONDS + 604_801))).kind, "accessDenied")
  assert.equal(verify(until(String(NOW_SECONDS))).kind, "verified")
  assert.equal(refusal(until(String(NOW_SECONDS - 1))).kind, "requestExpired")
  for (const expires of ["-1", "1e9", "abc", "NaN", `${NOW_SECONDS}.5`, "9".repeat(40), ` ${NOW_SECONDS + 60}`]) {
    assert.equal(refusal(until(percentEncode(expires))).kind, "accessDenied", expires)
  }
})

test("each refusal has its own failure", () => {
  const good = presigned(PLAIN)
  const target = good.rawTarget
  const cases: [string, SignableRequest, FailureKind][] = [
    ["no key", { ...good, rawTarget: target.replace(/AWSAccessKeyId=[^&]*&/, "") }, "accessDenied"],
    ["no signature", { ...good, rawTarget: target.replace(/Signature=[^&]*&/, "") }, "accessDenied"],
    ["no expiry", { ...good, rawTarget: target.replace(/&Expires=.*/, "") }, "accessDenied"],
    ["an empty signature", { ...good, rawTarget: target.replace(/Signature=[^&]*/, "Signature=") }, "accessDenied"],
    ["two keys", { ...good, rawTarget: `${target}&AWSAccessKeyId=${KEY}` }, "accessDenied"],
    ["two expiries", { ...good, rawTarget: `${target}&Expires=${NOW_SECONDS + 1}` }, "accessDenied"],
    ["a key that is none", { ...good, rawTarget: target.replace(KEY, "%C3%A9") }, "invalidAccessKey"],
    ["with version 4", { ...good, rawTarget: `${target}&X-Amz-Algorithm=AWS4-HMAC-SHA256` }, "invalidArgument"],
    ["with a header", { ...good, rawHeaders: [...good.rawHeaders, "Authorization", "AWS a:b"] }, "invalidArgument"],
    [
      "signed chunks",
      presigned({ ...PLAIN, rawHeaders: ["x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"] }),
      "accessDenied",
    ],
    [
      "a line break",
      presigned({ ...PLAIN, rawTarget: "/bucket/key?x-amz-meta-a=1%0Ax-amz-meta-b:2" }),
      "invalidArgument",
    ],
    ["a strange name", presigned({ ...PLAIN, rawTarget: "/bucket/key?x-amz-meta-a:1=2" }), "invalidArgument"],
    [
      "one twice",
      presigned({ ...PLAIN, rawTarget: "/bucket/key?x-amz-acl=private&X-Amz-Acl=private" }),
      "invalidArgument",
    ],
  ]
  for (const [what, request, kind] of cases) assert.equal(refusal(request).kind, kind, what)
})

test("each refusal of a header has its own failure", () => {
  const good = signedInHeader(PLAIN)
  const withHeader = (name: string, value: string | undefined): SignableRequest => {
    const at = good.rawHeaders.indexOf(name)
    const rest = good.rawHeaders.filter((_, i) => at < 0 || (i !== at && i !== at + 1))
    return { ...good, rawHeaders: value === undefined ? rest : [...rest, name, value] }
  }
  const cases: [string, SignableRequest, FailureKind][] = [
    ["nothing behind the scheme", withHeader("Authorization", "AWS"), "invalidArgument"],
    ["no signature", withHeader("Authorization", `AWS ${KEY}:`), "invalidArgument"],
    ["no key", withHeader("Authorization", "AWS :c2ln"), "invalidArgument"],
    ["no colon", withHeader("Authorization", `AWS ${KEY}`), "invalidArgument"],
    ["too long", withHeader("Authorization", `AWS ${KEY}:${"s".repeat(9_000)}`), "invalidArgument"],
    ["a key that is none", withHeader("Authorization", "AWS \u00e9:c2ln"), "invalidAccessKey"],
    ["another signature", withHeader("Authorization", `AWS ${KEY}:c2ln`), "signatureMismatch"],
    ["no date", withHeader("Date", undefined), "accessDenied"],
    ["a malformed date", withHeader("Date", "yesterday"), "accessDenied"],
    ["another date", withHeader("Date", new Date(NOW_MS + 1_000).toUTCString()), "signatureMismatch"],
    ["an empty x-amz-date", withHeader("x-amz-date", ""), "accessDenied"],
    [
      "signed chunks",
      signedInHeader({ ...PLAIN, rawHeaders: ["x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"] }),
      "accessDenied",
    ],
    ["with version 4", { ...good, rawTarget: "/bucket/key?X-Amz-Signature=1" }, "invalidArgument"],
  ]
  for (const [what, request, kind] of cases) assert.equal(refusal(request).kind, kind, what)
})

test("a session token is passed on as sent, from the header or the query, and must be the same in both", () => {
  const inQuery = presigned({ ...PLAIN, rawTarget: "/bucket/key?x-amz-security-token=T%2F1%3D" })
  const token = (request: SignableRequest) => {
    const verified = verify(request)
    return verified.kind === "verified" ? verified.token : "unverified"
  }
  assert.equal(token(inQuery), "T/1=")
  assert.equal(token(presigned({ ...PLAIN, rawHeaders: ["x-amz-security-token", "T/1="] })), "T/1=")
  assert.equal(token(signedInHeader({ ...PLAIN, rawHeaders: ["x-amz-security-token", "T/1="] })), "T/1=")
  assert.equal(token(presigned(PLAIN)), undefined)
  const both = { ...PLAIN, rawTarget: "/bucket/key?x-amz-security-token=a", rawHeaders: ["x-amz-security-token", "b"] }
  assert.equal(refusal(presigned(both)).kind, "invalidToken")
})

test("a mismatch shows the text to compare, without secrets of the request", () => {
  const request = { ...PLAIN, rawHeaders: ["x-amz-security-token", "TOKEN"], rawTarget: "/bucket/key?versionId=3" }
  const failure = refusal({ ...presigned(request), method: "PUT" })
  const expires = String(NOW_SECONDS + 60)
  assert.equal(
    failure.details["stringToSign"],
    `PUT\n\n\n${expires}\nx-amz-security-token:(hidden)\n/bucket/key?versionId=3`,
  )
  assert.ok(!failure.message.includes("TOKEN") && !failure.message.includes(SECRET))
})

test("the key that a version 2 URL or header names is reported", () => {
  assert.equal(claimedKey(undefined, presigned(PLAIN).rawTarget), KEY)
  assert.equal(claimedKey(`AWS ${KEY}:c2ln`, "/bucket/key"), KEY)
  assert.equal(claimedKey("AWS :c2ln", "/bucket/key"), undefined)
  assert.deepEqual(
    parseQuery(splitTarget(presigned(PLAIN).rawTarget).rawQuery).map(({ name }) => name),
    ["AWSAccessKeyId", "Signature", "Expires"],
  )
})
