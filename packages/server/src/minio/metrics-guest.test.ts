/** Metrics at MinIO's paths: which requests are for them, and which tokens open them. */
import assert from "node:assert/strict"
import { createHmac } from "node:crypto"
import { test } from "node:test"
import { attemptsWith } from "@hayloft/access/secrets/testing-attempts.js"
import { isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { parseAccessKeyId, parseAccountId } from "@hayloft/base/ids.js"
import { asksForMetrics, checkToken } from "./metrics-guest.js"

const NOW_SECONDS = 1_800_000_000
const ROOT = parseAccountId("a".repeat(64))
const KEYS = new Map(
  [
    { id: "minioadmin", secret: "secret-of-root", isWholeRoot: true, owner: ROOT },
    { id: "somebody", secret: "secret-of-user", isWholeRoot: false, owner: ROOT },
    { id: "elsewhere", secret: "secret-of-other", isWholeRoot: true, owner: parseAccountId("b".repeat(64)) },
  ].map(({ id, owner, ...key }) => [id, { ...key, id: parseAccessKeyId(id), account: { id: owner } }]),
)

/** A token as `mc` makes it. */
function tokenOf(secret: string, sub: unknown = "minioadmin", exp: unknown = NOW_SECONDS + 60, alg = "HS512"): string {
  const [head, claims] = [
    { alg, typ: "JWT" },
    { iss: "prometheus", sub, exp },
  ].map(part => Buffer.from(JSON.stringify(part)).toString("base64url"))
  return `${head}.${claims}.${createHmac("sha512", secret).update(`${head}.${claims}`).digest("base64url")}`
}

function checker() {
  const attempts = attemptsWith({ monotonicMs: () => 0 })
  return (token: string): Promise<void> =>
    checkToken(token, "10.0.0.1", {
      clock: { wallMs: () => NOW_SECONDS * 1000 },
      accounts: { secretOf: id => KEYS.get(id) },
      attempts,
      rootAccount: ROOT,
      isPublic: false,
      domains: [],
      text: () => "",
    })
}

const refused = (token: string, kind: FailureKind, check = checker()): Promise<void> =>
  assert.rejects(check(token), error => isFailure(error, kind), token)

test("only requests with a bearer token, or of the public, are for metrics: all others stay S3", () => {
  const asks = (
    method: string,
    rawTarget: string,
    authorization?: string,
    isPublic = false,
    host = "127.0.0.1:9000",
  ) => {
    const headers = new Map([
      ["host", host],
      ...(authorization === undefined ? [] : [["authorization", authorization] as const]),
    ])
    return asksForMetrics({ method, rawTarget, header: name => headers.get(name) }, { isPublic, domains: ["s3.test"] })
  }
  for (const kind of ["cluster", "node", "bucket"]) {
    const path = `/minio/v2/metrics/${kind}`
    assert.ok(asks("GET", path, "Bearer a.b.c"))
    assert.ok(asks("HEAD", path, "bearer a.b.c", true))
    assert.ok(asks("GET", path, undefined, true))
    assert.ok(!asks("GET", path), "without a token it is a key of the bucket minio")
    assert.ok(!asks("GET", path, "AWS4-HMAC-SHA256 Credential=…", true), "a signed request is S3")
    assert.ok(!asks("PUT", path, "Bearer a.b.c"))
    assert.ok(!asks("GET", `${path}?X-Amz-Signature=00`, undefined, true))
    assert.ok(!asks("GET", path, undefined, true, "photos.s3.test"))
  }
  for (const path of ["/minio/v2/metrics/", "/minio/v2/metrics/resource", "/minio/v2/metrics/cluster/", "/metrics"])
    assert.ok(!asks("GET", path, "Bearer a.b.c", true), path)
})

test("a token that the root key has signed opens them, and no other one does", async () => {
  await checker()(tokenOf("secret-of-root"))
  await refused(tokenOf("secret-of-user"), "invalidToken")
  await refused(tokenOf("secret-of-root", "minioadmin", NOW_SECONDS), "tokenExpired")
  await refused(tokenOf("secret-of-user", "somebody"), "accessDenied")
  await refused(tokenOf("secret-of-other", "elsewhere"), "accessDenied")
  await refused(tokenOf("secret-of-root", "nobody-here"), "accessDenied")
  const [head, , signature] = tokenOf("secret-of-root").split(".")
  const [, later] = tokenOf("secret-of-root", "minioadmin", NOW_SECONDS + 9_999).split(".")
  await refused(`${head}.${later}.${signature}`, "invalidToken")
})

test("what is no token of this kind is refused without looking at a key", async () => {
  const unsigned = tokenOf("secret-of-root", "minioadmin", NOW_SECONDS + 60, "none")
  const strange = [
    tokenOf("secret-of-root", 7),
    tokenOf("secret-of-root", "minioadmin", "soon"),
    "",
    "a.b",
    "bnVsbA.bnVsbA.x",
  ]
  for (const token of [unsigned, `${tokenOf("secret-of-root")}.more`, ...strange]) await refused(token, "invalidToken")
})

test("after wrong secrets the address has to wait", async () => {
  const check = checker()
  for (let count = 0; count < 5; count += 1) await refused(tokenOf("wrong"), "invalidToken", check)
  await refused(tokenOf("secret-of-root"), "rateExceeded", check)
})
