import { test } from "node:test"
import { runsOf } from "@hayloft/base/testing-seed.js"
import assert from "node:assert/strict"
import { createHash, createHmac } from "node:crypto"
import { fc } from "@hayloft/base/testing-properties.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { Failure, FailureKind } from "@hayloft/base/failures.js"
import { basicDate } from "@hayloft/base/text/dates.js"
import { HeaderShapes } from "@hayloft/base/http/request-headers.js"
import { presign, receivedRequest, SignatureVerifier, signRequest, SigningKeys } from "../sigv4.js"
import type { SignableRequest, SignatureRules, SigningCredentials, VerifiedRequest } from "../sigv4.js"

/** Processor time, so that a busy machine causes no failure; bounds are far above linear time, far below quadratic. */
const cpuMs = (): number => process.cpuUsage().user / 1000

const SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
const CREDENTIALS: SigningCredentials = {
  accessKeyId: "AKIAIOSFODNN7EXAMPLE",
  secret: SECRET,
  region: "us-east-1",
  service: "s3",
}
const NOW_MS = Date.UTC(2013, 4, 24, 0, 0, 0)
const HOST = "examplebucket.s3.amazonaws.com"
const KNOWN_KEYS = new Set<string>(["AKIAIOSFODNN7EXAMPLE", "AKID", "a/b/c"])
const RULES: SignatureRules = { service: "s3", region: undefined }

const shapes = new HeaderShapes()
const verifier = new SignatureVerifier()

function read({ method, rawTarget, rawHeaders }: SignableRequest, nowMs = NOW_MS, rules = RULES) {
  return verifier.read(receivedRequest({ method, rawTarget, headers: shapes.ofFlat(rawHeaders) }), rules, nowMs)
}

function verify(request: SignableRequest, nowMs = NOW_MS, rules = RULES) {
  const claim = read(request, nowMs, rules)
  if (claim.kind === "anonymous") return claim
  if (!KNOWN_KEYS.has(claim.accessKeyId)) throw fail("invalidAccessKey")
  return verifier.verify(claim, SECRET)
}

function refusal(request: SignableRequest, nowMs = NOW_MS, rules = RULES): Failure {
  try {
    verify(request, nowMs, rules)
  } catch (error) {
    assert.ok(isFailure(error), String(error))
    return error
  }
  throw new Error(`accepted: ${JSON.stringify(request)}`)
}

const signed = (request: SignableRequest, hash = "UNSIGNED-PAYLOAD", credentials = CREDENTIALS): SignableRequest => ({
  ...request,
  rawHeaders: signRequest(request, hash, credentials, NOW_MS).rawHeaders,
})

const PLAIN: SignableRequest = {
  method: "PUT",
  rawTarget: "/bucket/a%20b?partNumber=1&uploadId=x%2Fy&x-id=UploadPart",
  rawHeaders: ["Host", "localhost:9000", "Content-Type", "text/plain", "x-amz-meta-note", "one  two"],
}

/** Amazon S3 API Reference, "Examples: Signature Calculations". */
test("Amazon's published examples verify", () => {
  const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
  const date = ["x-amz-date", "20130524T000000Z"]
  const authorization = (signedHeaders: string, signature: string) => [
    "Authorization",
    `AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=${signedHeaders},Signature=${signature}`,
  ]
  const examples: [string, string, string[], string, string][] = [
    [
      "GET",
      "/test.txt",
      ["Range", "bytes=0-9", "x-amz-content-sha256", empty],
      "host;range;x-amz-content-sha256;x-amz-date",
      "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ],
    [
      "PUT",
      "/test%24file.text",
      [
        "Date",
        "Fri, 24 May 2013 00:00:00 GMT",
        "x-amz-storage-class",
        "REDUCED_REDUNDANCY",
        "x-amz-content-sha256",
        "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
      ],
      "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
      "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ],
    [
      "GET",
      "/?lifecycle",
      ["x-amz-content-sha256", empty],
      "host;x-amz-content-sha256;x-amz-date",
      "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ],
    [
      "GET",
      "/?max-keys=2&prefix=J",
      ["x-amz-content-sha256", empty],
      "host;x-amz-content-sha256;x-amz-date",
      "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ],
  ]
  for (const [method, rawTarget, headers, signedHeaders, signature] of examples) {
    const rawHeaders = ["Host", HOST, ...headers, ...date, ...authorization(signedHeaders, signature)]
    const verified = verify({ method, rawTarget, rawHeaders })
    assert.equal(verified.kind, "verified", rawTarget)
  }
})

test("Amazon's presigned example verifies for one day and no longer", () => {
  const rawTarget =
    "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
  const request = { method: "GET", rawTarget, rawHeaders: ["Host", HOST] }
  const verified = verify(request, NOW_MS + 86_400_000)
  assert.equal(verified.kind === "verified" && verified.form, "query")
  assert.deepEqual(verified.payload, { kind: "unsigned" })
  const expired = refusal(request, NOW_MS + 86_400_001)
  assert.equal(expired.kind, "requestExpired")
  assert.equal(expired.details["expires"], "2013-05-25T00:00:00.000Z")
  assert.equal(refusal(request, NOW_MS - 15 * 60_000 - 1).kind, "accessDenied")
  assert.equal(verify(request, NOW_MS - 15 * 60_000).kind, "verified")
})

/** Amazon's two chunked examples: 66,560 bytes "a" in chunks of 65,536, 1,024 and 0. */
test("the chunk and trailer signatures of Amazon's examples are derived from the seed", () => {
  const sha = (text: string) => createHash("sha256").update(text).digest("hex")
  const chain = (hash: string, headers: string[], seed: string) => {
    const request = {
      method: "PUT",
      rawTarget: "/examplebucket/chunkObject.txt",
      rawHeaders: ["Host", "s3.amazonaws.com", ...headers],
    }
    const result = signRequest(request, hash, CREDENTIALS, NOW_MS)
    assert.equal(result.signature, seed)
    const verified = verify({ ...request, rawHeaders: result.rawHeaders })
    assert.equal(verified.kind, "verified")
    const signatures = verified.kind === "verified" ? verified.chunkSignatures() : result.chunkSignatures()
    return signatures
  }
  const plain = chain(
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    [
      "x-amz-storage-class",
      "REDUCED_REDUNDANCY",
      "Content-Encoding",
      "aws-chunked",
      "x-amz-decoded-content-length",
      "66560",
      "Content-Length",
      "66824",
    ],
    "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
  )
  assert.equal(plain.chunk(sha("a".repeat(65536))), "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648")
  assert.equal(plain.chunk(sha("a".repeat(1024))), "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497")
  assert.equal(plain.chunk(sha("")), "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9")
  const trailing = chain(
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    [
      "x-amz-storage-class",
      "REDUCED_REDUNDANCY",
      "Content-Encoding",
      "aws-chunked",
      "x-amz-decoded-content-length",
      "66560",
      "x-amz-trailer",
      "x-amz-checksum-crc32c",
    ],
    "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
  )
  assert.equal(
    trailing.chunk(sha("a".repeat(65536))),
    "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
  )
  assert.equal(
    trailing.chunk(sha("a".repeat(1024))),
    "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
  )
  assert.equal(trailing.chunk(sha("")), "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992")
  assert.equal(
    trailing.trailer(sha("x-amz-checksum-crc32c:sOO8/Q==\n")),
    "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435",
  )
})

/** A second implementation, as plain as possible, which shares nothing with the first. */
function naiveSignature(
  request: SignableRequest,
  signedHeaders: string[],
  payloadHash: string,
  region: string,
): string {
  const [path = "", query = ""] = request.rawTarget.split(/\?(.*)/s)
  const bytesOf = (text: string) =>
    Buffer.concat(
      text
        .split(/(%[0-9a-f]{2})/i)
        .map(p => (p[0] === "%" && p.length === 3 ? Buffer.from(p.slice(1), "hex") : Buffer.from(p, "latin1"))),
    )
  const encode = (text: string, keep: RegExp) =>
    [...bytesOf(text)]
      .map(b =>
        keep.test(String.fromCharCode(b))
          ? String.fromCharCode(b)
          : "%" + b.toString(16).toUpperCase().padStart(2, "0"),
      )
      .join("")
  const pairs = query
    .split("&")
    .filter(piece => piece !== "")
    .map(piece => {
      const [name = "", value = ""] = piece.split(/=(.*)/s)
      return [encode(name, /[\w.~-]/), encode(value, /[\w.~-]/)] as [string, string]
    })
  pairs.sort(
    (a, b) =>
      Buffer.compare(Buffer.from(a[0]), Buffer.from(b[0])) || Buffer.compare(Buffer.from(a[1]), Buffer.from(b[1])),
  )
  const lines = signedHeaders.map(name => {
    const values: string[] = []
    request.rawHeaders.forEach((text, i) => {
      if (i % 2 === 0 && text.toLowerCase() === name)
        values.push(
          (request.rawHeaders[i + 1] ?? "")
            .split(/[ \t]+/)
            .filter(w => w !== "")
            .join(" "),
        )
    })
    return `${name}:${values.join(",")}\n`
  })
  const canonical = `${request.method}\n${encode(path, /[\w.~/-]/)}\n${pairs.map(p => p.join("=")).join("&")}\n${lines.join("")}\n${signedHeaders.join(";")}\n${payloadHash}`
  const day = basicDate(NOW_MS).slice(0, 8)
  const digest = createHash("sha256").update(Buffer.from(canonical, "latin1")).digest("hex")
  const mac = (key: string | Buffer, text: string) => createHmac("sha256", key).update(text).digest()
  const key = mac(mac(mac(mac("AWS4" + SECRET, day), region), "s3"), "aws4_request")
  return mac(key, `AWS4-HMAC-SHA256\n${basicDate(NOW_MS)}\n${day}/${region}/s3/aws4_request\n${digest}`).toString("hex")
}

const latin1 = (min: number) =>
  fc
    .array(
      fc.integer({ min, max: 255 }).filter(c => c !== 127),
      { maxLength: 12 },
    )
    .map(cs => String.fromCharCode(...cs))
const coded = fc
  .uint8Array({ maxLength: 8 })
  .map(bytes =>
    [...bytes]
      .map(b =>
        b % 3 === 0
          ? "%" + b.toString(16).padStart(2, "0")
          : /[\w.~!$'()*,;:@+-]/.test(String.fromCharCode(b))
            ? String.fromCharCode(b)
            : "/",
      )
      .join(""),
  )

/** `npm run signatures` runs 100,000. */
const RANDOM_REQUESTS = runsOf(200)

test("signatures equal a second, naive implementation for arbitrary paths, queries and headers", () => {
  fc.assert(
    fc.property(
      coded,
      fc.array(fc.tuple(coded, fc.option(coded)), { maxLength: 5 }),
      fc.array(fc.tuple(fc.constantFrom("x-amz-meta-a", "X-Amz-Meta-A", "x-amz-meta-b", "Content-Type"), latin1(32)), {
        maxLength: 5,
      }),
      fc.constantFrom("", "us-east-1", "eu"),
      (path, query, headers, region) => {
        const rawTarget = `/${path}?${query.map(([n, v]) => (v === null ? n : `${n}=${v}`)).join("&")}`
        const request = { method: "GET", rawTarget, rawHeaders: ["Host", "H:1", ...headers.flat()] }
        const result = signRequest(request, "UNSIGNED-PAYLOAD", { ...CREDENTIALS, region }, NOW_MS)
        const whole = { ...request, rawHeaders: result.rawHeaders }
        const names = [...new Set(result.rawHeaders.filter((_, i) => i % 2 === 0).map(n => n.toLowerCase()))]
          .filter(n => n !== "authorization")
          .sort()
        assert.equal(result.signature, naiveSignature(whole, names, "UNSIGNED-PAYLOAD", region))
        const verified = verify(whole)
        assert.equal(verified.kind === "verified" && verified.region, "us-east-1")
      },
    ),
    { numRuns: RANDOM_REQUESTS },
  )
})

test("no mutated byte of a signed request is accepted", () => {
  const base = signed(PLAIN, createHash("sha256").update("body").digest("hex"))
  const others = (character: string) =>
    [String.fromCharCode((character.charCodeAt(0) + 1) % 256), "%", "x"].filter(c => c !== character)
  const attempt = (request: SignableRequest, what: string) => {
    const kind: FailureKind = refusal(request).kind
    assert.ok(kind !== "internal", `${what}: ${kind}`)
  }
  let tried = 0
  for (let i = 0; i < base.rawTarget.length; i += 1) {
    for (const other of others(base.rawTarget[i] ?? "")) {
      attempt({ ...base, rawTarget: base.rawTarget.slice(0, i) + other + base.rawTarget.slice(i + 1) }, `target ${i}`)
      tried += 1
    }
  }
  base.rawHeaders.forEach((value, at) => {
    for (let i = 0; i < value.length; i += 1) {
      for (const other of others(value[i] ?? "")) {
        const mutated = value.slice(0, i) + other + value.slice(i + 1)
        const name = base.rawHeaders[at - (at % 2)] ?? ""
        // Upper and lower case of a name, and blanks between the words of Authorization, mean the same.
        if (at % 2 === 0 && mutated.toLowerCase() === value.toLowerCase()) continue
        const rawHeaders = base.rawHeaders.map((text, j) => (j === at ? mutated : text))
        // Renaming Authorization makes a request anonymous, not accepted.
        if (name === "Authorization" && at % 2 === 0) assert.equal(verify({ ...base, rawHeaders }).kind, "anonymous")
        else attempt({ ...base, rawHeaders }, `${name} ${i} ${JSON.stringify(other)}`)
        tried += 1
      }
    }
  })
  attempt({ ...base, method: "GET" }, "method")
  assert.ok(tried > 1000)
})

test("each refusal has its own failure", () => {
  const good = signed(PLAIN)
  const withAuthorization = (value: string): SignableRequest => ({
    ...PLAIN,
    rawHeaders: [...PLAIN.rawHeaders, "Authorization", value],
  })
  const replaced = (name: string, change: (value: string) => string | undefined): SignableRequest => ({
    ...good,
    rawHeaders: good.rawHeaders.flatMap((text, i) => {
      if ((good.rawHeaders[i - (i % 2)] ?? "").toLowerCase() !== name) return [text]
      if (change(good.rawHeaders[i - (i % 2) + 1] ?? "") === undefined) return []
      return [i % 2 === 0 ? text : (change(text) ?? "")]
    }),
  })
  const cases: [string, SignableRequest, FailureKind][] = [
    ["empty", withAuthorization(""), "accessDenied"],
    ["older scheme", withAuthorization("AWS AKID:sig"), "invalidRequest"],
    ["older scheme, bare", withAuthorization("AWS"), "invalidRequest"],
    [
      "older scheme in the query",
      { ...PLAIN, rawTarget: "/b/k?AWSAccessKeyId=a&Signature=b&Expires=1" },
      "invalidRequest",
    ],
    ["another scheme", withAuthorization("Bearer x"), "malformedAuthorization"],
    ["no parameters", withAuthorization("AWS4-HMAC-SHA256 "), "malformedAuthorization"],
    ["twice", { ...good, rawHeaders: [...good.rawHeaders, ...good.rawHeaders.slice(-2)] }, "malformedAuthorization"],
    ["bad credential", replaced("authorization", v => v.replace("/s3/aws4_request", "")), "malformedAuthorization"],
    ["another service", replaced("authorization", v => v.replace("/s3/", "/sts/")), "malformedAuthorization"],
    ["unusable key id", replaced("authorization", v => v.replace("AKIAIOSFODNN7EXAMPLE", "é")), "invalidAccessKey"],
    ["both forms", { ...good, rawTarget: `${good.rawTarget}&X-Amz-Signature=1` }, "invalidArgument"],
    ["both, older", { ...good, rawTarget: `${good.rawTarget}&AWSAccessKeyId=a&Signature=b` }, "invalidArgument"],
    ["host not signed", replaced("authorization", v => v.replace(";host;", ";")), "accessDenied"],
    ["an unsigned x-amz header", { ...good, rawHeaders: [...good.rawHeaders, "X-Amz-Acl", "private"] }, "accessDenied"],
    ["no hash", replaced("x-amz-content-sha256", () => undefined), "invalidRequest"],
    ["a strange hash", replaced("x-amz-content-sha256", () => "abc"), "invalidArgument"],
    ["no date", replaced("x-amz-date", () => undefined), "accessDenied"],
    ["bad date", replaced("x-amz-date", () => "Bad Date"), "accessDenied"],
    ["date before 1970", replaced("x-amz-date", () => "19500707T215304Z"), "accessDenied"],
    ["long ago", replaced("x-amz-date", () => "20100707T215304Z"), "requestSkewed"],
    ["far ahead", replaced("x-amz-date", () => "99990707T215304Z"), "requestSkewed"],
    ["another day", replaced("authorization", v => v.replace("20130524", "20130523")), "malformedAuthorization"],
    [
      "wrong signature",
      replaced("authorization", v => v.replace(/.$/, c => (c === "0" ? "1" : "0"))),
      "signatureMismatch",
    ],
    ["elliptic curve", signed(PLAIN, "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"), "notImplemented"],
    ["broken escape", { ...good, rawTarget: "/b/%zz" }, "signatureMismatch"],
  ]
  for (const [what, request, kind] of cases) {
    const failure = refusal(request)
    // A path is only decoded for the canonical request.
    assert.equal(failure.kind, what === "broken escape" ? "invalidUri" : kind, what)
  }
  const region = refusal(good, NOW_MS, { service: "s3", region: "eu-west-1" })
  assert.equal(region.kind, "malformedAuthorization")
  assert.equal(region.details["region"], "eu-west-1")
})

test("a mismatch shows the texts to compare, without secrets of the request", () => {
  const request = signed({
    ...PLAIN,
    rawHeaders: [...PLAIN.rawHeaders, "x-amz-server-side-encryption-customer-key", "c2VjcmV0"],
  })
  const failure = refusal({ ...request, method: "POST" })
  assert.match(
    String(failure.details["stringToSign"]),
    /^AWS4-HMAC-SHA256\n20130524T000000Z\n20130524\/us-east-1\/s3\/aws4_request\n/,
  )
  assert.match(
    String(failure.details["canonicalRequest"]),
    /^POST\n\/bucket\/a%20b\npartNumber=1&uploadId=x%2Fy&x-id=UploadPart\n/,
  )
  assert.ok(!failure.message.includes("c2VjcmV0"))
  assert.ok(!failure.message.includes(SECRET))
})

test("15 minutes either way are allowed, one second more is not", () => {
  const request = signed(PLAIN)
  for (const offsetMs of [-900_000, 0, 900_000]) assert.equal(verify(request, NOW_MS + offsetMs).kind, "verified")
  for (const offsetMs of [-901_000, 901_000]) {
    const failure = refusal(request, NOW_MS + offsetMs)
    assert.equal(failure.kind, "requestSkewed")
    assert.ok(failure.details["serverTime"])
  }
})

test("the Date header stands in for x-amz-date", () => {
  const request = {
    method: "GET",
    rawTarget: "/b",
    rawHeaders: ["Host", "h", "Date", "Fri, 24 May 2013 00:00:01 GMT", "x-amz-content-sha256", "UNSIGNED-PAYLOAD"],
  }
  const signedHeaders = ["date", "host", "x-amz-content-sha256"]
  const canonicalDate = { ...request, rawHeaders: request.rawHeaders.map(h => h.replace("00:00:01", "00:00:00")) }
  const signature = naiveSignature(canonicalDate, signedHeaders, "UNSIGNED-PAYLOAD", "r")
  const authorization = `AWS4-HMAC-SHA256 Credential=AKID/20130524/r/s3/aws4_request, SignedHeaders=${signedHeaders.join(";")}, Signature=${signature}`
  assert.equal(
    verify({ ...canonicalDate, rawHeaders: [...canonicalDate.rawHeaders, "Authorization", authorization] }).kind,
    "verified",
  )
})

test("presigned URLs bind method, host, every parameter and every x-amz header", () => {
  const request = { method: "PUT", rawTarget: "/b/k?partNumber=2&uploadId=u", rawHeaders: ["host", "localhost:9000"] }
  const target = presign(request, 60, CREDENTIALS, NOW_MS)
  const good = { ...request, rawTarget: target }
  assert.equal(verify(good, NOW_MS + 60_000).kind, "verified")
  const cases: [string, SignableRequest, FailureKind][] = [
    ["method", { ...good, method: "GET" }, "signatureMismatch"],
    ["host", { ...good, rawHeaders: ["host", "localhost:9001"] }, "signatureMismatch"],
    ["parameter changed", { ...good, rawTarget: target.replace("partNumber=2", "partNumber=3") }, "signatureMismatch"],
    ["parameter added", { ...good, rawTarget: `${target}&versionId=1` }, "signatureMismatch"],
    [
      "parameter doubled",
      { ...good, rawTarget: target.replace("partNumber=2", "partNumber=2&partNumber=2") },
      "signatureMismatch",
    ],
    ["parameter removed", { ...good, rawTarget: target.replace("&uploadId=u", "") }, "signatureMismatch"],
    ["header added", { ...good, rawHeaders: [...good.rawHeaders, "x-amz-acl", "private"] }, "accessDenied"],
    ["signature missing", { ...good, rawTarget: target.replace(/&X-Amz-Signature=.*/, "") }, "malformedAuthorization"],
    [
      "signature doubled",
      { ...good, rawTarget: `${target}${target.slice(target.lastIndexOf("&"))}` },
      "malformedAuthorization",
    ],
    [
      "algorithm",
      { ...good, rawTarget: target.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256") },
      "malformedAuthorization",
    ],
    ["token", { ...good, rawTarget: `${target}&X-Amz-Security-Token=t` }, "signatureMismatch"],
  ]
  for (const [what, changed, kind] of cases) assert.equal(refusal(changed).kind, kind, what)
  const kindOf = (seconds: number): FailureKind =>
    refusal({ ...request, rawTarget: presign(request, seconds, CREDENTIALS, NOW_MS) }).kind
  for (const seconds of [-1, 604_801, 1.5, 1e21, NaN]) assert.equal(kindOf(seconds), "accessDenied", String(seconds))
  assert.equal(kindOf(0), "requestExpired")
  assert.equal(
    verify({ ...request, rawTarget: presign(request, 604_800, CREDENTIALS, NOW_MS) }, NOW_MS + 604_800_000).kind,
    "verified",
  )
})

const claimOf = (request: SignableRequest) => {
  const claim = read(request)
  assert.equal(claim.kind, "claim")
  return claim
}

test("the claim carries the session token from the place that the signature covers", () => {
  const inHeader = (value: string) => ["x-amz-security-token", value]
  const ofHeader = claimOf(signed({ ...PLAIN, rawHeaders: [...PLAIN.rawHeaders, ...inHeader("t/1=")] }))
  assert.equal(ofHeader.kind === "claim" && ofHeader.token, "t/1=")
  assert.equal(verifier.verify(ofHeader, SECRET).kind, "verified")
  const request = { method: "GET", rawTarget: "/b/k?X-Amz-Security-Token=t%2F1%3D", rawHeaders: ["host", "localhost"] }
  const presigned = { ...request, rawTarget: presign(request, 60, CREDENTIALS, NOW_MS) }
  const ofQuery = claimOf(presigned)
  assert.equal(ofQuery.token, "t/1=")
  assert.equal(verifier.verify(ofQuery, SECRET).kind, "verified")
  const empty = signed({ ...PLAIN, rawHeaders: [...PLAIN.rawHeaders, ...inHeader("")] })
  assert.equal(claimOf(empty).token, undefined)
  // In a request that is signed in its header, this parameter has no special meaning.
  assert.equal(claimOf(signed({ ...PLAIN, rawTarget: request.rawTarget })).token, undefined)
  const both = { ...request, rawHeaders: [...request.rawHeaders, ...inHeader("other")] }
  assert.equal(refusal({ ...both, rawTarget: presign(both, 60, CREDENTIALS, NOW_MS) }).kind, "invalidToken")
  const unsigned = { ...presigned, rawHeaders: [...presigned.rawHeaders, ...inHeader("t/1=")] }
  assert.equal(refusal(unsigned).kind, "accessDenied")
})

test("if the server hashes the body itself, the request may omit the hash but must not state a different one", () => {
  const bodySha256 = createHash("sha256").update("Action=X").digest("hex")
  const rules: SignatureRules = { service: "iam", region: undefined, bodySha256 }
  const credentials = { ...CREDENTIALS, service: "iam", region: "" }
  const request = { method: "POST", rawTarget: "/", rawHeaders: ["host", "localhost"] }
  const good = signed(request, bodySha256, credentials)
  assert.equal(verify(good, NOW_MS, rules).kind, "verified")
  const other = signed(request, "0".repeat(64), credentials)
  assert.equal(refusal(other, NOW_MS, rules).kind, "contentSha256Mismatch")
  assert.equal(refusal(good, NOW_MS, { ...rules, bodySha256: "0".repeat(64) }).kind, "contentSha256Mismatch")
  const unsaid = { ...good, rawHeaders: without(good.rawHeaders, "x-amz-content-sha256") }
  assert.equal(refusal(unsaid, NOW_MS, rules).kind, "signatureMismatch")
})

const without = (rawHeaders: readonly string[], name: string): string[] =>
  rawHeaders.flatMap((text, i) => (i % 2 === 0 && text !== name ? [text, rawHeaders[i + 1] ?? ""] : []))

test("requests without a signature are anonymous, and cannot claim signed chunks", () => {
  assert.deepEqual(verify(PLAIN), { kind: "anonymous", payload: { kind: "unsigned" } })
  const chunked = (word: string) => ({ ...PLAIN, rawHeaders: [...PLAIN.rawHeaders, "x-amz-content-sha256", word] })
  assert.deepEqual(verify(chunked("STREAMING-UNSIGNED-PAYLOAD-TRAILER")).payload, {
    kind: "chunked",
    signed: false,
    trailer: true,
  })
  assert.equal(refusal(chunked("STREAMING-AWS4-HMAC-SHA256-PAYLOAD")).kind, "accessDenied")
})

test("signing keys are cached, bounded, and never outlive a changed secret", () => {
  const keys = new SigningKeys(2)
  const scope = (region: string) => ({ day: "20130524", region, service: "s3" })
  const first = keys.of("A", "secret", scope("a"))
  assert.equal(keys.of("A", "secret", scope("a")), first)
  assert.notDeepEqual(keys.of("A", "other", scope("a")), first)
  keys.of("A", "secret", scope("b"))
  keys.of("A", "secret", scope("c"))
  assert.equal(keys.size, 2)
})

test("hostile requests are refused with a failure, and quickly", () => {
  const hostile = fc.record({
    method: fc.constantFrom("GET", "PUT"),
    rawTarget: fc.string({ maxLength: 60 }).map(text => `/${text}`),
    rawHeaders: fc
      .array(
        fc.tuple(
          fc.constantFrom("Authorization", "x-amz-date", "host", "x-amz-content-sha256"),
          fc.string({ maxLength: 80 }),
        ),
      )
      .map(pairs => pairs.flat()),
  })
  fc.assert(
    fc.property(hostile, request => {
      try {
        assert.equal(verify(request).kind, "anonymous")
      } catch (error) {
        assert.ok(isFailure(error) && error.kind !== "internal", String(error))
      }
    }),
    { numRuns: 1000 },
  )
  const started = cpuMs()
  const blanks = `x${" ".repeat(16_000)}x`
  refusal({ ...PLAIN, rawHeaders: ["Authorization", `AWS4-HMAC-SHA256 ${blanks}`, "host", blanks] })
  refusal({ ...PLAIN, rawHeaders: ["Authorization", `AWS4-HMAC-SHA256 Credential=${"/".repeat(8000)}`] })
  assert.ok(cpuMs() - started < 4000)
})

const isVerified = (result: { kind: string }): result is VerifiedRequest => result.kind === "verified"

test("an access key with slashes, and commas without a space, are parsed", () => {
  const credentials = { ...CREDENTIALS, accessKeyId: "a/b/c" }
  const request = signed(PLAIN, "UNSIGNED-PAYLOAD", credentials)
  const rawHeaders = request.rawHeaders.map(text => text.replaceAll(", S", ",S"))
  const verified = verify({ ...request, rawHeaders })
  assert.equal(isVerified(verified) && verified.accessKeyId, "a/b/c")
})

test("a target that is signed as it was sent verifies, and no other one with that signature", () => {
  const { accessKeyId, secret, region, service } = CREDENTIALS
  const hmac = (key: string | Buffer, text: string): Buffer => createHmac("sha256", key).update(text).digest()
  const signingKey = ["20130524", region, service, "aws4_request"].reduce<string | Buffer>(hmac, `AWS4${secret}`)
  /** Signs path and query unchanged, like curl before release 8. */
  const asSent = (target: string): readonly string[] => {
    const [path = "", query = ""] = target.split("?")
    const hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    const headers = `host:${HOST}\nx-amz-content-sha256:${hash}\nx-amz-date:20130524T000000Z\n`
    const names = "host;x-amz-content-sha256;x-amz-date"
    const canonical = `GET\n${path}\n${query}\n${headers}\n${names}\n${hash}`
    const scope = `20130524/${region}/${service}/aws4_request`
    const digest = createHash("sha256").update(canonical).digest("hex")
    const signature = hmac(signingKey, `AWS4-HMAC-SHA256\n20130524T000000Z\n${scope}\n${digest}`).toString("hex")
    const authorization = `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope},SignedHeaders=${names},Signature=${signature}`
    return [
      "Host",
      HOST,
      "x-amz-content-sha256",
      hash,
      "x-amz-date",
      "20130524T000000Z",
      "Authorization",
      authorization,
    ]
  }
  for (const target of ["/a:b", "/q?nohang&from=mail", "/q?b=1&a=2", "/a:b?y&x=:", "/q?lifecycle="]) {
    const verified = verify({ method: "GET", rawTarget: target, rawHeaders: asSent(target) })
    assert.equal(verified.kind, "verified", target)
  }
  for (const [sent, signedFor] of [
    ["/q?a=2&b=1", "/q?b=1&a=2"],
    ["/a:c", "/a:b"],
    ["/q?b=1&a=3", "/q?b=1&a=2"],
  ] as const)
    assert.equal(refusal({ method: "GET", rawTarget: sent, rawHeaders: asSent(signedFor) }).kind, "signatureMismatch")
})

test("a plus sign in the path or the query is the space that the signature covers, where a protocol allows it", () => {
  const rules: SignatureRules = { ...RULES, plusMayBeSpace: true }
  const of = (rawTarget: string): SignableRequest => ({ ...PLAIN, method: "GET", rawTarget })
  const pathOf = (sent: string, signedFor: string, given = rules) => {
    const verified = verify({ ...of(sent), rawHeaders: signed(of(signedFor)).rawHeaders }, NOW_MS, given)
    if (!isVerified(verified)) return undefined
    const { rawPath, rawQuery } = verified.spaced ?? {}
    return rawPath === undefined ? sent : `${rawPath}${rawQuery === "" ? "" : `?${rawQuery}`}`
  }
  assert.equal(pathOf("/b/a+b%2Bc", "/b/a%2Bb%2Bc"), "/b/a+b%2Bc")
  assert.equal(pathOf("/b/a+b%2Bc", "/b/a%20b%2Bc"), "/b/a%20b%2Bc")
  assert.equal(pathOf("/b?prefix=a+b%2Bc", "/b?prefix=a%2Bb%2Bc"), "/b?prefix=a+b%2Bc")
  assert.equal(pathOf("/b?prefix=a+b%2Bc", "/b?prefix=a%20b%2Bc"), "/b?prefix=a%20b%2Bc")
  assert.equal(pathOf("/b/a+b?x=c+d", "/b/a%2Bb?x=c%20d"), "/b/a+b?x=c%20d")
  assert.equal(pathOf("/b/a+b?x=c+d", "/b/a%20b?x=c%2Bd"), "/b/a%20b?x=c+d")
  assert.equal(pathOf("/b/a+b?x=c+d", "/b/a%20b?x=c%20d"), "/b/a%20b?x=c%20d")
  for (const [sent, signedFor, given] of [
    ["/b/a+b+c", "/b/a%20b+c", rules],
    ["/b/a%2Bb", "/b/a%20b", rules],
    ["/b/a%20b", "/b/a+b", rules],
    ["/b/a+b", "/b/a%20b", RULES],
    ["/b?x=a+b", "/b?x=a%20b", RULES],
    ["/b?x=a+b+c", "/b?x=a%20b+c", rules],
    ["/b?x=a%2Bb", "/b?x=a%20b", rules],
  ] as const)
    assert.throws(() => pathOf(sent, signedFor, given), { kind: "signatureMismatch" }, `${sent} for ${signedFor}`)
})
