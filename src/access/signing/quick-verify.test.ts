/** The quick verifier says what the careful one says, or nothing. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "../../base/failures.js"
import { HeaderShapes } from "../../base/request-headers.js"
import { splitTarget } from "../../base/uri.js"
import { SimRandom } from "../../seams/random/sim.js"
import { QuickVerifier, readSignature, signRequest, SigningKeys, verifySignature } from "../sigv4.js"
import type { SignableRequest, SignatureRules } from "../sigv4.js"

const NOW_MS = Date.UTC(2026, 0, 2, 3, 4, 5)
const CREDENTIALS = { accessKeyId: "AKIAEXAMPLE", secret: "secret", region: "us-east-1", service: "s3" }
const RULES = { service: "s3", region: "us-east-1" }
const HASH = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
const secretOf = (id: string) => (id === CREDENTIALS.accessKeyId ? CREDENTIALS.secret : undefined)

function carefully(request: SignableRequest, nowMs: number, rules: SignatureRules = RULES): string | undefined {
  try {
    const claim = readSignature(request, rules, nowMs)
    const secret = claim.kind === "claim" ? secretOf(claim.accessKeyId) : undefined
    if (claim.kind === "anonymous" || secret === undefined) return undefined
    return verifySignature(claim, secret, new SigningKeys()).accessKeyId
  } catch (error) {
    assert.ok(isFailure(error), String(error))
    return undefined
  }
}

const shapes = new HeaderShapes()

function quickly(by: QuickVerifier, request: SignableRequest, nowMs: number): string | undefined {
  const { rawPath: path, rawQuery: query } = splitTarget(request.rawTarget)
  const headers = shapes.ofFlat(request.rawHeaders)
  return by.verify({ method: request.method, path, query, headers }, nowMs)?.accessKeyId
}

const random = new SimRandom(11)
const oneOf = <T>(...choices: readonly [T, ...T[]]): T => choices[random.below(choices.length)] ?? choices[0]

const WITH_ESCAPES = ["/b/%20", "/b/a%3D%C3%A4/%2B", "/b/%3d", "/b/%2F", "/b/%41", "/b/a+b"]

function anySigned(): { request: SignableRequest; signedMs: number } {
  const request = {
    method: oneOf("GET", "PUT", "HEAD"),
    rawTarget: oneOf("/b/k", "/b/a/b~c_d.e-f", "/b/k?x-id=GetObject", "/b//k", ...WITH_ESCAPES),
    rawHeaders: [
      ...["host", "h:9000"],
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

/** One character of a header or of the target is another one, or nothing is. */
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

test("the quick verifier lets through only what the careful one does, and most of it", () => {
  const by = new QuickVerifier(RULES, secretOf)
  let [through, letPast] = [0, 0]
  for (let i = 0; i < 20_000; i += 1) {
    const request = meddled(anySigned().request)
    const quick = quickly(by, request, NOW_MS)
    const careful = carefully(request, NOW_MS)
    if (careful !== undefined) through += 1
    if (quick === undefined) continue
    letPast += 1
    assert.equal(quick, careful, JSON.stringify(request))
  }
  assert.ok(letPast > 700 && letPast > through / 3, `${letPast} of ${through}`)
})

test("a secret that has changed is another secret", () => {
  let secret = CREDENTIALS.secret
  const by = new QuickVerifier(RULES, () => secret)
  const request = { method: "GET", rawTarget: "/b/k", rawHeaders: ["host", "h"] }
  const { rawHeaders } = signRequest(request, HASH, CREDENTIALS, NOW_MS)
  assert.equal(quickly(by, { ...request, rawHeaders }, NOW_MS), CREDENTIALS.accessKeyId)
  secret = "another"
  assert.equal(quickly(by, { ...request, rawHeaders }, NOW_MS), undefined)
})

test("where the signature ends the header is part of what was seen before", () => {
  const by = new QuickVerifier(RULES, secretOf)
  const request = { method: "GET", rawTarget: "/b/k", rawHeaders: ["host", "h"] }
  const { rawHeaders } = signRequest(request, HASH, CREDENTIALS, NOW_MS)
  const [authorization = ""] = rawHeaders.slice(-1)
  const [credential, signedHeaders, signature] = authorization.slice("AWS4-HMAC-SHA256 ".length).split(", ")
  const other = `AWS4-HMAC-SHA256 ${credential ?? ""}, ${signature ?? ""}, ${signedHeaders ?? ""}`
  const turned = { ...request, rawHeaders: [...rawHeaders.slice(0, -1), other] }
  assert.equal(carefully(turned, NOW_MS), CREDENTIALS.accessKeyId)
  assert.equal(quickly(by, turned, NOW_MS), undefined)
  assert.equal(quickly(by, { ...request, rawHeaders }, NOW_MS), CREDENTIALS.accessKeyId)
})

test("blanks in the scope are folded before it is signed", () => {
  const rules = { service: "s3", region: undefined }
  const request = { method: "GET", rawTarget: "/b/k", rawHeaders: ["host", "h"] }
  const { rawHeaders } = signRequest(request, HASH, { ...CREDENTIALS, region: "us  east" }, NOW_MS)
  assert.equal(carefully({ ...request, rawHeaders }, NOW_MS, rules), undefined)
  assert.equal(quickly(new QuickVerifier(rules, secretOf), { ...request, rawHeaders }, NOW_MS), undefined)
})

test("blanks in signed values are folded, wherever they are", () => {
  const quick = new QuickVerifier(RULES, secretOf)
  for (const value of [" before", "behind ", "in  between", "\ttab", "a: b", " ", "plain"]) {
    const request = { method: "GET", rawTarget: "/b/k", rawHeaders: ["host", "h:9000", "x-amz-meta-m", value] }
    const { rawHeaders } = signRequest(request, HASH, CREDENTIALS, NOW_MS)
    assert.equal(quickly(quick, { ...request, rawHeaders }, NOW_MS), CREDENTIALS.accessKeyId, JSON.stringify(value))
  }
})
