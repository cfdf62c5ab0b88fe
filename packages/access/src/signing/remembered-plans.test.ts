/** The state that a verifier caches from earlier requests changes no result. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { runsOf, TEST_SEED } from "@hayloft/base/testing-seed.js"
import { isFailure } from "@hayloft/base/failures.js"
import { HeaderShapes } from "@hayloft/base/http/request-headers.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { receivedRequest, SignatureVerifier, signRequest } from "../sigv4.js"
import type { SignableRequest, SignatureRules } from "../sigv4.js"

const NOW_MS = Date.UTC(2026, 0, 2, 3, 4, 5)
const CREDENTIALS = { accessKeyId: "AKIAEXAMPLE", secret: "secret", region: "us-east-1", service: "s3" }
const RULES = { service: "s3", region: "us-east-1" }
const HASH = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
const secretOf = (id: string): string | undefined => (id === CREDENTIALS.accessKeyId ? CREDENTIALS.secret : undefined)

const shapes = new HeaderShapes()

/** The signing key's id; undefined if the request is refused. */
function signerOf(
  by: SignatureVerifier,
  { method, rawTarget, rawHeaders }: SignableRequest,
  { rules = RULES, secrets = secretOf }: { rules?: SignatureRules; secrets?: typeof secretOf } = {},
): string | undefined {
  try {
    const claim = by.read(receivedRequest({ method, rawTarget, headers: shapes.ofFlat(rawHeaders) }), rules, NOW_MS)
    const secret = claim.kind === "claim" ? secrets(claim.accessKeyId) : undefined
    if (claim.kind === "anonymous" || secret === undefined) return undefined
    return by.verify(claim, secret).accessKeyId
  } catch (error) {
    assert.ok(isFailure(error), String(error))
    return undefined
  }
}

const random = new SimRandom(TEST_SEED)
const oneOf = <T>(...choices: readonly [T, ...T[]]): T => choices[random.below(choices.length)] ?? choices[0]

const WITH_ESCAPES = ["/b/%20", "/b/a%3D%C3%A4/%2B", "/b/%3d", "/b/%2F", "/b/%41", "/b/a+b"]

function anySigned(): { request: SignableRequest; signedMs: number } {
  const request = {
    method: oneOf("GET", "PUT", "HEAD"),
    rawTarget: oneOf("/b/k", "/b/a/b~c_d.e-f", "/b/k?x-id=GetObject", "/b/k?b=%20&a&c=1&a=0", "/b//k", ...WITH_ESCAPES),
    rawHeaders: [
      "host",
      "h:9000",
      ...oneOf([], ["Accept", "a  b"], ["x-amz-meta-n", " two  blanks "], ["X-Amz-User-Agent", "\u00e4\t\u00ff"]),
      ...oneOf([], [], ["x-amz-meta-m", " before"], ["x-amz-meta-m", "behind "], ["x-amz-meta-m", "a: b"]),
      ...oneOf([], ["Content-Type", "text/plain"], ["x-amz-meta-n", "1", "x-amz-meta-n", "2"]),
    ],
  }
  const signedMs = NOW_MS + oneOf(0, 0, 0, -14 * 60_000, -16 * 60_000, 16 * 60_000, -86_400_000)
  const credentials = {
    ...CREDENTIALS,
    ...oneOf({}, {}, {}, { secret: "other" }, { region: "eu" }, { accessKeyId: "AKIAOTHER" }),
  }
  const { rawHeaders } = signRequest(request, oneOf(HASH, "UNSIGNED-PAYLOAD", "nonsense"), credentials, signedMs)
  return { request: { ...request, rawHeaders }, signedMs }
}

/** Changes one character of a header or of the target, or nothing. */
function meddled(request: SignableRequest): SignableRequest {
  const rawHeaders = [...request.rawHeaders]
  const at = random.below(rawHeaders.length)
  const text = rawHeaders[at] ?? ""
  const place = random.below(text.length + 1)
  switch (random.below(6)) {
    case 0:
      rawHeaders[at] = text.slice(0, place) + oneOf("a", "0", " ", ";", "x-amz-a") + text.slice(place + 1)
      return { ...request, rawHeaders }
    case 1:
      rawHeaders.splice(random.below(2) * 2, 0, oneOf("x-amz-acl", "x-other", "Host", "x-amz-security-token"), "v")
      return { ...request, rawHeaders }
    case 2:
      return { ...request, rawTarget: `${request.rawTarget}${oneOf("k", "%6B", "%zz")}` }
    default:
      return request
  }
}

test("a verifier with a warm cache returns the same result as a new one", () => {
  const seasoned = new SignatureVerifier()
  let [accepted, refused] = [0, 0]
  const requests = runsOf(5_000)
  for (let i = 0; i < requests; i += 1) {
    const request = meddled(anySigned().request)
    const fresh = signerOf(new SignatureVerifier(), request)
    assert.equal(signerOf(seasoned, request), fresh, JSON.stringify(request))
    if (fresh === undefined) refused += 1
    else accepted += 1
  }
  assert.ok(accepted > requests / 20 && refused > requests / 2, `${accepted} accepted, ${refused} refused`)
})

test("a changed secret is not verified with the cached key", () => {
  const by = new SignatureVerifier()
  const request = { method: "GET", rawTarget: "/b/k", rawHeaders: ["host", "h"] }
  const { rawHeaders } = signRequest(request, HASH, CREDENTIALS, NOW_MS)
  assert.equal(signerOf(by, { ...request, rawHeaders }), CREDENTIALS.accessKeyId)
  assert.equal(signerOf(by, { ...request, rawHeaders }, { secrets: () => "another" }), undefined)
  assert.equal(signerOf(by, { ...request, rawHeaders }), CREDENTIALS.accessKeyId)
})

test("the signature need not be the last part of the Authorization header", () => {
  const by = new SignatureVerifier()
  const request = { method: "GET", rawTarget: "/b/k", rawHeaders: ["host", "h"] }
  const { rawHeaders } = signRequest(request, HASH, CREDENTIALS, NOW_MS)
  const [authorization = ""] = rawHeaders.slice(-1)
  const [credential, signedHeaders, signature] = authorization.slice("AWS4-HMAC-SHA256 ".length).split(", ")
  const other = `AWS4-HMAC-SHA256 ${credential ?? ""}, ${signature ?? ""}, ${signedHeaders ?? ""}`
  const turned = { ...request, rawHeaders: [...rawHeaders.slice(0, -1), other] }
  for (const one of [turned, { ...request, rawHeaders }, turned]) {
    assert.equal(signerOf(by, one), CREDENTIALS.accessKeyId)
  }
})

test("blanks in the scope are folded before it is signed", () => {
  const rules = { service: "s3", region: undefined }
  const request = { method: "GET", rawTarget: "/b/k", rawHeaders: ["host", "h"] }
  const { rawHeaders } = signRequest(request, HASH, { ...CREDENTIALS, region: "us  east" }, NOW_MS)
  assert.equal(signerOf(new SignatureVerifier(), { ...request, rawHeaders }, { rules }), undefined)
})

test("blanks in signed values are folded, wherever they are", () => {
  const by = new SignatureVerifier()
  for (const value of [" before", "behind ", "in  between", "\ttab", "a: b", " ", "plain"]) {
    const request = { method: "GET", rawTarget: "/b/k", rawHeaders: ["host", "h:9000", "x-amz-meta-m", value] }
    const { rawHeaders } = signRequest(request, HASH, CREDENTIALS, NOW_MS)
    assert.equal(signerOf(by, { ...request, rawHeaders }), CREDENTIALS.accessKeyId, JSON.stringify(value))
  }
})
